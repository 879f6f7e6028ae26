//! Everything that a process reads from files, read together: all of it is good, or none of it is used.
use std::path::Path;
use std::sync::Arc;

use config::{
    AlertmanagerFiles, AlertmanagerOptions, Files, HttpConfig, Problem, Problems, PrometheusConfig,
    QueryFeature, RelabelConfig, WatchbellConfig,
};
use ingest::language;
use ruler::{AlertmanagerTarget, LoadedRules, RuleFiles, RuleStore};
use ruler_core::GroupDefaults;
use runtime::DiskFiles;
use template::TemplateSet;

use crate::cli::ServeArguments;

/// Where no Alertmanager's file is named: alerts are shown, and nobody is told.
const ALERTMANAGER_DEFAULT: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

/// What a running process can take over without a restart.
pub(crate) struct Configuration {
    pub(crate) watchbell: WatchbellConfig,
    /// Empty: this process' own.
    pub(crate) alertmanagers: Vec<AlertmanagerTarget>,
    pub(crate) alert_relabel_configs: Vec<RelabelConfig>,
    pub(crate) rule_files: RuleFiles,
    pub(crate) rules: LoadedRules,
    pub(crate) alertmanager: Arc<AlertmanagerFiles>,
    pub(crate) warnings: Problems,
}

impl Configuration {
    /// Reads `watchbell.yml` (or takes the defaults) and every file that it names.
    ///
    /// # Errors
    /// All mistakes of all files; those of the named files only where `watchbell.yml` itself has none.
    pub(crate) fn load(file: Option<&Path>, features: &[QueryFeature]) -> Result<Self, Problems> {
        let mut watchbell = match file {
            Some(file) => read_watchbell(file)?,
            None => WatchbellConfig::default(),
        };
        watchbell.enable(features.iter().copied());
        let mut problems = Problems::new();
        let mut warnings = Problems::new();
        warnings.extend(without_effect(file, &watchbell));
        let prometheus = read_prometheus(&watchbell, &mut problems, &mut warnings);
        if let Some(prometheus) = &prometheus {
            take_over(&mut watchbell, prometheus);
        }
        check_rule_storage(file, &watchbell, &mut problems);
        let rule_files = rule_files(&watchbell);
        for pattern in &watchbell.rule_files {
            let text = &pattern.pattern;
            if DiskFiles.glob(text).is_ok_and(|files| files.is_empty()) {
                warnings.push(pattern.problem(format!("no file matches {text}")));
            }
        }
        let rules = rule_files
            .load()
            .map_err(|wrong| problems.extend(wrong))
            .ok();
        let alertmanager = load_alertmanager(&watchbell, &mut problems, &mut warnings);
        let (Some(rules), Some(alertmanager), true) = (rules, alertmanager, problems.is_empty())
        else {
            return Err(problems.sorted());
        };
        Ok(Self {
            alertmanagers: alertmanagers(&watchbell, prometheus.as_ref()),
            alert_relabel_configs: prometheus
                .map(|prometheus| prometheus.alert_relabel_configs)
                .unwrap_or_default(),
            rule_files,
            rules,
            alertmanager: Arc::new(alertmanager),
            warnings,
            watchbell,
        })
    }

    /// Reads everything, with the command line's words in place of the file's.
    pub(crate) async fn load_for(arguments: &ServeArguments) -> Result<Self, Problems> {
        let file = arguments.config_file.clone();
        let features = arguments.features.enabled.clone();
        let reading = tokio::task::spawn_blocking(move || Self::load(file.as_deref(), &features));
        let mut configuration = reading.await.expect("reading files does not panic")?;
        let watchbell = &mut configuration.watchbell;
        if let Some(path) = &arguments.storage_path {
            watchbell.storage.path.clone_from(path);
        }
        if let Some(level) = arguments.log_level {
            watchbell.log.level = level.into();
        }
        if let Some(format) = arguments.log_format {
            watchbell.log.format = format.into();
        }
        Ok(configuration)
    }
}

