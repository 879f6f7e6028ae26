//! A disk on which nothing can be written: senders are told to try again, pages go out all the same.
use std::path::Path;
use std::process::Command;

use fakes::{Fakes, SentSample};
use runtime::{Clock, SystemClock};
use serde_json::json;

use crate::files::folder;
use crate::piped::Piped;
use crate::small::{RULES, SETTLING, alertmanager, told, up, wait_until_told};
use crate::wait::wait_for;
use crate::watchbell::{Watchbell, binary};

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

/// `arguments` in `folder`. No file can grow where there is no room.
fn start(folder: &Path, arguments: &[&str], room: bool) -> Piped {
    let limit = if room { "" } else { "ulimit -S -f 0; " };
    let script = format!("trap '' XFSZ; {limit}exec \"$@\"");
    Piped::start(
        Command::new("/bin/sh")
            .current_dir(folder)
            .args(["-c", &script, "sh", binary()])
            .args(arguments)
            .args(["--web.listen-address=127.0.0.1:0", "--storage.path=data"]),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_starts_on_a_full_disk_and_stores_as_soon_as_there_is_room() {
    let fakes = Fakes::start().await;
    let folder = folder(&[("alertmanager.yml", &alertmanager(&fakes))]);
    let arguments = [
        "alertmanager",
        "--config.file=alertmanager.yml",
        "--cluster.listen-address=",
    ];
    let posted = |name: &str| json!([{"labels": {"alertname": name}}]).to_string();
    let mut running = start(folder.path(), &arguments, true);
    assert_eq!(running.post("/api/v2/alerts", posted("Before")).await, 200);
    wait_until_told(&fakes, "firing", "Before").await;
    running.terminate();
    assert!(running.ended().await.success());

    let mut running = start(folder.path(), &arguments, false);
    let said = &running.begun;
    assert!(said.contains("level=ERROR"), "{said}");
    assert!(said.contains("msg=\"nothing can be stored: "), "{said}");
    let writable = "watchbell_storage_writable{part=\"alertmanager\"}";
    assert_eq!(running.figure(writable).await, 0);
    let known = running.get("/api/v2/alerts").await;
    assert!(known.contains("Before"), "what is stored is read: {known}");
    assert_eq!(running.post("/api/v2/alerts", posted("During")).await, 503);
    wait_until_told(&fakes, "firing", "During").await;

    running.give_room();
    wait_for("the log to begin", SETTLING, async || {
        (running.figure(writable).await == 1).then_some(())
    })
    .await;
    assert_eq!(running.post("/api/v2/alerts", posted("After")).await, 200);
    wait_until_told(&fakes, "firing", "After").await;
    running.terminate();
    assert!(running.ended().await.success());
    let before = told(&fakes);

    let running = start(folder.path(), &arguments, true);
    let known = running.get("/api/v2/alerts").await;
    for name in ["Before", "During", "After"] {
        assert!(known.contains(name), "{name} is stored: {known}");
    }
    assert_eq!(told(&fakes), before, "what was told is not told again");
    let names: Vec<&str> = before.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["Before", "During", "After"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_evaluated_and_told_by_a_process_that_starts_on_a_full_disk() {
    let fakes = Fakes::start().await;
    let rules = "groups: [{name: g, rules: [{alert: Always, expr: vector(1)}]}]\n";
    let folder = folder(&[
        ("alertmanager.yml", &alertmanager(&fakes)),
        ("rules.yml", rules),
        (
            "watchbell.yml",
            "evaluation: {interval: 1s, resend_delay: 2s}\nrule_files: [rules.yml]\nalertmanager: {config_file: alertmanager.yml}\n",
        ),
    ]);
    let arguments = ["serve", "--config.file=watchbell.yml"];
    let running = start(folder.path(), &arguments, false);
    wait_until_told(&fakes, "firing", "Always").await;
    running.give_room();
    for part in ["alertmanager", "ingest", "ruler"] {
        let writable = format!("watchbell_storage_writable{{part=\"{part}\"}}");
        wait_for(part, SETTLING, async || {
            (running.figure(&writable).await == 1).then_some(())
        })
        .await;
    }
}
