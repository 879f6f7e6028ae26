//! Rules that tenants upload: what their clients send and are answered, and what becomes of the storage's troubles.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use model::{TenantId, Timestamp};
use object_store::memory::InMemory;
use promql::ParserOptions;
use ruler_core::{Group, GroupKey};
use runtime::log::SyncPolicy;
use runtime::{Clock, HeardLog, Routes, Stopper, SystemClock};
use serde_json::{Value, json};

use crate::api::routes;
use crate::journal::open_journal;
use crate::rule_book::RuleBook;
use crate::rule_store::RuleStore;
use crate::tests::{Alertmanager, House, Table, down, groups, team};

pub(crate) const GROUP: &str = "name: web\nrules:\n- alert: Down\n  expr: up==0\n";
const YAML: &str = "name: web\nrules:\n- alert: Down\n  expr: up==0\n";
pub(crate) const OF_GO: &[(&str, &str)] = &[
    ("X-Scope-OrgID", "team-1"),
    ("User-Agent", "Go-http-client/1.1"),
    ("Accept-Encoding", "gzip"),
];
const NO_TENANT: &[(&str, &str)] = &[("User-Agent", "curl/8")];
const JSON: &[(&str, &str)] = &[
    ("X-Scope-OrgID", "team-1"),
    ("Accept", "application/json, text/plain;q=0.5"),
];
const NO_JSON: &[(&str, &str)] = &[
    ("X-Scope-OrgID", "team-1"),
    ("Accept", "application/json;q=0, */*"),
];

pub(crate) fn house() -> (House, Stopper) {
    let (stopper, stop) = Stopper::new();
    (
        House::start(Vec::new(), None, stopper.clone(), stop),
        stopper,
    )
}

