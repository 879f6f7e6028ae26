//! A file's mistakes in the one sentence that Alertmanager has for them.
use crate::problem::{Problem, Problems, Stage};

impl Problems {
    /// With Alertmanager's own sentence above them.
    #[must_use]
    pub fn in_alertmanagers_words(self) -> Self {
        let sentence = self.alertmanager_error();
        let is_all = self.iter().map(ToString::to_string).eq(sentence.clone());
        self.headed(sentence.filter(|_| !is_all))
    }

    /// What Alertmanager 0.34 says, which stops at the first mistake: `yaml: line 3: …` for a text that is no YAML, the
    /// sentence alone for a value, all unknown keys and wrong types together, and only then what does not go with the
    /// rest of the file. Of several of one stage the first by place. `None` where nothing is wrong.
    #[must_use]
    pub fn alertmanager_error(&self) -> Option<String> {
        let first = self
            .iter()
            .min_by_key(|problem| (problem.stage, *problem))?;
        Some(match first.stage {
            Stage::Syntax => syntax_error(first),
            Stage::Decoding => {
                let mut lines = vec!["yaml: unmarshal errors:".to_owned()];
                let decoding = self
                    .iter()
                    .filter(|problem| problem.stage == Stage::Decoding);
                lines.extend(decoding.map(|problem| {
                    let line = problem.line.unwrap_or_default();
                    format!("  line {line}: {}", problem.message)
                }));
                lines.join("\n")
            }
            Stage::Value | Stage::File | Stage::Template => first.message.clone(),
        })
    }
}

/// Where Go's parser notices a mistake. It counts from 0 and says nothing of line 0; its scanner, but not its parser,
/// adds one again.
#[derive(Clone, Copy)]
enum Noticed {
    Parsing,
    Scanning,
}

/// The beginnings of our parser's sentences, and what Go's says of the same mistake.
const SYNTAX: [(&str, Noticed, &str); 9] = [
    (
        "while parsing a block mapping, did not find expected key",
        Noticed::Parsing,
        "did not find expected key",
    ),
    (
        "while parsing a block collection, did not find expected '-' indicator",
        Noticed::Parsing,
        "did not find expected '-' indicator",
    ),
    (
        "misplaced bracket",
        Noticed::Parsing,
        "did not find expected node content",
    ),
    (
        "tabs disallowed",
        Noticed::Scanning,
        "found character that cannot start any token",
    ),
    (
        "unexpected character",
        Noticed::Scanning,
        "found character that cannot start any token",
    ),
    (
        "invalid indentation in multiline quoted scalar",
        Noticed::Scanning,
        "found unexpected end of stream",
    ),
    (
        "simple key expected ':'",
        Noticed::Scanning,
        "could not find expected ':'",
    ),
    (
        "while scanning an anchor or alias, did not find expected alphabetic or numeric character",
        Noticed::Scanning,
        "did not find expected alphabetic or numeric character",
    ),
    (
        "mapping values are not allowed in this context",
        Noticed::Scanning,
        "mapping values are not allowed in this context",
    ),
];

fn syntax_error(problem: &Problem) -> String {
    let line = problem.line.unwrap_or_default();
    // Go notices where the text ends, ours names the bracket.
    if problem.message.starts_with("unclosed bracket") {
        return format!("yaml: line {line}: did not find expected node content");
    }
    let known = SYNTAX
        .iter()
        .find(|(ours, _, _)| problem.message.starts_with(ours));
    let (line, message) = match known {
        Some((_, Noticed::Parsing, message)) => (line.saturating_sub(1), *message),
        Some((_, Noticed::Scanning, message)) => (if line == 1 { 0 } else { line }, *message),
        None => (line, problem.message.as_str()),
    };
    if line == 0 {
        format!("yaml: {message}")
    } else {
        format!("yaml: line {line}: {message}")
    }
}
