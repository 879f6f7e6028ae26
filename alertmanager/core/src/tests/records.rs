//! Stored bytes: every record comes back as it was, and broken bytes are an error, never a panic.
use model::{Alert, Fingerprint, Labels, MatchOp, Matcher, MatcherDialect, Timestamp};
use notifiers_core::{GroupKey, Memory, Remembered};
use proptest::prelude::*;

use crate::codec::CodecError;
use crate::hashes::Uncertain;
use crate::nflog::{Entry, LogKey};
use crate::record::Record;
use crate::silence::{Silence, SilenceId};
use crate::store::{Extension, Standing};

fn times() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_millis)
}

fn some_labels() -> impl Strategy<Value = Labels> {
    proptest::collection::btree_map("[a-zé]{1,4}", ".{0,6}", 0..4)
        .prop_map(|pairs| Labels::from_pairs(&pairs))
}

fn keys() -> impl Strategy<Value = LogKey> {
    (".{0,9}", ".{0,5}", "[a-z]{1,5}", any::<u32>()).prop_map(
        |(group_key, receiver, integration, index)| LogKey {
            group_key: GroupKey::from_text(group_key),
            receiver,
            integration,
            index,
        },
    )
}

fn hashes() -> impl Strategy<Value = crate::hashes::AlertHashes> {
    proptest::collection::vec(any::<u64>(), 0..4).prop_map(|hashes| hashes.into_iter().collect())
}

fn alerts() -> impl Strategy<Value = Alert> {
    (
        some_labels(),
        some_labels(),
        times(),
        times(),
        times(),
        ".{0,9}",
        any::<bool>(),
    )
        .prop_map(
            |(labels, annotations, starts_at, ends_at, updated_at, generator_url, timeout)| Alert {
                labels,
                annotations,
                starts_at,
                ends_at,
                updated_at,
                generator_url,
                timeout,
            },
        )
}

fn memories() -> impl Strategy<Value = Memory> {
    let value = prop_oneof![
        ".{0,5}".prop_map(Remembered::Text),
        any::<i64>().prop_map(Remembered::Integer),
        (-1e9..1e9).prop_map(Remembered::Number),
    ];
    proptest::collection::btree_map("[a-z]{1,3}", value, 0..3).prop_map(Memory)
}

fn matchers() -> impl Strategy<Value = Matcher> {
    let ops = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Regex),
        Just(MatchOp::NotRegex)
    ];
    (ops, "[a-z]{1,3}", "[a-z|.*]{0,3}x").prop_filter_map("compiles", |(op, name, value)| {
        Matcher::new(op, &name, &value, MatcherDialect::Alertmanager).ok()
    })
}

pub(crate) fn entries() -> impl Strategy<Value = (LogKey, Entry)> {
    let entry = (times(), times(), hashes(), hashes(), memories()).prop_map(
        |(at, expires_at, firing, resolved, memory)| Entry {
            at,
            expires_at,
            firing,
            resolved,
            memory,
        },
    );
    (keys(), entry)
}

pub(crate) fn silences() -> impl Strategy<Value = Silence> {
    let sets = proptest::collection::vec(proptest::collection::vec(matchers(), 1..3), 1..3);
    (
        ".{1,9}",
        sets,
        times(),
        times(),
        times(),
        ".{0,9}",
        some_labels(),
    )
        .prop_map(
            |(id, matcher_sets, starts_at, ends_at, updated_at, comment, annotations)| Silence {
                id: SilenceId::new(id),
                matcher_sets,
                starts_at,
                ends_at,
                updated_at,
                created_by: comment.clone(),
                comment,
                annotations,
            },
        )
}

