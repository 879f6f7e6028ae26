//! The files of an Alertmanager's data folder, `nflog` and `silences`: read, and written in the same form.
//!
//! Each is a row of messages behind their lengths, `MeshEntry` and `MeshSilence` of Alertmanager 0.34: what it wrote
//! is taken over, and what is written here it reads. Older releases left the matcher sets of a silence out, and newer
//! ones write both forms.
use std::collections::BTreeMap;
use std::time::Duration;

use model::protobuf::{BYTES, FIXED64, Fields, VARINT, WireError, push_bytes, push_varint};
use model::{Labels, MatchOp, Matcher, MatcherDialect, Timestamp};
use notifiers_core::{GroupKey, Memory, Remembered};

use crate::hashes::AlertHashes;
use crate::nflog::{Entry, LogKey};
use crate::record::Record;
use crate::silence::{Silence, SilenceId};

/// Go's zero time, which is no time.
const GO_ZERO_SECONDS: i64 = -62_135_596_800;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    #[error("message {number} is damaged")]
    Wire {
        /// From 0.
        number: usize,
        #[source]
        source: WireError,
    },
    #[error("message {number}: a text is not UTF-8")]
    Text { number: usize },
    #[error("message {number}: a silence has no id or no matchers")]
    NoSilence { number: usize },
    #[error("message {number}: a matcher of silence {id} does not compile")]
    Matcher { number: usize, id: String },
    #[error("message {number}: an entry names no receiver")]
    NoReceiver { number: usize },
}

/// What a message may be wrong with; the reader of the file knows its number.
enum Wrong {
    Wire(WireError),
    Text,
    NoSilence,
    Matcher(String),
    NoReceiver,
}

impl From<WireError> for Wrong {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl Wrong {
    fn at(self, number: usize) -> SnapshotError {
        match self {
            Self::Wire(source) => SnapshotError::Wire { number, source },
            Self::Text => SnapshotError::Text { number },
            Self::NoSilence => SnapshotError::NoSilence { number },
            Self::Matcher(id) => SnapshotError::Matcher { number, id },
            Self::NoReceiver => SnapshotError::NoReceiver { number },
        }
    }
}

/// A file's records, and how many messages were passed over because they are of no use (a silence whose matcher does
/// not compile mutes nothing there either).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotFile {
    pub records: Vec<Record>,
    pub passed_over: Vec<SnapshotError>,
}

/// Reads `nflog`.
///
/// # Errors
/// A file that is cut off or is something else.
pub fn read_nflog(bytes: &[u8]) -> Result<SnapshotFile, SnapshotError> {
    read(bytes, read_entry)
}

/// Reads `silences`.
///
/// # Errors
/// A file that is cut off or is something else.
pub fn read_silences(bytes: &[u8]) -> Result<SnapshotFile, SnapshotError> {
    read(bytes, read_silence)
}

/// The silences of a file that are newer than what is known of the same ones.
#[must_use]
pub fn newer_silences(known: &[Record], file: Vec<Record>) -> Vec<Record> {
    let mut silences: BTreeMap<&SilenceId, Vec<&Silence>> = BTreeMap::new();
    for record in known {
        if let Record::Silenced(silence) = record {
            silences.entry(&silence.id).or_default().push(silence);
        }
    }
    // One that this process knew before its clock was set back is not newer than what it has said since.
    let is_newer = |silence: &Silence, known: &[&Silence]| {
        let last = known.last();
        last.is_none_or(|last| silence.updated_at > last.updated_at) && !known.contains(&silence)
    };
    file.into_iter()
        .filter(|record| {
            if let Record::Silenced(silence) = record {
                let known = silences.get(&silence.id);
                is_newer(silence, known.map_or(&[], Vec::as_slice))
            } else {
                false
            }
        })
        .collect()
}