fn in_memory() -> RuleStore {
    RuleStore::on(Arc::new(InMemory::new()))
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

pub(crate) async fn ask(
    book: &RuleBook,
    headers: &[(&str, &str)],
    method: &str,
    path: &str,
    body: &str,
) -> Answer {
    use tower::ServiceExt;
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let router = Routes::new().merge(routes(book)).into_router();
    let response = router.oneshot(request).await.unwrap();
    let content_type = response.headers().get("content-type");
    let content_type = content_type.map_or("", |value| value.to_str().unwrap());
    Answer {
        status: response.status().as_u16(),
        content_type: content_type.to_owned(),
        body: {
            let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
            String::from_utf8(body.to_vec()).unwrap()
        },
    }
}

pub(crate) async fn upload(book: &RuleBook, namespace: &str, group: &str) -> (u16, String) {
    let path = format!("/api/v1/rules/{namespace}");
    let answer = ask(book, OF_GO, "POST", &path, group).await;
    (answer.status, answer.body)
}

/// The tenant's groups as the configuration API lists them: `namespace/name`.
fn uploaded(book: &RuleBook, tenant: &str) -> Vec<String> {
    let uploaded = book.uploaded(&TenantId::parse(tenant).unwrap()).unwrap();
    let keys = uploaded.iter().map(|group| &group.group.key);
    keys.map(|key| format!("{}/{}", key.file, key.name))
        .collect()
}

/// What evaluates, by Prometheus' API.
pub(crate) async fn running(book: &RuleBook, tenant: &str) -> Vec<String> {
    let headers = [("X-Scope-OrgID", tenant)];
    let answer = ask(book, &headers, "GET", "/prometheus/api/v1/rules", "").await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let groups = body["data"]["groups"].as_array().unwrap().iter();
    groups
        .map(|group| {
            let text = |key: &str| group[key].as_str().unwrap().to_owned();
            format!("{}/{}", text("file"), text("name"))
        })
        .collect()
}

/// Each client's requests as they go over the wire, one after another; `…` is any end.
#[tokio::test]
async fn every_clients_requests_are_answered_as_it_wants_them() {
    let (house, _stopper) = house();
    let book = house.book().await;
    book.start().await;
    let text = "text/plain; charset=utf-8";
    let yaml = "application/yaml";
    let json = "application/json";
    let success = r#"{"status":"success"}"#;
    let prometheus = r#"{"status":"success","data":{"groups":[…"#;
    let alloy = "/prometheus/config/v1/rules/alloy%2Fns%2Fweb%20rules%2F0b9d";
    let long_name = "x".repeat(900);
    let long = format!("name: {long_name}\nrules: [{{record: a, expr: 1}}]");
    let long_path = format!("/api/v1/rules/n/{long_name}");
    for (who, headers, method, path, body, status, content_type, answer) in [
        // An empty list is what Mimir's clients and Grafana need; Cortex' takes it too.
        (
            "cortextool rules list",
            OF_GO,
            "GET",
            "/api/v1/rules",
            "",
            200,
            yaml,
            "{}\n",
        ),
        (
            "mimirtool rules list",
            OF_GO,
            "GET",
            "/prometheus/config/v1/rules",
            "",
            200,
            yaml,
            "{}\n",
        ),
        (
            "cortextool --use-legacy-routes",
            OF_GO,
            "GET",
            "/api/prom/rules",
            "",
            200,
            yaml,
            "{}\n",
        ),
        (
            "cortextool rules load",
            OF_GO,
            "GET",
            "/api/v1/rules/ns/web",
            "",
            404,
            text,
            "group does not exist\n",
        ),
        (
            "cortextool rules load",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            GROUP,
            202,
            json,
            success,
        ),
        (
            "cortextool rules load",
            OF_GO,
            "GET",
            "/api/v1/rules/ns/web",
            "",
            200,
            yaml,
            YAML,
        ),
        (
            "mimirtool rules get",
            OF_GO,
            "GET",
            "/prometheus/config/v1/rules/ns/web",
            "",
            200,
            yaml,
            YAML,
        ),
        (
            "cortextool rules print",
            OF_GO,
            "GET",
            "/api/v1/rules",
            "",
            200,
            yaml,
            "ns:\n- name: web\n…",
        ),
        (
            "curl",
            OF_GO,
            "GET",
            "/api/v1/rules/ns",
            "",
            200,
            yaml,
            "ns:\n- name: web\n…",
        ),
        (
            "curl",
            OF_GO,
            "GET",
            "/api/v1/rules/other",
            "",
            404,
            text,
            "no rule groups found\n",
        ),
        // Whoever names no tenant, or JSON, means Prometheus' list.
        (
            "Grafana",
            JSON,
            "GET",
            "/api/v1/rules",
            "",
            200,
            json,
            prometheus,
        ),
        (
            "curl",
            NO_JSON,
            "GET",
            "/api/v1/rules",
            "",
            200,
            yaml,
            "ns:\n…",
        ),
        (
            "promtool",
            NO_TENANT,
            "GET",
            "/api/v1/rules",
            "",
            200,
            json,
            prometheus,
        ),
        (
            "Grafana",
            OF_GO,
            "GET",
            "/prometheus/api/v1/rules?type=alert",
            "",
            200,
            json,
            prometheus,
        ),
        (
            "Grafana",
            OF_GO,
            "GET",
            "/prometheus/api/v1/alerts",
            "",
            200,
            json,
            r#"{"status":"success","data":{"alerts":[…"#,
        ),
        (
            "Cortex' old prefix",
            OF_GO,
            "GET",
            "/api/prom/api/v1/rules",
            "",
            200,
            json,
            prometheus,
        ),
        (
            "cortextool alertmanager get",
            OF_GO,
            "GET",
            "/api/v1/alerts",
            "",
            404,
            text,
            "alertmanager storage object not found\n",
        ),
        (
            "Grafana",
            JSON,
            "GET",
            "/api/v1/alerts",
            "",
            200,
            json,
            r#"{"status":"success","data":{"alerts":[…"#,
        ),
        (
            "promtool",
            NO_TENANT,
            "GET",
            "/api/v1/alerts",
            "",
            200,
            json,
            r#"{"status":"success","data":{"alerts":[…"#,
        ),
        // Without a tenant the address says what is meant.
        (
            "curl",
            NO_TENANT,
            "GET",
            "/prometheus/config/v1/rules",
            "",
            200,
            yaml,
            "{}\n",
        ),
        (
            "curl",
            NO_TENANT,
            "GET",
            "/api/v1/rules/ns/web",
            "",
            404,
            text,
            "group does not exist\n",
        ),
        // Names are unescaped after the address is taken apart.
        ("Alloy", OF_GO, "POST", alloy, GROUP, 202, json, success),
        (
            "Alloy",
            OF_GO,
            "GET",
            "/prometheus/config/v1/rules",
            "",
            200,
            yaml,
            "alloy/ns/web rules/0b9d:\n- name: web\n…",
        ),
        ("Alloy", OF_GO, "DELETE", alloy, "", 202, json, success),
        (
            "Alloy",
            OF_GO,
            "DELETE",
            alloy,
            "",
            404,
            text,
            "group namespace does not exist\n",
        ),
        (
            "mimirtool",
            OF_GO,
            "POST",
            "/prometheus/config/v1/rules/a+b%2520%C3%BC",
            "name: 'x/y z+%2F'\nrules: [{record: a, expr: 1}]",
            202,
            json,
            success,
        ),
        (
            "mimirtool",
            OF_GO,
            "GET",
            "/prometheus/config/v1/rules/a+b%2520%C3%BC/x%2Fy%20z+%252F",
            "",
            200,
            yaml,
            "name: x/y z+%2F\n…",
        ),
        (
            "mimirtool",
            OF_GO,
            "DELETE",
            "/prometheus/config/v1/rules/a+b%2520%C3%BC/x%2Fy%20z+%252F",
            "",
            202,
            json,
            success,
        ),
        (
            "mimirtool",
            OF_GO,
            "GET",
            "/prometheus/config/v1/rules/a+b%2520%C3%BC",
            "",
            404,
            text,
            "no rule groups found\n",
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/%FF",
            GROUP,
            400,
            text,
            "Invalid URL: …",
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/n",
            &long,
            202,
            json,
            success,
        ),
        ("curl", OF_GO, "DELETE", &long_path, "", 202, json, success),
        // Refusals say why in their first line.
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            "name: [",
            400,
            text,
            "unable to decode rule group: 1:7: …",
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            "groups: []",
            400,
            text,
            "invalid rules config: rule group name must not be empty\n",
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            "name: g",
            400,
            text,
            "invalid rules config: rule group 'g' has no rules\n",
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            "name: g\nrules: [{record: a, expr: 'sum('}]",
            400,
            text,
            "2:27: group \"g\", rule 1, \"a\": could not parse expression: 1:5: parse error: unclosed left parenthesis\n",
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            "name: g\nsource_tenants: [a]\nrules: [{record: a, expr: 1}]",
            400,
            text,
            "invalid rules config: rule group 'g' has source_tenants: …",
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            "name: g\nrules: [{record: a, expr: 1}, {record: a, expr: 1}, {record: a, expr: 1}, {record: a, expr: 1}]",
            400,
            text,
            "per-user rules per rule group limit (limit: 3 actual: 4) exceeded\n",
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            &"#".repeat(1001),
            413,
            text,
            "rule group is too large, limit: 1000 bytes\n",
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            "name: web\nfoo: 1\nrules: [{record: a, expr: 1}]",
            202,
            json,
            r#"{"status":"success","warnings":["2:1: field foo not found…"#,
        ),
        (
            "curl",
            &[("X-Scope-OrgID", "a/b")],
            "POST",
            "/api/v1/rules/ns",
            GROUP,
            400,
            json,
            r#"{"error":"tenant ID 'a/b' contains unsupported character '/'","errorType":"bad_data","status":"error"}"#,
        ),
        (
            "curl",
            &[("X-Scope-OrgID", "a/b")],
            "GET",
            "/api/v1/rules",
            "",
            400,
            json,
            r#"{"error":"tenant ID…"#,
        ),
        // An update at the limit counts itself once.
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            "name: b\nrules: [{record: a, expr: 1}]",
            202,
            json,
            success,
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            "name: c\nrules: [{record: a, expr: 1}]",
            202,
            json,
            success,
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            GROUP,
            202,
            json,
            success,
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns",
            "name: d\nrules: [{record: a, expr: 1}]",
            400,
            text,
            "per-user rule groups limit (limit: 3 actual: 4) exceeded\n",
        ),
        // Methods that nobody uses.
        ("curl", OF_GO, "PUT", "/api/v1/rules/ns", GROUP, 405, "", ""),
        (
            "curl",
            OF_GO,
            "POST",
            "/api/v1/rules/ns/web",
            GROUP,
            405,
            "",
            "",
        ),
        ("curl", OF_GO, "POST", "/api/v1/rules", GROUP, 405, "", ""),
        (
            "curl",
            OF_GO,
            "DELETE",
            "/prometheus/config/v1/rules",
            "",
            405,
            "",
            "",
        ),
        (
            "cortextool rules delete",
            OF_GO,
            "DELETE",
            "/api/v1/rules/ns/web",
            "",
            202,
            json,
            success,
        ),
        (
            "cortextool rules delete",
            OF_GO,
            "DELETE",
            "/api/v1/rules/ns/web",
            "",
            404,
            text,
            "group does not exist\n",
        ),
        (
            "mimirtool, its prefix before Cortex' address",
            OF_GO,
            "POST",
            "/prometheus/api/v1/rules/old",
            GROUP,
            202,
            json,
            success,
        ),
        (
            "mimirtool, its prefix before Cortex' address",
            OF_GO,
            "GET",
            "/prometheus/api/v1/rules/old/web",
            "",
            200,
            yaml,
            YAML,
        ),
        (
            "mimirtool rules delete-namespace",
            OF_GO,
            "DELETE",
            "/prometheus/config/v1/rules/ns",
            "",
            202,
            json,
            success,
        ),
        (
            "mimirtool rules list",
            OF_GO,
            "GET",
            "/prometheus/config/v1/rules",
            "",
            200,
            yaml,
            "old:\n- name: web\n…",
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/ruler/delete_tenant_config",
            "",
            200,
            "",
            "",
        ),
        (
            "curl",
            OF_GO,
            "POST",
            "/ruler/delete_tenant_config",
            "",
            200,
            "",
            "",
        ),
        (
            "mimirtool rules list",
            OF_GO,
            "GET",
            "/prometheus/config/v1/rules",
            "",
            200,
            yaml,
            "{}\n",
        ),
    ] {
        let got = ask(&book, headers, method, path, body).await;
        let what = format!("{who}: {method} {path}: {}", got.body);
        assert_eq!(
            (got.status, &*got.content_type),
            (status, content_type),
            "{what}"
        );
        match answer.strip_suffix('…') {
            Some(start) => assert!(got.body.starts_with(start), "{what}, and not {answer}"),
            None => assert_eq!(got.body, answer, "{what}"),
        }
    }
}

