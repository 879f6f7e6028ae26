//! What is read from a Prometheus' own configuration file.
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use model::go_quote::quote;
use model::{GoRegex, Labels};

use crate::alertmanager::Loaded;
use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::http::HttpConfig;
use crate::problem::Problems;
use crate::rule_files::RuleFilesPattern;
use crate::source::Source;
use crate::value::HttpUrl;

/// `rule_files`, `alerting`, three keys of `global` and one of `storage`; the rest of the file is not looked at.
#[derive(Clone, Debug)]
pub struct PrometheusConfig {
    /// Where the file names one; zero counts as none.
    pub evaluation_interval: Option<Duration>,
    pub rule_query_offset: Option<Duration>,
    pub external_labels: Labels,
    /// `storage.tsdb.out_of_order_time_window`.
    pub out_of_order_time_window: Option<Duration>,
    pub rule_files: Vec<RuleFilesPattern>,
    /// Applied once to each alert, after the external labels.
    pub alert_relabel_configs: Vec<RelabelConfig>,
    pub alertmanagers: Vec<AlertmanagerTargets>,
}

/// One element of `alerting.alertmanagers`.
#[derive(Clone, Debug)]
pub struct AlertmanagerTargets {
    pub http: HttpConfig,
    pub timeout: Duration,
    /// Each with scheme, port and path: `http://host:9093/prefix/api/v2/alerts`; no address comes twice.
    pub urls: Vec<HttpUrl>,
    /// Applied after the global ones.
    pub alert_relabel_configs: Vec<RelabelConfig>,
}

/// One step of relabelling.
#[derive(Clone, Debug)]
pub struct RelabelConfig {
    pub source_labels: Vec<String>,
    pub separator: String,
    /// Anchored at both ends; its dot matches a newline.
    pub regex: GoRegex,
    pub modulus: u64,
    pub target_label: String,
    pub replacement: String,
    pub action: RelabelAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelabelAction {
    Drop,
    DropEqual,
    HashMod,
    Keep,
    KeepEqual,
    LabelDrop,
    LabelKeep,
    LabelMap,
    Lowercase,
    Replace,
    Uppercase,
}

const ALERTS_PATH: &str = "/api/v2/alerts";

/// What discovers Alertmanagers in Prometheus, and here does not.
const DISCOVERIES: [&str; 34] = [
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "dns_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "ecs_sd_configs",
    "eureka_sd_configs",
    "file_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "http_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "msk_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
    "xds_sd_configs",
];

impl PrometheusConfig {
    /// Reads a file's text. `environment` gives the variables that external labels may name (`${VAR}`). What is known
    /// and not served is a warning.
    ///
    /// # Errors
    /// All mistakes together, by place.
    pub fn read(
        file: &str,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded<Self>, Problems> {
        let (source, node) = Source::open(file, text, "config.plain");
        let base = Path::new(file).parent().unwrap_or(Path::new(""));
        let value = match &node {
            Some(node) => read_top(&Cursor::root(&source, node), base, environment),
            None => Self::default(),
        };
        let (problems, warnings) = source.close();
        if problems.is_empty() {
            Ok(Loaded { value, warnings })
        } else {
            Err(problems)
        }
    }
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            evaluation_interval: None,
            rule_query_offset: None,
            external_labels: Labels::from_pairs(std::iter::empty::<(&str, &str)>()),
            out_of_order_time_window: None,
            rule_files: Vec::new(),
            alert_relabel_configs: Vec::new(),
            alertmanagers: Vec::new(),
        }
    }
}

fn read_top(
    top: &Cursor<'_>,
    base: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> PrometheusConfig {
    let mut config = PrometheusConfig::default();
    let mut fields = top.fields("config.plain");
    config.rule_files = RuleFilesPattern::read(&mut fields, base);
    if let Some(cursor) = fields.get("global") {
        let mut global = cursor.fields("config.plain");
        config.evaluation_interval = global
            .duration("evaluation_interval")
            .filter(|interval| !interval.is_zero());
        config.rule_query_offset = global.duration("rule_query_offset");
        let labels = global.text_map("external_labels").into_iter();
        config.external_labels =
            Labels::from_pairs(labels.map(|(name, text)| (name, expand(&text, environment))));
        global.finish_ignoring_others();
    }
    if let Some(cursor) = fields.get("storage") {
        let mut storage = cursor.fields("config.plain");
        if let Some(cursor) = storage.get("tsdb") {
            let mut tsdb = cursor.fields("config.plain");
            config.out_of_order_time_window = tsdb.duration("out_of_order_time_window");
            tsdb.finish_ignoring_others();
        }
        storage.finish_ignoring_others();
    }
    if let Some(cursor) = fields.get("alerting") {
        let mut alerting = cursor.fields("config.plain");
        config.alert_relabel_configs = relabel_configs(&mut alerting);
        let mut seen = BTreeSet::new();
        for cursor in alerting.list("alertmanagers") {
            config
                .alertmanagers
                .push(read_targets(&cursor, base, &mut seen));
        }
        alerting.finish();
    }
    fields.finish_ignoring_others();
    config
}

/// Go's `os.Expand`: `$name`, `${name}`, and `$$` for a dollar. A variable that is not set is empty.
fn expand(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let (name, behind) = if let Some(behind) = after.strip_prefix('$') {
            ("$", behind)
        } else if let Some((name, behind)) = after
            .strip_prefix('{')
            .and_then(|inside| inside.split_once('}'))
        {
            (name, behind)
        } else {
            after.split_at(after.find(|other| !is_name(other)).unwrap_or(after.len()))
        };
        match name {
            "$" => expanded.push('$'),
            "" => {}
            name => expanded.push_str(&environment(name).unwrap_or_default()),
        }
        rest = behind;
    }
    expanded + rest
}