/// The content of `nflog`.
#[must_use]
pub fn write_nflog<'a>(entries: impl Iterator<Item = (&'a LogKey, &'a Entry)>) -> Vec<u8> {
    let mut file = Vec::new();
    for (key, entry) in entries {
        let mut receiver = Vec::new();
        push_text(&mut receiver, 1, &key.receiver);
        push_text(&mut receiver, 2, &key.integration);
        push_number(&mut receiver, 3, u64::from(key.index));
        let mut inner = Vec::new();
        push_text(&mut inner, 1, key.group_key.as_str());
        push_bytes(&mut inner, 2, &receiver);
        push_time(&mut inner, 5, entry.at);
        push_hashes(&mut inner, 6, &entry.firing);
        push_hashes(&mut inner, 7, &entry.resolved);
        for (name, value) in &entry.memory.0 {
            push_remembered(&mut inner, name, value);
        }
        let mut message = Vec::new();
        push_bytes(&mut message, 1, &inner);
        push_time(&mut message, 2, entry.expires_at);
        push_message(&mut file, &message);
    }
    file
}

/// The content of `silences`; each is kept for `retention` behind its end.
#[must_use]
pub fn write_silences<'a>(
    silences: impl Iterator<Item = &'a Silence>,
    retention: Duration,
) -> Vec<u8> {
    let mut file = Vec::new();
    for silence in silences {
        let mut inner = Vec::new();
        push_text(&mut inner, 1, silence.id.as_str());
        // Old releases read this, and know but one set.
        for matcher in silence.matcher_sets.first().into_iter().flatten() {
            push_bytes(&mut inner, 2, &matcher_message(matcher));
        }
        push_time(&mut inner, 3, silence.starts_at);
        push_time(&mut inner, 4, silence.ends_at);
        push_time(&mut inner, 5, silence.updated_at);
        push_text(&mut inner, 8, &silence.created_by);
        push_text(&mut inner, 9, &silence.comment);
        for (name, value) in &silence.annotations {
            let mut pair = Vec::new();
            push_text(&mut pair, 1, name);
            push_text(&mut pair, 2, value);
            push_bytes(&mut inner, 10, &pair);
        }
        for set in &silence.matcher_sets {
            let mut message = Vec::new();
            for matcher in set {
                push_bytes(&mut message, 1, &matcher_message(matcher));
            }
            push_bytes(&mut inner, 11, &message);
        }
        let mut message = Vec::new();
        push_bytes(&mut message, 1, &inner);
        push_time(&mut message, 2, silence.ends_at + retention);
        push_message(&mut file, &message);
    }
    file
}

fn read(
    bytes: &[u8],
    message: fn(&[u8]) -> Result<Record, Wrong>,
) -> Result<SnapshotFile, SnapshotError> {
    let mut file = SnapshotFile::default();
    let mut rest = Fields::new(bytes);
    let mut number = 0;
    while !rest.is_empty() {
        let bytes = rest
            .bytes()
            .map_err(|source| SnapshotError::Wire { number, source })?;
        match message(bytes).map_err(|wrong| wrong.at(number)) {
            Ok(record) => file.records.push(record),
            Err(passed_over @ SnapshotError::Matcher { .. }) => file.passed_over.push(passed_over),
            Err(error) => return Err(error),
        }
        number += 1;
    }
    Ok(file)
}

