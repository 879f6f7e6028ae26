//! Results of tests as JUnit writes them, in the shape of promtool's.
use std::fmt::Write as _;
use std::time::Duration;

/// One file of tests.
pub(crate) struct Suite {
    pub(crate) name: String,
    /// `2026-01-02T03:04:05`, in UTC.
    pub(crate) timestamp: String,
    pub(crate) cases: Vec<Case>,
}

/// One test.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) took: Duration,
    pub(crate) failures: Vec<String>,
    /// Why nothing of the file could be run.
    pub(crate) error: Option<String>,
}

pub(crate) fn document(suites: &[Suite]) -> String {
    let mut text = "<testsuites>".to_owned();
    for suite in suites {
        let failures: usize = suite.cases.iter().map(|case| case.failures.len()).sum();
        let errors = suite.cases.iter().filter(|case| case.error.is_some());
        let _ = write!(
            text,
            r#"<testsuite name="{}" tests="{}" failures="{failures}" errors="{}" skipped="0" timestamp="{}">"#,
            escaped(&suite.name),
            suite.cases.len(),
            errors.count(),
            escaped(&suite.timestamp)
        );
        for case in &suite.cases {
            let (name, took) = (escaped(&case.name), case.took.as_secs_f64());
            let _ = write!(text, r#"<testcase name="{name}" time="{took:.6}">"#);
            for failure in &case.failures {
                let _ = write!(text, "<failure>{}</failure>", escaped(failure));
            }
            if let Some(error) = &case.error {
                let _ = write!(text, "<error>{}</error>", escaped(error));
            }
            text.push_str("</testcase>");
        }
        text.push_str("</testsuite>");
    }
    text.push_str("</testsuites>");
    text
}

/// For attributes and elements; what no XML document may hold is replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\n' => escaped.push_str("&#xA;"),
            '\r' => escaped.push_str("&#xD;"),
            '\t' => escaped.push_str("&#x9;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Case, Suite, document};

    #[test]
    fn failures_and_errors_are_counted_and_escaped() {
        let case = |name: &str, failures: &[&str], error: Option<&str>| Case {
            name: name.to_owned(),
            took: Duration::from_micros(250),
            failures: failures.iter().map(ToString::to_string).collect(),
            error: error.map(str::to_owned),
        };
        let suite = Suite {
            name: "a \"b\".yml".to_owned(),
            timestamp: "2026-01-02T03:04:05".to_owned(),
            cases: vec![
                case("one", &["up < 1\n& more\u{1}", "two"], None),
                case("unknown", &[], Some("no")),
            ],
        };
        assert_eq!(
            document(&[suite]),
            "<testsuites><testsuite name=\"a &#34;b&#34;.yml\" tests=\"2\" failures=\"2\" errors=\"1\" skipped=\"0\" \
             timestamp=\"2026-01-02T03:04:05\"><testcase name=\"one\" time=\"0.000250\"><failure>up &lt; 1&#xA;&amp; \
             more\u{fffd}</failure><failure>two</failure></testcase><testcase name=\"unknown\" time=\"0.000250\">\
             <error>no</error></testcase></testsuite></testsuites>"
        );
    }
}
