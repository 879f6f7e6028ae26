//! Debian's Prometheus as the sender of samples.
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use crate::process::Process;
use crate::wait::wait_for;
use crate::watchbell::STARTING;

pub(crate) const PROGRAM: &str = "/usr/bin/prometheus";

pub(crate) struct Prometheus {
    _process: Process,
}

impl Prometheus {
    /// `scrape_and_write` is the rest of its configuration file behind `global`.
    pub(crate) async fn start(
        folder: &Path,
        name: &str,
        address: SocketAddr,
        scrape_and_write: &str,
    ) -> Self {
        Self::start_with(folder, name, address, scrape_and_write, &[]).await
    }

    pub(crate) async fn start_with(
        folder: &Path,
        name: &str,
        address: SocketAddr,
        scrape_and_write: &str,
        flags: &[&str],
    ) -> Self {
        let home = folder.join(name);
        fs::create_dir_all(&home).expect("a folder can be made");
        let config = home.join("prometheus.yml");
        fs::write(
            &config,
            format!("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n{scrape_and_write}"),
        )
        .expect("a file can be written");
        let process = Process::start(
            name,
            Command::new(PROGRAM)
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    home.join("data").display()
                ))
                .arg(format!("--web.listen-address={address}"))
                .args(flags),
            &home.join("prometheus.log"),
        );
        let prometheus = Self { _process: process };
        wait_for(&format!("{name} to be ready"), STARTING, async || {
            let answer = reqwest::get(format!("http://{address}/-/ready"))
                .await
                .ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        prometheus
    }
}

/// A loopback port that was free a moment ago, for programs that cannot say which port they got.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener
        .local_addr()
        .expect("a bound socket has an address")
}
