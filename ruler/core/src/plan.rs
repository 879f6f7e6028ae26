//! What a rule needs to be run.
use std::sync::OnceLock;

use promql::Query;
use template::{Mode, Template, TemplateSet};

#[derive(Clone, Debug)]
pub struct RulePlan {
    pub query: Query,
    templates: Templates,
}

/// An alerting rule's templates, those of its labels first. They are parsed when the rule is loaded, which finds mistakes,
/// and for good when the first alert is there: most rules never have one, and a parsed template takes many times its text.
type Templates = Box<[OnceLock<Box<Template>>]>;

/// A label's or an annotation's text.
#[derive(Clone, Copy, Debug)]
pub enum RuleText<'a> {
    /// It stays as it is.
    Constant(&'a str),
    Template(&'a Template),
}

impl RulePlan {
    /// Of a rule with so many texts: labels and annotations of an alerting rule, none of a recording rule.
    #[must_use]
    pub(crate) fn new(query: Query, texts: usize) -> Self {
        Self {
            query,
            templates: (0..texts).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The text at a place, counted over labels and annotations.
    pub(crate) fn text<'a>(&'a self, alert: &str, place: usize, text: &'a str) -> RuleText<'a> {
        let slot = self.templates.get(place).filter(|_| is_template(text));
        let Some(slot) = slot else {
            return RuleText::Constant(text);
        };
        let parse = || {
            let parsed = parse_template(alert, text);
            Box::new(parsed.expect("it could be parsed when the rule was loaded"))
        };
        RuleText::Template(slot.get_or_init(parse))
    }
}

pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{")
}

pub(crate) fn parse_template(alert: &str, text: &str) -> Result<Template, template::ParseError> {
    TemplateSet::prometheus().compile(&format!("__alert_{alert}"), text, Mode::Text)
}
