//! A real service on loopback: two Prometheus servers and two small targets, which remote-write to a Watchbell that
//! runs the service's own rules and Alertmanager configuration against fake vendors.
use std::fs;
use std::path::Path;

use fakes::Fakes;
use tempfile::TempDir;

use crate::prometheus::{Prometheus, free_address};
use crate::target::Target;
use crate::watchbell::Watchbell;

/// How often the dead man's switch is told here; in production it is a minute.
pub(crate) const HEARTBEAT_SECS: u64 = 3;

pub(crate) struct Service {
    pub(crate) fakes: Fakes,
    pub(crate) targets: [Target; 2],
    pub(crate) watchbell: Watchbell,
    _prometheus: [Prometheus; 2],
    folder: TempDir,
}

impl Service {
    /// `real` is the folder of the real service's files.
    pub(crate) async fn start(real: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let fakes = Fakes::start().await;
        write_configuration(folder.path(), real, &fakes);
        let watchbell = Watchbell::start(folder.path()).await;
        let targets = [Target::start().await, Target::start().await];
        let (first, second) = (free_address(), free_address());
        let scrapes = format!(
            "scrape_configs:\n  \
             - job_name: prometheus\n    static_configs: [{{targets: ['{first}', '{second}']}}]\n  \
             - job_name: alertmanager\n    static_configs: [{{targets: ['{}', '{}']}}]\n\
             remote_write:\n  - url: {}\n    queue_config: {{batch_send_deadline: 500ms, max_backoff: 1s}}\n",
            targets[0].address,
            targets[1].address,
            watchbell.url("/api/v1/write"),
        );
        let prometheus = [
            Prometheus::start(folder.path(), "prometheus-2", second, "").await,
            Prometheus::start(folder.path(), "prometheus-1", first, &scrapes).await,
        ];
        Self {
            fakes,
            targets,
            watchbell,
            _prometheus: prometheus,
            folder,
        }
    }

    pub(crate) async fn kill_and_restart_watchbell(self) -> Self {
        let Self {
            fakes,
            targets,
            watchbell,
            _prometheus,
            folder,
        } = self;
        let watchbell = watchbell.kill_and_restart().await;
        Self {
            fakes,
            targets,
            watchbell,
            _prometheus,
            folder,
        }
    }
}

/// The real configuration with its timers shortened and its addresses pointed at the fakes.
fn write_configuration(folder: &Path, real: &Path, fakes: &Fakes) {
    let shortened = fs::read_to_string(real.join("golden/gds-shortened.yml"))
        .expect("the shortened configuration");
    let smtp = fakes.smtp_address().to_string();
    let alertmanager = shortened
        .replace("127.0.0.1:2526", &smtp)
        .replace(
            "http://127.0.0.1:18081/slack/services/T000/B000/XXXX",
            &fakes.slack_webhook_url(),
        )
        .replace(
            "http://127.0.0.1:18081/cronitor/p/KEY",
            &fakes.cronitor_url("KEY"),
        )
        .replace(
            "'../default.tmpl'",
            &format!("'{}'", real.join("default.tmpl").display()),
        )
        .replace("_interval: 1m", &format!("_interval: {HEARTBEAT_SECS}s"));
    assert!(
        !alertmanager.contains("127.0.0.1:18081"),
        "every address points at a fake"
    );
    fs::write(folder.join("alertmanager.yml"), alertmanager).expect("a file can be written");
    let watchbell = format!(
        "server: {{external_url: http://alerts.example.test}}\n\
         evaluation: {{interval: 1s, resend_delay: 5s}}\n\
         rule_files: ['{}/alerts/*.yml']\n\
         alertmanager: {{config_file: alertmanager.yml}}\n\
         notifiers: {{endpoints: {{pagerduty_v1: '{}'}}}}\n\
         log: {{level: debug}}\n",
        real.display(),
        fakes.pagerduty_v1_url(),
    );
    fs::write(folder.join("watchbell.yml"), watchbell).expect("a file can be written");
}
