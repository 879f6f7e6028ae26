//! A label set as the bytes in which remote write carries it.
//!
//! Senders repeat the same bytes for a series with every request, so a series is found by a hash of these bytes
//! and one comparison, without looking at its labels one by one. The canonical bytes are those of a sorted set
//! without empty values and with the shortest lengths, which is what Prometheus sends; other spellings of the
//! same set are brought to that form first.
use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;
use model::Labels;
use model::go_quote::quote;
use model::protobuf::{BYTES, Fields, WireError, push_varint};

/// Field 1 of a `TimeSeries`, wire type 2.
pub(crate) const LABEL_TAG: u8 = 0x0a;
const NAME_TAG: u8 = 0x0a;
const VALUE_TAG: u8 = 0x12;
/// Of a series, what tells a person which one it is: Kubernetes' longer ones whole.
const SHOWN_CHARS_MAX: usize = 500;

/// Hashes canonical bytes. Senders choose labels, so the seed must not be known to them.
#[derive(Clone, Debug)]
pub struct LabelHasher(FixedState);

impl LabelHasher {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }

    #[must_use]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }
}

/// Why a label set names no series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum LabelError {
    #[error("label name is given twice")]
    DuplicateName,
    #[error("label name is empty")]
    EmptyName,
    #[error("label is malformed")]
    Malformed,
    #[error("metric name is missing")]
    NoMetricName,
    #[error("label is not valid UTF-8")]
    NotUtf8,
}

/// The labels that the bytes spell, whatever their order.
pub(crate) fn read_labels(bytes: &[u8]) -> Result<Labels, LabelError> {
    let labels = read_label_set(bytes)?;
    if labels.metric_name().is_none() {
        return Err(LabelError::NoMetricName);
    }
    Ok(labels)
}

/// As [`read_labels`], of what need not be a series: an exemplar's labels.
pub(crate) fn read_label_set(bytes: &[u8]) -> Result<Labels, LabelError> {
    let mut pairs = Vec::with_capacity(16);
    let mut fields = Fields::new(bytes);
    while !fields.is_empty() {
        let (name, value) = read_label(&mut fields).map_err(|_| LabelError::Malformed)?;
        let name = std::str::from_utf8(name).map_err(|_| LabelError::NotUtf8)?;
        let value = std::str::from_utf8(value).map_err(|_| LabelError::NotUtf8)?;
        if name.is_empty() {
            return Err(LabelError::EmptyName);
        }
        pairs.push((name, value));
    }
    pairs.sort_by_key(|(name, _)| *name);
    if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(LabelError::DuplicateName);
    }
    // An empty value means that the label is absent.
    pairs.retain(|(_, value)| !value.is_empty());
    Ok(Labels::from_pairs(pairs))
}

/// The name that is given twice, of labels that are refused for it.
pub(crate) fn duplicate_name(bytes: &[u8]) -> String {
    let mut names = Vec::new();
    let mut fields = Fields::new(bytes);
    while let Some((name, _)) = (!fields.is_empty())
        .then(|| read_label(&mut fields).ok())
        .flatten()
    {
        names.push(name);
    }
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    shortened(String::from_utf8_lossy(twice.map_or(&[], |pair| pair[0])).into_owned())
}

/// What the bytes spell as far as it can be read, right or wrong, in the order in which it was sent: for people.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut shown = Vec::new();
    let mut fields = Fields::new(bytes);
    let mut chars = 0;
    while !fields.is_empty() && chars < SHOWN_CHARS_MAX {
        let Ok((name, value)) = read_label(&mut fields) else {
            break;
        };
        let value = String::from_utf8_lossy(value);
        let label = format!("{}={}", String::from_utf8_lossy(name), quote(&value));
        chars += label.chars().count();
        shown.push(label);
    }
    shortened(format!("{{{}}}", shown.join(", ")))
}

