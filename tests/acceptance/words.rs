//! What tools read of an Alertmanager besides its API: log lines, the version, and the sentence about a bad file.
use std::fs;
use std::process::Command;

use fakes::Fakes;
use reqwest::Method;
use serde_json::json;

use crate::alertmanager::{Alertmanager, ours};
use crate::files::folder;
use crate::small::{alertmanager, wait_until_told};
use crate::wait::wait_for;
use crate::watchbell::binary;

const QUIET: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
const BAD: &str =
    "route:\n  receiver: nobody\n  routes: [{receiver: ghost}]\nreceivers:\n- name: nobody\n- {}\n";
/// Alertmanager's own, which stops at the first.
const SENTENCE: &str = "missing name in receiver";
const MISTAKES: [&str; 2] = [
    ":3:23: undefined receiver \"ghost\" used in route",
    ":6:3: missing name in receiver",
];

/// The first line with this message, without its time; `source` must name a file and a line.
fn line(log: &str, message: &str) -> String {
    let message = format!("msg={message}");
    let found = log.lines().find(|line| line.contains(&message));
    let line = found.unwrap_or_else(|| panic!("{message} is not in\n{log}"));
    let rest = line.strip_prefix("time=").expect("a time first");
    let (time, rest) = rest.split_once(' ').expect("more than a time");
    assert_eq!(time.len(), "2026-11-20T10:39:39.279Z".len(), "{line}");
    let (level, rest) = rest.split_once(' ').expect("more than a level");
    let (source, rest) = rest.split_once(' ').expect("more than a source");
    let place = source
        .strip_prefix("source=")
        .and_then(|place| place.split_once(".rs:"));
    let (_, number) = place.unwrap_or_else(|| panic!("a source: {line}"));
    assert!(
        number.parse::<u32>().is_ok_and(|number| number > 0),
        "{line}"
    );
    format!("{level} {rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_that_tools_rely_on_are_written() {
    let fakes = Fakes::start().await;
    let folder = folder(&[("alertmanager.yml", &alertmanager(&fakes))]);
    let flags = ["--config.file=alertmanager.yml", "--log.level=INFO"];
    let alone = Alertmanager::start_in(folder.path(), &mut ours(), &flags).await;
    alone.fire("Down").await;
    wait_until_told(&fakes, "firing", "Down").await;
    let address = alone.base.trim_start_matches("http://").to_owned();
    let log = alone.end().await;
    let start = line(&log, "\"Starting Alertmanager\"");
    let version = format!(
        "version=\"(version=0.34.0+watchbell.{}, branch=watchbell, revision=",
        env!("CARGO_PKG_VERSION")
    );
    assert!(
        start.starts_with(&format!(
            "level=INFO msg=\"Starting Alertmanager\" {version}"
        )),
        "{start}"
    );
    let context = line(&log, "\"Build context\"");
    assert!(
        context.starts_with("level=INFO msg=\"Build context\" build_context=\"("),
        "{context}"
    );
    for expected in [
        "level=INFO msg=\"Loading configuration file\" component=configuration file=alertmanager.yml".to_owned(),
        "level=INFO msg=\"Completed loading of configuration file\" component=configuration file=alertmanager.yml".to_owned(),
        format!("level=INFO msg=\"Listening on\" address={address}"),
        format!("level=INFO msg=\"TLS is disabled.\" http2=false address={address}"),
        "level=INFO msg=\"Received shutdown signal, exiting gracefully...\"".to_owned(),
        "level=INFO msg=notified component=alertmanager tenant=anonymous receiver=hook integration=webhook[0] \
         group_key=\"{}:{alertname=\\\"Down\\\"}\" attempt=1 alerts=1"
            .to_owned(),
    ] {
        let message = expected.split("msg=").nth(1).expect("a message");
        let message = match message.strip_prefix('"') {
            Some(text) => format!("\"{}\"", text.split('"').next().expect("a text")),
            None => message.split(' ').next().expect("a word").to_owned(),
        };
        assert_eq!(line(&log, &message), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silences_are_logged_where_that_is_asked_for() {
    for (flags, said) in [(&[][..], false), (&["--log.silences"][..], true)] {
        let folder = folder(&[("alertmanager.yml", QUIET)]);
        let alone = Alertmanager::start_in(folder.path(), &mut ours(), flags).await;
        let id = alone.silence("Down", "2020-01-01T00:00:00Z").await;
        let update = json!({
            "id": id,
            "matchers": [{"name": "alertname", "value": "Down", "isRegex": false, "isEqual": true}],
            "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2998-01-01T00:00:00Z",
            "createdBy": "test", "comment": "another end",
        });
        let silences = alone
            .ask(Method::GET, &format!("/api/v2/silence/{id}"), "")
            .await;
        let known: serde_json::Value = serde_json::from_str(&silences.1).expect("a silence");
        let mut update = update;
        update["startsAt"] = known["startsAt"].clone();
        let (status, answer) = alone.post("/api/v2/silences", &update).await;
        assert_eq!(status, 200, "{answer}");
        let path = format!("/api/v2/silence/{id}");
        assert_eq!(alone.ask(Method::DELETE, &path, "").await.0, 200);
        let log = alone.end().await;
        for change in ["created", "updated", "expired"] {
            let expected = format!(
                "level=INFO msg=\"silence {change}\" component=silences tenant=anonymous silence={id}"
            );
            if said {
                assert_eq!(line(&log, &format!("\"silence {change}\"")), expected);
            } else {
                assert!(!log.contains(&format!("silence {change}")), "{log}");
            }
        }
    }
}

#[test]
fn the_version_has_the_form_that_tools_parse() {
    let folder = folder(&[]);
    let named = folder.path().join("alertmanager");
    std::os::unix::fs::symlink(binary(), &named).expect("a link can be made");
    let mut as_part = Command::new(binary());
    as_part.arg("alertmanager");
    for command in [&mut as_part, &mut Command::new(&named)] {
        let output = command
            .arg("--version")
            .output()
            .expect("it can be started");
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        let said = String::from_utf8(output.stdout).expect("text");
        let lines: Vec<&str> = said.lines().collect();
        let version = format!(
            "alertmanager, version 0.34.0+watchbell.{} (branch: watchbell, revision: ",
            env!("CARGO_PKG_VERSION")
        );
        assert!(
            lines[0].starts_with(&version) && lines[0].ends_with(')'),
            "{said}"
        );
        for (line, begins) in lines[1..].iter().zip([
            "  build user:",
            "  build date:",
            "  rust version:",
            "  platform:",
            "  tags:",
        ]) {
            assert!(line.starts_with(begins), "{said}");
        }
        assert_eq!(lines.len(), 6, "{said}");
    }
}

/// Alertmanager's sentence first, then every mistake with its place.
fn begins_with_the_sentence(said: &str) {
    assert_eq!(said.lines().next(), Some(SENTENCE), "{said}");
    for mistake in MISTAKES {
        assert!(
            said.lines().skip(1).any(|line| line.contains(mistake)),
            "{mistake} is not in\n{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_refused_is_refused_in_alertmanagers_words_first() {
    let files = [
        ("bad.yml", BAD),
        ("alertmanager.yml", QUIET),
        (
            "rules.yml",
            "groups: [{name: g, rules: [{alert: A, expr: 'up =='}]}]\n",
        ),
        (
            "watchbell.yml",
            "rule_files: [rules.yml]\nalertmanager: {config_file: bad.yml}\n",
        ),
    ];
    let folder = folder(&files);
    let run = |arguments: &[&str]| {
        let output = Command::new(binary())
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .expect("it can be started");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    begins_with_the_sentence(&run(&["check", "alertmanager", "bad.yml"]));
    begins_with_the_sentence(&run(&["check", "config", "watchbell.yml"]));
    let serve = run(&[
        "serve",
        "--config.file=watchbell.yml",
        "--web.listen-address=127.0.0.1:0",
    ]);
    begins_with_the_sentence(&serve);
    assert!(serve.contains("rules.yml:1:"), "{serve}");

    let started = run(&[
        "alertmanager",
        "--config.file=bad.yml",
        "--web.listen-address=127.0.0.1:0",
    ]);
    let failed = format!(
        "level=ERROR msg=\"Loading configuration file failed\" component=configuration file=bad.yml err=\"{SENTENCE}\" mistakes="
    );
    let said = line(&started, "\"Loading configuration file failed\"");
    assert!(said.starts_with(&failed), "{said}");
    for mistake in MISTAKES {
        assert!(said.contains(&mistake.replace('"', "\\\"")), "{said}");
    }

    let alone = Alertmanager::start_in(folder.path(), &mut ours(), &[]).await;
    fs::write(folder.path().join("alertmanager.yml"), BAD).expect("a file can be written");
    let (status, said) = alone.ask(Method::POST, "/-/reload", "").await;
    assert_eq!(status, 500, "{said}");
    let said = said
        .strip_prefix("failed to reload config: ")
        .expect("Alertmanager's beginning");
    begins_with_the_sentence(said);
    alone
        .wait_for_samples(&["alertmanager_config_last_reload_successful 0"])
        .await;
    wait_for(
        "the log to say so",
        std::time::Duration::from_secs(60),
        async || {
            alone
                .log_text()
                .contains("msg=\"Loading configuration file failed\"")
                .then_some(())
        },
    )
    .await;
    alone.end().await;
}
