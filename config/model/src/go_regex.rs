//! Regular expressions that mean what they mean in Go.
use std::borrow::Cow;

use regex::{Captures, Regex, RegexBuilder};
use regex_syntax::hir::literal::Extractor;

use crate::regex_translation::translate;

/// Memory that one compiled expression may take.
const SIZE_MAX: usize = 4 * 1024 * 1024;
/// An expression that is longer than this is refused before it is looked at, unless it is a plain alternation.
const LENGTH_MAX: usize = 64 * 1024;

/// Memory that a plain alternation may take which is longer than that: some 100,000 names of pods.
const ALTERNATIVES_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What one of them takes beside its text.
const ALTERNATIVE_BYTES: usize = 48;

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("error parsing regexp: {reason}")]
pub struct RegexError {
    pub reason: String,
}

/// A compiled expression, with shortcuts for the shapes that matchers mostly have.
#[derive(Clone, Debug)]
pub struct GoRegex {
    shape: Shape,
    regex: Regex,
    group_names: Vec<Option<String>>,
}

#[derive(Clone, Debug)]
enum Shape {
    /// `a`, `a|b|c`: one of these, nothing else.
    Alternatives(Vec<String>),
    /// The same, too many to be compiled: in order, each once. The expression beside it is a stand-in for any text.
    ManyAlternatives(Vec<String>),
    /// `.*`
    Anything,
    /// `.+`
    Something,
    Other,
}