/// One tenant's rules come from files: those of requests that name no tenant.
pub(crate) fn rule_files(watchbell: &WatchbellConfig) -> RuleFiles {
    RuleFiles {
        patterns: watchbell.rule_files.clone(),
        base: ".".into(),
        defaults: GroupDefaults {
            interval: watchbell.evaluation.interval(),
            query_offset: watchbell.evaluation.query_offset(),
        },
        parser_options: language(watchbell),
    }
}

/// What is taken of a Prometheus' command line and switches nothing here.
fn without_effect(file: Option<&Path>, watchbell: &WatchbellConfig) -> Vec<Problem> {
    let file = file.unwrap_or(Path::new("")).to_string_lossy();
    let features = watchbell.query.features.iter();
    features
        .filter_map(|feature| match feature {
            QueryFeature::WithoutEffect(name) => {
                let message = format!("{name} has no effect here");
                Some(Problem::new(&file, None, "query.features", message))
            }
            QueryFeature::BinopFillModifiers
            | QueryFeature::DelayedNameRemoval
            | QueryFeature::ExperimentalFunctions
            | QueryFeature::ExtendedRangeSelectors
            | QueryFeature::StartTimestamps => None,
        })
        .collect()
}

/// Whether there is such a storage; whether it answers is found out when it is read.
fn check_rule_storage(file: Option<&Path>, watchbell: &WatchbellConfig, problems: &mut Problems) {
    let storage = &watchbell.ruler.storage;
    let (Some(file), Some(url)) = (file, &storage.url) else {
        return;
    };
    if let Err(error) = RuleStore::at(url, &storage.options) {
        let message = format!("{:#}", anyhow::Error::from(error));
        let file = file.to_string_lossy();
        problems.push(Problem::new(&file, None, "ruler.storage", message));
    }
}

fn read_watchbell(file: &Path) -> Result<WatchbellConfig, Problems> {
    let name = file.to_string_lossy();
    match DiskFiles.read(file) {
        Ok(text) => WatchbellConfig::read(&name, &text),
        Err(reason) => Err([Problem::new(&name, None, "", reason)]
            .into_iter()
            .collect()),
    }
}

fn read_prometheus(
    watchbell: &WatchbellConfig,
    problems: &mut Problems,
    warnings: &mut Problems,
) -> Option<PrometheusConfig> {
    let file = watchbell.prometheus_config_file.as_ref()?;
    let name = file.to_string_lossy();
    let text = match DiskFiles.read(file) {
        Ok(text) => text,
        Err(reason) => {
            problems.push(Problem::new(&name, None, "", reason));
            return None;
        }
    };
    match PrometheusConfig::read(&name, &text, &|variable| std::env::var(variable).ok()) {
        Ok(loaded) => {
            warnings.extend(loaded.warnings);
            // Alerts that cannot log in would be lost one by one, at night.
            if loaded
                .value
                .alertmanagers
                .iter()
                .any(|set| set.http != HttpConfig::default())
            {
                let message = "HTTP settings of an Alertmanager are not supported by this version";
                problems.push(Problem::new(&name, None, "alerting.alertmanagers", message));
            }
            Some(loaded.value)
        }
        Err(wrong) => {
            problems.extend(wrong);
            None
        }
    }
}

/// A Prometheus' own keys count as they are; of keys and labels that both files name, `watchbell.yml`'s value stays.
fn take_over(watchbell: &mut WatchbellConfig, prometheus: &PrometheusConfig) {
    let evaluation = &mut watchbell.evaluation;
    evaluation.interval = evaluation.interval.or(prometheus.evaluation_interval);
    evaluation.query_offset = evaluation.query_offset.or(prometheus.rule_query_offset);
    let storage = &mut watchbell.storage;
    storage.out_of_order_time_window = storage
        .out_of_order_time_window
        .or(prometheus.out_of_order_time_window);
    watchbell
        .rule_files
        .extend(prometheus.rule_files.iter().cloned());
    let own = watchbell.external_labels.clone();
    watchbell.external_labels = prometheus
        .external_labels
        .iter()
        .chain(own.iter())
        .collect();
}

