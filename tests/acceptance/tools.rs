//! The tools that people already have: amtool, promtool's files, a Prometheus that sends alerts.
use std::fs;
use std::process::Command;
use std::time::Duration;

use fakes::Fakes;

use crate::files::folder;
use crate::process::program;
use crate::shared::shared;
use crate::wait::wait_for;
use crate::watchbell::{Watchbell, binary};

const AMTOOL: &str = "/usr/bin/amtool";
const SETTLING: Duration = Duration::from_secs(60);

#[test]
fn every_real_rule_file_passes_the_check() {
    let (Some(rules), Some(service)) = (shared("real/rules"), shared("real/gds/alerts")) else {
        return;
    };
    let mut files = Vec::new();
    for folder in [rules, service] {
        let entries = fs::read_dir(folder)
            .expect("the folder is there")
            .filter_map(Result::ok);
        files.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|ending| ending == "yml")),
        );
    }
    assert!(files.len() > 50, "only {} files", files.len());
    let output = Command::new(binary())
        .arg("check")
        .arg("rules")
        .args(&files)
        .output()
        .expect("watchbell can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_real_services_alertmanager_configuration_passes_the_check() {
    let Some(service) = shared("real/gds/rendered/alertmanager.yml") else {
        return;
    };
    let output = Command::new(binary())
        .arg("check")
        .arg("alertmanager")
        .arg(service)
        .output()
        .expect("watchbell can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn what_a_start_refuses_fails_the_check() {
    let text = "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://x', http_config: {tls_config: {ca_file: missing.pem}}}]}]\ntracing: {endpoint: 'http://x/y'}\n";
    let folder = folder(&[("alertmanager.yml", text)]);
    let output = Command::new(binary())
        .args(["check", "alertmanager", "alertmanager.yml"])
        .current_dir(folder.path())
        .output()
        .expect("watchbell can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in ["missing.pem", "tracing endpoint must be host:port"] {
        assert!(said.contains(word), "{word} is not named: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn amtool_adds_an_alert_that_is_told_and_silences_the_next() {
    let Some(amtool) = program(AMTOOL) else {
        return;
    };
    let fakes = Fakes::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let alertmanager = format!(
        "route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s}}\n\
         receivers: [{{name: hook, webhook_configs: [{{url: '{}'}}]}}]\n",
        fakes.webhook_url("hook")
    );
    fs::write(folder.path().join("alertmanager.yml"), alertmanager).expect("a file can be written");
    fs::write(
        folder.path().join("watchbell.yml"),
        "alertmanager: {config_file: alertmanager.yml}\n",
    )
    .expect("a file can be written");
    let watchbell = Watchbell::start(folder.path()).await;
    let url = format!("--alertmanager.url={}", watchbell.url(""));
    let run = |arguments: &[&str]| {
        let output = Command::new(amtool)
            .arg(&url)
            .args(arguments)
            .env("HOME", folder.path())
            .output()
            .expect("amtool can be started");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "amtool {arguments:?}: {complaints}"
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(&[
        "alert",
        "add",
        "alertname=Loud",
        "severity=page",
        "--annotation=summary=it is loud",
    ]);
    assert!(run(&["alert", "query", "-o", "extended"]).contains("severity=\"page\""));
    let told = fakes.webhook.wait_for(SETTLING, |_, requests| {
        requests
            .iter()
            .find(|request| request.request.text().contains("Loud"))
            .cloned()
    });
    assert!(
        told.await
            .expect("the webhook is called")
            .request
            .text()
            .contains("first notification")
    );

    let silence = run(&[
        "silence",
        "add",
        "alertname=Quiet",
        "--author=ops",
        "--comment=maintenance",
        "--duration=1h",
    ]);
    assert!(run(&["silence", "query"]).contains("maintenance"));
    run(&["alert", "add", "alertname=Quiet"]);
    wait_for("the second alert to be silenced", SETTLING, async || {
        let alerts = watchbell
            .json("/api/v2/alerts?filter=alertname%3DQuiet")
            .await;
        (alerts[0]["status"]["silencedBy"][0] == silence.trim()).then_some(())
    })
    .await;
    assert!(
        fakes
            .webhook
            .requests()
            .iter()
            .all(|request| !request.request.text().contains("Quiet"))
    );
    run(&["silence", "expire", silence.trim()]);
    let told = fakes.webhook.wait_for(SETTLING, |_, requests| {
        requests
            .iter()
            .find(|request| request.request.text().contains("Quiet"))
            .cloned()
    });
    told.await.expect("what is no longer silenced is told");
    assert!(run(&["config", "show"]).contains("receiver: hook"));
    assert!(run(&["cluster", "show"]).contains("disabled"));
}