#[tokio::test]
async fn a_change_counts_at_once_here_and_elsewhere_after_a_look() {
    let (here, _stop_here) = house();
    let (elsewhere, _stop_elsewhere) = house();
    let store = in_memory();
    let here_book = here.book_on(store.clone(), None).await;
    let there_book = elsewhere.book_on(store.clone(), None).await;
    here_book.start().await;
    there_book.start().await;
    assert_eq!(upload(&here_book, "ns", GROUP).await.0, 202);
    assert_eq!(running(&here_book, "team-1").await, ["ns/web"]);
    assert!(running(&there_book, "team-1").await.is_empty());
    there_book.look().await.unwrap();
    assert_eq!(running(&there_book, "team-1").await, ["ns/web"]);
    assert_eq!(uploaded(&there_book, "team-1"), ["ns/web"]);
    // The other way round, an update and a deletion.
    let longer = GROUP.replace("web", "web\ninterval: 7s");
    assert_eq!(upload(&there_book, "ns", &longer).await.0, 202);
    assert_eq!(
        upload(&there_book, "ns", &GROUP.replace("web", "two"))
            .await
            .0,
        202
    );
    here_book.look().await.unwrap();
    assert_eq!(running(&here_book, "team-1").await, ["ns/two", "ns/web"]);
    let key = GroupKey::new("ns", "web");
    let interval = here_book
        .uploaded(&team())
        .unwrap()
        .get(&key)
        .unwrap()
        .group
        .interval;
    assert_eq!(interval, Duration::from_secs(7));
    ask(&here_book, OF_GO, "DELETE", "/api/v1/rules/ns", "").await;
    there_book.look().await.unwrap();
    assert!(running(&there_book, "team-1").await.is_empty());
}

