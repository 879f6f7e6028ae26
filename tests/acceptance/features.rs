//! Parts of the query language that are off unless they are asked for: in a file, by a flag, and at a reload.
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::files::folder;
use crate::wait::wait_for;
use crate::watchbell::{Watchbell, binary};

const SETTLING: Duration = Duration::from_secs(60);

const RULES: &str =
    "groups: [{name: g, interval: 1s, rules: [{record: limited, expr: 'limitk(1, vector(7))'}]}]\n";
const UPLOADED: &str =
    "name: g\ninterval: 1s\nrules:\n- {record: uploaded, expr: 'limit_ratio(1, vector(8))'}\n";
const ON: &str = "rule_files: [rules.yml]\nquery:\n  features:\n  - promql-experimental-functions\n  \
                  - promql-extended-range-selectors\n  - promql-binop-fill-modifiers\n  \
                  - promql-delayed-name-removal\n  - agent\n";

/// What needs each of the features.
const QUERIES: [&str; 6] = [
    "info(limited)",
    "limitk(1, limited)",
    "mad_over_time(limited[5m])",
    "increase(limited[5m] anchored)",
    "limited smoothed",
    "limited + fill(0) nothing",
];

/// The names that an expression still knows once it has multiplied.
const NAMES: &str = "count(label_replace(limited * 1, 'was', '$1', '__name__', '(.*)')) by (was)";

async fn answers(watchbell: &Watchbell) -> Vec<u16> {
    let mut answers = Vec::new();
    for query in QUERIES {
        for path in [
            "query?query=",
            "query_range?start=0&end=1&step=1&query=",
            "format_query?query=",
            "parse_query?query=",
            "query_exemplars?start=0&end=1&query=",
        ] {
            let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let path = format!("/api/v1/{path}{query}");
            let (status, text) = watchbell.get(None, &path).await;
            assert!(status == 200 || text.contains("enabled"), "{text}");
            answers.push(status);
        }
    }
    answers
}

async fn upload(watchbell: &Watchbell) -> u16 {
    let request = reqwest::Client::new()
        .post(watchbell.url("/api/v1/rules/own"))
        .header("X-Scope-OrgID", "team-a")
        .header("content-type", "application/yaml")
        .body(UPLOADED);
    request.send().await.expect("it answers").status().as_u16()
}

async fn recorded(watchbell: &Watchbell, tenant: Option<&str>, name: &str) {
    wait_for("a rule to record", SETTLING, async || {
        let path = format!("/api/v1/query?query={name}");
        let (_, text) = watchbell.get(tenant, &path).await;
        text.contains(&format!(r#""__name__":"{name}""#))
            .then_some(())
    })
    .await;
}

fn check(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(binary())
        .arg("check")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("watchbell can be started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_switched_on_by_the_file_and_taken_over() {
    let off = "rule_files: [rules.yml]\n";
    let folder = folder(&[("watchbell.yml", off), ("rules.yml", "groups: []\n")]);
    let write = |name, text| fs::write(folder.path().join(name), text).expect("it is written");
    let mut watchbell = Watchbell::start(folder.path()).await;
    assert!(
        answers(&watchbell)
            .await
            .iter()
            .all(|status| *status == 400)
    );
    assert_eq!(upload(&watchbell).await, 400);
    write("rules.yml", RULES);
    let reload = async |watchbell: &Watchbell| {
        let request = reqwest::Client::new().post(watchbell.url("/-/reload"));
        request.send().await.expect("it answers").status().as_u16()
    };
    assert_eq!(reload(&watchbell).await, 500);
    for arguments in [["config", "watchbell.yml"], ["rules", "rules.yml"]] {
        let (is_good, said) = check(folder.path(), &arguments);
        assert!(!is_good && said.contains("enabled"), "{said}");
    }

    write("watchbell.yml", ON);
    assert_eq!(reload(&watchbell).await, 200);
    for _ in 0..2 {
        assert_eq!(upload(&watchbell).await, 202);
        recorded(&watchbell, None, "limited").await;
        recorded(&watchbell, Some("team-a"), "uploaded").await;
        assert!(
            answers(&watchbell)
                .await
                .iter()
                .all(|status| *status == 200)
        );
        let names = watchbell
            .json(&format!("/api/v1/query?query={NAMES}"))
            .await;
        let was = &names["data"]["result"][0]["metric"];
        assert_eq!(*was, json!({"was": "limited"}), "{names}");
        watchbell = watchbell.kill_and_restart().await;
    }
    let (is_good, said) = check(folder.path(), &["config", "watchbell.yml"]);
    assert!(
        is_good && said.contains("agent has no effect here"),
        "{said}"
    );
    let log = watchbell.process().log_text();
    assert!(log.contains("agent has no effect here"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_switched_on_by_a_flag() {
    let folder = folder(&[
        ("watchbell.yml", "rule_files: [rules.yml]\n"),
        ("rules.yml", RULES),
    ]);
    let flag = "--enable-feature=agent,promql-experimental-functions";
    for arguments in [
        ["config", "watchbell.yml", flag],
        ["rules", flag, "rules.yml"],
    ] {
        let (is_good, said) = check(folder.path(), &arguments);
        assert!(is_good, "{said}");
    }
    let flags = &[
        "--enable-feature=agent,promql-experimental-functions",
        "--enable-feature=promql-delayed-name-removal",
    ];
    let watchbell = Watchbell::start_with(folder.path(), flags).await;
    recorded(&watchbell, None, "limited").await;
    let names = watchbell
        .json(&format!("/api/v1/query?query={NAMES}"))
        .await;
    let was = &names["data"]["result"][0]["metric"];
    assert_eq!(*was, json!({"was": "limited"}), "{names}");
}
