//! Bad input gets one clear error with its place, and loses nothing that was accepted before.
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use fakes::{REMOTE_WRITE_HEADERS, SentSample, write_request};
use runtime::{Clock, SystemClock};
use rustix::process::Signal;

use crate::files::folder;
use crate::wait::wait_for;
use crate::watchbell::{Watchbell, binary};

const SETTLING: Duration = Duration::from_secs(30);

const RULES: &str = "groups:\n- name: g\n  rules:\n  - alert: Always\n    expr: vector(1)\n";
const ALERTMANAGER: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("watchbell can be started")
}

/// The command fails with 1 and says all of `sentences`.
fn refused(folder: &Path, arguments: &[&str], sentences: &[&str]) {
    let output = run(folder, arguments);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    for sentence in sentences {
        assert!(
            said.contains(sentence),
            "{arguments:?} does not say {sentence:?}:\n{said}"
        );
    }
}

#[test]
fn all_mistakes_of_a_rule_file_are_named_with_their_places() {
    let rules = "groups:\n\
                 - name: g\n  \
                   rules:\n  \
                   - alert: A\n    expr: up ==\n  \
                   - alert: B\n    expr: vector(1)\n    annotations: {summary: '{{ nofunc }}'}\n  \
                   - record: c\n    alert: C\n    expr: vector(1)\n  \
                   - record: d\n    expr: vector(1)\n    for: 5m\n";
    let folder = folder(&[("rules.yml", rules)]);
    refused(
        folder.path(),
        &["check", "rules", "rules.yml"],
        &[
            "rules.yml:5:",
            "parse error: unexpected end of input",
            "rules.yml:8:",
            "function \"nofunc\" not defined",
            "rules.yml:10:",
            "only one of 'record' and 'alert' must be set",
            "rules.yml:14:",
            "invalid field 'for' in recording rule",
        ],
    );
}