fn read_entry(message: &[u8]) -> Result<Record, Wrong> {
    let (mut inner, mut expires_at) = (&[][..], Timestamp::MIN);
    let mut fields = Fields::new(message);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, BYTES) => inner = fields.bytes()?,
            (2, BYTES) => expires_at = time(fields.bytes()?)?,
            (_, wire) => fields.skip(wire)?,
        }
    }
    let mut group_key = String::new();
    let mut receiver = None;
    let mut at = Timestamp::MIN;
    let (mut firing, mut resolved) = (Vec::new(), Vec::new());
    let mut memory = Memory::default();
    let mut fields = Fields::new(inner);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, BYTES) => group_key = text(fields.bytes()?)?,
            (2, BYTES) => receiver = Some(read_receiver(fields.bytes()?)?),
            (5, BYTES) => at = time(fields.bytes()?)?,
            (6, _) => numbers(&mut fields, tag.wire, &mut firing)?,
            (7, _) => numbers(&mut fields, tag.wire, &mut resolved)?,
            (8, BYTES) => {
                if let Some((name, value)) = read_remembered(fields.bytes()?)? {
                    memory.0.insert(name, value);
                }
            }
            (_, wire) => fields.skip(wire)?,
        }
    }
    let (receiver, integration, index) = receiver.ok_or(Wrong::NoReceiver)?;
    Ok(Record::ToldElsewhere {
        key: LogKey {
            group_key: GroupKey::from_text(group_key),
            receiver,
            integration,
            index,
        },
        entry: Entry {
            at,
            expires_at,
            firing: firing.into_iter().collect::<AlertHashes>(),
            resolved: resolved.into_iter().collect(),
            memory,
        },
    })
}

fn read_receiver(message: &[u8]) -> Result<(String, String, u32), Wrong> {
    let (mut name, mut integration, mut index) = (String::new(), String::new(), 0);
    let mut fields = Fields::new(message);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, BYTES) => name = text(fields.bytes()?)?,
            (2, BYTES) => integration = text(fields.bytes()?)?,
            (3, VARINT) => index = u32::try_from(fields.varint()?).unwrap_or(u32::MAX),
            (_, wire) => fields.skip(wire)?,
        }
    }
    Ok((name, integration, index))
}

/// `None` for a kind of value that is not known.
fn read_remembered(message: &[u8]) -> Result<Option<(String, Remembered)>, Wrong> {
    let (mut name, mut value) = (String::new(), None);
    let mut fields = Fields::new(message);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, BYTES) => name = text(fields.bytes()?)?,
            (2, BYTES) => {
                let mut inner = Fields::new(fields.bytes()?);
                while !inner.is_empty() {
                    let tag = inner.tag()?;
                    match (tag.field, tag.wire) {
                        (1, BYTES) => value = Some(Remembered::Text(text(inner.bytes()?)?)),
                        (2, VARINT) => {
                            value = Some(Remembered::Integer(inner.varint()?.cast_signed()));
                        }
                        (3, FIXED64) => {
                            value = Some(Remembered::Number(f64::from_bits(inner.fixed64()?)));
                        }
                        (_, wire) => inner.skip(wire)?,
                    }
                }
            }
            (_, wire) => fields.skip(wire)?,
        }
    }
    Ok(value.map(|value| (name, value)))
}

fn read_silence(message: &[u8]) -> Result<Record, Wrong> {
    let mut inner = &[][..];
    let mut fields = Fields::new(message);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, BYTES) => inner = fields.bytes()?,
            (_, wire) => fields.skip(wire)?,
        }
    }
    let mut id = String::new();
    let (mut matchers, mut sets) = (Vec::new(), Vec::new());
    let mut times = [Timestamp::MIN; 3];
    let (mut created_by, mut comment) = (String::new(), String::new());
    let mut annotations = Vec::new();
    let mut fields = Fields::new(inner);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, BYTES) => id = text(fields.bytes()?)?,
            (2, BYTES) => matchers.push(fields.bytes()?),
            (number @ 3..=5, BYTES) => times[number as usize - 3] = time(fields.bytes()?)?,
            (8, BYTES) => created_by = text(fields.bytes()?)?,
            (9, BYTES) => comment = text(fields.bytes()?)?,
            (10, BYTES) => annotations.push(read_pair(fields.bytes()?)?),
            (11, BYTES) => sets.push(messages(fields.bytes()?)?),
            (_, wire) => fields.skip(wire)?,
        }
    }
    if sets.is_empty() {
        sets.push(matchers);
    }
    if id.is_empty() || sets.iter().any(Vec::is_empty) {
        return Err(Wrong::NoSilence);
    }
    let matcher_sets = sets
        .into_iter()
        .map(|set| {
            set.into_iter()
                .map(|bytes| read_matcher(bytes, &id))
                .collect()
        })
        .collect::<Result<_, _>>()?;
    let [starts_at, ends_at, updated_at] = times;
    Ok(Record::Silenced(Silence {
        id: SilenceId::new(id),
        matcher_sets,
        starts_at,
        ends_at,
        updated_at,
        created_by,
        comment,
        annotations: Labels::from_pairs(annotations),
    }))
}