fn records() -> impl Strategy<Value = Record> {
    let extension = (any::<u64>(), times(), times(), any::<bool>()).prop_map(
        |(fingerprint, ends_at, updated_at, timeout)| Extension {
            fingerprint: Fingerprint(fingerprint),
            ends_at,
            updated_at,
            timeout,
        },
    );
    let standing = prop_oneof![
        Just(Standing::Confirmed),
        Just(Standing::Revived),
        Just(Standing::Doubtful)
    ];
    let standing =
        (any::<u64>(), standing).prop_map(|(fingerprint, to)| (Fingerprint(fingerprint), to));
    prop_oneof![
        proptest::collection::vec(standing, 0..3).prop_map(Record::Standings),
        proptest::collection::vec(alerts(), 0..3).prop_map(Record::Alerts),
        (keys(), hashes(), hashes()).prop_map(|(key, firing, ended)| {
            let uncertain = Uncertain { firing, ended };
            Record::Attempted { key, uncertain }
        }),
        proptest::collection::vec(extension, 0..3).prop_map(Record::Extensions),
        (entries(), times()).prop_map(|((key, entry), said_at)| Record::Notified {
            key,
            entry,
            said_at,
        }),
        entries().prop_map(|(key, entry)| Record::TookOver { key, entry }),
        entries().prop_map(|(key, entry)| Record::ToldElsewhere { key, entry }),
        silences().prop_map(Record::Silenced),
        Just(Record::SnapshotBegins),
        Just(Record::SnapshotEnds),
        times().prop_map(Record::Alive),
        times().prop_map(Record::Began),
        times().prop_map(Record::HeardBy),
    ]
}

proptest! {
    #[test]
    fn records_come_back_as_they_were(record in records()) {
        prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn a_record_cut_short_is_an_error(record in records(), cut in 0.0..1.0_f64) {
        let bytes = record.encode();
        let length = (bytes.len() as f64 * cut) as usize;
        prop_assert!(Record::decode(&bytes[..length]).is_err());
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), tag in 0_u8..14) {
        let _ = Record::decode(&bytes);
        let framed: Vec<u8> = [3, tag].into_iter().chain(bytes).collect();
        let _ = Record::decode(&framed);
    }
}

#[test]
fn a_newer_format_is_refused_with_a_sentence() {
    let error = Record::decode(&[5, 0, 0]).unwrap_err();
    assert_eq!(error, CodecError::Version(5));
    assert_eq!(error.to_string(), "record format 5 is of a newer release");
}

/// Bytes as the first release wrote them: they must stay readable.
#[test]
fn bytes_of_the_first_format_are_readable() {
    let alert = Alert {
        labels: Labels::from_pairs([("a", "x")]),
        annotations: Labels::default(),
        starts_at: Timestamp::from_millis(1),
        ends_at: Timestamp::from_millis(2),
        updated_at: Timestamp::from_millis(3),
        generator_url: "u".to_owned(),
        timeout: true,
    };
    let bytes = b"\x01\x00\x01\x01\x01a\x01x\x00\
        \x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x01u\x01";
    let record = Record::Alerts(vec![alert]);
    assert_eq!(record.encode()[1..], bytes[1..]);
    assert_eq!(Record::decode(bytes), Ok(record));
    let bytes = b"\x01\x01\x02{}\x04team\x05email\0\0\0\0\0\0\0\0\x01\x07\0\0\0\0\0\0\0";
    let record = Record::Attempted {
        key: LogKey {
            group_key: GroupKey::from_text("{}".to_owned()),
            receiver: "team".to_owned(),
            integration: "email".to_owned(),
            index: 0,
        },
        uncertain: Uncertain {
            firing: [7].into_iter().collect(),
            ended: [].into_iter().collect(),
        },
    };
    assert_eq!(Record::decode(bytes), Ok(record));
    assert!(
        Record::decode(&[0, 0, 0]).is_err(),
        "no release wrote format 0"
    );
}

/// It differs in what there may be, not in how that is written.
#[test]
fn bytes_of_the_third_format_are_readable() {
    let bytes = b"\x03\x0c\x01\x07\0\0\0\0\0\0\0\x02";
    let record = Record::Standings(vec![(Fingerprint(7), Standing::Doubtful)]);
    assert_eq!(record.encode()[1..], bytes[1..]);
    assert_eq!(Record::decode(bytes), Ok(record));
}

/// What the second release wrote of what was told: it was known when it was due.
#[test]
fn bytes_of_the_second_format_are_readable() {
    let bytes = b"\x02\x03\x02{}\x04team\x05email\0\0\0\0\0\0\0\0\
        \x05\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x01\x07\0\0\0\0\0\0\0\0\0";
    let entry = Entry {
        at: Timestamp::from_millis(5),
        expires_at: Timestamp::from_millis(9),
        firing: [7].into_iter().collect(),
        resolved: [].into_iter().collect(),
        memory: Memory::default(),
    };
    let record = Record::Notified {
        key: LogKey {
            group_key: GroupKey::from_text("{}".to_owned()),
            receiver: "team".to_owned(),
            integration: "email".to_owned(),
            index: 0,
        },
        said_at: entry.at,
        entry,
    };
    assert_eq!(Record::decode(bytes), Ok(record));
}