#[test]
fn an_alertmanagers_mistakes_are_named_with_their_places() {
    let folder = folder(&[
        (
            "unknown.yml",
            "route:\n  receiver: nobody\n  routes:\n  - receiver: ghost\nreceivers:\n- name: nobody\n",
        ),
        (
            "template.yml",
            "route: {receiver: chat}\nreceivers:\n- name: chat\n  slack_configs:\n  - api_url: http://127.0.0.1:1/x\n    channel: '#c'\n    title: '{{ .Status'\n",
        ),
        (
            "certificate.yml",
            "route: {receiver: hook}\nreceivers:\n- name: hook\n  webhook_configs: [{url: 'http://x', http_config: {tls_config: {ca_file: nope.pem}}}]\n",
        ),
        (
            "watchbell.yml",
            "alertmanager: {config_file: certificate.yml}\n",
        ),
        ("good.yml", ALERTMANAGER),
    ]);
    let check = |file| ["check", "alertmanager", file];
    refused(
        folder.path(),
        &check("unknown.yml"),
        &[
            "unknown.yml:4:",
            "undefined receiver \"ghost\" used in route",
        ],
    );
    refused(
        folder.path(),
        &check("template.yml"),
        &["template.yml:7:", "unclosed action"],
    );
    // A certificate that is not there is found before the first page, as Alertmanager finds it.
    let said = ["hook/webhook[0]: TLS: cannot read", "nope.pem"];
    refused(folder.path(), &check("certificate.yml"), &said);
    let config = ["check", "config", "watchbell.yml"];
    refused(folder.path(), &config, &said);
    let serve = [
        "serve",
        "--config.file=watchbell.yml",
        "--web.listen-address=127.0.0.1:0",
    ];
    refused(folder.path(), &serve, &said);
    let output = run(folder.path(), &check("good.yml"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_configuration_is_checked_with_the_files_that_it_names() {
    let folder = folder(&[
        (
            "watchbell.yml",
            "rule_files: [rules.yml]\nalertmanager: {config_file: alertmanager.yml}\nsurprise: 1\n",
        ),
        (
            "rules.yml",
            "groups: [{name: g, rules: [{alert: A, expr: 'up =='}]}]\n",
        ),
        ("alertmanager.yml", "receivers: []\n"),
    ]);
    refused(
        folder.path(),
        &["check", "config", "watchbell.yml"],
        &["watchbell.yml:3:", "surprise"],
    );
    fs::write(
        folder.path().join("watchbell.yml"),
        "rule_files: [rules.yml]\nalertmanager: {config_file: alertmanager.yml}\n",
    )
    .expect("a file can be written");
    refused(
        folder.path(),
        &["check", "config", "watchbell.yml"],
        &[
            "rules.yml:1:",
            "parse error",
            "alertmanager.yml",
            "no routes provided",
        ],
    );
}

#[test]
fn what_a_pattern_names_must_be_readable_files() {
    let folder = folder(&[
        (
            "watchbell.yml",
            "rule_files: [rules/*.yml]\nalertmanager: {config_file: alertmanager.yml}\n",
        ),
        (
            "alertmanager.yml",
            &format!("{ALERTMANAGER}templates: ['templates/*.tmpl']\n"),
        ),
        ("alone.yml", "ruler: {query_url: 'http://engine'}\n"),
        ("broken.yml", "rule_files: ['rules/[a.yml']\n"),
    ]);
    for subfolder in ["rules", "templates"] {
        fs::create_dir(folder.path().join(subfolder)).expect("a folder can be made");
    }
    for link in ["rules/a.yml", "templates/a.tmpl"] {
        std::os::unix::fs::symlink("nowhere", folder.path().join(link))
            .expect("a link can be made");
    }
    let pipe = Command::new("mkfifo")
        .arg(folder.path().join("pipe.yml"))
        .status();
    assert!(pipe.expect("mkfifo is there").success());
    let unreadable = [
        "rules/a.yml: No such file or directory",
        "templates/a.tmpl: No such file or directory",
    ];
    for (arguments, sentences) in [
        (&["check", "config", "watchbell.yml"][..], &unreadable[..]),
        (&["serve", "--config.file=watchbell.yml"], &unreadable),
        (
            &["check", "config", "alone.yml"],
            &["alone.yml:1:20: ruler.query_url and ruler.write_url are needed together"],
        ),
        (
            &["check", "config", "broken.yml"],
            &["broken.yml:1:14: error retrieving rule files for rules/[a.yml"],
        ),
        (
            &["check", "rules", "pipe.yml", "/dev/zero"],
            &["pipe.yml: is a named pipe", "/dev/zero: is a device"],
        ),
    ] {
        refused(folder.path(), arguments, sentences);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_says_why_and_ends_with_1() {
    let folder = folder(&[("a-file", "")]);
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = taken
        .local_addr()
        .expect("a bound socket has an address")
        .to_string();
    let listen = format!("--web.listen-address={address}");
    refused(
        folder.path(),
        &["serve", &listen],
        &["cannot listen on", &address],
    );
    refused(
        folder.path(),
        &[
            "serve",
            "--web.listen-address=127.0.0.1:0",
            "--storage.path=a-file/data",
        ],
        &["a-file/data"],
    );
    refused(
        folder.path(),
        &["serve", "--config.file=absent.yml"],
        &["absent.yml"],
    );
    refused(
        folder.path(),
        &[
            "serve",
            "--target=ruler",
            "--web.listen-address=127.0.0.1:0",
        ],
        &["the ruler needs ruler.query_url and ruler.write_url"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_write_is_refused_and_loses_nothing() {
    let folder = folder(&[("watchbell.yml", "")]);
    let watchbell = Watchbell::start(folder.path()).await;
    let now = SystemClock::new().now().as_millis();
    let good = write_request(&[SentSample::new("kept", &[], now, 7.0)]);
    let client = reqwest::Client::new();
    let send = async |headers: &[(&str, &str)], body: Vec<u8>| {
        let mut request = client.post(watchbell.url("/api/v1/push")).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("watchbell answers");
        (
            answer.status().as_u16(),
            answer.text().await.expect("watchbell answers with text"),
        )
    };
    assert_eq!(
        send(&REMOTE_WRITE_HEADERS, good.clone()).await,
        (204, String::new())
    );
    for (headers, body, status, reason) in [
        (
            &REMOTE_WRITE_HEADERS[..],
            b"not snappy".to_vec(),
            400,
            "snappy",
        ),
        (
            &[("content-type", "application/json")][..],
            good.clone(),
            415,
            "application/json",
        ),
        (
            &[
                ("content-encoding", "gzip"),
                ("content-type", "application/x-protobuf"),
            ][..],
            good.clone(),
            415,
            "only snappy is acceptable",
        ),
    ] {
        let (answered, text) = send(headers, body).await;
        assert_eq!(answered, status, "{text}");
        assert!(text.contains(reason), "{text}");
    }
    let answer = watchbell.json("/api/v1/query?query=kept").await;
    assert_eq!(answer["data"]["result"][0]["value"][1], "7", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_fails_leaves_everything_as_it_was() {
    let folder = folder(&[
        (
            "watchbell.yml",
            "evaluation: {interval: 1s}\nrule_files: [rules.yml]\nalertmanager: {config_file: alertmanager.yml}\n",
        ),
        ("rules.yml", RULES),
        ("alertmanager.yml", ALERTMANAGER),
    ]);
    let mut watchbell = Watchbell::start(folder.path()).await;
    let group = async |watchbell: &Watchbell| {
        watchbell.json("/api/v1/rules").await["data"]["groups"][0]["rules"][0]["name"].clone()
    };
    assert_eq!(group(&watchbell).await, "Always");

    let reload = async |watchbell: &Watchbell| {
        let answer = reqwest::Client::new()
            .post(watchbell.url("/-/reload"))
            .send()
            .await
            .expect("watchbell answers");
        (
            answer.status().as_u16(),
            answer.text().await.expect("watchbell answers with text"),
        )
    };
    // Good rules beside a bad route: neither is taken.
    fs::write(
        folder.path().join("rules.yml"),
        RULES.replace("Always", "Renamed"),
    )
    .expect("a file can be written");
    fs::write(
        folder.path().join("alertmanager.yml"),
        "route: {receiver: ghost}\nreceivers: [{name: nobody}]\n",
    )
    .expect("a file can be written");
    let (status, text) = reload(&watchbell).await;
    assert_eq!(status, 500, "{text}");
    assert!(
        text.contains("alertmanager.yml:1:") && text.contains("undefined receiver \"ghost\""),
        "{text}"
    );
    assert_eq!(group(&watchbell).await, "Always");
    assert_eq!(
        watchbell.json("/api/v2/receivers").await[0]["name"],
        "nobody"
    );

    fs::write(
        folder.path().join("alertmanager.yml"),
        ALERTMANAGER.replace("nobody", "somebody"),
    )
    .expect("a file can be written");
    assert_eq!(reload(&watchbell).await.0, 200);
    assert_eq!(group(&watchbell).await, "Renamed");
    assert_eq!(
        watchbell.json("/api/v2/receivers").await[0]["name"],
        "somebody"
    );

    // SIGHUP means the same.
    fs::write(folder.path().join("rules.yml"), RULES).expect("a file can be written");
    watchbell.process().signal(Signal::HUP);
    wait_for("the rules to be read again", SETTLING, async || {
        (group(&watchbell).await == "Always").then_some(())
    })
    .await;

    watchbell.process().signal(Signal::TERM);
    let status = watchbell.process().ended(SETTLING).await;
    assert!(status.success(), "SIGTERM ends with 0: {status}");
}