#[tokio::test]
async fn groups_of_files_and_uploads_run_together_and_other_defaults_reach_both() {
    let (house, _stopper) = house();
    let book = house.book().await;
    let files = groups("groups: [{name: f, rules: [{alert: A, expr: up}]}]");
    book.set_files(&team(), files.clone()).await;
    book.start().await;
    assert_eq!(upload(&book, "ns", GROUP).await.0, 202);
    assert_eq!(running(&book, "team-1").await, ["ns/web", "rules.yml/f"]);
    book.set_files(&team(), Vec::<Arc<Group>>::new()).await;
    assert_eq!(running(&book, "team-1").await, ["ns/web"]);
    book.set_files(&team(), files).await;
    let (status, body) = upload(&book, "rules.yml", &GROUP.replace("web", "f")).await;
    assert_eq!(
        (status, &*body),
        (
            400,
            "rule group rules.yml;f stands in a rule file already\n"
        )
    );
    let mut defaults = crate::tests::book_settings().defaults;
    defaults.interval = Duration::from_secs(9);
    book.set_defaults(defaults, ParserOptions::default()).await;
    let (_, body) = get(&book, "/prometheus/api/v1/rules?rule_group[]=web").await;
    assert_eq!(body["data"]["groups"][0]["interval"], 9);
}

