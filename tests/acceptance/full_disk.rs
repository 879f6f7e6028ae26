//! A disk on which nothing can be written: senders are told to try again, pages go out all the same.
use fakes::{Fakes, SentSample};
use runtime::{Clock, SystemClock};
use serde_json::json;

use crate::files::folder;
use crate::small::{RULES, SETTLING, alertmanager, told, up, wait_until_told};
use crate::wait::wait_for;
use crate::watchbell::Watchbell;

/// Less than any file of ours has already.
const NO_ROOM: Option<u64> = Some(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_that_was_promised_and_no_page() {
    let fakes = Fakes::start().await;
    let routes = alertmanager(&fakes);
    let folder = folder(&[
        ("alertmanager.yml", &routes),
        ("rules.yml", RULES),
        (
            "watchbell.yml",
            "evaluation: {interval: 1s, resend_delay: 2s}\nrule_files: [rules.yml]\nalertmanager: {config_file: alertmanager.yml}\n",
        ),
    ]);
    let mut watchbell = Watchbell::start(folder.path()).await;
    let mark = |value| {
        let now = SystemClock::new().now().as_millis();
        SentSample::new("mark", &[("value", value)], now, 1.0)
    };
    assert_eq!(
        watchbell.write(None, &[mark("before"), up(0.0)]).await.0,
        204
    );
    wait_until_told(&fakes, "firing", "Down").await;

    watchbell.process().limit_files(NO_ROOM);
    let (status, reason) = watchbell.write(None, &[mark("during")]).await;
    assert_eq!(status, 500, "a sender keeps what was not stored: {reason}");
    let posted = json!([{"labels": {"alertname": "Posted"}}]);
    let (status, reason) = watchbell.post(None, "/api/v2/alerts", &posted).await;
    assert!((500..600).contains(&status), "{status}: {reason}");
    // Whatever could not be stored is told nevertheless: a page twice is better than none.
    wait_until_told(&fakes, "firing", "Posted").await;
    assert_eq!(watchbell.get(None, "/-/healthy").await.0, 200);

    watchbell.process().limit_files(None);
    wait_for("the log to take samples again", SETTLING, async || {
        let (status, _) = watchbell.write(None, &[mark("after"), up(1.0)]).await;
        (status == 204).then_some(())
    })
    .await;
    wait_until_told(&fakes, "resolved", "Down").await;
    wait_for("the log to take alerts again", SETTLING, async || {
        let (status, _) = watchbell.post(None, "/api/v2/alerts", &posted).await;
        (status == 200).then_some(())
    })
    .await;

    let before = told(&fakes);
    let watchbell = watchbell.kill_and_restart().await;
    let values = watchbell.json("/api/v1/label/value/values").await;
    for promised in ["before", "after"] {
        let stored = values["data"].as_array().expect("a list of values");
        assert!(stored.iter().any(|value| value == promised), "{values}");
    }
    let shown = watchbell.json("/api/v2/alerts").await;
    assert_eq!(shown[0]["labels"]["alertname"], "Posted", "{shown}");
    assert_eq!(told(&fakes), before, "what was told is not told again");
}