fn read_targets(
    cursor: &Cursor<'_>,
    base: &Path,
    seen: &mut BTreeSet<String>,
) -> AlertmanagerTargets {
    let mut fields = cursor.fields("config.plain");
    let scheme = fields.text_or("scheme", "http");
    let prefix = fields.text("path_prefix");
    let prefix = prefix.trim_matches('/');
    let path = if prefix.is_empty() {
        ALERTS_PATH.to_owned()
    } else {
        format!("/{prefix}{ALERTS_PATH}")
    };
    if let Some(version) = fields.get("api_version")
        && version.text().is_some_and(|text| text != "v2")
    {
        version.problem("expected Alertmanager api version to be v2: others are gone");
    }
    let mut urls = Vec::new();
    for group in fields.list("static_configs") {
        let mut group = group.fields("config.plain");
        for target in group.list("targets") {
            let url =
                target.parsed(|address| HttpUrl::parse(&format!("{scheme}://{address}{path}")));
            urls.extend(url.filter(|url| seen.insert(url.as_str().to_owned())));
        }
        // Labels of a target are for relabelling it only.
        group.text_map("labels");
        group.finish();
    }
    let targets = AlertmanagerTargets {
        timeout: fields.duration_or("timeout", defaults::ALERTMANAGER_TIMEOUT),
        http: HttpConfig::read_keys(&mut fields, Some(base)),
        urls,
        alert_relabel_configs: relabel_configs(&mut fields),
    };
    for key in DISCOVERIES.into_iter().chain(["relabel_configs", "sigv4"]) {
        if let Some(cursor) = fields.get(key) {
            cursor.warn(format!(
                "{key} is not supported by this version and has no effect"
            ));
        }
    }
    fields.finish();
    targets
}

fn relabel_configs(fields: &mut Fields<'_>) -> Vec<RelabelConfig> {
    let list = fields.list("alert_relabel_configs");
    list.iter().filter_map(read_relabel).collect()
}

fn read_relabel(cursor: &Cursor<'_>) -> Option<RelabelConfig> {
    let mut fields = cursor.fields("relabel.plain");
    let action = match fields.get("action") {
        None => Some(RelabelAction::Replace),
        Some(cursor) => cursor.parsed(|text| {
            relabel_action(&text.to_ascii_lowercase())
                .ok_or_else(|| format!("unknown relabel action {}", quote(text)))
        }),
    };
    let written = fields.text_or("regex", defaults::RELABEL_REGEX);
    let regex = match fields.get("regex") {
        None => GoRegex::anchored_dot_all(&written).ok(),
        Some(cursor) => cursor.parsed(GoRegex::anchored_dot_all),
    };
    let modulus = fields.get("modulus").and_then(|cursor| cursor.unsigned());
    let config = RelabelConfig {
        source_labels: fields.texts("source_labels"),
        separator: fields.text_or("separator", defaults::RELABEL_SEPARATOR),
        modulus: modulus.unwrap_or(0),
        target_label: fields.text("target_label"),
        replacement: fields.text_or("replacement", defaults::RELABEL_REPLACEMENT),
        regex: regex?,
        action: action?,
    };
    check_relabel(&fields, &config);
    fields.finish();
    Some(config)
}

fn check_relabel(fields: &Fields<'_>, config: &RelabelConfig) {
    let name = match config.action {
        RelabelAction::Replace => "replace",
        RelabelAction::HashMod => "hashmod",
        RelabelAction::Lowercase => "lowercase",
        RelabelAction::Uppercase => "uppercase",
        RelabelAction::KeepEqual => "keepequal",
        RelabelAction::DropEqual => "dropequal",
        RelabelAction::Drop
        | RelabelAction::Keep
        | RelabelAction::LabelDrop
        | RelabelAction::LabelKeep
        | RelabelAction::LabelMap => return,
    };
    if config.target_label.is_empty() {
        fields.problem(
            "target_label",
            format!("relabel configuration for {name} action requires 'target_label' value"),
        );
    }
    if config.action == RelabelAction::HashMod && config.modulus == 0 {
        fields.problem(
            "modulus",
            "relabel configuration for hashmod requires non-zero modulus",
        );
    }
}