/// A line of the log, or an answer, is not made longer by a label set that is too long.
pub(crate) fn shortened(text: String) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The next label of a run of label fields.
fn read_label<'a>(fields: &mut Fields<'a>) -> Result<(&'a [u8], &'a [u8]), WireError> {
    let tag = fields.tag()?;
    if tag.wire != BYTES {
        return Err(WireError::WireType);
    }
    let mut label = Fields::new(fields.bytes()?);
    let (mut name, mut value) = (&[][..], &[][..]);
    while !label.is_empty() {
        let tag = label.tag()?;
        match (tag.field, tag.wire) {
            (1, BYTES) => name = label.bytes()?,
            (2, BYTES) => value = label.bytes()?,
            (1 | 2, _) => return Err(WireError::WireType),
            (_, wire) => label.skip(wire)?,
        }
    }
    Ok((name, value))
}

/// Appends the canonical bytes.
pub(crate) fn push_labels(bytes: &mut Vec<u8>, labels: &Labels) {
    for (name, value) in labels {
        push_label(bytes, name.as_bytes(), value.as_bytes());
    }
}

#[inline]
pub(crate) fn push_label(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let length =
        2 + varint_length(name.len()) + name.len() + varint_length(value.len()) + value.len();
    bytes.push(LABEL_TAG);
    push_varint(bytes, length as u64);
    bytes.push(NAME_TAG);
    push_varint(bytes, name.len() as u64);
    bytes.extend_from_slice(name);
    bytes.push(VALUE_TAG);
    push_varint(bytes, value.len() as u64);
    bytes.extend_from_slice(value);
}

/// Whether `bytes` are the canonical bytes of `labels`. This is asked for every series of every request.
pub(crate) fn is_spelled(labels: &Labels, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    for (name, value) in labels {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        let is_next = if name.len() + value.len() < SHORT_LABEL_BYTES {
            take_short_label(&mut rest, name, value)
        } else {
            take_label(&mut rest, name, value)
        };
        if !is_next {
            return false;
        }
    }
    rest.is_empty()
}

/// Name and value together below this have lengths of one byte, and so has the label.
const SHORT_LABEL_BYTES: usize = 0x80 - 4;

#[inline]
fn take_short_label(rest: &mut &[u8], name: &[u8], value: &[u8]) -> bool {
    let value_at = 6 + name.len();
    let Some((label, after)) = rest.split_at_checked(value_at + value.len()) else {
        return false;
    };
    let lengths_are_right = label[..4]
        == [
            LABEL_TAG,
            (4 + name.len() + value.len()) as u8,
            NAME_TAG,
            name.len() as u8,
        ]
        && label[value_at - 2..value_at] == [VALUE_TAG, value.len() as u8];
    *rest = after;
    lengths_are_right && &label[4..value_at - 2] == name && &label[value_at..] == value
}

fn take_label(rest: &mut &[u8], name: &[u8], value: &[u8]) -> bool {
    let length =
        2 + varint_length(name.len()) + name.len() + varint_length(value.len()) + value.len();
    take_byte(rest, LABEL_TAG)
        && take_varint(rest, length)
        && take_byte(rest, NAME_TAG)
        && take_varint(rest, name.len())
        && take(rest, name)
        && take_byte(rest, VALUE_TAG)
        && take_varint(rest, value.len())
        && take(rest, value)
}

#[inline]
fn take_byte(rest: &mut &[u8], byte: u8) -> bool {
    match rest {
        [first, after @ ..] if *first == byte => {
            *rest = after;
            true
        }
        _ => false,
    }
}

