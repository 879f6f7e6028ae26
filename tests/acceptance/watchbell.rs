//! The binary under test, in a folder of its own.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fakes::{SentSample, write_request};

use crate::client::remote_write;
use crate::process::Process;
use crate::wait::wait_for;

pub(crate) const STARTING: Duration = Duration::from_secs(60);

/// `watchbell serve` with a configuration file in `folder`.
pub(crate) struct Watchbell {
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    target: &'static str,
    flags: &'static [&'static str],
    process: Process,
}

impl Watchbell {
    /// Starts on a port that the system chooses; `watchbell.yml` must lie in `folder`.
    pub(crate) async fn start(folder: &Path) -> Self {
        Self::start_target(folder, "all").await
    }

    /// Starts one part of it.
    pub(crate) async fn start_target(folder: &Path, target: &'static str) -> Self {
        Self::start_at(folder, target, &[], "127.0.0.1:0").await
    }

    /// Starts with more flags.
    pub(crate) async fn start_with(folder: &Path, flags: &'static [&'static str]) -> Self {
        Self::start_at(folder, "all", flags, "127.0.0.1:0").await
    }

    async fn start_at(
        folder: &Path,
        target: &'static str,
        flags: &'static [&'static str],
        address: &str,
    ) -> Self {
        let log = folder.join("watchbell.log");
        let before = std::fs::read_to_string(&log).unwrap_or_default().len();
        // A write past a limit on files is to fail as one on a full disk does, without a signal. The number of files
        // is small, as many systems have it.
        let mut process = Process::start(
            &format!("watchbell ({target})"),
            Command::new("/bin/sh")
                .args([
                    "-c",
                    "ulimit -Sn 256; trap '' XFSZ; exec \"$@\"",
                    "sh",
                    binary(),
                    "serve",
                ])
                .arg("--config.file")
                .arg(folder.join("watchbell.yml"))
                .arg(format!("--target={target}"))
                .arg(format!("--web.listen-address={address}"))
                .arg(format!("--storage.path={}", folder.join("data").display()))
                .args(flags),
            &log,
        );
        let address = wait_for("watchbell to say where it listens", STARTING, async || {
            assert!(
                !process.has_ended(),
                "watchbell ended:\n{}",
                process.log_text()
            );
            listening_address(&process.log_text()[before..])
        })
        .await;
        let watchbell = Self {
            address,
            folder: folder.to_owned(),
            target,
            flags,
            process,
        };
        wait_for("watchbell to be ready", STARTING, async || {
            let answer = reqwest::get(watchbell.url("/-/ready")).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        watchbell
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// `kill -9`, then the same command on the same address.
    pub(crate) async fn kill_and_restart(mut self) -> Self {
        self.process.kill();
        self.start_again().await
    }

    /// The same command on the same address, once the process has ended.
    pub(crate) async fn start_again(self) -> Self {
        let Self {
            address,
            folder,
            target,
            flags,
            process,
        } = self;
        drop(process);
        Self::start_at(&folder, target, flags, &address.to_string()).await
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        let (status, text) = self.ask(reqwest::Client::new().get(self.url(path))).await;
        assert!((200..300).contains(&status), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// Samples by remote write, as the tenant `anonymous` where `tenant` is none.
    pub(crate) async fn write(
        &self,
        tenant: Option<&str>,
        samples: &[SentSample],
    ) -> (u16, String) {
        let client = reqwest::Client::new();
        let request = remote_write(&client, &self.url(""), write_request(samples));
        self.ask(as_tenant(request, tenant)).await
    }

    /// A JSON body.
    pub(crate) async fn post(
        &self,
        tenant: Option<&str>,
        path: &str,
        body: &serde_json::Value,
    ) -> (u16, String) {
        let request = reqwest::Client::new()
            .post(self.url(path))
            .header("content-type", "application/json")
            .body(body.to_string());
        self.ask(as_tenant(request, tenant)).await
    }

    pub(crate) async fn get(&self, tenant: Option<&str>, path: &str) -> (u16, String) {
        let request = reqwest::Client::new().get(self.url(path));
        self.ask(as_tenant(request, tenant)).await
    }

    pub(crate) async fn delete(&self, tenant: Option<&str>, path: &str) -> (u16, String) {
        let request = reqwest::Client::new().delete(self.url(path));
        self.ask(as_tenant(request, tenant)).await
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        let answer = request.send().await.expect("watchbell answers");
        let status = answer.status().as_u16();
        (
            status,
            answer.text().await.expect("watchbell answers with text"),
        )
    }
}

fn as_tenant(request: reqwest::RequestBuilder, tenant: Option<&str>) -> reqwest::RequestBuilder {
    match tenant {
        Some(tenant) => request.header("X-Scope-OrgID", tenant),
        None => request,
    }
}

/// A Watchbell that nobody waits for, with a log of that name in its folder.
pub(crate) fn serve(folder: &Path, log: &str) -> Process {
    Process::start(
        "watchbell",
        Command::new(binary())
            .arg("serve")
            .arg("--config.file")
            .arg(folder.join("watchbell.yml"))
            .arg("--web.listen-address=127.0.0.1:0")
            .arg(format!("--storage.path={}", folder.join("data").display())),
        &folder.join(log),
    )
}

pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_watchbell")
}

/// The address in the first line that says `Listening on`.
fn listening_address(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("Listening on"))?;
    let address = line.split("address=").nth(1)?.split_whitespace().next()?;
    address.parse().ok()
}
