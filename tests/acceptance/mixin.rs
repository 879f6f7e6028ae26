//! The alerts that people have on an Alertmanager (the expressions of its mixin) over what Watchbell shows: each is silent
//! while all is well, and fires in the trouble that it is about.
use std::collections::BTreeMap;
use std::fs;

use model::{Labels, Sample, Timestamp, match_all};
use promql::{
    ParserOptions, Query, QueryLimits, QueryValue, ReadError, Selection, Series, SeriesReader,
};
use reqwest::Method;

use crate::alertmanager::{Alertmanager, ours};
use crate::files::folder;

const MINUTES: i64 = 5;
const TELLING: &str = "
route: {receiver: down, group_by: [alertname], group_wait: 0s, group_interval: 2s}
receivers: [{name: down, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}]
";
const OTHER: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

const ALERTS: [(&str, &str); 8] = [
    (
        "failed reload",
        r#"max_over_time(alertmanager_config_last_reload_successful{job="alertmanager"}[5m]) == 0"#,
    ),
    (
        "members inconsistent",
        r#"max_over_time(alertmanager_cluster_members{job="alertmanager"}[5m]) < on (job, cluster) group_left
           count by (job, cluster) (max_over_time(alertmanager_cluster_members{job="alertmanager"}[5m]))"#,
    ),
    (
        "an instance fails to send",
        r#"(rate(alertmanager_notifications_failed_total{job="alertmanager"}[15m]) / ignoring (reason) group_left
            rate(alertmanager_notifications_total{job="alertmanager"}[15m])) > 0.01"#,
    ),
    // The mixin takes the least of all reasons, those that never happen included; here of those that do.
    (
        "the cluster fails to send",
        r#"min by (job, cluster, integration) (
             rate(alertmanager_notifications_failed_total{job="alertmanager", integration=~`.*`}[15m])
             / ignoring (reason) group_left
             rate(alertmanager_notifications_total{job="alertmanager", integration=~`.*`}[15m]) > 0) > 0.01"#,
    ),
    (
        "configurations differ",
        r#"count by (job, cluster) (
             count_values by (job, cluster) ("config_hash", alertmanager_config_hash{job="alertmanager"})) != 1"#,
    ),
    (
        "half of the cluster is down",
        r#"(count by (job, cluster) (avg_over_time(up{job="alertmanager"}[5m]) < 0.5)
            / count by (job, cluster) (up{job="alertmanager"})) >= 0.5"#,
    ),
    (
        "half of the cluster crashes again and again",
        r#"(count by (job, cluster) (changes(process_start_time_seconds{job="alertmanager"}[10m]) > 4)
            / count by (job, cluster) (up{job="alertmanager"})) >= 0.5"#,
    ),
    // Nodes that are alone have no peer that could fail: that the series is there is all there is to see.
    (
        "peers are gone",
        r#"max_over_time(alertmanager_cluster_failed_peers{job="alertmanager"}[5m]) >= 0
           unless on () (count(up{job="alertmanager"}) < 2)"#,
    ),
];

/// What a Prometheus would have scraped.
#[derive(Default)]
struct Scraped(BTreeMap<Labels, Vec<Sample>>);

impl Scraped {
    fn scrape(&mut self, instance: &str, minute: i64, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let pairs = labels.trim_end_matches('}').split("\",");
            let pairs = pairs.filter_map(|pair| pair.split_once("=\""));
            let pairs = pairs.map(|(name, value)| (name, value.trim_end_matches('"')));
            let value = value.parse().expect("a number");
            self.add(name, instance, minute, pairs, value);
        }
    }

    fn add<'a>(
        &mut self,
        name: &'a str,
        instance: &'a str,
        minute: i64,
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
        value: f64,
    ) {
        let targets = [
            ("__name__", name),
            ("job", "alertmanager"),
            ("cluster", "one"),
            ("instance", instance),
        ];
        let labels = Labels::from_pairs(targets.into_iter().chain(pairs));
        let timestamp = Timestamp::from_secs(60 * minute);
        let samples = self.0.entry(labels).or_default();
        samples.push(Sample { timestamp, value });
    }

    fn up(&mut self, instance: &str, minute: i64, value: f64) {
        self.add("up", instance, minute, std::iter::empty(), value);
    }

    /// How many series the expression answers with.
    fn answers(&self, expression: &str) -> usize {
        let query = Query::compile(expression, &ParserOptions::default()).expect(expression);
        let end = Timestamp::from_secs(60 * MINUTES);
        let answer = query.instant(self, end, &QueryLimits::default());
        let QueryValue::Vector(samples) = answer.expect(expression).value else {
            panic!("{expression} has no vector for an answer");
        };
        samples.len()
    }
}

impl SeriesReader for Scraped {
    fn select(
        &self,
        selection: &Selection<'_>,
        _samples_max: usize,
    ) -> Result<Vec<Series>, ReadError> {
        let found = self.0.iter();
        let found = found.filter(|(labels, _)| match_all(selection.matchers, labels));
        let series = found.map(|(labels, samples)| {
            let inside = samples.iter().filter(|sample| {
                sample.timestamp > selection.after && sample.timestamp <= selection.until
            });
            Series {
                labels: labels.clone(),
                samples: inside.copied().collect(),
                ..Series::default()
            }
        });
        Ok(series.filter(|series| !series.is_empty()).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mixins_alerts_fire_when_they_should() {
    let (first, second) = (
        folder(&[("alertmanager.yml", TELLING)]),
        folder(&[("alertmanager.yml", OTHER)]),
    );
    let telling = Alertmanager::start_in(first.path(), &mut ours(), &[]).await;
    let well = telling.metrics().await;
    let mut all_well = Scraped::default();
    for minute in 0..=MINUTES {
        all_well.scrape("a", minute, &well);
        all_well.up("a", minute, 1.0);
    }
    for (name, expression) in ALERTS {
        assert_eq!(all_well.answers(expression), 0, "{name}, and all is well");
    }

    let mut trouble = Scraped::default();
    trouble.scrape("a", 0, &well);
    telling.fire("Down").await;
    telling
        .wait_for_samples(&[
            r#"alertmanager_notifications_failed_total{integration="webhook",reason="other"} 1"#,
        ])
        .await;
    fs::write(first.path().join("alertmanager.yml"), "route: {}").expect("a file can be written");
    let (status, said) = telling.ask(Method::POST, "/-/reload", "").await;
    assert_eq!(status, 500, "{said}");
    for minute in 0..=MINUTES {
        // It goes down after each scrape.
        let crashing = Alertmanager::start_in(second.path(), &mut ours(), &[]).await;
        trouble.scrape("b", minute, &crashing.metrics().await);
        crashing.end().await;
        trouble.up("b", minute, 0.0);
        trouble.up("a", minute, 1.0);
        if minute > 0 {
            trouble.scrape("a", minute, &telling.metrics().await);
        }
    }
    for (name, expression) in ALERTS {
        assert!(trouble.answers(expression) > 0, "{name}");
    }
    telling.end().await;
}