/// The messages in field 1.
fn messages(message: &[u8]) -> Result<Vec<&[u8]>, Wrong> {
    let mut found = Vec::new();
    let mut fields = Fields::new(message);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, BYTES) => found.push(fields.bytes()?),
            (_, wire) => fields.skip(wire)?,
        }
    }
    Ok(found)
}

fn read_pair(message: &[u8]) -> Result<(String, String), Wrong> {
    let (mut name, mut value) = (String::new(), String::new());
    let mut fields = Fields::new(message);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, BYTES) => name = text(fields.bytes()?)?,
            (2, BYTES) => value = text(fields.bytes()?)?,
            (_, wire) => fields.skip(wire)?,
        }
    }
    Ok((name, value))
}

fn read_matcher(message: &[u8], id: &str) -> Result<Matcher, Wrong> {
    let (mut kind, mut name, mut pattern) = (0, String::new(), String::new());
    let mut fields = Fields::new(message);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, VARINT) => kind = fields.varint()?,
            (2, BYTES) => name = text(fields.bytes()?)?,
            (3, BYTES) => pattern = text(fields.bytes()?)?,
            (_, wire) => fields.skip(wire)?,
        }
    }
    let op = match kind {
        0 => MatchOp::Equal,
        1 => MatchOp::Regex,
        2 => MatchOp::NotEqual,
        3 => MatchOp::NotRegex,
        _ => return Err(Wrong::Matcher(id.to_owned())),
    };
    Matcher::new(op, &name, &pattern, MatcherDialect::Alertmanager)
        .map_err(|_| Wrong::Matcher(id.to_owned()))
}

fn matcher_message(matcher: &Matcher) -> Vec<u8> {
    let mut message = Vec::new();
    let kind = match matcher.op() {
        MatchOp::Equal => 0,
        MatchOp::Regex => 1,
        MatchOp::NotEqual => 2,
        MatchOp::NotRegex => 3,
    };
    push_number(&mut message, 1, kind);
    push_text(&mut message, 2, matcher.name());
    push_text(&mut message, 3, matcher.value());
    message
}

fn text(bytes: &[u8]) -> Result<String, Wrong> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Wrong::Text)
}

/// A `google.protobuf.Timestamp`: seconds and nanoseconds.
fn time(message: &[u8]) -> Result<Timestamp, Wrong> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    let mut fields = Fields::new(message);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            (1, VARINT) => seconds = fields.varint()?.cast_signed(),
            (2, VARINT) => nanos = fields.varint()?.cast_signed(),
            (_, wire) => fields.skip(wire)?,
        }
    }
    if seconds == GO_ZERO_SECONDS {
        return Ok(Timestamp::MIN);
    }
    let millis = seconds
        .saturating_mul(1000)
        .saturating_add(nanos / 1_000_000);
    Ok(Timestamp::from_millis(millis))
}

/// Packed, as Alertmanager writes them, or one by one.
fn numbers(fields: &mut Fields<'_>, wire: u8, into: &mut Vec<u64>) -> Result<(), Wrong> {
    match wire {
        BYTES => {
            let mut packed = Fields::new(fields.bytes()?);
            while !packed.is_empty() {
                into.push(packed.varint()?);
            }
        }
        VARINT => into.push(fields.varint()?),
        other => fields.skip(other)?,
    }
    Ok(())
}

fn push_message(file: &mut Vec<u8>, message: &[u8]) {
    push_varint(file, message.len() as u64);
    file.extend_from_slice(message);
}

