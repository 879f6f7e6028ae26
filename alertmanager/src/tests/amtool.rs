//! Alertmanager's own command line tool against the service.
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use runtime::Server;

use crate::tests::bench::{AT_ONCE, Bench};

const AMTOOL: &str = "/usr/bin/amtool";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amtool_adds_queries_and_silences() {
    if !Path::new(AMTOOL).exists() {
        assert!(std::env::var_os("CI").is_none(), "{AMTOOL} is missing");
        // Past what the test harness keeps to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {AMTOOL} is not installed");
        return;
    }
    let bench = Bench::new(AT_ONCE);
    let server = Server::bind(&["127.0.0.1:0".to_owned()]).await.unwrap();
    let url = format!("http://{}", server.addresses()[0]);
    let serving = tokio::spawn(server.serve(bench.router.clone(), bench.stop.clone()));
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(AMTOOL);
        command
            .arg(format!("--alertmanager.url={url}"))
            .args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {text}{errors}");
        text
    };
    run(&[
        "alert",
        "add",
        "alertname=Down",
        "instance=a",
        "--annotation=summary=it is down",
    ])
    .await;
    let alerts = run(&["alert", "query", "alertname=Down"]).await;
    assert!(
        alerts.contains("it is down") && alerts.contains("active"),
        "{alerts}"
    );
    let id = run(&[
        "silence",
        "add",
        "alertname=~Do.*",
        "--comment=c",
        "--author=me",
        "--duration=1h",
    ])
    .await;
    let silences = run(&["silence", "query", "--output=json"]).await;
    assert!(silences.contains(id.trim()), "{silences}");
    let alerts = run(&["alert", "query", "--silenced", "--output=json"]).await;
    assert!(alerts.contains("suppressed"), "{alerts}");
    run(&["silence", "update", "--duration=2h", id.trim()]).await;
    run(&["silence", "expire", id.trim()]).await;
    let silences = run(&["silence", "query"]).await;
    assert!(!silences.contains(id.trim()), "{silences}");
    let shown = run(&["config", "show"]).await;
    // Reading it, as `config routes` does, takes an amtool of the same release: an older one refuses newer keys.
    assert!(shown.contains("\nroute:\n  receiver: team\n"), "{shown}");
    run(&["cluster", "show"]).await;
    bench.end().await;
    serving.await.unwrap();
}