/// The text as an expression that finds it literally (Go's `regexp.QuoteMeta`). Alertmanager tells the receiver's name
/// in this form.
#[must_use]
pub fn quote_meta(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

impl GoRegex {
    /// Finds the expression anywhere in the text, as Go's `MatchString` does.
    pub fn unanchored(pattern: &str) -> Result<Self, RegexError> {
        Self::compile(pattern, pattern, "", "")
    }

    /// `^(?:pattern)$`: the whole text, and `.` is not a newline (Alertmanager).
    pub fn anchored(pattern: &str) -> Result<Self, RegexError> {
        Self::compile(pattern, &format!("^(?:{pattern})$"), "^(?:", ")$")
    }

    /// `^(?s:pattern)$`: the whole text, and `.` is any character (PromQL, relabelling).
    pub fn anchored_dot_all(pattern: &str) -> Result<Self, RegexError> {
        let mut compiled = Self::compile(pattern, &format!("^(?s:{pattern})$"), "^(?s:", ")$")?;
        if !matches!(compiled.shape, Shape::ManyAlternatives(_)) {
            compiled.shape = shape(pattern);
        }
        Ok(compiled)
    }

    fn compile(pattern: &str, shown: &str, before: &str, after: &str) -> Result<Self, RegexError> {
        let is_wrapped = !before.is_empty();
        if pattern.len() > LENGTH_MAX {
            if is_wrapped && let Some(many) = Self::many_alternatives(pattern) {
                return Ok(many);
            }
            return Err(RegexError {
                reason: "expression too large".to_owned(),
            });
        }
        let named = |reason: String| RegexError {
            reason: format!("{reason}: `{shown}`"),
        };
        let translated = translate(pattern, is_wrapped).map_err(|error| match error.fragment {
            Some(fragment) => RegexError {
                reason: format!("{}: `{fragment}`", error.reason),
            },
            None => named(error.reason.to_owned()),
        })?;
        let regex = RegexBuilder::new(&format!("{before}{}{after}", translated.pattern))
            .size_limit(SIZE_MAX)
            .build()
            .map_err(|error| named(reason_of(&error)))?;
        let shape = if before.is_empty() {
            Shape::Other
        } else {
            literal_shape(pattern)
        };
        Ok(Self {
            shape,
            regex,
            group_names: translated.group_names,
        })
    }

    fn many_alternatives(pattern: &str) -> Option<Self> {
        let count = pattern.split('|').count();
        let bytes = pattern
            .len()
            .saturating_add(count.saturating_mul(ALTERNATIVE_BYTES));
        if bytes > ALTERNATIVES_BYTES_MAX {
            return None;
        }
        let Shape::Alternatives(mut literals) = literal_shape(pattern) else {
            return None;
        };
        literals.sort_unstable();
        literals.dedup();
        Some(Self {
            shape: Shape::ManyAlternatives(literals),
            regex: Regex::new("^(?s:.*)$").ok()?,
            group_names: Vec::new(),
        })
    }

    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.shape {
            Shape::Alternatives(literals) => literals.iter().any(|literal| literal == text),
            Shape::ManyAlternatives(literals) => literals
                .binary_search_by(|literal| literal.as_str().cmp(text))
                .is_ok(),
            Shape::Anything => true,
            Shape::Something => !text.is_empty(),
            Shape::Other => self.regex.is_match(text),
        }
    }

    /// The only values that can match, where the expression is a plain alternation of them.
    #[must_use]
    pub fn alternatives(&self) -> Option<&[String]> {
        match &self.shape {
            Shape::Alternatives(literals) | Shape::ManyAlternatives(literals) => Some(literals),
            Shape::Anything | Shape::Something | Shape::Other => None,
        }
    }

    /// Beginnings of which every text that matches has one, where there are few and none is empty. For an anchored
    /// expression; works them out anew at each call.
    #[must_use]
    pub fn prefixes(&self) -> Option<Vec<Vec<u8>>> {
        let parsed = regex_syntax::parse(self.regex.as_str()).ok()?;
        let mut prefixes = Extractor::new().extract(&parsed);
        prefixes.minimize_by_preference();
        let prefixes: Vec<Vec<u8>> = prefixes
            .literals()?
            .iter()
            .map(|literal| literal.as_bytes().to_vec())
            .collect();
        let tell_apart = !prefixes.is_empty() && prefixes.iter().all(|prefix| !prefix.is_empty());
        tell_apart.then_some(prefixes)
    }

    /// Replaces every match; `$1`, `${1}` and `${name}` stand for groups, as in Go (`$1x` is the group named `1x`).
    #[must_use]
    pub fn replace_all<'t>(&self, text: &'t str, replacement: &str) -> Cow<'t, str> {
        if matches!(self.shape, Shape::ManyAlternatives(_)) && !self.is_match(text) {
            return Cow::Borrowed(text);
        }
        self.regex.replace_all(text, |captures: &Captures<'_>| {
            self.filled(captures, replacement)
        })
    }

    /// Where the expression matches the whole text (it must be an anchored one), `template` with its groups filled in.
    #[must_use]
    pub fn expand(&self, text: &str, template: &str) -> Option<String> {
        if matches!(self.shape, Shape::ManyAlternatives(_)) && !self.is_match(text) {
            return None;
        }
        let captures = self.regex.captures(text)?;
        Some(self.filled(&captures, template))
    }

    /// The template with the groups in it: `$name`, `${name}`, `$1`, `$$`. A group that is not there, or took no part,
    /// is empty; a `$` that begins nothing stands for itself.
    fn filled(&self, captures: &Captures<'_>, template: &str) -> String {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            filled.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                filled.push('$');
                rest = after;
                continue;
            }
            match reference(after) {
                Some((name, length)) => {
                    filled.push_str(self.group(captures, name));
                    rest = &after[length..];
                }
                None => {
                    filled.push('$');
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    fn group<'t>(&self, captures: &Captures<'t>, name: &str) -> &'t str {
        let text = |index: usize| captures.get(index).map(|found| found.as_str());
        // A number with a zero before it is a name, and no group has it.
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit())
            && (name == "0" || !name.starts_with('0'));
        let found = if is_number {
            name.parse().ok().and_then(text)
        } else {
            let named = |of_group: &Option<String>| of_group.as_deref() == Some(name);
            (1..)
                .zip(&self.group_names)
                .filter(|(_, of_group)| named(of_group))
                .find_map(|(index, _)| text(index))
        };
        found.unwrap_or_default()
    }
}

/// The name behind a `$`, and how much of the text it takes.
fn reference(text: &str) -> Option<(&str, usize)> {
    let (inside, bracket) = match text.strip_prefix('{') {
        Some(inside) => (inside, 1),
        None => (text, 0),
    };
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let end = inside
        .find(|character| !is_word(character))
        .unwrap_or(inside.len());
    let is_closed = bracket == 0 || inside[end..].starts_with('}');
    (end > 0 && is_closed).then(|| (&inside[..end], end + 2 * bracket))
}

fn shape(pattern: &str) -> Shape {
    match pattern {
        ".*" => Shape::Anything,
        ".+" => Shape::Something,
        _ => literal_shape(pattern),
    }
}

