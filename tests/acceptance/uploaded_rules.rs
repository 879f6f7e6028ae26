//! Rules that a tenant uploads with its usual client, and what becomes of them.
use std::time::Duration;

use serde_json::Value as Json;

use crate::files::folder;
use crate::rules_client::{
    CORTEXTOOL, CORTEXTOOL_LEGACY, ClientError, MIMIRTOOL, RulesClient, Summary, check, rule_files,
};
use crate::wait::wait_for;
use crate::watchbell::Watchbell;

const TENANT: &str = "team-a";
const SETTLING: Duration = Duration::from_secs(60);

const WEB: &str = "namespace: web\n\
groups:\n\
- name: up\n  \
  interval: 1s\n  \
  rules:\n  \
  - alert: Always\n    \
    expr: vector(1) > 0\n    \
    labels: {severity: page}\n    \
    annotations: {summary: 'it is {{ $value }}'}\n\
- name: record\n  \
  rules:\n  \
  - record: job:up:sum\n    \
    expr: sum by(job) (up)\n";

/// As Alloy names its namespaces.
const ALLOY: &str = "namespace: alloy/ns/rules of ü/0b9d\n\
groups:\n\
- name: a/b c\n  \
  rules:\n  \
  - record: badly_named\n    \
    expr: '1'\n";

fn summary(created: &[&str], updated: &[&str], deleted: &[&str]) -> Summary {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Summary {
        created: list(created),
        updated: list(updated),
        deleted: list(deleted),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usual_clients_load_compare_synchronise_and_delete() {
    let folder = folder(&[("watchbell.yml", "")]);
    let watchbell = Watchbell::start(folder.path()).await;
    for base in [CORTEXTOOL, MIMIRTOOL, CORTEXTOOL_LEGACY] {
        let client = RulesClient {
            watchbell: &watchbell,
            base,
            tenant: TENANT,
        };
        assert!(client.list().await.expect("an empty list").is_empty());
        assert_eq!(client.get("web", "up").await, Err(ClientError::NotFound));
        let web = rule_files(&[WEB]);
        let loaded = summary(&["web/record", "web/up"], &[], &[]);
        assert_eq!(client.load(&web).await, Ok(loaded), "{base}");
        assert_eq!(client.load(&web).await, Ok(Summary::default()), "{base}");
        assert_eq!(client.diff(&web).await, Ok(Summary::default()), "{base}");
        assert_eq!(client.list().await.as_ref(), Ok(&web), "{base}");

        let edited = WEB.replace("> 0", "> 0.5").replace("record\n", "other\n");
        let wanted = rule_files(&[&edited, ALLOY]);
        let changes = summary(
            &["alloy/ns/rules of ü/0b9d/a/b c", "web/other"],
            &["web/up"],
            &["web/record"],
        );
        assert_eq!(client.diff(&wanted).await.as_ref(), Ok(&changes), "{base}");
        assert_eq!(client.sync(&wanted).await, Ok(changes), "{base}");
        assert_eq!(client.sync(&wanted).await, Ok(Summary::default()), "{base}");
        assert_eq!(client.list().await.as_ref(), Ok(&wanted), "{base}");
        assert_eq!(check(&wanted), ["badly_named"]);

        let path = format!("{base}/web");
        let refused = client.ask(
            reqwest::Method::POST,
            &path,
            Some("name: g\nrules:\n- alert: A\n  expr: up ==\n".to_owned()),
        );
        let said = "4:9: group \"g\", rule 1, \"A\": could not parse expression: 1:6: parse error: unexpected end of input";
        assert_eq!(
            refused.await,
            Err(ClientError::Refused(400, said.to_owned()))
        );

        let alloy = "alloy/ns/rules of ü/0b9d";
        assert_eq!(client.delete(alloy, "a/b c").await, Ok(()));
        let again = client.delete(alloy, "a/b c").await;
        assert_eq!(again, Err(ClientError::NotFound));
        assert_eq!(client.delete_namespace("web").await, Ok(()));
        assert_eq!(
            client.delete_namespace("web").await,
            Err(ClientError::NotFound)
        );
        assert!(client.list().await.expect("an empty list").is_empty());
    }
}

fn client(watchbell: &Watchbell) -> RulesClient<'_> {
    RulesClient {
        watchbell,
        base: CORTEXTOOL,
        tenant: TENANT,
    }
}

async fn alert(watchbell: &Watchbell, path: &str) -> Option<Json> {
    let (status, body) = watchbell.get(Some(TENANT), path).await;
    assert_eq!(status, 200, "{body}");
    let body: Json = serde_json::from_str(&body).expect("an answer in JSON");
    let alerts = if body.is_array() {
        &body
    } else {
        &body["data"]["alerts"]
    };
    alerts
        .as_array()
        .expect("a list of alerts")
        .first()
        .cloned()
}

const RULER: &str = "/prometheus/api/v1/alerts";
const ALERTMANAGER: &str = "/api/v2/alerts";

/// Killed right after the answer, time and again: what was answered is there, and its alert goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_a_kill_and_alerts_go_on() {
    let folder = folder(&[("watchbell.yml", "")]);
    let mut watchbell = Watchbell::start(folder.path()).await;
    let first = rule_files(&[WEB]);
    client(&watchbell).load(&first).await.expect("it is loaded");
    watchbell = watchbell.kill_and_restart().await;
    assert_eq!(client(&watchbell).list().await.as_ref(), Ok(&first));
    let firing = wait_for(
        "the alert to reach the Alertmanager",
        SETTLING,
        async || {
            alert(&watchbell, ALERTMANAGER).await?;
            alert(&watchbell, RULER).await
        },
    );
    let firing = firing.await;
    assert_eq!(firing["state"], "firing", "{firing}");

    for threshold in ["0.2", "0.4", "0.6"] {
        let edited = WEB.replace("> 0\n", &format!("> {threshold}\n"));
        let edited = rule_files(&[&edited.replace("interval: 1s", "interval: 2s")]);
        let changed = client(&watchbell).sync(&edited).await;
        assert_eq!(changed, Ok(summary(&[], &["web/up"], &[])));
        watchbell = watchbell.kill_and_restart().await;
        assert_eq!(client(&watchbell).list().await, Ok(edited));
        let now = alert(&watchbell, RULER).await.expect("it fires on");
        assert_eq!(
            (&now["state"], &now["activeAt"]),
            (&firing["state"], &firing["activeAt"])
        );
    }

    client(&watchbell)
        .delete("web", "up")
        .await
        .expect("it is deleted");
    assert_eq!(alert(&watchbell, RULER).await, None);
    wait_for("the end of the alert to be told", SETTLING, async || {
        alert(&watchbell, ALERTMANAGER)
            .await
            .is_none()
            .then_some(())
    })
    .await;
    let watchbell = watchbell.kill_and_restart().await;
    assert_eq!(
        client(&watchbell).get("web", "up").await,
        Err(ClientError::NotFound)
    );
    client(&watchbell)
        .get("web", "record")
        .await
        .expect("the other is there");
}