/// They go on, since a reload is to end no alert, and are told of: the next start does not run them.
#[tokio::test]
async fn groups_whose_language_is_switched_off_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let store = || RuleStore::in_folder(folder.path()).unwrap();
    let (house, _stopper) = house();
    let book = house.book_on(store(), None).await;
    book.start().await;
    let defaults = crate::tests::book_settings().defaults;
    let experimental = ParserOptions {
        experimental_functions: true,
        ..ParserOptions::default()
    };
    book.set_defaults(defaults, experimental).await;
    assert_eq!(upload(&book, "ns", GROUP).await.0, 202);
    for name in ["odd", "other"] {
        let group = format!("name: {name}\nrules: [{{record: a, expr: 'limitk(1, up)'}}]\n");
        assert_eq!(upload(&book, "ns", &group).await.0, 202);
    }
    let all = ["ns/odd", "ns/other", "ns/web"];
    for (language, is_told) in [(ParserOptions::default(), true), (experimental, false)] {
        let heard = HeardLog::start();
        book.set_defaults(defaults, language).await;
        assert_eq!(running(&book, "team-1").await, all);
        let lines = heard.lines();
        let line = lines.iter().find(|line| line.contains("switched off"));
        assert_eq!(line.is_some(), is_told, "{lines:?}");
        for part in [
            "WARN",
            "tenant=team-1",
            "groups=2",
            "first=ns;odd",
            "limitk",
        ] {
            assert!(line.is_none_or(|line| line.contains(part)), "{line:?}");
        }
    }
    let (restarted, _stop) = self::house();
    let again = restarted.book_on(store(), None).await;
    again.start().await;
    assert_eq!(running(&again, "team-1").await, ["ns/web"]);
}