fn literal_shape(pattern: &str) -> Shape {
    let literal = |part: &str| !part.contains(|c: char| r"\.+*?()|[]{}^$".contains(c));
    if pattern.split('|').all(literal) {
        Shape::Alternatives(pattern.split('|').map(str::to_owned).collect())
    } else {
        Shape::Other
    }
}

/// Go's words for the common mistakes; otherwise the crate's own last line.
fn reason_of(error: &regex::Error) -> String {
    let text = error.to_string();
    for (theirs, gos) in [
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("unclosed character class", "missing closing ]"),
        (
            "repetition operator missing expression",
            "missing argument to repetition operator",
        ),
        (
            "invalid character class range",
            "invalid character class range",
        ),
        ("look-around", "invalid or unsupported Perl syntax"),
        ("backreferences", "invalid escape sequence"),
        ("unrecognized escape sequence", "invalid escape sequence"),
        (
            "incomplete escape sequence",
            "trailing backslash at end of expression",
        ),
        ("exceeds size limit", "expression too large"),
        ("invalid repetition count range", "invalid repeat count"),
    ] {
        if text.contains(theirs) {
            return gos.to_owned();
        }
    }
    text.lines()
        .last()
        .unwrap_or("invalid expression")
        .trim_start_matches("error: ")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::{GoRegex, quote_meta};

    #[test]
    fn quoted_text_finds_itself() {
        for (text, quoted) in [
            ("team-x", "team-x"),
            ("a.b/c", r"a\.b/c"),
            (r"\.+*?()|[]{}^$", r"\\\.\+\*\?\(\)\|\[\]\{\}\^\$"),
            ("é #&~", "é #&~"),
        ] {
            assert_eq!(quote_meta(text), quoted);
            let itself = GoRegex::anchored(quoted).unwrap();
            assert!(itself.is_match(text), "{text}");
        }
    }
    #[test]
    fn a_long_list_of_names_is_taken_and_nothing_else_that_is_long() {
        let names: Vec<String> = (0..30_000)
            .map(|index| format!("pod-{index}-abcdef"))
            .collect();
        let list = names.join("|");
        for compiled in [GoRegex::anchored(&list), GoRegex::anchored_dot_all(&list)] {
            let compiled = compiled.unwrap();
            for (text, is_match) in [
                ("pod-0-abcdef", true),
                ("pod-29999-abcdef", true),
                ("pod-30000-abcdef", false),
                ("pod-0-abcde", false),
                ("", false),
            ] {
                assert_eq!(compiled.is_match(text), is_match, "{text}");
                let expanded = compiled.expand(text, "<$0>");
                assert_eq!(expanded, is_match.then(|| format!("<{text}>")), "{text}");
                let replaced = if is_match { "x" } else { text };
                assert_eq!(compiled.replace_all(text, "x"), replaced, "{text}");
            }
            assert_eq!(compiled.alternatives().map(<[String]>::len), Some(30_000));
            assert_eq!(compiled.prefixes(), None);
        }
        for refused in [
            format!("{list}|x.*"),
            format!("({list})"),
            "a|".repeat(200_000),
        ] {
            let error = GoRegex::anchored_dot_all(&refused).unwrap_err();
            assert_eq!(error.reason, "expression too large");
        }
        assert!(GoRegex::unanchored(&list).is_err());
    }

    #[test]
    fn few_beginnings_are_known_of_many_an_expression() {
        for (pattern, prefixes) in [
            ("host-3-.*", Some(vec!["host-3-"])),
            ("web\\.[ab]+|db.*", Some(vec!["web.a", "web.b", "db"])),
            ("a|b", Some(vec!["a", "b"])),
            ("(?i:a)b.*", Some(vec!["Ab", "ab"])),
            ("ab?c", Some(vec!["abc", "ac"])),
            (".*x", None),
            ("a*", None),
            ("", None),
            ("(?:|a).*", None),
            ("[a-z]+", None),
            ("\\w+", None),
        ] {
            let found = GoRegex::anchored(pattern).unwrap().prefixes();
            let found = found.map(|found| {
                let texts = found
                    .into_iter()
                    .map(|text| String::from_utf8(text).unwrap());
                texts.collect::<Vec<_>>()
            });
            let expected = prefixes.map(|texts| texts.into_iter().map(str::to_owned).collect());
            assert_eq!(found, expected, "{pattern}");
        }
    }
}