fn relabel_action(name: &str) -> Option<RelabelAction> {
    Some(match name {
        "drop" => RelabelAction::Drop,
        "dropequal" => RelabelAction::DropEqual,
        "hashmod" => RelabelAction::HashMod,
        "keep" => RelabelAction::Keep,
        "keepequal" => RelabelAction::KeepEqual,
        "labeldrop" => RelabelAction::LabelDrop,
        "labelkeep" => RelabelAction::LabelKeep,
        "labelmap" => RelabelAction::LabelMap,
        "lowercase" => RelabelAction::Lowercase,
        "replace" => RelabelAction::Replace,
        "uppercase" => RelabelAction::Uppercase,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{PrometheusConfig, RelabelAction, expand};
    use crate::problem::Problems;
    use crate::shared_data::shared;

    fn list(problems: &Problems) -> Vec<String> {
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn its_own_keys_are_read_and_others_passed_over() {
        let text = "global:\n  scrape_interval: 15s\n  evaluation_interval: 30s\n  external_labels: {zone: '${ZONE}-$$'}\nrule_files: [a/*.yml]\nscrape_configs: [{job_name: x}]\nalerting:\n  alert_relabel_configs:\n  - {action: labeldrop, regex: replica}\n  alertmanagers:\n  - path_prefix: /am/\n    timeout: 5s\n    basic_auth: {username: u, password: p}\n    static_configs: [{targets: ['a:9093', 'b:9093', 'a:9093']}]\n";
        let zone = |name: &str| (name == "ZONE").then(|| "eu".to_owned());
        let loaded = PrometheusConfig::read("/etc/p/prometheus.yml", text, &zone).unwrap();
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let config = loaded.value;
        assert_eq!(config.evaluation_interval, Some(Duration::from_secs(30)));
        assert_eq!(config.external_labels.value("zone"), "eu-$");
        assert_eq!(config.rule_files[0].pattern, "/etc/p/a/*.yml");
        assert_eq!(
            config.alert_relabel_configs[0].action,
            RelabelAction::LabelDrop
        );
        let targets = &config.alertmanagers[0];
        let urls: Vec<_> = targets.urls.iter().map(|url| url.as_str()).collect();
        assert_eq!(
            urls,
            [
                "http://a:9093/am/api/v2/alerts",
                "http://b:9093/am/api/v2/alerts"
            ]
        );
        assert_eq!(targets.timeout, Duration::from_secs(5));
        assert!(targets.http.authorization.is_some());
    }

    #[test]
    fn mistakes_are_named() {
        let text = "global: {evaluation_interval: often}\nalerting:\n  alertmanager: []\n  alert_relabel_configs:\n  - {action: nothing}\n  - {action: hashmod, target_label: a}\n  - {regex: '('}\n  - {action: replace}\n";
        let problems = PrometheusConfig::read("p.yml", text, &|_| None).unwrap_err();
        assert_eq!(
            list(&problems),
            [
                r#"p.yml:1:31: not a valid duration string: "often" (global.evaluation_interval)"#,
                "p.yml:3:3: field alertmanager not found in type config.plain (alerting.alertmanager)",
                r#"p.yml:5:14: unknown relabel action "nothing" (alerting.alert_relabel_configs[0].action)"#,
                "p.yml:6:5: relabel configuration for hashmod requires non-zero modulus (alerting.alert_relabel_configs[1])",
                "p.yml:7:13: error parsing regexp: missing closing ): `^(?s:()$` (alerting.alert_relabel_configs[2].regex)",
                "p.yml:8:5: relabel configuration for replace action requires 'target_label' value (alerting.alert_relabel_configs[3])",
            ]
        );
    }

    #[test]
    fn a_real_file_loads() {
        let Some(path) = shared("real/gds/rendered/prometheus.yml") else {
            return;
        };
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = PrometheusConfig::read("prometheus.yml", &text, &|_| None).unwrap();
        assert_eq!(
            loaded.value.evaluation_interval,
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            loaded.value.rule_files[0].pattern,
            "/etc/prometheus/alerts/*"
        );
        assert_eq!(
            list(&loaded.warnings),
            [
                "prometheus.yml:4:7: dns_sd_configs is not supported by this version and has no effect (alerting.alertmanagers[0].dns_sd_configs)"
            ]
        );
    }

    #[test]
    fn variables_expand_as_in_go() {
        let environment = |name: &str| (name == "A").then(|| "1".to_owned());
        for (text, expanded) in [
            ("$A", "1"),
            ("${A}b$A", "1b1"),
            ("$$A", "$A"),
            ("x$B-", "x-"),
            ("no", "no"),
        ] {
            assert_eq!(expand(text, &environment), expanded, "{text}");
        }
    }
}