async fn get(book: &RuleBook, path: &str) -> (u16, Value) {
    let answer = ask(book, OF_GO, "GET", path, "").await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

/// A folder that stands for a storage elsewhere, and can go away.
fn elsewhere(folder: &Path) -> RuleStore {
    let url = format!("file://{}", folder.join("elsewhere").display());
    RuleStore::at(&url, &std::collections::BTreeMap::default()).unwrap()
}

fn kept(folder: &Path) -> RuleStore {
    elsewhere(folder).copy_in(&folder.join("kept")).unwrap()
}

#[tokio::test]
async fn a_storage_that_is_away_refuses_changes_and_ends_no_rule() {
    let folder = tempfile::tempdir().unwrap();
    let (at, away) = (folder.path().join("elsewhere"), folder.path().join("away"));
    let open = async |house: &House| {
        let store = elsewhere(folder.path());
        let book = house.book_on(store, Some(kept(folder.path()))).await;
        book.start().await;
        book
    };
    let (house, stopper) = house();
    let book = open(&house).await;
    assert_eq!(upload(&book, "ns", GROUP).await.0, 202);
    assert_eq!(
        upload(&book, "ns", &GROUP.replace("web", "two")).await.0,
        202
    );
    let both = ["ns/two", "ns/web"];

    // Once as a folder on which nothing is mounted, once as one that cannot be read.
    for leaves in [true, false] {
        let heard = HeardLog::start();
        std::fs::rename(&at, &away).unwrap();
        if !leaves {
            std::fs::write(&at, "").unwrap();
        }
        book.look().await.unwrap_err();
        assert_eq!(running(&book, "team-1").await, both);
        let (status, body) = upload(&book, "ns", &GROUP.replace("web", "three")).await;
        assert_eq!(status, 500, "{body}");
        assert!(body.starts_with("rule storage file:///"), "{body}");
        let answer = ask(&book, OF_GO, "DELETE", "/api/v1/rules/ns", "").await;
        assert_eq!(answer.status, 500, "{}", answer.body);
        assert_eq!(running(&book, "team-1").await, both);
        assert_eq!(uploaded(&book, "team-1"), both);
        if leaves {
            let lines = heard.lines();
            let said = "WARN rule storage cannot be read: the rules that run go on";
            assert!(lines.iter().any(|line| line.starts_with(said)), "{lines:?}");
        }
        let text = house.metrics.text();
        assert!(
            text.contains("watchbell_rule_storage_reachable 0"),
            "{text}"
        );

        // A start meanwhile runs what was last known, and says so.
        let heard = HeardLog::start();
        let (restarted, _stop) = self::house();
        let again = open(&restarted).await;
        assert_eq!(running(&again, "team-1").await, both);
        let lines = heard.lines();
        let said = "WARN uploaded rules are those that were last known: their storage does not answer groups=2";
        assert!(lines.iter().any(|line| line.starts_with(said)), "{lines:?}");
        assert_eq!(upload(&again, "ns", GROUP).await.0, 500);

        // It is back, and somebody has deleted a group.
        if at.exists() {
            std::fs::remove_file(&at).unwrap();
        }
        std::fs::rename(&away, &at).unwrap();
        again.look().await.unwrap();
        assert_eq!(running(&again, "team-1").await, both);
        assert_eq!(
            upload(&again, "ns", &GROUP.replace("web", "three")).await.0,
            202
        );
        ask(&again, OF_GO, "DELETE", "/api/v1/rules/ns/three", "").await;
        book.look().await.unwrap();
        assert!(
            house
                .metrics
                .text()
                .contains("watchbell_rule_storage_reachable 1")
        );
    }
    stopper.stop();
}

#[tokio::test]
async fn nothing_is_said_of_rules_that_are_not_known() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("elsewhere"), "").unwrap();
    let (house, _stopper) = house();
    let book = house
        .book_on(elsewhere(folder.path()), Some(kept(folder.path())))
        .await;
    book.start().await;
    for path in ["/api/v1/rules", "/api/v1/rules/ns", "/api/v1/rules/ns/web"] {
        let answer = ask(&book, OF_GO, "GET", path, "").await;
        assert_eq!(answer.status, 500, "{path}: {}", answer.body);
        assert!(
            answer.body.ends_with("has not been read since the start\n"),
            "{}",
            answer.body
        );
    }
    assert_eq!(upload(&book, "ns", GROUP).await.0, 500);
    std::fs::remove_file(folder.path().join("elsewhere")).unwrap();
    // A change looks by itself.
    assert_eq!(
        upload(&book, "ns", GROUP).await,
        (202, r#"{"status":"success"}"#.to_owned())
    );
}

#[tokio::test]
async fn a_damaged_object_is_named_and_loses_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = || RuleStore::in_folder(folder.path()).unwrap();
    let (house, _stopper) = house();
    let book = house.book_on(store(), None).await;
    book.start().await;
    for name in ["web", "two", "three"] {
        assert_eq!(
            upload(&book, "ns", &GROUP.replace("web", name)).await.0,
            202
        );
    }
    let path = store()
        .path_of(&team(), &GroupKey::new("ns", "two"))
        .to_string();
    std::fs::write(folder.path().join(&path), "nonsense").unwrap();
    let heard = HeardLog::start();
    book.look().await.unwrap();
    book.look().await.unwrap();
    let all = ["ns/three", "ns/two", "ns/web"];
    assert_eq!(running(&book, "team-1").await, all, "what runs goes on");
    let lines = heard.lines();
    let said = format!("ERROR a stored rule group is damaged object={path} reason=");
    let told: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with(&said))
        .collect();
    assert_eq!(told.len(), 1, "it is told once: {lines:?}");
    assert!(
        house
            .metrics
            .text()
            .contains("watchbell_rule_storage_damaged_objects 1")
    );

    // It is deleted by hand, and so it ends.
    let lost = folder.path().join(
        store()
            .path_of(&team(), &GroupKey::new("ns", "three"))
            .to_string(),
    );
    std::fs::write(&lost, "nonsense").unwrap();
    book.look().await.unwrap();
    std::fs::remove_file(&lost).unwrap();
    book.look().await.unwrap();
    assert_eq!(running(&book, "team-1").await, ["ns/two", "ns/web"]);
    let group = GROUP.replace("web", "three");
    assert_eq!(upload(&book, "ns", &group).await.0, 202);

    let (restarted, _stop) = self::house();
    let again = restarted.book_on(store(), None).await;
    again.start().await;
    assert_eq!(running(&again, "team-1").await, ["ns/three", "ns/web"]);
    // It can be replaced, and deleted.
    let answer = ask(&again, OF_GO, "DELETE", "/api/v1/rules/ns/two", "").await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(
        upload(&again, "ns", &GROUP.replace("web", "two")).await.0,
        202
    );
    book.look().await.unwrap();
    assert_eq!(running(&book, "team-1").await, all);
    assert!(
        house
            .metrics
            .text()
            .contains("watchbell_rule_storage_damaged_objects 0")
    );
}

