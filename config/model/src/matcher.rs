//! One condition on one label.
use std::fmt;
use std::sync::Arc;

use crate::go_quote::quote;
use crate::go_regex::{GoRegex, RegexError};
use crate::labels::Labels;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchOp {
    Equal,
    NotEqual,
    Regex,
    NotRegex,
}

impl MatchOp {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// Whose regular expressions these are: both are anchored at both ends, but only PromQL's dot matches a newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatcherDialect {
    Alertmanager,
    PromQl,
}

/// `name op "value"`; an absent label counts as the empty string.
#[derive(Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    /// Aside, since most have none.
    regex: Option<Arc<GoRegex>>,
}

impl Matcher {
    pub fn new(
        op: MatchOp,
        name: &str,
        value: &str,
        dialect: MatcherDialect,
    ) -> Result<Self, RegexError> {
        let regex = match (op, dialect) {
            (MatchOp::Equal | MatchOp::NotEqual, _) => None,
            (MatchOp::Regex | MatchOp::NotRegex, MatcherDialect::Alertmanager) => {
                Some(Arc::new(GoRegex::anchored(value)?))
            }
            (MatchOp::Regex | MatchOp::NotRegex, MatcherDialect::PromQl) => {
                Some(Arc::new(GoRegex::anchored_dot_all(value)?))
            }
        };
        Ok(Self {
            name: name.to_owned(),
            op,
            value: value.to_owned(),
            regex,
        })
    }

    #[must_use]
    pub fn equal(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            op: MatchOp::Equal,
            value: value.to_owned(),
            regex: None,
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn op(&self) -> MatchOp {
        self.op
    }

    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The compiled expression of `=~` and `!~`.
    #[must_use]
    pub fn regex(&self) -> Option<&GoRegex> {
        self.regex.as_deref()
    }

    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let regex_matches = || {
            self.regex
                .as_ref()
                .is_some_and(|regex| regex.is_match(value))
        };
        match self.op {
            MatchOp::Equal => self.value == value,
            MatchOp::NotEqual => self.value != value,
            MatchOp::Regex => regex_matches(),
            MatchOp::NotRegex => !regex_matches(),
        }
    }

    #[must_use]
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.value(&self.name))
    }

    /// Whether a series without the label would match.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    fn key(&self) -> (&str, &str, MatchOp) {
        (&self.name, &self.value, self.op)
    }
}

/// Whether `labels` fulfil every condition.
#[must_use]
pub fn match_all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers
        .iter()
        .all(|matcher| matcher.matches_labels(labels))
}

/// Equality and order look at what is written: by name, then value, then operator.
impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Matcher {}

impl PartialOrd for Matcher {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Matcher {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// As Alertmanager prints it: `name="value"` with `\`, newline and `"` escaped; a name with reserved characters
/// makes both sides Go-quoted.
impl fmt::Display for Matcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = self.op.as_str();
        if self.name.is_empty() || self.name.contains(is_reserved) {
            return write!(formatter, "{}{op}{}", quote(&self.name), quote(&self.value));
        }
        let escaped = self
            .value
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('"', "\\\"");
        write!(formatter, "{}{op}\"{escaped}\"", self.name)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Characters that an unquoted name or value may not contain.
pub(crate) fn is_reserved(character: char) -> bool {
    character.is_whitespace() || "{}!=~,\\\"'`".contains(character)
}

#[cfg(test)]
mod tests {
    use super::{MatchOp, Matcher, MatcherDialect};

    #[test]
    fn matches_absent_as_empty_and_whole_values_only() {
        for (op, value, subject, matches) in [
            (MatchOp::Equal, "a", "a", true),
            (MatchOp::Equal, "", "", true),
            (MatchOp::NotEqual, "a", "", true),
            (MatchOp::Regex, "a|b", "b", true),
            (MatchOp::Regex, "a|b", "ab", false),
            (MatchOp::Regex, "a|b", "xb", false),
            (MatchOp::NotRegex, ".+", "", true),
            (MatchOp::NotRegex, ".*", "", false),
        ] {
            for dialect in [MatcherDialect::Alertmanager, MatcherDialect::PromQl] {
                let matcher = Matcher::new(op, "l", value, dialect).unwrap();
                assert_eq!(
                    matcher.matches(subject),
                    matches,
                    "{matcher} on {subject:?}"
                );
            }
        }
    }

    #[test]
    fn only_promqls_dot_matches_a_newline() {
        let on = |dialect| {
            Matcher::new(MatchOp::Regex, "l", "a.b", dialect)
                .unwrap()
                .matches("a\nb")
        };
        assert!(on(MatcherDialect::PromQl));
        assert!(!on(MatcherDialect::Alertmanager));
    }

    #[test]
    fn prints_as_alertmanager_does() {
        for (name, value, printed) in [
            ("team", "x", r#"team="x""#),
            ("team", "a\"b\\c\nd", r#"team="a\"b\\c\nd""#),
            ("a b", "é", r#""a b"="é""#),
        ] {
            assert_eq!(Matcher::equal(name, value).to_string(), printed);
        }
    }
}
