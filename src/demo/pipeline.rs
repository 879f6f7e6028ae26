//! The pipeline of the demo: `watchbell serve` as a child process, with files in a folder that goes away with it.
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use fakes::Fakes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

const RULES: &str = include_str!("../../examples/demo/rules.yml");
const ALERTMANAGER: &str = include_str!("../../examples/demo/alertmanager.yml");
/// A slow machine that has just compiled everything needs a moment.
const STARTING_MAX: Duration = Duration::from_secs(30);
const STOPPING_MAX: Duration = Duration::from_secs(15);
const ASKING_EVERY: Duration = Duration::from_millis(50);

pub(super) struct Pipeline {
    base: String,
    child: Child,
    client: reqwest::Client,
    folder: TempDir,
}

impl Pipeline {
    pub(super) async fn start(fakes: &Fakes) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("watchbell-demo-")
            .tempdir()?;
        write_files(folder.path(), fakes)?;
        let log = folder.path().join("watchbell.log");
        let output = fs::File::create(&log)?;
        let child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg("--config.file")
            .arg(folder.path().join("watchbell.yml"))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C reaches the whole terminal; the pipeline is told to end when the story is over.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()?;
        let mut pipeline = Self {
            base: String::new(),
            child,
            client,
            folder,
        };
        match tokio::time::timeout(STARTING_MAX, pipeline.ready(&log)).await {
            Ok(Ok(())) => Ok(pipeline),
            Ok(Err(error)) => Err(error.context(fs::read_to_string(&log).unwrap_or_default())),
            Err(_) => bail!(
                "it took too long; its log says:\n{}",
                fs::read_to_string(&log).unwrap_or_default()
            ),
        }
    }

    async fn ready(&mut self, log: &Path) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(ASKING_EVERY);
        loop {
            ticks.tick().await;
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            let text = fs::read_to_string(log).unwrap_or_default();
            let Some(address) = listening_address(&text) else {
                continue;
            };
            self.base = format!("http://{address}");
            let ready = self.client.get(self.url("/-/ready")).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The alerts of the rules, pending and firing.
    pub(super) async fn alerts(&self) -> anyhow::Result<Vec<Json>> {
        let text = self
            .client
            .get(self.url("/api/v1/alerts"))
            .send()
            .await?
            .text()
            .await?;
        let mut answer: Json = serde_json::from_str(&text)?;
        let alerts = answer["data"]["alerts"]
            .as_array_mut()
            .context("no list of alerts")?;
        Ok(std::mem::take(alerts))
    }

    /// Resolves only when the process ends by itself, which it never should.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow!(
                "the pipeline ended with {status}; its log says:\n{}",
                self.log_text()
            ),
            Err(error) => error.into(),
        }
    }

    fn log_text(&self) -> String {
        fs::read_to_string(self.folder.path().join("watchbell.log")).unwrap_or_default()
    }

    /// SIGTERM, as a service manager would send it; the folder goes away with `self`.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let Some(id) = self.child.id() else {
            return Ok(());
        };
        let pid = Pid::from_raw(id.cast_signed()).context("a process has a positive number")?;
        kill_process(pid, Signal::TERM)?;
        let status = tokio::time::timeout(STOPPING_MAX, self.child.wait())
            .await
            .context("the pipeline did not end")??;
        if status.success() {
            Ok(())
        } else {
            bail!("the pipeline ended with {status}:\n{}", self.log_text())
        }
    }
}

fn write_files(folder: &Path, fakes: &Fakes) -> anyhow::Result<()> {
    let alertmanager = ALERTMANAGER
        .replace("@SMTP@", &fakes.smtp_address().to_string())
        .replace("@SLACK@", &fakes.slack_webhook_url())
        .replace("@PAGERDUTY@", &fakes.pagerduty_v2_url())
        .replace(
            "@HEARTBEAT@",
            &format!("{}/watchbell-demo", fakes.cronitor_url("demo")),
        );
    fs::write(folder.join("alertmanager.yml"), alertmanager)?;
    fs::write(folder.join("rules.yml"), RULES)?;
    let watchbell = "evaluation: {interval: 1s, resend_delay: 5s}\n\
                     rule_files: [rules.yml]\n\
                     alertmanager: {config_file: alertmanager.yml}\n\
                     storage: {path: data}\n";
    fs::write(folder.join("watchbell.yml"), watchbell)?;
    Ok(())
}

/// From the line that says `Listening on`.
fn listening_address(log: &str) -> Option<&str> {
    let line = log.lines().find(|line| line.contains("Listening on"))?;
    line.split("address=").nth(1)?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::listening_address;

    #[test]
    fn the_address_stands_in_the_log() {
        let log = "level=info msg=a\nlevel=info msg=\"Listening on\" address=127.0.0.1:41001 b=c\n";
        assert_eq!(listening_address(log), Some("127.0.0.1:41001"));
        assert_eq!(listening_address("level=info msg=\"Listening"), None);
    }
}
