//! The list of rules, held against Debian's Prometheus on the same rule files.
use std::net::SocketAddr;

use serde_json::Value as Json;

use crate::files::folder;
use crate::process::program;
use crate::prometheus::{PROGRAM, Prometheus, free_address};
use crate::wait::wait_for;
use crate::watchbell::{STARTING, Watchbell};

const RULES: [(&str, &str); 2] = [
    (
        "b.yml",
        "groups:\n\
         - name: second\n  \
           interval: 1s\n  \
           limit: 7\n  \
           rules:\n  \
           - alert: Always\n    \
             expr: vector(1.5)>0\n    \
             labels: {severity: '{{ if true }}page{{ end }}', team: <a&b>}\n    \
             annotations: {summary: 'it is {{ $value }}'}\n  \
           - alert: Waiting\n    \
             expr: vector(1) == 1\n    \
             for: 1h30m\n    \
             keep_firing_for: 5m\n  \
           - alert: Never\n    \
             expr: vector(1) == 2\n  \
           - record: job:one:sum\n    \
             expr: sum(vector(1))  by (job)\n    \
             labels: {team: x}\n  \
           - record: broken\n    \
             expr: vector(1) * on() (vector(1) or label_replace(vector(2), 'a', 'b', '', ''))\n\
         - name: first\n  \
           interval: 1s\n  \
           rules:\n  \
           - record: two\n    \
             expr: vector(2)\n",
    ),
    (
        "a.yml",
        "groups:\n- name: second\n  interval: 1s\n  rules:\n  - alert: Always\n    expr: vector(0) == 0\n- name: empty\n  rules: []\n",
    ),
];

/// 2.42 knows `type` alone of the parameters.
const PATHS: [&str; 6] = [
    "/api/v1/rules",
    "/api/v1/rules?type=alert",
    "/api/v1/rules?type=record",
    "/api/v1/rules?type=RECORD",
    "/api/v1/rules?type=x",
    "/api/v1/alerts",
];

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_listed_as_prometheus_lists_them() {
    if program(PROGRAM).is_none() {
        return;
    }
    let settings = "rule_files: [a.yml, b.yml]\n";
    let folder = folder(&[("watchbell.yml", settings), RULES[0], RULES[1]]);
    let at = folder.path().display();
    let watchbell = Watchbell::start(folder.path()).await;
    let address = free_address();
    let files = format!("rule_files: ['{at}/a.yml', '{at}/b.yml']\n");
    let _prometheus = Prometheus::start(folder.path(), "prometheus", address, &files).await;
    let ours = watchbell.address;
    for path in PATHS {
        let both = async || {
            let (status, theirs) = ask(address, path).await;
            (ask(ours, path).await, (status, as_of_3_14(theirs)))
        };
        let same = wait_for(path, STARTING, async || {
            let (ours, theirs) = both().await;
            (ours == theirs && !has_unknown(&ours.1)).then_some(ours)
        });
        let Ok((status, body)) = tokio::time::timeout(STARTING / 2, same).await else {
            let (ours, theirs) = both().await;
            panic!(
                "{path}:\nours   {} {}\ntheirs {} {}",
                ours.0, ours.1, theirs.0, theirs.1
            );
        };
        assert_eq!(
            status,
            if path.ends_with("=x") { 400 } else { 200 },
            "{body}"
        );
        let has_alerts = body.to_string().contains("Always");
        assert_eq!(
            has_alerts,
            !path.to_lowercase().contains("record") && status == 200,
            "{body}"
        );
    }
}

async fn ask(address: SocketAddr, path: &str) -> (u16, Json) {
    let answer = reqwest::get(format!("http://{address}{path}"))
        .await
        .expect("it answers");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("it answers with text");
    let mut body: Json = serde_json::from_str(&text).expect("an answer in JSON");
    forget_times(&mut body);
    (status, body)
}

/// What has changed since 2.42: groups without rules are left out, a recording rule without labels says so, and an error
/// has no empty list beside it.
fn as_of_3_14(mut body: Json) -> Json {
    if body["status"] == "error" {
        body.as_object_mut()
            .expect("an answer is a map")
            .remove("data");
    }
    let groups = body.pointer_mut("/data/groups");
    if let Some(groups) = groups.and_then(Json::as_array_mut) {
        groups.retain(|group| {
            group["rules"]
                .as_array()
                .is_some_and(|rules| !rules.is_empty())
        });
        let rules = groups
            .iter_mut()
            .filter_map(|group| group["rules"].as_array_mut());
        for rule in rules.flatten() {
            let rule = rule.as_object_mut().expect("a rule is a map");
            rule.entry("labels")
                .or_insert_with(|| serde_json::json!({}));
        }
    }
    body
}

/// What differs from run to run is reduced to whether it is there.
fn forget_times(value: &mut Json) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(forget_times),
        Json::Object(entries) => {
            for (key, value) in entries.iter_mut() {
                match key.as_str() {
                    "evaluationTime" => *value = Json::from(value.is_number()),
                    "lastEvaluation" | "activeAt" => *value = Json::from(value.is_string()),
                    _ => forget_times(value),
                }
            }
        }
        Json::Bool(_) | Json::Null | Json::Number(_) | Json::String(_) => {}
    }
}

/// A rule that was not evaluated yet.
fn has_unknown(body: &Json) -> bool {
    body.to_string().contains("\"health\":\"unknown\"")
        || body.to_string().contains("\"alerts\":[]}}")
}
