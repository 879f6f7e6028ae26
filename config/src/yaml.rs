//! YAML into a tree in which every node knows its place. The only file that knows which YAML library is used.
//!
//! The tree keeps both what a plain scalar was written as and what YAML 1.1 makes of it, because Go's libraries
//! give the first to whoever wants a string and the second to whoever wants a number. Anchors, aliases and merge
//! keys are followed. Only the first document of a text counts, as for Go's decoders.
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location, Options, Spanned};

use crate::problem::Place;

/// Deeper files are refused: every reader below recurses into what it reads.
const DEPTH_MAX: usize = 64;
/// Nodes of one file, with those that aliases repeat: some hundred times what a large site writes.
const NODES_MAX: usize = 1_000_000;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    List(Vec<Node>),
    Map(Vec<Entry>),
    Null,
    Scalar(Scalar),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Scalar,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    /// A plain scalar as it was written, any other with its escapes resolved.
    pub(crate) text: String,
    pub(crate) resolved: Resolved,
}

/// What YAML 1.1 makes of a scalar; quoted ones are text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Resolved {
    Bool(bool),
    Float(f64),
    Integer(i64),
    Text,
}

/// What is wrong with the YAML itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum YamlProblem {
    DuplicateKey {
        key: String,
        place: Option<Place>,
    },
    Syntax {
        message: String,
        place: Option<Place>,
    },
}

/// The first document of a text, `None` where there is none. A key that comes twice is a problem, but the rest is
/// still read (its first value counts), so that the problems of the rest can be reported with it.
pub(crate) fn read(text: &str) -> (Option<Node>, Option<YamlProblem>) {
    match read_once(text, DuplicateKeyPolicy::Error) {
        Ok(node) => (node, None),
        Err(problem @ YamlProblem::DuplicateKey { .. }) => {
            let node = read_once(text, DuplicateKeyPolicy::FirstWins)
                .ok()
                .flatten();
            (node, Some(problem))
        }
        Err(problem) => (None, Some(problem)),
    }
}

/// Whether there is more behind the first document than the sign that it has ended.
pub(crate) fn has_further_documents(text: &str) -> bool {
    let text = text.trim_end();
    let text = text.strip_suffix("\n---").unwrap_or(text);
    let outcome = serde_saphyr::with_deserializer_from_str_with_options(
        text,
        options(DuplicateKeyPolicy::FirstWins),
        |deserializer| Spanned::<Raw>::deserialize(deserializer).map(|_| ()),
    );
    matches!(outcome, Err(Error::MultipleDocuments { .. }))
}

