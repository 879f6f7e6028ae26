//! What Alertmanager itself would have said of a file: one sentence, and the first mistake only.
use crate::alertmanager::tests::texts::{
    with_child, with_interval, with_receiver, with_route, with_top,
};
use crate::alertmanager::{AlertmanagerConfig, AlertmanagerFiles, AlertmanagerOptions};
use crate::files::MemoryFiles;
use crate::problem::Problems;

fn said(text: &str) -> Option<String> {
    AlertmanagerConfig::read("a.yml", text, &AlertmanagerOptions::default())
        .err()
        .and_then(|problems| problems.alertmanager_error())
}

/// What `amtool check-config` says of the same files.
#[test]
fn it_is_told_as_alertmanager_prints_it() {
    for (text, sentence) in [
        (String::new(), "no route provided in config"),
        ("receivers: [{name: d}]\n".into(), "no routes provided"),
        (
            "route: {receiver: d}\n".into(),
            r#"undefined receiver "d" used in route"#,
        ),
        (
            with_top("foo: 1"),
            "yaml: unmarshal errors:\n  line 3: field foo not found in type config.plain",
        ),
        (
            "route: {receiver: d}\nroute: {receiver: d}\nreceivers: [{name: d}]\n".into(),
            "yaml: unmarshal errors:\n  line 2: field route already set in type config.plain",
        ),
        (
            "route: [\n".into(),
            "yaml: line 1: did not find expected node content",
        ),
        (
            with_route("group_interval: 5"),
            r#"not a valid duration string: "5""#,
        ),
        (
            with_route("group_wait: 1m1h"),
            r#"not a valid duration string: "1m1h""#,
        ),
        (
            with_child("match_re: {a: '('}"),
            "error parsing regexp: missing closing ): `^(?:()$`",
        ),
        (
            with_top("inhibit_rules: [{source_match_re: {a: '('}}]"),
            "error parsing regexp: missing closing ): `^(?:()$`",
        ),
        (
            with_receiver("webhook_configs: [{url: 'ftp://x'}]"),
            r#"invalid URL: unsupported scheme "ftp" for URL"#,
        ),
        (
            with_receiver("webhook_configs: [{url: 'http://'}]"),
            "invalid URL: missing host for URL",
        ),
        (
            with_interval("weekdays: ['friday:monday']"),
            "start day cannot be before end day",
        ),
    ] {
        assert_eq!(said(&text).as_deref(), Some(sentence), "{text}");
    }
    assert_eq!(
        said(&with_receiver("webhook_configs: [{url: <secret>}]")),
        None
    );
    assert_eq!(Problems::new().alertmanager_error(), None);
}

#[test]
fn broken_yaml_is_told_in_gos_words_and_by_gos_lines() {
    for (text, sentence) in [
        (
            "a: b: c\n",
            "yaml: mapping values are not allowed in this context",
        ),
        (
            "a:\n- b\n c: d\n",
            "yaml: line 3: mapping values are not allowed in this context",
        ),
        (
            "route:\n\treceiver: d\n",
            "yaml: line 2: found character that cannot start any token",
        ),
        (
            "a: @b\n",
            "yaml: found character that cannot start any token",
        ),
        (
            "route:\n  receiver: d\n receivers: []\n",
            "yaml: line 2: did not find expected key",
        ),
        (
            "- a\nb: c\n",
            "yaml: line 1: did not find expected '-' indicator",
        ),
        ("}\n", "yaml: did not find expected node content"),
        ("{\n", "yaml: line 1: did not find expected node content"),
        (
            "route:\n  receiver: \"d\n\n",
            "yaml: line 4: found unexpected end of stream",
        ),
        (
            "a: &\n",
            "yaml: did not find expected alphabetic or numeric character",
        ),
    ] {
        assert_eq!(said(text).as_deref(), Some(sentence), "{text:?}");
    }
}

/// Go's decoder stops at the first value that its own checks refuse, collects what has no such check, and only a file
/// that decodes is checked as a whole.
#[test]
fn of_several_mistakes_the_one_that_stops_alertmanager_is_told() {
    let decoding =
        "foo: 1\nroute: {receiver: f, colour: red, continue: [x]}\nreceivers: [{name: d}]\n";
    assert_eq!(
        said(decoding).as_deref(),
        Some(
            "yaml: unmarshal errors:\n  line 1: field foo not found in type config.plain\n  line 2: field colour not found in type config.plain\n  line 2: cannot unmarshal !!seq into bool"
        )
    );
    let value = format!("{decoding}time_intervals: [{{}}]\n");
    assert_eq!(
        said(&value).as_deref(),
        Some("missing name in time interval")
    );
    let file = "route: {receiver: f}\nreceivers: [{name: d}]\n";
    assert_eq!(
        said(file).as_deref(),
        Some(r#"undefined receiver "f" used in route"#)
    );
}

#[test]
fn templates_come_last() {
    let text = with_top("templates: [bad.tmpl]");
    let bad = "{{ define \"x\" }}{{ nofunc }}{{ end }}";
    for (text, sentence) in [
        (
            text.clone(),
            r#"template: bad.tmpl:1: function "nofunc" not defined"#,
        ),
        (
            text.replace("receiver: d", "receiver: f"),
            r#"undefined receiver "f" used in route"#,
        ),
    ] {
        let files: MemoryFiles = [("a.yml", text.as_str()), ("bad.tmpl", bad)]
            .into_iter()
            .collect();
        let problems =
            AlertmanagerFiles::load("a.yml", &AlertmanagerOptions::default(), &files).unwrap_err();
        assert_eq!(problems.alertmanager_error().as_deref(), Some(sentence));
    }
}