/// What is empty or zero is left out, as the protocol has it.
fn push_text(message: &mut Vec<u8>, field: u8, text: &str) {
    if !text.is_empty() {
        push_bytes(message, field, text.as_bytes());
    }
}

fn push_number(message: &mut Vec<u8>, field: u8, number: u64) {
    if number != 0 {
        message.push(field << 3 | VARINT);
        push_varint(message, number);
    }
}

fn push_time(message: &mut Vec<u8>, field: u8, time: Timestamp) {
    let millis = time.as_millis();
    let (seconds, nanos) = if time == Timestamp::MIN {
        (GO_ZERO_SECONDS, 0)
    } else {
        (millis.div_euclid(1000), millis.rem_euclid(1000) * 1_000_000)
    };
    let mut inner = Vec::new();
    push_number(&mut inner, 1, seconds.cast_unsigned());
    push_number(&mut inner, 2, nanos.cast_unsigned());
    push_bytes(message, field, &inner);
}

fn push_hashes(message: &mut Vec<u8>, field: u8, hashes: &AlertHashes) {
    if hashes.is_empty() {
        return;
    }
    let mut packed = Vec::new();
    for hash in hashes.iter() {
        push_varint(&mut packed, hash);
    }
    push_bytes(message, field, &packed);
}

fn push_remembered(message: &mut Vec<u8>, name: &str, value: &Remembered) {
    let mut inner = Vec::new();
    match value {
        // A member of a choice is written even where it is empty: it says which.
        Remembered::Text(text) => push_bytes(&mut inner, 1, text.as_bytes()),
        Remembered::Integer(integer) => {
            inner.push(2 << 3 | VARINT);
            push_varint(&mut inner, integer.cast_unsigned());
        }
        Remembered::Number(number) => {
            inner.push(3 << 3 | FIXED64);
            inner.extend_from_slice(&number.to_bits().to_le_bytes());
        }
    }
    let mut pair = Vec::new();
    push_text(&mut pair, 1, name);
    push_bytes(&mut pair, 2, &inner);
    push_bytes(message, 8, &pair);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::Timestamp;
    use proptest::prelude::*;

    use super::{
        SnapshotError, newer_silences, read_nflog, read_silences, write_nflog, write_silences,
    };
    use crate::record::Record;
    use crate::silence::Silence;
    use crate::tests::records::{entries, silences};

    const RETENTION: Duration = Duration::from_secs(120 * 3600);
    /// Written by Alertmanager 0.34.
    const SILENCE_34: &str = "6e0a640a2466353639373963312d326332612d343838652d393165632d65366565323733393537643912061201611a01781a060880d9dbd90622060880fce0d9062a0c08efd980d80610d890afd7014201754a016352060a016b1201765a080a061201611a017812060880abfbd906";
    /// Written by Alertmanager 0.25.
    const SILENCE_25: &str = "620a580a2436613534363235332d346335642d343465652d626134302d66393338323038333739616212061201611a01781a0c08ecc680d80610b3f091cd032206088096a58e082a0c08ecc680d80610b3f091cd034201614a016312060880c5bf8e08";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    }

    fn one_silence(hex: &str) -> Silence {
        let file = read_silences(&bytes(hex)).unwrap();
        match file.records.as_slice() {
            [Record::Silenced(silence)] => silence.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_of_two_releases_are_read() {
        let silence = one_silence(SILENCE_34);
        assert_eq!(silence.id.as_str(), "f56979c1-2c2a-488e-91ec-e6ee273957d9");
        assert_eq!(silence.starts_at, Timestamp::from_secs(1_798_761_600));
        assert_eq!(silence.ends_at, Timestamp::from_secs(1_798_848_000));
        assert_eq!(
            (silence.created_by.as_str(), silence.comment.as_str()),
            ("u", "c")
        );
        assert_eq!(silence.annotations.value("k"), "v");
        let printed = |silence: &Silence| {
            let sets = silence.matcher_sets.iter();
            sets.map(|set| set.iter().map(ToString::to_string).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        assert_eq!(printed(&silence), [[r#"a="x""#]]);
        assert_eq!(printed(&one_silence(SILENCE_25)), [[r#"a="x""#]]);
    }

    /// But for what is finer than a millisecond.
    #[test]
    fn what_is_written_is_what_alertmanager_writes() {
        let silence = one_silence(SILENCE_34);
        let written = write_silences([&silence].into_iter(), RETENTION);
        let nanos = |nanos: u32| {
            let mut field = vec![0x10];
            model::protobuf::push_varint(&mut field, u64::from(nanos));
            field
        };
        let theirs = bytes(SILENCE_34);
        let (fine, coarse) = (nanos(451_659_864), nanos(451_000_000));
        assert_eq!(fine.len(), coarse.len());
        let at = theirs
            .windows(fine.len())
            .position(|part| part == fine)
            .unwrap();
        let mut expected = theirs.clone();
        expected[at..at + fine.len()].copy_from_slice(&coarse);
        assert_eq!(written, expected);
    }

    #[test]
    fn a_silence_of_the_file_is_news_where_nothing_newer_is_known() {
        let silence = one_silence(SILENCE_34);
        let moved = |secs: i64| Silence {
            updated_at: Timestamp::from_millis(silence.updated_at.as_millis() + secs * 1000),
            ..silence.clone()
        };
        for (known, file, is_news) in [
            (&[][..], 0, true),
            (&[0], 0, false),
            (&[0], 1, true),
            (&[1], 0, false),
            // The clock was set back after the first one.
            (&[0, -60], 0, false),
            (&[0, -60], -30, true),
        ] {
            let known: Vec<Record> = known
                .iter()
                .map(|secs| Record::Silenced(moved(*secs)))
                .collect();
            let newer = newer_silences(&known, vec![Record::Silenced(moved(file))]);
            assert_eq!(!newer.is_empty(), is_news, "{known:?} {file}");
        }
    }

    #[test]
    fn damaged_files_are_refused_and_useless_silences_passed_over() {
        let whole = bytes(SILENCE_34);
        assert!(matches!(
            read_silences(&whole[..whole.len() - 1]),
            Err(SnapshotError::Wire { number: 0, .. })
        ));
        assert_eq!(
            read_silences(&[0]),
            Err(SnapshotError::NoSilence { number: 0 })
        );
        assert_eq!(
            read_nflog(&[0]),
            Err(SnapshotError::NoReceiver { number: 0 })
        );
        // `a=~"("` beside a silence that is right.
        let text = [0x08, 0x01, 0x12, 0x01, b'a', 0x1a, 0x01, b'('];
        let inner = [&[0x0a, 1, b'i', 0x12, 8][..], &text].concat();
        let message = [&[0x0a, inner.len() as u8][..], &inner].concat();
        let file = [&[message.len() as u8][..], &message, &whole].concat();
        let read = read_silences(&file).unwrap();
        assert_eq!(read.records.len(), 1);
        let id = "i".to_owned();
        assert_eq!(read.passed_over, [SnapshotError::Matcher { number: 0, id }]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(all in prop::collection::vec(silences(), 0..4), log in prop::collection::vec(entries(), 0..4)) {
            let file = write_silences(all.iter(), RETENTION);
            let expected: Vec<Record> = all.into_iter().map(Record::Silenced).collect();
            prop_assert_eq!(read_silences(&file).unwrap().records, expected);
            let file = write_nflog(log.iter().map(|(key, entry)| (key, entry)));
            let expected: Vec<Record> = log.into_iter().map(|(key, entry)| Record::ToldElsewhere { key, entry }).collect();
            prop_assert_eq!(read_nflog(&file).unwrap().records, expected);
        }

        #[test]
        fn no_bytes_panic(noise: Vec<u8>) {
            let _any = (read_nflog(&noise), read_silences(&noise));
        }
    }
}