fn read_once(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Option<Node>, YamlProblem> {
    let mut first = None;
    let outcome = serde_saphyr::with_deserializer_from_str_with_options(
        text,
        options(duplicate_keys),
        |deserializer| {
            first = Some(Spanned::<Raw>::deserialize(deserializer)?);
            Ok(())
        },
    );
    match outcome {
        Ok(()) => {}
        Err(Error::MultipleDocuments { .. }) if first.is_some() => {}
        Err(Error::Eof { .. }) => return Ok(None),
        Err(error) => return Err(problem_of(&error)),
    }
    Ok(first
        .map(|raw| node_of(raw, text))
        .filter(|node| node.value != Value::Null))
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    let budget = serde_saphyr::budget! {
        max_depth: DEPTH_MAX,
        max_nodes: NODES_MAX,
        // One anchor that hundreds of receivers share is good practice; the nodes above bound the work.
        enforce_alias_anchor_ratio: false,
    };
    serde_saphyr::options! {
        budget: budget,
        duplicate_keys: duplicate_keys,
        legacy_octal_numbers: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

fn problem_of(error: &Error) -> YamlProblem {
    let place = error.location().and_then(|location| place_of(&location));
    if let Error::DuplicateMappingKey { key, .. } = error {
        return YamlProblem::DuplicateKey {
            key: key.clone().unwrap_or_default(),
            place,
        };
    }
    let mut inner = error;
    while let Error::AliasError { error, .. } = inner {
        inner = error;
    }
    if let Error::Budget { breach, .. } = inner {
        return YamlProblem::Syntax {
            message: past(breach),
            place,
        };
    }
    let said = error.to_string();
    // The place stands beside the message already.
    let mut message = said.lines().next().unwrap_or_default();
    if let Some(place) = place {
        for prefix in [
            format!("error: line {} column {}: ", place.line, place.column),
            format!("line {} column {}: ", place.line, place.column),
        ] {
            message = message.strip_prefix(prefix.as_str()).unwrap_or(message);
        }
        let suffix = format!(" at line {}, column {}", place.line, place.column);
        message = message.strip_suffix(suffix.as_str()).unwrap_or(message);
    }
    YamlProblem::Syntax {
        // The scanner looks ahead, and meets its own bound before the depth above is counted.
        message: if message == "recursion limit exceeded" {
            too_deep()
        } else {
            message.to_owned()
        },
        place,
    }
}

fn too_deep() -> String {
    format!("lists and maps are nested deeper than {DEPTH_MAX} levels")
}

/// What there is too much of.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library may count more one day"
)]
fn past(breach: &BudgetBreach) -> String {
    let found = |count: usize, what: &str| format!("has {count} {what}, more than one file may");
    match breach {
        BudgetBreach::Depth { .. } => too_deep(),
        BudgetBreach::Nodes { .. } => {
            format!("has more than {NODES_MAX} values, those that aliases repeat included")
        }
        BudgetBreach::Events { events } => found(*events, "parts"),
        BudgetBreach::Aliases { aliases } | BudgetBreach::AliasAnchorRatio { aliases, .. } => {
            found(*aliases, "aliases")
        }
        BudgetBreach::Anchors { anchors } => found(*anchors, "anchors"),
        BudgetBreach::RecordedAnchorEvents {
            recorded_anchor_events,
        } => found(*recorded_anchor_events, "values behind anchors"),
        BudgetBreach::RecordedAnchorBytes {
            recorded_anchor_bytes,
        } => found(*recorded_anchor_bytes, "bytes behind anchors"),
        BudgetBreach::Documents { documents } => found(*documents, "documents"),
        BudgetBreach::ScalarBytes { total_scalar_bytes } => {
            found(*total_scalar_bytes, "bytes of values")
        }
        BudgetBreach::MergeKeys { merge_keys } => found(*merge_keys, "merge keys"),
        BudgetBreach::InputBytes { input_bytes } => found(*input_bytes, "bytes"),
        BudgetBreach::SequenceUnbalanced => "a list or map ends that did not begin".to_owned(),
        // Of inclusions and interpolations, which are off, and whatever the library may count one day.
        _ => "is larger or more entangled than one file may be".to_owned(),
    }
}

fn place_of(location: &Location) -> Option<Place> {
    if *location == Location::UNKNOWN {
        return None;
    }
    Some(Place {
        line: u32::try_from(location.line()).unwrap_or(u32::MAX),
        column: u32::try_from(location.column()).unwrap_or(u32::MAX),
    })
}

fn node_of(raw: Spanned<Raw>, source: &str) -> Node {
    let place = place_of(&raw.defined).unwrap_or(Place { line: 1, column: 1 });
    let scalar = |resolved| {
        Value::Scalar(Scalar {
            text: written(&raw.defined, source),
            resolved,
        })
    };
    let value = match raw.value {
        Raw::Bool(value) => scalar(Resolved::Bool(value)),
        Raw::Float(value) => scalar(Resolved::Float(value)),
        Raw::Integer(value) => scalar(Resolved::Integer(value)),
        Raw::Null => Value::Null,
        Raw::Text(text) => Value::Scalar(Scalar {
            text,
            resolved: Resolved::Text,
        }),
        Raw::List(items) => Value::List(
            items
                .into_iter()
                .map(|item| node_of(item, source))
                .collect(),
        ),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| entry_of(key, value, source))
                .collect(),
        ),
    };
    Node { place, value }
}

fn entry_of(key: Spanned<Raw>, value: Spanned<Raw>, source: &str) -> Entry {
    let key = node_of(key, source);
    let scalar = match key.value {
        Value::Scalar(scalar) => scalar,
        Value::Null => Scalar {
            text: "null".to_owned(),
            resolved: Resolved::Text,
        },
        Value::List(_) | Value::Map(_) => Scalar {
            text: "?".to_owned(),
            resolved: Resolved::Text,
        },
    };
    Entry {
        key: scalar,
        place: key.place,
        value: node_of(value, source),
    }
}

/// The source text of a plain scalar, without an anchor or a tag before it.
fn written(location: &Location, source: &str) -> String {
    let span = location.span();
    let slice = span
        .byte_offset()
        .zip(span.byte_len())
        .and_then(|(start, length)| {
            let start = usize::try_from(start).ok()?;
            let length = usize::try_from(length).ok()?;
            source.get(start..start.checked_add(length)?)
        })
        .unwrap_or_default();
    let mut text = slice.trim();
    while text.starts_with(['&', '!']) {
        let Some((_, rest)) = text.split_once(char::is_whitespace) else {
            break;
        };
        text = rest.trim_start();
    }
    text.to_owned()
}