/// Editing loses nothing; what is deleted is told as over at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_outlive_an_edit_of_their_rule_and_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (_receiving, received) = Stopper::new();
    let mut alertmanager = Alertmanager::start(received).await;
    let (stopper, stop) = Stopper::new();
    let journal = open_journal(&folder.path().join("ruler"), SyncPolicy::default()).unwrap();
    let house = House::start(vec![alertmanager.url.clone()], Some(journal), stopper, stop);
    down(&house.backend);
    let series: &[(&str, &str)] = &[("__name__", "up"), ("instance", "a:1"), ("job", "web")];
    house.backend.set("up<0.5", Ok(&[(series, 0.0)]));
    let rules = folder.path().join("rules");
    let book = house
        .book_on(RuleStore::in_folder(&rules).unwrap(), None)
        .await;
    book.start().await;
    let group = "name: web\ninterval: 1s\nrules:\n- alert: Down\n  expr: up==0\n";
    assert_eq!(upload(&book, "ns", group).await.0, 202);
    let (tenant, first) = alertmanager.alert("Down").await;
    assert_eq!(tenant, "team-1");
    // Threshold, interval, annotations and a neighbour are new; the rule's name and labels are not.
    let edited = "name: web\ninterval: 2s\nrules:\n- record: a\n  expr: up\n- alert: Down\n  expr: up < 0.5\n  annotations: {summary: still}\n";
    assert_eq!(upload(&book, "ns", edited).await.0, 202);
    let alert = only_alert(&book).await;
    assert_eq!(
        (&alert["state"], &alert["activeAt"]),
        (&json!("firing"), &first["startsAt"])
    );

    // A restart finds rules and alerts together.
    house.stopper.stop();
    assert!(house.service.join(Duration::from_secs(10)).await);
    drop((book, house));
    let (stopper, stop) = Stopper::new();
    let journal = open_journal(&folder.path().join("ruler"), SyncPolicy::default()).unwrap();
    let table = Arc::new(Table::default());
    table.set("up<0.5", Ok(&[(series, 0.0)]));
    let house = House::start_on(
        table,
        vec![alertmanager.url.clone()],
        Some(journal),
        stopper,
        stop,
    );
    // The storage comes later: alerts whose rules are not known yet wait for it.
    let away = folder.path().join("away");
    std::fs::rename(&rules, &away).unwrap();
    std::fs::write(&rules, "").unwrap();
    let store = RuleStore::in_folder(&rules).unwrap();
    let book = house.book_on(store, None).await;
    book.start().await;
    std::fs::remove_file(&rules).unwrap();
    std::fs::rename(&away, &rules).unwrap();
    book.look().await.unwrap();
    let alert = only_alert(&book).await;
    assert_eq!(
        (&alert["state"], &alert["activeAt"]),
        (&json!("firing"), &first["startsAt"])
    );
    let answer = ask(&book, OF_GO, "DELETE", "/api/v1/rules/ns/web", "").await;
    assert_eq!(answer.status, 202);
    loop {
        let (_, alert) = alertmanager.alert("Down").await;
        let ends = Timestamp::parse_rfc3339(alert["endsAt"].as_str().unwrap()).unwrap();
        // The end of one that fires lies minutes ahead.
        if ends <= SystemClock::new().now() {
            break;
        }
    }
    house.stopper.stop();
}

async fn only_alert(book: &RuleBook) -> Value {
    let (_, body) = get(book, "/prometheus/api/v1/alerts").await;
    assert_eq!(
        body["data"]["alerts"].as_array().unwrap().len(),
        1,
        "{body}"
    );
    body["data"]["alerts"][0].clone()
}
