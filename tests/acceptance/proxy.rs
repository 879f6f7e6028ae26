//! The proxy that the environment names.
use std::process::Command;

use fakes::Fakes;
use serde_json::json;

use crate::alertmanager::Alertmanager;
use crate::files::folder;
use crate::small::SETTLING;
use crate::wait::wait_for;
use crate::watchbell::binary;

/// Two receivers whose addresses nobody could find: one wants the environment's proxy, the other does not.
#[tokio::test(flavor = "multi_thread")]
async fn the_environments_proxy_is_asked_where_it_is_wanted() {
    let proxy = Fakes::start().await;
    let config = "\
route: {receiver: both, group_wait: 0s, group_interval: 1s}
receivers:
- name: both
  webhook_configs:
  - {url: 'http://through.test/hook', http_config: {proxy_from_environment: true}}
  - {url: 'http://directly.test/hook'}
  - {url: 'http://excepted.test/hook', http_config: {proxy_from_environment: true}}
";
    let folder = folder(&[("config.yml", config)]);
    let folder = folder.path();
    let mut command = Command::new(binary());
    command
        .arg("alertmanager")
        .arg("--config.file")
        .arg(folder.join("config.yml"))
        .args(["--web.listen-address", "127.0.0.1:0"])
        .args(["--cluster.listen-address", ""])
        .arg("--storage.path")
        .arg(folder.join("data"))
        .env("HTTP_PROXY", proxy.pagerduty.base_url())
        .env("NO_PROXY", "excepted.test");
    let alertmanager = Alertmanager::start(&mut command, "", &folder.join("log")).await;
    let alerts = json!([{"labels": {"alertname": "Down"}}]);
    assert_eq!(alertmanager.post("/api/v2/alerts", &alerts).await.0, 200);
    // Names below `test` are never found (RFC 6761): those who do not ask the proxy fail, and say so.
    wait_for("all three to have tried", SETTLING, async || {
        let log = alertmanager.process.log_text();
        let failed = |index: u32| log.contains(&format!("webhook[{index}]"));
        (!proxy.strays().is_empty() && failed(1) && failed(2)).then_some(())
    })
    .await;
    for stray in proxy.strays() {
        assert_eq!(stray, "POST http://through.test/hook");
    }
    alertmanager.end().await;
}