enum Raw {
    Bool(bool),
    Float(f64),
    Integer(i64),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
    Null,
    Text(String),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("any YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Integer))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Integer))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, Resolved, Scalar, Value, YamlProblem, read};
    use crate::problem::Place;

    /// `text:kind@line:column`, nested in brackets.
    fn sketch(node: &Node) -> String {
        let Place { line, column } = node.place;
        let scalar = |scalar: &Scalar| match scalar.resolved {
            Resolved::Bool(value) => format!("{}:{value}", scalar.text),
            Resolved::Float(value) => format!("{}:{value:?}", scalar.text),
            Resolved::Integer(value) => format!("{}:{value}", scalar.text),
            Resolved::Text => format!("'{}'", scalar.text),
        };
        match &node.value {
            Value::Null => format!("null@{line}:{column}"),
            Value::Scalar(value) => format!("{}@{line}:{column}", scalar(value)),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(sketch).collect();
                format!("[{}]", items.join(" "))
            }
            Value::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|entry| format!("{}={}", scalar(&entry.key), sketch(&entry.value)))
                    .collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    fn check(text: &str, expected: &str) {
        let (node, problem) = read(text);
        assert_eq!(problem, None, "{text:?}");
        let sketched = node.as_ref().map_or_else(|| "nothing".to_owned(), sketch);
        assert_eq!(sketched, expected, "{text:?}");
    }

    #[test]
    fn scalars_keep_text_and_place() {
        for (text, expected) in [
            ("a: yes", "{'a'=yes:true@1:4}"),
            ("a: off", "{'a'=off:false@1:4}"),
            ("a: 'true'", "{'a'='true'@1:4}"),
            ("a: 010", "{'a'=010:8@1:4}"),
            ("a: 0x2A", "{'a'=0x2A:42@1:4}"),
            ("a: 1_000", "{'a'=1_000:1000@1:4}"),
            ("a: 1.0", "{'a'=1.0:1.0@1:4}"),
            ("a: é\nb: 5 # five", "{'a'='é'@1:4 'b'=5:5@2:4}"),
            ("a: ~\nb:\n", "{'a'=null@1:4 'b'=null@2:2}"),
            ("a: &x 5\nb: *x", "{'a'=5:5@1:7 'b'=5:5@1:7}"),
            ("a: |-\n  x\n  y\nb: 1", "{'a'='x\ny'@2:3 'b'=1:1@4:4}"),
            ("- 1\n- [a, {b: c}]", "[1:1@1:3 ['a'@2:4 {'b'='c'@2:11}]]"),
            ("1: x", "{1:1='x'@1:4}"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn merge_keys_are_followed() {
        check(
            "- &x {a: 1, b: 2}\n- <<: *x\n  b: 3",
            "[{'a'=1:1@1:10 'b'=2:2@1:16} {'b'=3:3@3:6 'a'=1:1@1:10}]",
        );
    }

    #[test]
    fn only_the_first_document_counts() {
        for text in ["", "# nothing\n", "---\n", "\n\n", "~"] {
            check(text, "nothing");
        }
        for text in ["a: 1\n---\nb: 2\n", "---\na: 1\n---\nb: [\n", "a: 1\n...\n"] {
            let (node, problem) = read(text);
            assert_eq!(problem, None, "{text:?}");
            assert!(
                matches!(node.unwrap().value, Value::Map(entries) if entries[0].key.text == "a")
            );
        }
    }

    #[test]
    fn a_key_that_comes_twice_is_a_problem_and_the_rest_is_read() {
        let (node, problem) = read("a: 1\na: 2\nb: 3\n");
        assert_eq!(
            problem,
            Some(YamlProblem::DuplicateKey {
                key: "a".into(),
                place: Some(Place { line: 2, column: 1 })
            })
        );
        assert_eq!(sketch(&node.unwrap()), "{'a'=1:1@1:4 'b'=3:3@3:4}");
    }

    #[test]
    fn broken_and_hostile_texts_are_refused_with_a_place() {
        for (text, line) in [
            ("a: [1\n", 1),
            ("a: b: c", 1),
            ("a:\n\tb: 1", 2),
            ("a: *nobody", 1),
        ] {
            let (node, problem) = read(text);
            assert_eq!(node, None, "{text:?}");
            match problem {
                Some(YamlProblem::Syntax { message, place }) => {
                    assert_eq!(
                        place.map(|place| place.line),
                        Some(line),
                        "{text:?}: {message}"
                    );
                    assert!(!message.contains(" line "), "{message}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_refused_with_a_sentence() {
        let mut laughs = "a0: &a0 [x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(9);
            laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let deep = "lists and maps are nested deeper than 64 levels";
        for (text, said, line) in [
            (nested(65), deep, 1),
            (nested(10_000), deep, 1),
            ("[".repeat(10_000), deep, 1),
            (laughs, "has 1000001 parts, more than one file may", 7),
            (
                "- &x 1\n".repeat(50_001),
                "has 50001 anchors, more than one file may",
                50_001,
            ),
            (
                "- &x 1\n".to_owned() + &"- *x\n".repeat(50_001),
                "has 50001 aliases, more than one file may",
                50_002,
            ),
        ] {
            match read(&text) {
                (None, Some(YamlProblem::Syntax { message, place })) => {
                    let at = place.map(|place| place.line);
                    assert_eq!((message.as_str(), at), (said, Some(line)));
                }
                other => panic!("{said}: {other:?}"),
            }
        }
        assert_eq!(read(&nested(64)).1, None);
    }
}
