//! Standard error is a pipe, and whoever should read it has stopped: pages go out all the same.
use std::fs;
use std::path::Path;

use fakes::Fakes;
use serde_json::json;

use crate::alertmanager::ours;
use crate::files::folder;
use crate::piped::Piped;
use crate::small::{alertmanager, wait_until_told};

/// More than the pipe and what Watchbell keeps for it hold.
const LOGGED_BYTES_MIN: usize = 6 * 1024 * 1024;

/// It listens, and then more was logged than anybody holds.
async fn overfilled(folder: &Path) -> Piped {
    let watchbell = Piped::start(
        ours()
            .current_dir(folder)
            .args(["--config.file=alertmanager.yml", "--storage.path=data"])
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--cluster.listen-address=",
            ]),
    );
    let unknown = "x".repeat(200 * 1024);
    let refused = format!("route: {{receiver: {unknown}}}\nreceivers: [{{name: a}}]\n");
    fs::write(folder.join("alertmanager.yml"), refused).expect("a file can be written");
    // What is logged of each names the receiver.
    for _ in 0..LOGGED_BYTES_MIN / unknown.len() {
        assert_eq!(watchbell.post("/-/reload", String::new()).await, 500);
    }
    watchbell
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_out_and_what_was_dropped_of_the_log_is_said_in_its_place() {
    let fakes = Fakes::start().await;
    let folder = folder(&[("alertmanager.yml", &alertmanager(&fakes))]);
    let mut watchbell = overfilled(folder.path()).await;
    let posted = json!([{"labels": {"alertname": "Posted"}}]).to_string();
    assert_eq!(watchbell.post("/api/v2/alerts", posted).await, 200);
    wait_until_told(&fakes, "firing", "Posted").await;
    let dropped = watchbell.figure("watchbell_log_lines_dropped_total").await;
    assert!(dropped > 0, "more was logged than is kept");

    watchbell.terminate();
    let text = watchbell.rest();
    let lines: Vec<&str> = text.lines().collect();
    let is_notice = |line: &&&str| line.contains("msg=\"log lines were dropped\"");
    let missing: u64 = lines
        .iter()
        .filter(is_notice)
        .map(|line| {
            let (_, count) = line.split_once(" count=").expect("a count");
            count.parse::<u64>().expect("a number")
        })
        .sum();
    assert_eq!(missing, dropped);
    let notice_at = lines.iter().position(|line| is_notice(&line));
    let farewell_at = lines
        .iter()
        .position(|line| line.contains("Received shutdown signal"));
    assert!(notice_at < farewell_at, "{notice_at:?} {farewell_at:?}");
    assert!(farewell_at.is_some(), "the last lines are there");
    assert!(watchbell.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_though_nobody_reads() {
    let fakes = Fakes::start().await;
    let folder = folder(&[("alertmanager.yml", &alertmanager(&fakes))]);
    let mut watchbell = overfilled(folder.path()).await;
    watchbell.terminate();
    assert!(watchbell.ended().await.success());
}