#[inline]
fn take(rest: &mut &[u8], part: &[u8]) -> bool {
    match rest.strip_prefix(part) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

#[inline]
fn take_varint(rest: &mut &[u8], mut value: usize) -> bool {
    while value >= 0x80 {
        if !take_byte(rest, value as u8 | 0x80) {
            return false;
        }
        value >>= 7;
    }
    take_byte(rest, value as u8)
}

const fn varint_length(value: usize) -> usize {
    let bits = (usize::BITS - (value | 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use model::Labels;
    use proptest::prelude::*;

    use super::{LabelError, SHOWN_CHARS_MAX, is_spelled, push_labels, read_labels, shown};

    fn spelled(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in pairs {
            push_labels(&mut bytes, &Labels::from_pairs([(name, value)]));
        }
        bytes
    }

    #[test]
    fn other_spellings_name_the_same_set() {
        let set = Labels::from_pairs([("__name__", "up"), ("job", "x")]);
        for (pairs, canonical) in [
            (&[("__name__", "up"), ("job", "x")][..], true),
            (&[("job", "x"), ("__name__", "up")], false),
            (&[("__name__", "up"), ("empty", ""), ("job", "x")], false),
        ] {
            let bytes = spelled(pairs);
            assert_eq!(read_labels(&bytes), Ok(set.clone()), "{pairs:?}");
            assert_eq!(is_spelled(&set, &bytes), canonical, "{pairs:?}");
        }
    }

    #[test]
    fn refuses_what_names_no_series() {
        for (bytes, error) in [
            (spelled(&[]), LabelError::NoMetricName),
            (spelled(&[("job", "x")]), LabelError::NoMetricName),
            (spelled(&[("__name__", "")]), LabelError::NoMetricName),
            (
                spelled(&[("__name__", "up"), ("", "x")]),
                LabelError::EmptyName,
            ),
            (
                spelled(&[("__name__", "up"), ("a", "1"), ("a", "1")]),
                LabelError::DuplicateName,
            ),
            (
                spelled(&[("__name__", "up"), ("a", ""), ("a", "1")]),
                LabelError::DuplicateName,
            ),
            (
                vec![0x0a, 5, 0x0a, 1, b'a', 0x12, 0xff],
                LabelError::Malformed,
            ),
            (
                vec![0x0a, 6, 0x0a, 1, b'a', 0x12, 1, 0xff],
                LabelError::NotUtf8,
            ),
        ] {
            assert_eq!(read_labels(&bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn what_names_no_series_is_shown_all_the_same() {
        let long = "x".repeat(2 * SHOWN_CHARS_MAX);
        for (bytes, text) in [
            (spelled(&[]), "{}".to_owned()),
            (spelled(&[("job", "x")]), "{job=\"x\"}".to_owned()),
            (
                spelled(&[("a", "1"), ("a", ""), ("", "2")]),
                "{a=\"1\", a=\"\", =\"2\"}".to_owned(),
            ),
            (
                [
                    spelled(&[("a", "b")]),
                    vec![0x0a, 6, 0x0a, 1, b'a', 0x12, 1, 0xff, 0x0a, 9],
                ]
                .concat(),
                "{a=\"b\", a=\"\u{fffd}\"}".to_owned(),
            ),
            (
                spelled(&[("a", &long), ("b", "1")]),
                format!("{{a=\"{}…", &long[..SHOWN_CHARS_MAX - 4]),
            ),
        ] {
            assert_eq!(shown(&bytes), text, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_shown_at_length(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(shown(&bytes).chars().count() <= SHOWN_CHARS_MAX + 1);
        }

        #[test]
        fn canonical_bytes_read_back(pairs in prop::collection::btree_map(".{1,20}", ".{1,300}", 0..6), name in "[a-z]{1,9}") {
            let mut pairs = pairs;
            pairs.insert("__name__".to_owned(), name);
            let set = Labels::from_pairs(&pairs);
            let mut bytes = Vec::new();
            push_labels(&mut bytes, &set);
            prop_assert!(is_spelled(&set, &bytes));
            prop_assert_eq!(read_labels(&bytes), Ok(set.clone()));
            prop_assert!(!is_spelled(&set, &bytes[..bytes.len() - 1]));
        }
    }
}
