//! The binary under test, in a folder of its own.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::wait::wait_for;

pub(crate) const STARTING: Duration = Duration::from_secs(60);

/// `watchbell serve` with a configuration file in `folder`.
pub(crate) struct Watchbell {
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    process: Process,
}

impl Watchbell {
    /// Starts on a port that the system chooses; `watchbell.yml` must lie in `folder`.
    pub(crate) async fn start(folder: &Path) -> Self {
        Self::start_at(folder, "127.0.0.1:0").await
    }

    async fn start_at(folder: &Path, address: &str) -> Self {
        // The tests' own HTTP client knows no TLS by itself; it fails only where another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let log = folder.join("watchbell.log");
        let before = std::fs::read_to_string(&log).unwrap_or_default().len();
        let mut process = Process::start(
            "watchbell",
            Command::new(binary())
                .arg("serve")
                .arg("--config.file")
                .arg(folder.join("watchbell.yml"))
                .arg(format!("--web.listen-address={address}"))
                .arg(format!("--storage.path={}", folder.join("data").display())),
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
        let (folder, address) = (self.folder.clone(), self.address.to_string());
        Self::start_at(&folder, &address).await
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        let answer = reqwest::get(self.url(path))
            .await
            .expect("watchbell answers");
        let status = answer.status();
        let text = answer.text().await.expect("watchbell answers with text");
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }
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