fn load_alertmanager(
    watchbell: &WatchbellConfig,
    problems: &mut Problems,
    warnings: &mut Problems,
) -> Option<AlertmanagerFiles> {
    let options = AlertmanagerOptions {
        endpoints: watchbell.notifiers.endpoints.clone(),
        ..AlertmanagerOptions::default()
    };
    let loaded = match &watchbell.alertmanager.config_file {
        Some(file) => AlertmanagerFiles::load(&file.to_string_lossy(), &options, &DiskFiles),
        None => {
            config::AlertmanagerConfig::read("", ALERTMANAGER_DEFAULT, &options).map(|loaded| {
                config::Loaded {
                    value: AlertmanagerFiles {
                        config: loaded.value,
                        hash: config::config_hash(ALERTMANAGER_DEFAULT),
                        templates: TemplateSet::alertmanager(),
                        template_files: Vec::new(),
                    },
                    warnings: loaded.warnings,
                }
            })
        }
    };
    match loaded {
        Ok(loaded) => {
            warnings.extend(loaded.warnings);
            Some(loaded.value)
        }
        Err(wrong) => {
            problems.append(wrong.in_alertmanagers_words());
            None
        }
    }
}

fn alertmanagers(
    watchbell: &WatchbellConfig,
    prometheus: Option<&PrometheusConfig>,
) -> Vec<AlertmanagerTarget> {
    let own = watchbell.alertmanager.urls.iter().map(|url| {
        let base = url.as_str().trim_end_matches('/');
        AlertmanagerTarget::new(format!("{base}/api/v2/alerts"))
    });
    let sets = prometheus
        .into_iter()
        .flat_map(|prometheus| &prometheus.alertmanagers);
    let theirs = sets.flat_map(|set| {
        set.urls.iter().map(|url| AlertmanagerTarget {
            url: url.as_str().to_owned(),
            timeout: set.timeout,
            alert_relabel_configs: set.alert_relabel_configs.clone(),
        })
    });
    own.chain(theirs).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::Configuration;

    fn load(files: &[(&str, &str)]) -> Result<Configuration, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Configuration::load(Some(&folder.path().join("watchbell.yml")), &[])
            .map_err(|problems| problems.to_string())
    }

    const PROMETHEUS: &str = "global: {evaluation_interval: 7s, external_labels: {cluster: eu, replica: a}}\n\
        rule_files: [more.yml]\n\
        scrape_configs: [{job_name: anything}]\n\
        alerting:\n  \
          alert_relabel_configs: [{regex: replica, action: labeldrop}]\n  \
          alertmanagers: [{timeout: 3s, path_prefix: /am, static_configs: [{targets: ['am-1:9093', 'am-2:9093']}]}]\n";

    #[test]
    fn a_prometheus_own_file_is_read_as_it_is() {
        let watchbell = "external_labels: {replica: b}\nrule_files: [own.yml]\nprometheus_config_file: prometheus.yml\n";
        let rules = "groups: [{name: g, rules: [{alert: A, expr: up}]}]\n";
        let files = [
            ("watchbell.yml", watchbell),
            ("prometheus.yml", PROMETHEUS),
            ("own.yml", rules),
            ("more.yml", rules),
        ];
        let configuration = load(&files).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(configuration.rules.files, 2);
        assert_eq!(
            configuration.watchbell.evaluation.interval(),
            Duration::from_secs(7)
        );
        assert_eq!(
            configuration.watchbell.external_labels.to_string(),
            r#"{cluster="eu", replica="b"}"#
        );
        assert_eq!(configuration.alert_relabel_configs.len(), 1);
        let urls: Vec<&str> = configuration
            .alertmanagers
            .iter()
            .map(|target| target.url.as_str())
            .collect();
        assert_eq!(
            urls,
            [
                "http://am-1:9093/am/api/v2/alerts",
                "http://am-2:9093/am/api/v2/alerts"
            ]
        );
        assert_eq!(
            configuration.alertmanagers[0].timeout,
            Duration::from_secs(3)
        );
    }

    #[test]
    fn what_watchbells_own_file_writes_stays() {
        for (watchbell, prometheus, interval, query_offset) in [
            ("", "{}", 60, 0),
            ("", "{evaluation_interval: 7s, rule_query_offset: 3s}", 7, 3),
            ("{interval: 5s, query_offset: 2s}", "{}", 5, 2),
            (
                "{interval: 5s}",
                "{evaluation_interval: 7s, rule_query_offset: 3s}",
                5,
                3,
            ),
            (
                "{query_offset: 0s}",
                "{evaluation_interval: 0s, rule_query_offset: 3s}",
                60,
                0,
            ),
        ] {
            let files = [
                (
                    "watchbell.yml",
                    &*format!("evaluation: {watchbell}\nprometheus_config_file: prometheus.yml"),
                ),
                ("prometheus.yml", &*format!("global: {prometheus}")),
            ];
            let configuration = load(&files).unwrap_or_else(|problems| panic!("{problems}"));
            let evaluation = configuration.watchbell.evaluation;
            assert_eq!(
                (
                    evaluation.interval().as_secs(),
                    evaluation.query_offset().as_secs()
                ),
                (interval, query_offset),
                "{watchbell} and {prometheus}"
            );
        }
    }

    #[test]
    fn the_window_of_either_file_counts() {
        for (watchbell, prometheus, secs) in [
            ("", "", 0),
            (
                "",
                "storage: {tsdb: {out_of_order_time_window: 30m}, exemplars: {}}",
                1800,
            ),
            (
                "storage: {out_of_order_time_window: 0s}",
                "storage: {tsdb: {out_of_order_time_window: 30m}}",
                0,
            ),
            ("storage: {out_of_order_time_window: 1h}", "", 3600),
        ] {
            let own = format!("prometheus_config_file: prometheus.yml\n{watchbell}");
            let files = [("watchbell.yml", &*own), ("prometheus.yml", prometheus)];
            let configuration = load(&files).unwrap_or_else(|problems| panic!("{problems}"));
            let window = configuration.watchbell.storage.out_of_order_time_window();
            assert_eq!(window.as_secs(), secs, "{watchbell} and {prometheus}");
        }
    }

    #[test]
    fn an_alertmanager_that_wants_a_login_is_refused_and_not_forgotten() {
        let prometheus = "alerting: {alertmanagers: [{basic_auth: {username: u, password: p}, static_configs: [{targets: ['am:1']}]}]}";
        let files = [
            ("watchbell.yml", "prometheus_config_file: prometheus.yml"),
            ("prometheus.yml", prometheus),
        ];
        let problems = load(&files).err().expect("it is refused");
        assert!(
            problems.contains("HTTP settings of an Alertmanager are not supported"),
            "{problems}"
        );
    }

    #[test]
    fn a_storage_of_rules_that_there_is_not_is_a_mistake() {
        for (url, options, said) in [
            (
                "ftp://x",
                "{}",
                "ruler.storage.url ftp://x: this build knows s3://",
            ),
            (
                "s3://x",
                "{aws_regoin: x}",
                "ruler.storage.options has aws_regoin, which S3 does not know",
            ),
            ("file:///x", "{}", ""),
        ] {
            let storage = format!("ruler: {{storage: {{url: '{url}', options: {options}}}}}");
            let problems = load(&[("watchbell.yml", &storage)])
                .err()
                .unwrap_or_default();
            assert!(
                problems.contains(said) && problems.is_empty() == said.is_empty(),
                "{problems}"
            );
        }
    }

    #[test]
    fn mistakes_of_all_files_are_told_together() {
        let watchbell = "rule_files: [own.yml]\nalertmanager: {config_file: am.yml}\nprometheus_config_file: prometheus.yml";
        let files = [
            ("watchbell.yml", watchbell),
            (
                "own.yml",
                "groups: [{name: g, rules: [{alert: A, expr: 'up =='}]}]",
            ),
            ("am.yml", "route: {receiver: ghost}\nreceivers: []"),
            ("prometheus.yml", "global: {evaluation_interval: soon}"),
        ];
        let problems = load(&files).err().expect("it is refused");
        for part in ["own.yml:1:", "am.yml:1:", "prometheus.yml:1:"] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
    }
}
