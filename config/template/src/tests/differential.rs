//! Against another port of Go's engine, where it agrees with Go: no floats, no missing keys, no methods.
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
use proptest::test_runner::RngSeed;

use crate::host::AtTime;
use crate::limits::Limits;
use crate::set::{Mode, TemplateSet};
use crate::tests::world::time;
use crate::value::Value;
use crate::value::{AnyMap, List, ListKind, Map};

fn ours(text: &str, mode: Mode) -> Result<String, String> {
    let list = List::flat(ListKind::Any, ["a", "<b>", "c&d"].map(Value::from));
    let inner = [("x", Value::Int(1)), ("y", Value::from("it's"))];
    let map =
        |entries: BTreeMap<Arc<str>, Value>| Value::Map(Map::Any(AnyMap::new(entries).unwrap()));
    let inner = map(inner
        .into_iter()
        .map(|(key, value)| (key.into(), value))
        .collect());
    let data = map([
        ("L", Value::List(list)),
        ("M", inner),
        ("S", Value::from("té \"q\"")),
        ("N", Value::Int(7)),
        ("T", Value::Bool(true)),
    ]
    .into_iter()
    .map(|(key, value)| (key.into(), value))
    .collect());
    TemplateSet::alertmanager()
        .compile("t", text, mode)
        .map_err(|error| format!("parse: {error}"))?
        .render(
            &data,
            &AtTime(time("2026-01-02T04:04:05Z")),
            &Limits::default(),
        )
        .map_err(|error| error.to_string())
}

fn theirs(text: &str, mode: Mode) -> Result<String, String> {
    use gotmpl::tmap;
    let data = tmap! {
        "L" => vec!["a".to_string(), "<b>".to_string(), "c&d".to_string()],
        "M" => tmap! { "x" => 1i64, "y" => "it's" },
        "S" => "té \"q\"",
        "N" => 7i64,
        "T" => true,
    };
    match mode {
        Mode::Text => gotmpl::Template::new("t")
            .parse(text)
            .map_err(|error| format!("parse: {error}"))?
            .execute_to_string(&data)
            .map_err(|error| error.to_string()),
        Mode::Html => gotmpl::html::Template::new("t")
            .parse(text)
            .map_err(|error| format!("parse: {error}"))?
            .execute_to_string(&data)
            .map_err(|error| error.to_string()),
    }
}

/// A value's text: constants, fields, calls.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1".to_owned()),
        Just("-3".to_owned()),
        Just("0".to_owned()),
        Just("\"x<y\"".to_owned()),
        Just("\"\"".to_owned()),
        Just("true".to_owned()),
        Just(".L".to_owned()),
        Just(".M".to_owned()),
        Just(".M.y".to_owned()),
        Just("$.S".to_owned()),
        Just("$.N".to_owned()),
        Just("$.T".to_owned()),
        Just("(printf \"%v|%d|%s|%z\" $.S $.N $.T 1)".to_owned()),
        Just("(printf \"%-6v|%06d|%5q|%x|%d\" $.N $.N $.S)".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let function = prop_oneof![
            Just("and"),
            Just("or"),
            Just("not"),
            Just("len"),
            Just("index"),
            Just("slice"),
            Just("print"),
            Just("println"),
            Just("html"),
            Just("urlquery"),
            Just("eq"),
            Just("ne"),
            Just("lt"),
            Just("le"),
            Just("gt"),
            Just("ge"),
        ];
        (function, proptest::collection::vec(inner, 1..3))
            .prop_map(|(function, values)| format!("({function} {})", values.join(" ")))
    })
}

fn body() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(" text ".to_owned()),
        Just("{{/* c */}}".to_owned()),
        Just("<b>".to_owned()),
        value().prop_map(|value| format!("{{{{ {value} }}}}")),
        value().prop_map(|value| format!("{{{{- {value} | print }}}}")),
        value().prop_map(|value| format!("{{{{ $v := {value} -}}}} {{{{ $v }}}}")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let list = proptest::collection::vec(inner, 1..3).prop_map(|parts| parts.concat());
        (0..4, value(), list).prop_map(|(kind, value, body)| match kind {
            0 => format!("{{{{ if {value} }}}}{body}{{{{ else if $.N }}}}B{{{{ end }}}}"),
            1 => format!("{{{{ range $i, $e := $.L }}}}{{{{ $i }}}}{{{{ $e }}}}{{{{ end }}}}{body}"),
            2 => format!("{{{{ with {value} }}}}[{{{{ . }}}}]{{{{ else }}}}-{{{{ end }}}}{body}"),
            _ => format!("{{{{ range 3 }}}}{{{{ if eq . 1 }}}}{{{{ continue }}}}{{{{ end }}}}{{{{ . }}}}{{{{ end }}}}{body}"),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn text_is_that_of_the_other_port(text in body()) {
        let (ours, theirs) = (ours(&text, Mode::Text), theirs(&text, Mode::Text));
        if let Ok(theirs) = theirs {
            assert_eq!(ours, Ok(theirs), "{text}");
        }
    }

    #[test]
    fn html_is_that_of_the_other_port(value in value(), place in 0..8_usize) {
        let place = [
            "<p>{{ V }}</p>",
            "<a href=\"{{ V }}\">",
            "<a href='/x/{{ V }}'>",
            "<a href=\"/?q={{ V }}\">",
            "<p title=\"{{ V }}\">",
            "<p title={{ V }}>",
            "<title>{{ V }}</title>",
            "<!-- {{ V }} -->{{ V }}",
        ][place];
        let text = place.replace('V', &value);
        let (ours, theirs) = (ours(&text, Mode::Html), theirs(&text, Mode::Html));
        if let Ok(theirs) = theirs {
            assert_eq!(ours, Ok(theirs), "{text}");
        }
    }
}
