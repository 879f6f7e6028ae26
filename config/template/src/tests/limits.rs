//! Whatever a template says, it ends.
use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::test_runner::RngSeed;

use crate::error::{Limit, RenderError};
use crate::host::AtTime;
use crate::limits::Limits;
use crate::set::{Mode, TemplateSet};
use crate::tests::world::{alertmanager, time, two_alerts};
use crate::value::Value;

fn limit_of(text: &str) -> Limit {
    let template = TemplateSet::alertmanager()
        .compile("", text, Mode::Text)
        .unwrap();
    let host = AtTime(time("2026-01-02T04:04:05Z"));
    match template.render(&Value::from(two_alerts()), &host, &Limits::default()) {
        Err(RenderError::Limit { limit, .. }) => limit,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn growth_ends() {
    for (text, limit) in [
        (
            "{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}",
            Limit::Depth,
        ),
        ("{{ range 1000000000 }}{{ end }}", Limit::Iterations),
        (
            "{{ range 50000 }}{{ range 50000 }}{{ end }}{{ end }}",
            Limit::Iterations,
        ),
        (
            "{{ range 90000 }}{{ printf \"%100d\" 1 }}{{ end }}",
            Limit::Output,
        ),
        (
            "{{ $x := \"ab\" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}",
            Limit::Output,
        ),
        (
            "{{ $x := printf \"%900000d\" 1 }}{{ range 900 }}{{ $x = print $x }}{{ end }}",
            Limit::Output,
        ),
        (
            "{{ $x := list 1 }}{{ range 30 }}{{ $x = list $x $x }}{{ end }}{{ $x }}",
            Limit::Output,
        ),
        (
            "{{ $x := list 1 }}{{ range 30 }}{{ $x = list $x $x }}{{ end }}{{ toJson $x }}",
            Limit::Output,
        ),
        (
            "{{ $x := printf \"%900000d\" 1 }}{{ reReplaceAll \"\" $x $x }}",
            Limit::Output,
        ),
    ] {
        assert_eq!(limit_of(text), limit, "{text}");
    }
}

#[test]
fn steps_end() {
    let limits = Limits {
        steps_max: 100,
        ..Limits::default()
    };
    let template = TemplateSet::alertmanager()
        .compile("", "{{ range 90 }}{{ . }}{{ end }}", Mode::Text)
        .unwrap();
    let host = AtTime(time("2026-01-02T04:04:05Z"));
    let result = template.render(&Value::from(two_alerts()), &host, &limits);
    assert!(matches!(
        result,
        Err(RenderError::Limit {
            limit: Limit::Steps,
            ..
        })
    ));
}

#[test]
fn depth_ends_on_a_small_stack() {
    let work = || {
        for text in [
            "(".repeat(50_000),
            "{{ if 1 }}".repeat(50_000),
            format!("{{{{ {}1{} }}}}", "(".repeat(50_000), ")".repeat(50_000)),
            "{{ range 1 }}{{ with 1 }}".repeat(500),
        ] {
            let result = TemplateSet::alertmanager().compile("", &text, Mode::Html);
            assert!(result.is_err() || !text.contains("{{"));
        }
        let error = alertmanager(&format!(
            "{}{}",
            "{{ if 1 }}".repeat(200),
            "{{ end }}".repeat(200)
        ));
        assert_eq!(
            error.unwrap_err(),
            "template: :1: template is nested too deeply"
        );
        let nested = format!(
            "{{{{ define \"x\" }}}}{}{{{{ template \"x\" }}}}{}{{{{ end }}}}{{{{ template \"x\" }}}}",
            "{{ with (print (print 1)) }}".repeat(40),
            "{{ end }}".repeat(40)
        );
        assert_eq!(limit_of(&nested), Limit::Depth);
        let long = "{{ if 0 }}".to_owned() + &"{{ else if 0 }}".repeat(5000) + "{{ end }}";
        assert_eq!(alertmanager(&long).as_deref(), Ok(""));
        let deep = alertmanager("{{ $x := list 1 }}{{ range 90000 }}{{ $x = list $x }}{{ end }}");
        assert!(deep.unwrap_err().ends_with("list is nested too deeply"));
        let chain: String = (0..3000)
            .map(|n| {
                format!(
                    "{{{{ define \"t{n}\" }}}}{{{{ template \"t{}\" }}}}{{{{ end }}}}",
                    n + 1
                )
            })
            .collect();
        let chain =
            format!("{chain}{{{{ define \"t3000\" }}}}{{{{ end }}}}{{{{ template \"t0\" }}}}");
        assert!(
            TemplateSet::alertmanager()
                .compile("", &chain, Mode::Html)
                .is_err()
        );
        assert_eq!(limit_of(&chain), Limit::Depth);
    };
    std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}

const PIECES: [&str; 64] = [
    "{{",
    "}}",
    "{{-",
    "-}}",
    " ",
    "\n",
    "if",
    "else",
    "end",
    "range",
    "with",
    "define",
    "template",
    "block",
    "break",
    "continue",
    "\"a\"",
    "`b`",
    "'c'",
    "$",
    "$x",
    ":=",
    "=",
    ",",
    "|",
    "(",
    ")",
    ".",
    ".Alerts",
    ".Labels",
    ".CommonLabels",
    ".SortedPairs",
    ".Firing",
    "index",
    "printf",
    "\"%v%d\"",
    "len",
    "list",
    "dict",
    "1",
    "0x1",
    "1.5",
    "-3",
    "nil",
    "true",
    "<a href=\"",
    "\"",
    ">",
    "<title>",
    "</title>",
    "<!--",
    "-->",
    "<style>",
    "é",
    "slice",
    "eq",
    "and",
    "date",
    "toJson",
    "now",
    "join",
    "title",
    "/*",
    "*/",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in any::<String>()) {
        exercise(&text);
        exercise(&format!("{{{{ {text} }}}}"));
    }

    #[test]
    fn no_mixture_of_words_panics(words in proptest::collection::vec(0..PIECES.len(), 0..24)) {
        let text: String = words.iter().map(|word| PIECES[*word]).collect();
        exercise(&text);
        let spaced: Vec<&str> = words.iter().map(|word| PIECES[*word]).collect();
        exercise(&spaced.join(" "));
        exercise(&format!("{{{{ {} }}}}", spaced.join(" ")));
    }

    #[test]
    fn no_format_or_layout_panics(text in "[%#+ 0-9.*\\[\\]a-zA-Z:_-]{0,20}") {
        let quoted = model::go_quote::quote(&text);
        exercise(&format!("{{{{ printf {quoted} 1 2.5 \"a\" .Alerts nil }}}}"));
        exercise(&format!("{{{{ date {quoted} now }}}}{{{{ toDate {quoted} {quoted} }}}}"));
    }
}

fn exercise(text: &str) {
    let host = AtTime(time("2026-01-02T04:04:05Z"));
    let data = Value::from(two_alerts());
    for set in [TemplateSet::alertmanager(), TemplateSet::prometheus()] {
        for mode in [Mode::Text, Mode::Html] {
            if let Ok(template) = set.compile("x", text, mode) {
                let limits = Limits {
                    iterations_max: 1000,
                    ..Limits::default()
                };
                let _ = template.render(&data, &host, &limits);
            }
        }
    }
}
