//! Escaping by the place in the document.
use std::sync::Arc;

use model::AlertStatus;

use crate::set::Mode;
use crate::tests::world::{labels, two_alerts, with_data};
use crate::value::Value;

fn html(text: &str) -> Result<String, String> {
    with_data(text, Mode::Html, two_alerts())
}

#[test]
fn every_place_has_its_escaping() {
    for (template, rendered) in [
        ("{{ \"<b>\" }}", "&lt;b&gt;"),
        ("{{ \"<b>\" | safeHtml }}", "<b>"),
        ("{{ \"a+b\" }}", "a&#43;b"),
        ("{{ or nil }}", ""),
        (
            "<a href=\"/search?{{ \"q=test%20foo\" }}\">",
            "<a href=\"/search?q%3dtest%2520foo\">",
        ),
        (
            "<a href=\"/search?{{ \"q=test%20foo\" | safeUrl }}\">",
            "<a href=\"/search?q=test%20foo\">",
        ),
        (
            "<a href=\"{{ \"javascript:alert(1)\" }}\">",
            "<a href=\"#ZgotmplZ\">",
        ),
        (
            "<a href=\"{{ \"http://x/?a=1&b='2'\" }}\">",
            "<a href=\"http://x/?a=1&amp;b=%272%27\">",
        ),
        ("<a href='{{ \"mailto:a@b\" }}'>", "<a href='mailto:a@b'>"),
        (
            "<a href=\"x?{{ \"a b/c\" | urlquery }}\">",
            "<a href=\"x?a&#43;b%2Fc\">",
        ),
        (
            "<p title=\"{{ `\"'<&` }}\">",
            "<p title=\"&#34;&#39;&lt;&amp;\">",
        ),
        ("<p title={{ \"a b=c\" }}>", "<p title=a&#32;b&#61;c>"),
        ("<p title={{ \"\" }}>", "<p title=ZgotmplZ>"),
        (
            "<p {{ \"title\" }}=x {{ \"onclick\" }}=y>",
            "<p title=x ZgotmplZ=y>",
        ),
        (
            "<title>{{ \"<b>&\" }}</title>{{ \"<\" }}",
            "<title>&lt;b&gt;&amp;</title>&lt;",
        ),
        (
            "<textarea>{{ \"</textarea>\" }}</textarea>",
            "<textarea>&lt;/textarea&gt;</textarea>",
        ),
        ("a<!-- gone {{ \"x\" }} -->b", "ab"),
        ("a < b {{ 1 }}", "a &lt; b 1"),
        ("<!DOCTYPE html>{{ 1 }}", "<!DOCTYPE html>1"),
        (
            "<style>p > a { color: red }</style>{{ \"<\" }}",
            "<style>p > a { color: red }</style>&lt;",
        ),
        (
            "<script>if (a < b) {}</script>{{ 1 }}",
            "<script>if (a < b) {}</script>1",
        ),
        (
            "<p style=\"color: {{ if true }}red{{ else }}green{{ end }}\">",
            "<p style=\"color: red\">",
        ),
        ("<p{{ if true }} class=\"a\"{{ end }}>", "<p class=\"a\">"),
        (
            "{{ range list 1 2 }}<i>{{ . }}</i>{{ end }}",
            "<i>1</i><i>2</i>",
        ),
        (
            "{{ define \"x\" }}{{ . }}{{ end }}{{ template \"x\" \"<&\" }}<a href=\"/?{{ template \"x\" \"<&\" }}\">",
            "&lt;&amp;<a href=\"/?%3c%26\">",
        ),
        ("{{ \"a\" | html }} {{ \"<\" | html }}", "a &lt;"),
        ("<b>no action</b><!-- x -->", "<b>no action</b>"),
    ] {
        assert_eq!(html(template).as_deref(), Ok(rendered), "{template}");
    }
}

#[test]
fn what_cannot_be_made_safe_is_refused_when_it_is_compiled() {
    const OPAQUE: &str = "an action inside a script or a style cannot be made safe; only their static text is supported";
    for (template, error) in [
        ("<script>{{ 1 }}</script>", OPAQUE),
        ("<style>{{ 1 }}</style>", OPAQUE),
        ("<p style=\"color: {{ 1 }}\">", OPAQUE),
        ("<p onclick=\"{{ 1 }}\">", OPAQUE),
        (
            "{{ if true }}<a href=\"{{ end }}x",
            "{{if}} branches end in different contexts",
        ),
        (
            "{{ range list 1 }}<b title=\"{{ end }}",
            "{{range}} branches end in different contexts",
        ),
        (
            "<a href=\"{{ 1 }}",
            "the template ends inside a tag, an attribute or an element",
        ),
        (
            "<p title={{ 1 }}\"x\">",
            "'\"' in unquoted attr: \"\\\"x\\\"\"",
        ),
        (
            "{{ \"x\" | html | print }}",
            "predefined escaper \"html\" disallowed in template",
        ),
        ("{{ template \"no\" }}", "no such template \"no\""),
    ] {
        assert_eq!(
            html(template),
            Err(format!("template: :1: {error}")),
            "{template}"
        );
    }
}

#[test]
fn templates_may_call_themselves_in_html() {
    let template = "{{ define \"down\" }}{{ if . }}<i>{{ len . }}</i>{{ template \"down\" (slice . 1) }}{{ end }}{{ end }}{{ template \"down\" (list 1 2) }}";
    assert_eq!(html(template).as_deref(), Ok("<i>2</i><i>1</i>"));
}

#[test]
fn route_labels_are_templates_and_may_not_run_in_circles() {
    let mut data = two_alerts();
    data.status = AlertStatus::Firing;
    data.route_labels = labels(&[
        ("rl1", "rl1"),
        ("rl2", "{{ .Status }}"),
        ("rl3", "<{{ routeLabels \"rl2\" }}>"),
        ("a", "{{ routeLabels \"b\" }}"),
        ("b", "{{ routeLabels \"a\" }}"),
    ]);
    let text = |text: &str| with_data(text, Mode::Text, data.clone());
    assert_eq!(
        text("{{ routeLabels \"rl1\" }} {{ routeLabels \"rl3\" }}").as_deref(),
        Ok("rl1 <firing>")
    );
    let circle = text("{{ routeLabels \"a\" }}").unwrap_err();
    assert!(
        circle.ends_with("route label cycle detected: a -> b -> a"),
        "{circle}"
    );
}

#[test]
fn receivers_are_quoted_for_regular_expressions() {
    let mut data = two_alerts();
    data.receiver = "team-X.a".to_owned();
    assert_eq!(
        with_data("{{ .Receiver }}", Mode::Text, data).as_deref(),
        Ok("team-X\\.a")
    );
}

#[test]
fn values_are_shared_between_threads() {
    fn is_shared<T: Send + Sync + Clone>(_: &T) {}
    let value = Value::from(two_alerts());
    is_shared(&value);
    is_shared(&Arc::new(value));
}
