//! Everything that a process reads from files, read together: all of it is good, or none of it is used.
use std::path::Path;
use std::sync::Arc;

use config::{
    AlertmanagerFiles, AlertmanagerOptions, Files, Problem, Problems, PrometheusConfig,
    WatchbellConfig,
};
use promql::ParserOptions;
use ruler::{LoadedRules, RuleFiles};
use ruler_core::GroupDefaults;
use runtime::DiskFiles;
use template::TemplateSet;

/// Where no Alertmanager's file is named: alerts are shown, and nobody is told.
const ALERTMANAGER_DEFAULT: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

/// What a running process can take over without a restart.
pub(crate) struct Configuration {
    pub(crate) watchbell: WatchbellConfig,
    /// Full addresses of `POST /api/v2/alerts`; empty: this process' own.
    pub(crate) alertmanagers: Vec<String>,
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
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, Problems> {
        let mut watchbell = match file {
            Some(file) => read_watchbell(file)?,
            None => WatchbellConfig::default(),
        };
        let mut problems = Problems::new();
        let mut warnings = Problems::new();
        let prometheus = read_prometheus(&watchbell, &mut problems, &mut warnings);
        if let Some(prometheus) = &prometheus {
            take_over(&mut watchbell, prometheus);
        }
        let rule_files = rule_files(&watchbell);
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
            rule_files,
            rules,
            alertmanager: Arc::new(alertmanager),
            warnings,
            watchbell,
        })
    }
}

/// One tenant's rules come from files: those of requests that name no tenant.
pub(crate) fn rule_files(watchbell: &WatchbellConfig) -> RuleFiles {
    RuleFiles {
        patterns: watchbell.rule_files.clone(),
        base: ".".into(),
        defaults: GroupDefaults {
            interval: watchbell.evaluation.interval,
            query_offset: watchbell.evaluation.query_offset,
        },
        parser_options: ParserOptions::default(),
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
            Some(loaded.value)
        }
        Err(wrong) => {
            problems.extend(wrong);
            None
        }
    }
}

/// A Prometheus' own keys count as they are; of labels that both files name, `watchbell.yml`'s value stays.
fn take_over(watchbell: &mut WatchbellConfig, prometheus: &PrometheusConfig) {
    watchbell.evaluation.interval = prometheus.evaluation_interval;
    watchbell.evaluation.query_offset = prometheus.rule_query_offset;
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
            problems.extend(wrong);
            None
        }
    }
}

fn alertmanagers(
    watchbell: &WatchbellConfig,
    prometheus: Option<&PrometheusConfig>,
) -> Vec<String> {
    let own = watchbell
        .alertmanager
        .urls
        .iter()
        .map(|url| format!("{}/api/v2/alerts", url.as_str().trim_end_matches('/')));
    let theirs = prometheus
        .into_iter()
        .flat_map(|prometheus| &prometheus.alertmanagers);
    let theirs = theirs
        .flat_map(|targets| &targets.urls)
        .map(|url| url.as_str().to_owned());
    own.chain(theirs).collect()
}
