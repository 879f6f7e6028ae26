//! A small service of one rule, `Down`, whose alert is told to one webhook.
use std::time::Duration;

use fakes::{Fakes, SentSample};
use runtime::{Clock, SystemClock};
use serde_json::Value as Json;

pub(crate) const RULES: &str =
    "groups: [{name: g, rules: [{alert: Down, expr: small_up == 0, for: 1s}]}]\n";
/// A busy machine may take this long for what is a matter of seconds.
pub(crate) const SETTLING: Duration = Duration::from_secs(60);

/// Groups are told at once, and again when something has changed.
pub(crate) fn alertmanager(fakes: &Fakes) -> String {
    format!(
        "route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers: [{{name: hook, webhook_configs: [{{url: '{}'}}]}}]\n",
        fakes.webhook_url("hook")
    )
}

pub(crate) fn up(value: f64) -> SentSample {
    SentSample::new("small_up", &[], SystemClock::new().now().as_millis(), value)
}

/// Status and `alertname` of everything that the webhook was told, in its order.
pub(crate) fn told(fakes: &Fakes) -> Vec<(String, String)> {
    fakes.webhook.look(|receiver| {
        let word = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        receiver
            .bodies
            .iter()
            .map(|(_, body)| {
                (
                    word(&body["status"]),
                    word(&body["groupLabels"]["alertname"]),
                )
            })
            .collect()
    })
}

/// Waits until the webhook was told `status` of `alertname`.
pub(crate) async fn wait_until_told(fakes: &Fakes, status: &str, alertname: &str) {
    let found = fakes.webhook.wait_for(SETTLING, |receiver, _| {
        receiver
            .bodies
            .iter()
            .any(|(_, body)| {
                body["status"] == status && body["groupLabels"]["alertname"] == alertname
            })
            .then_some(())
    });
    if found.await.is_err() {
        panic!("{alertname} was not told as {status}: {:?}", told(fakes));
    }
}
