//! OpenMetrics' text, as the encoder writes it, in the text format 0.0.4 that every scraper reads.
use std::fmt::Write;

/// What stands in front of a family's samples.
#[derive(Default)]
struct Family<'t> {
    name: &'t str,
    help: &'t str,
}

/// A counter's or an info's name is there without the ending that its samples have, here with it; units and exemplars
/// are not known here, and when something was created is no sample.
pub(crate) fn classic(text: &str) -> String {
    let mut classic = String::with_capacity(text.len());
    let mut family = Family::default();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap_or((help, ""));
            family = Family { name, help };
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap_or((kind, "unknown"));
            if family.name != name {
                family = Family { name, help: "" };
            }
            family.push_head(&mut classic, kind);
        } else if !line.starts_with('#') && !family.is_creation(line) {
            classic.push_str(without_exemplar(line));
            classic.push('\n');
        }
    }
    classic
}

impl Family<'_> {
    fn push_head(&self, classic: &mut String, kind: &str) {
        let (ending, kind) = match kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "gauge" | "stateset" => ("", "gauge"),
            "histogram" => ("", "histogram"),
            "summary" => ("", "summary"),
            _ => ("", "untyped"),
        };
        let Self { name, help } = self;
        // Writing to a string cannot fail.
        if !help.is_empty() {
            let _ = writeln!(classic, "# HELP {name}{ending} {help}");
        }
        let _ = writeln!(classic, "# TYPE {name}{ending} {kind}");
    }

    fn is_creation(&self, sample: &str) -> bool {
        sample
            .strip_prefix(self.name)
            .and_then(|rest| rest.strip_prefix("_created"))
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    }
}

/// A ` # ` within quotes is part of a label's value.
fn without_exemplar(sample: &str) -> &str {
    let mut in_quotes = false;
    let mut is_escaped = false;
    for (at, byte) in sample.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_quotes => is_escaped = true,
            b'"' => in_quotes = !in_quotes,
            b'#' if !in_quotes => return sample[..at].trim_end(),
            _ => {}
        }
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::classic;

    #[test]
    fn every_kind_of_family_has_its_classic_form() {
        for (open, expected) in [
            ("# EOF\n", ""),
            (
                "# HELP a Calls.\n# TYPE a counter\na_total{x=\"1\"} 5\na_created{x=\"1\"} 1.5e9\n# EOF\n",
                "# HELP a_total Calls.\n# TYPE a_total counter\na_total{x=\"1\"} 5\n",
            ),
            (
                "# HELP a_seconds Age.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds -0.5\n",
                "# HELP a_seconds Age.\n# TYPE a_seconds gauge\na_seconds -0.5\n",
            ),
            (
                "# HELP h Sizes.\n# TYPE h histogram\nh_sum 3.0\nh_count 2\nh_created 1\nh_bucket{le=\"1.0\"} 1 # {id=\"a\"} 0.5\nh_bucket{le=\"+Inf\"} 2\n",
                "# HELP h Sizes.\n# TYPE h histogram\nh_sum 3.0\nh_count 2\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\n",
            ),
            (
                "# HELP b Build.\n# TYPE b info\nb_info{version=\"1\"} 1\n",
                "# HELP b_info Build.\n# TYPE b_info gauge\nb_info{version=\"1\"} 1\n",
            ),
            (
                "# TYPE u unknown\nu 1\nu_created_by 2\n",
                "# TYPE u untyped\nu 1\nu_created_by 2\n",
            ),
            (
                "# TYPE g gauge\ng{x=\"a # {b=\\\"\",y=\"\\\\\"} 1 # {z=\"\"} 2\n",
                "# TYPE g gauge\ng{x=\"a # {b=\\\"\",y=\"\\\\\"} 1\n",
            ),
        ] {
            assert_eq!(classic(open), expected, "{open}");
        }
    }
}
