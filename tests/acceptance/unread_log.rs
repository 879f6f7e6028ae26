//! Standard error is a pipe, and whoever should read it has stopped: pages go out all the same.
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::time::Duration;

use fakes::Fakes;
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::alertmanager::ours;
use crate::files::folder;
use crate::small::{SETTLING, alertmanager, wait_until_told};
use crate::wait::wait_for;

/// More than the pipe and what Watchbell keeps for it hold.
const LOGGED_BYTES_MIN: usize = 6 * 1024 * 1024;
/// Each answer comes at once, however much waits for the log's reader.
const ANSWERING: Duration = Duration::from_secs(30);

struct Unread {
    child: Child,
    output: BufReader<ChildStderr>,
    /// What was read up to the line that says where it listens.
    begun: String,
    base: String,
    client: Client,
}

impl Unread {
    /// Reads until it listens, and no further.
    fn start(folder: &Path) -> Self {
        // The tests' own HTTP client knows no TLS by itself; it fails only where another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut command = ours();
        let mut child = command
            .current_dir(folder)
            .args(["--config.file=alertmanager.yml", "--storage.path=data"])
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--cluster.listen-address=",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("watchbell starts");
        let output = child.stderr.take().expect("its standard error is a pipe");
        let mut unread = Self {
            child,
            output: BufReader::new(output),
            begun: String::new(),
            base: String::new(),
            client: Client::builder()
                .no_proxy()
                .build()
                .expect("a plain client"),
        };
        let address = loop {
            let mut line = String::new();
            let read = unread.output.read_line(&mut line).expect("it says lines");
            assert!(read > 0, "it ended:\n{}", unread.begun);
            unread.begun += &line;
            if let Some((_, address)) = line.split_once("Listening on\" address=") {
                break address.trim().to_owned();
            }
        };
        unread.base = format!("http://{address}");
        unread
    }

    async fn post(&self, path: &str, body: String) -> u16 {
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .timeout(ANSWERING)
            .body(body);
        let answer = request.send().await.expect("it answers");
        answer.status().as_u16()
    }

    async fn dropped_lines(&self) -> u64 {
        let request = self.client.get(format!("{}/metrics", self.base));
        let answer = request.timeout(ANSWERING).send().await.expect("it answers");
        let text = answer.text().await.expect("metrics are text");
        let name = "\nwatchbell_log_lines_dropped_total ";
        let (_, value) = text.split_once(name).expect("it is counted");
        let value = value.lines().next().expect("a value");
        value.parse().expect("a number")
    }

    fn terminate(&self) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a positive number");
        kill_process(pid, Signal::TERM).expect("it can be told to end");
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// It listens, and then more was logged than anybody holds.
async fn overfilled(folder: &Path) -> Unread {
    let watchbell = Unread::start(folder);
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
    let dropped = watchbell.dropped_lines().await;
    assert!(dropped > 0, "more was logged than is kept");

    watchbell.terminate();
    let mut text = String::new();
    watchbell
        .output
        .read_to_string(&mut text)
        .expect("the rest can be read");
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
    assert!(watchbell.child.wait().expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_though_nobody_reads() {
    let fakes = Fakes::start().await;
    let folder = folder(&[("alertmanager.yml", &alertmanager(&fakes))]);
    let mut watchbell = overfilled(folder.path()).await;
    watchbell.terminate();
    let status = wait_for("it to end", SETTLING, async || {
        watchbell.child.try_wait().expect("a child can be asked")
    });
    assert!(status.await.success());
}
