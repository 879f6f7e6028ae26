//! A process whose standard error is a pipe, which is read no further than a test wants.
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::client::plain_client;
use crate::small::SETTLING;
use crate::wait::wait_for;

/// Each answer comes at once, whatever waits.
const ANSWERING: Duration = Duration::from_secs(30);

pub(crate) struct Piped {
    child: Child,
    output: BufReader<ChildStderr>,
    /// What it said up to the line that says where it listens.
    pub(crate) begun: String,
    base: String,
    client: Client,
}

impl Piped {
    /// Reads until it listens, and no further.
    pub(crate) fn start(command: &mut Command) -> Self {
        // The tests' own HTTP client knows no TLS by itself; it fails only where another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("watchbell starts");
        let output = child.stderr.take().expect("its standard error is a pipe");
        let mut piped = Self {
            child,
            output: BufReader::new(output),
            begun: String::new(),
            base: String::new(),
            client: plain_client(),
        };
        let address = loop {
            let mut line = String::new();
            let read = piped.output.read_line(&mut line).expect("it says lines");
            assert!(read > 0, "it ended:\n{}", piped.begun);
            piped.begun += &line;
            if let Some((_, address)) = line.split_once("Listening on\" address=") {
                break address.trim().to_owned();
            }
        };
        piped.base = format!("http://{address}");
        piped
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.base));
        let (status, text) = answer(request).await;
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    pub(crate) async fn post(&self, path: &str, body: String) -> u16 {
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .body(body);
        answer(request).await.0
    }

    /// What `/metrics` says behind this name and these labels.
    pub(crate) async fn figure(&self, series: &str) -> u64 {
        let text = self.get("/metrics").await;
        let (_, value) = text
            .split_once(&format!("\n{series} "))
            .unwrap_or_else(|| panic!("{series} is not counted"));
        let value = value.lines().next().expect("a value");
        value.parse().expect("a number")
    }

    pub(crate) fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).expect("it can be told to end");
    }

    /// All that it still says, until it ends.
    pub(crate) fn rest(&mut self) -> String {
        let mut text = String::new();
        self.output
            .read_to_string(&mut text)
            .expect("the rest can be read");
        text
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait_for("it to end", SETTLING, async || {
            child.try_wait().expect("a child can be asked")
        })
        .await
    }

    /// Gives back the room that it was started without.
    pub(crate) fn give_room(&self) {
        let limit = Rlimit {
            current: None,
            maximum: None,
        };
        prlimit(Some(self.pid()), Resource::Fsize, limit).expect("a limit can be lifted");
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed()).expect("a positive number")
    }
}

async fn answer(request: RequestBuilder) -> (u16, String) {
    let answer = request.timeout(ANSWERING).send().await.expect("it answers");
    let status = answer.status().as_u16();
    (status, answer.text().await.expect("an answer in text"))
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
