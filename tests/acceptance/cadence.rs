//! The dead man's switch is held at every interval, whatever else the pipeline has to carry.
use std::fs;
use std::time::Duration;

use fakes::{Fakes, HttpFault};
use model::Timestamp;
use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::watchbell::Watchbell;

const INTERVAL: Duration = Duration::from_secs(2);
const BEATS: usize = 12;
const SETTLING: Duration = Duration::from_secs(120);
/// More groups than one integration may have under way, all of one receiver.
const HANGING_GROUPS: usize = 100;
/// Longer than any attempt may take.
const HANGING: Duration = Duration::from_secs(300);
/// Longer than an attempt that is sure to be shown once only is waited for.
const SLOW: Duration = Duration::from_secs(12);
/// With a few seconds for the machine.
const ENDING: Duration = Duration::from_secs(20);
const MANY_GROUPS: usize = 300;
const LATENCY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_takes_no_beat_from_the_switch() {
    let fakes = Fakes::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let alertmanager = format!(
        "route:\n  receiver: hangs\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 2s\n  routes:\n  \
         - {{matchers: [severity=\"heartbeat\"], receiver: switch, repeat_interval: 2s}}\n\
         receivers:\n- name: hangs\n  webhook_configs: [{{url: '{}'}}]\n\
         - name: switch\n  webhook_configs: [{{url: '{}/switch', send_resolved: false}}]\n",
        fakes.webhook_url("hangs"),
        fakes.cronitor_url("KEY"),
    );
    let rules = "groups: [{name: g, rules: [{alert: Watchdog, expr: vector(1), labels: {severity: heartbeat}}]}]\n";
    let watchbell = "evaluation: {interval: 1s}\nrule_files: [rules.yml]\nalertmanager: {config_file: alertmanager.yml}\n";
    for (name, text) in [
        ("alertmanager.yml", alertmanager.as_str()),
        ("rules.yml", rules),
        ("watchbell.yml", watchbell),
    ] {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    let mut watchbell = Watchbell::start(folder.path()).await;
    fakes.webhook.fail_always(HttpFault::Delay(HANGING));
    post_many(&watchbell, HANGING_GROUPS).await;
    let hanging = fakes
        .webhook
        .wait_for(SETTLING, |_, requests| (!requests.is_empty()).then_some(()));
    hanging.await.expect("the receiver is asked");

    let beats = fakes.cronitor.wait_for(SETTLING, |account, _| {
        let pings = &account.monitors.get("switch")?.pings;
        (pings.len() >= BEATS).then(|| pings.clone())
    });
    assert_cadence(&beats.await.expect("the switch is held"), INTERVAL);

    // What hangs holds up the end for no longer than it may.
    watchbell.process().signal(Signal::TERM);
    watchbell.process().ended(ENDING).await;
}

/// Whoever is slow and is asked again meanwhile tells people twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_takes_its_time_is_told_once() {
    let fakes = Fakes::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let alertmanager = format!(
        "route: {{receiver: slow, group_wait: 0s, group_interval: 5m}}\n\
         receivers:\n- name: slow\n  webhook_configs: [{{url: '{}'}}]\n",
        fakes.webhook_url("slow"),
    );
    for (name, text) in [
        ("alertmanager.yml", alertmanager.as_str()),
        (
            "watchbell.yml",
            "alertmanager: {config_file: alertmanager.yml}\n",
        ),
    ] {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    let watchbell = Watchbell::start(folder.path()).await;
    fakes.webhook.fail_always(HttpFault::Delay(SLOW));
    post_many(&watchbell, 1).await;
    let told = fakes.webhook.wait_for(SETTLING, |_, requests| {
        let is_answered = requests.iter().any(|request| request.answered_at.is_some());
        (is_answered || requests.len() > 1).then_some(requests.len())
    });
    assert_eq!(told.await.expect("it is told"), 1);
    let notified = crate::wait::wait_for("the page to count as told", SETTLING, async || {
        let page = reqwest::get(watchbell.url("/metrics")).await.ok()?;
        let text = page.text().await.ok()?;
        let attempts = r#"alertmanager_notification_requests_total{integration="webhook"} 1"#;
        let latency = r#"alertmanager_notification_latency_seconds_count{integration="webhook"} 1"#;
        text.contains(latency).then(|| text.contains(attempts))
    });
    assert!(notified.await, "by one attempt");
}

/// A rack goes down: a page for each machine, and a receiver that takes its time for each. Nobody's page waits until
/// others' are answered, although the process was given few file descriptors.
#[tokio::test(flavor = "multi_thread")]
async fn many_first_pages_are_told_at_once() {
    let fakes = Fakes::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let alertmanager = format!(
        "route:\n  receiver: slow\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 5m\n\
         receivers:\n- name: slow\n  webhook_configs: [{{url: '{}'}}]\n",
        fakes.webhook_url("slow"),
    );
    for (name, text) in [
        ("alertmanager.yml", alertmanager.as_str()),
        (
            "watchbell.yml",
            "alertmanager: {config_file: alertmanager.yml}\n",
        ),
    ] {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    let mut watchbell = Watchbell::start(folder.path()).await;
    let (now, at_most) = watchbell.process().open_files_max();
    assert_eq!(now, at_most, "all descriptors that may be had are had");
    fakes.webhook.fail_always(HttpFault::Delay(LATENCY));
    post_many(&watchbell, MANY_GROUPS).await;
    let told = fakes.webhook.wait_for(SETTLING, |_, requests| {
        (requests.len() >= MANY_GROUPS).then(|| {
            let last = requests.iter().map(|request| request.arrived_at).max();
            let first = requests.iter().map(|request| request.arrived_at).min();
            last.zip(first)
                .map(|(last, first)| last.saturating_since(first))
        })
    });
    let span = told.await.expect("all are told").expect("there are some");
    // One after the other, sixteen at a time, they take 36 s.
    assert!(span < LATENCY * 5, "{span:?}");
}

/// Alerts of which each has a group of its own.
async fn post_many(watchbell: &Watchbell, alerts: usize) {
    let alerts: Vec<Json> = (0..alerts)
        .map(|number| json!({"labels": {"alertname": "Many", "number": number.to_string()}}))
        .collect();
    let posted = reqwest::Client::new()
        .post(watchbell.url("/api/v2/alerts"))
        .header("content-type", "application/json")
        .body(json!(alerts).to_string())
        .send()
        .await
        .expect("watchbell answers");
    assert!(posted.status().is_success(), "{}", posted.status());
}

/// A repeat interval equal to the group interval gives a notification every interval: were one left out, as a comparison
/// with the time of sending does, the gap would be two intervals wide. What is allowed is what a busy machine delays.
pub(crate) fn assert_cadence(pings: &[Timestamp], interval: Duration) {
    for pair in pings.windows(2) {
        let gap = pair[1].saturating_since(pair[0]);
        assert!(
            gap < interval.mul_f64(1.9),
            "a beat is missing: {gap:?} between two of {pings:?}"
        );
    }
    let span = pings[pings.len() - 1].saturating_since(pings[0]);
    let gaps = pings.len() as f64 - 1.0;
    assert!(
        span > interval.mul_f64(gaps - 0.9),
        "a beat too many: {gaps} gaps in {span:?}: {pings:?}"
    );
}
