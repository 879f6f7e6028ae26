//! What is stored so that nothing accepted is forgotten, and its bytes.
//!
//! A record says how something stands, not how it changed: a later record of the same alert, log entry or silence
//! replaces an earlier one, whatever times they bear, for between two lives of a process its clock may be set back.
//! So a snapshot may be followed by records that it already holds. What stands before a whole snapshot counts for
//! nothing: it may say that something fires whose end could not be stored.
use std::collections::BTreeMap;

use model::{Alert, Fingerprint, MatchOp, Matcher, MatcherDialect, Timestamp};
use notifiers_core::{GroupKey, Memory, Remembered};

use crate::codec::{CodecError, Reader, Writer};
use crate::hashes::{AlertHashes, Uncertain};
use crate::nflog::{Entry, LogKey};
use crate::silence::{Silence, SilenceId};
use crate::store::{Extension, Standing};

/// The first byte of every record. Format 1 has no [`Record::Began`], and attempts end nothing in it. Up to format 2 a
/// [`Record::Notified`] bears no time of its own, and entries of a file stand in the log as they were found. Format 3 has no
/// [`Record::HeardBy`].
const VERSION: u8 = 4;

#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// As merged with what was known before.
    Alerts(Vec<Alert>),
    /// The process lived at this instant.
    Alive(Timestamp),
    /// An attempt is about to tell this. Where its end was never recorded, the vendor may know it.
    Attempted {
        key: LogKey,
        uncertain: Uncertain,
    },
    /// A process took over, at this instant of its clock, what stands before this record.
    Began(Timestamp),
    Extensions(Vec<Extension>),
    /// What another Alertmanager may know is waited for until then (`handover`).
    HeardBy(Timestamp),
    /// This process knows at `said_at` that the entry is what was told last.
    Notified {
        key: LogKey,
        entry: Entry,
        said_at: Timestamp,
    },
    Silenced(Silence),
    /// The file of another Alertmanager, which did this one's work meanwhile, has this entry ([`crate::snapshot_files`]).
    /// Whether it is news, and what follows from it, is found out once.
    ToldElsewhere {
        key: LogKey,
        entry: Entry,
    },
    /// How well it is known that each of these alerts fires, up to a later record of the alert.
    Standings(Vec<(Fingerprint, Standing)>),
    /// That was done here: the entry stands for what was told last, and what followed from it stands beside it.
    TookOver {
        key: LogKey,
        entry: Entry,
    },
    /// The records up to [`Record::SnapshotEnds`] are a whole state.
    SnapshotBegins,
    SnapshotEnds,
}

/// The records from the beginning of the last whole snapshot on. One that was cut off takes nothing away.
#[must_use]
pub(crate) fn since_snapshot(records: impl IntoIterator<Item = Record>) -> Vec<Record> {
    let mut kept = Vec::new();
    let mut begun = None;
    for record in records {
        match record {
            Record::SnapshotBegins => begun = Some(kept.len()),
            Record::SnapshotEnds => {
                if let Some(begun) = begun.take() {
                    kept.drain(..begun);
                }
            }
            state @ (Record::Alerts(_)
            | Record::Alive(_)
            | Record::Attempted { .. }
            | Record::Began(_)
            | Record::Extensions(_)
            | Record::HeardBy(_)
            | Record::Notified { .. }
            | Record::Silenced(_)
            | Record::Standings(_)
            | Record::ToldElsewhere { .. }
            | Record::TookOver { .. }) => kept.push(state),
        }
    }
    kept
}

impl Record {
    /// Whose entry of the notification log it is about.
    #[must_use]
    pub(crate) fn entry_of(&self) -> Option<&LogKey> {
        match self {
            Self::Attempted { key, .. }
            | Self::Notified { key, .. }
            | Self::ToldElsewhere { key, .. }
            | Self::TookOver { key, .. } => Some(key),
            Self::Alerts(_)
            | Self::Alive(_)
            | Self::Began(_)
            | Self::Extensions(_)
            | Self::HeardBy(_)
            | Self::Silenced(_)
            | Self::SnapshotBegins
            | Self::SnapshotEnds
            | Self::Standings(_) => None,
        }
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.byte(VERSION);
        match self {
            Self::Alerts(alerts) => {
                writer.byte(0);
                writer.length(alerts.len());
                for alert in alerts {
                    write_alert(&mut writer, alert);
                }
            }
            Self::Attempted { key, uncertain } => {
                writer.byte(1);
                write_key(&mut writer, key);
                write_hashes(&mut writer, &uncertain.firing);
                write_hashes(&mut writer, &uncertain.ended);
            }
            Self::Extensions(extensions) => {
                writer.byte(2);
                writer.length(extensions.len());
                for extension in extensions {
                    writer.number(extension.fingerprint.0);
                    writer.time(extension.ends_at);
                    writer.time(extension.updated_at);
                    writer.byte(u8::from(extension.timeout));
                }
            }
            Self::Notified {
                key,
                entry,
                said_at,
            } => {
                writer.byte(10);
                write_key(&mut writer, key);
                write_entry(&mut writer, entry);
                writer.time(*said_at);
            }
            Self::Silenced(silence) => {
                writer.byte(4);
                write_silence(&mut writer, silence);
            }
            Self::Alive(at) => {
                writer.byte(5);
                writer.time(*at);
            }
            Self::Standings(standings) => {
                writer.byte(12);
                writer.length(standings.len());
                for (fingerprint, standing) in standings {
                    writer.number(fingerprint.0);
                    writer.byte(match standing {
                        Standing::Confirmed => 0,
                        Standing::Revived => 1,
                        Standing::Doubtful => 2,
                    });
                }
            }
            Self::SnapshotBegins => writer.byte(6),
            Self::SnapshotEnds => writer.byte(7),
            Self::Began(at) => {
                writer.byte(8);
                writer.time(*at);
            }
            Self::ToldElsewhere { key, entry } => {
                writer.byte(9);
                write_key(&mut writer, key);
                write_entry(&mut writer, entry);
            }
            Self::TookOver { key, entry } => {
                writer.byte(11);
                write_key(&mut writer, key);
                write_entry(&mut writer, entry);
            }
            Self::HeardBy(until) => {
                writer.byte(13);
                writer.time(*until);
            }
        }
        writer.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let version = match reader.byte()? {
            known @ 1..=VERSION => known,
            newer => return Err(CodecError::Version(newer)),
        };
        let record = match reader.byte()? {
            0 => Self::Alerts(reader.list(read_alert)?),
            1 => Self::Attempted {
                key: read_key(&mut reader)?,
                uncertain: Uncertain {
                    firing: read_hashes(&mut reader)?,
                    ended: match version {
                        1 => AlertHashes::default(),
                        _ => read_hashes(&mut reader)?,
                    },
                },
            },
            2 => Self::Extensions(reader.list(read_extension)?),
            3 => {
                let (key, entry) = (read_key(&mut reader)?, read_entry(&mut reader)?);
                let said_at = entry.at;
                Self::Notified {
                    key,
                    entry,
                    said_at,
                }
            }
            4 => Self::Silenced(read_silence(&mut reader)?),
            5 => Self::Alive(reader.time()?),
            6 => Self::SnapshotBegins,
            7 => Self::SnapshotEnds,
            8 => Self::Began(reader.time()?),
            9 => Self::ToldElsewhere {
                key: read_key(&mut reader)?,
                entry: read_entry(&mut reader)?,
            },
            10 => Self::Notified {
                key: read_key(&mut reader)?,
                entry: read_entry(&mut reader)?,
                said_at: reader.time()?,
            },
            11 => Self::TookOver {
                key: read_key(&mut reader)?,
                entry: read_entry(&mut reader)?,
            },
            12 => Self::Standings(reader.list(read_standing)?),
            13 => Self::HeardBy(reader.time()?),
            tag => return Err(CodecError::Tag(tag)),
        };
        reader.end()?;
        Ok(record)
    }
}

fn write_alert(writer: &mut Writer, alert: &Alert) {
    writer.labels(&alert.labels);
    writer.labels(&alert.annotations);
    writer.time(alert.starts_at);
    writer.time(alert.ends_at);
    writer.time(alert.updated_at);
    writer.text(&alert.generator_url);
    writer.byte(u8::from(alert.timeout));
}

fn read_alert(reader: &mut Reader<'_>) -> Result<Alert, CodecError> {
    Ok(Alert {
        labels: reader.labels()?,
        annotations: reader.labels()?,
        starts_at: reader.time()?,
        ends_at: reader.time()?,
        updated_at: reader.time()?,
        generator_url: reader.text()?.to_owned(),
        timeout: reader.byte()? != 0,
    })
}

fn read_extension(reader: &mut Reader<'_>) -> Result<Extension, CodecError> {
    Ok(Extension {
        fingerprint: Fingerprint(reader.number()?),
        ends_at: reader.time()?,
        updated_at: reader.time()?,
        timeout: reader.byte()? != 0,
    })
}

fn read_standing(reader: &mut Reader<'_>) -> Result<(Fingerprint, Standing), CodecError> {
    let fingerprint = Fingerprint(reader.number()?);
    let standing = match reader.byte()? {
        0 => Standing::Confirmed,
        1 => Standing::Revived,
        2 => Standing::Doubtful,
        tag => return Err(CodecError::Tag(tag)),
    };
    Ok((fingerprint, standing))
}

fn write_key(writer: &mut Writer, key: &LogKey) {
    writer.text(key.group_key.as_str());
    writer.text(&key.receiver);
    writer.text(&key.integration);
    writer.number(u64::from(key.index));
}

fn read_key(reader: &mut Reader<'_>) -> Result<LogKey, CodecError> {
    Ok(LogKey {
        group_key: GroupKey::from_text(reader.text()?.to_owned()),
        receiver: reader.text()?.to_owned(),
        integration: reader.text()?.to_owned(),
        index: u32::try_from(reader.number()?).map_err(|_| CodecError::Short)?,
    })
}

fn write_hashes(writer: &mut Writer, hashes: &AlertHashes) {
    writer.length(hashes.len());
    for hash in hashes.iter() {
        writer.number(hash);
    }
}

fn read_hashes(reader: &mut Reader<'_>) -> Result<AlertHashes, CodecError> {
    Ok(reader.list(Reader::number)?.into_iter().collect())
}

fn write_entry(writer: &mut Writer, entry: &Entry) {
    writer.time(entry.at);
    writer.time(entry.expires_at);
    write_hashes(writer, &entry.firing);
    write_hashes(writer, &entry.resolved);
    writer.length(entry.memory.0.len());
    for (name, remembered) in &entry.memory.0 {
        writer.text(name);
        match remembered {
            Remembered::Text(text) => {
                writer.byte(0);
                writer.text(text);
            }
            Remembered::Integer(integer) => {
                writer.byte(1);
                writer.integer(*integer);
            }
            Remembered::Number(number) => {
                writer.byte(2);
                writer.number(number.to_bits());
            }
        }
    }
}

fn read_entry(reader: &mut Reader<'_>) -> Result<Entry, CodecError> {
    Ok(Entry {
        at: reader.time()?,
        expires_at: reader.time()?,
        firing: read_hashes(reader)?,
        resolved: read_hashes(reader)?,
        memory: Memory(read_memory(reader)?),
    })
}

fn read_memory(reader: &mut Reader<'_>) -> Result<BTreeMap<String, Remembered>, CodecError> {
    let pairs = reader.list(|reader| {
        let name = reader.text()?.to_owned();
        let remembered = match reader.byte()? {
            0 => Remembered::Text(reader.text()?.to_owned()),
            1 => Remembered::Integer(reader.integer()?),
            2 => Remembered::Number(f64::from_bits(reader.number()?)),
            tag => return Err(CodecError::Tag(tag)),
        };
        Ok((name, remembered))
    })?;
    Ok(pairs.into_iter().collect())
}

fn write_silence(writer: &mut Writer, silence: &Silence) {
    writer.text(silence.id.as_str());
    writer.length(silence.matcher_sets.len());
    for set in &silence.matcher_sets {
        writer.length(set.len());
        for matcher in set {
            writer.byte(match matcher.op() {
                MatchOp::Equal => 0,
                MatchOp::Regex => 1,
                MatchOp::NotEqual => 2,
                MatchOp::NotRegex => 3,
            });
            writer.text(matcher.name());
            writer.text(matcher.value());
        }
    }
    writer.time(silence.starts_at);
    writer.time(silence.ends_at);
    writer.time(silence.updated_at);
    writer.text(&silence.created_by);
    writer.text(&silence.comment);
    writer.labels(&silence.annotations);
}

fn read_silence(reader: &mut Reader<'_>) -> Result<Silence, CodecError> {
    Ok(Silence {
        id: SilenceId::new(reader.text()?),
        matcher_sets: reader.list(|reader| reader.list(read_matcher))?,
        starts_at: reader.time()?,
        ends_at: reader.time()?,
        updated_at: reader.time()?,
        created_by: reader.text()?.to_owned(),
        comment: reader.text()?.to_owned(),
        annotations: reader.labels()?,
    })
}

fn read_matcher(reader: &mut Reader<'_>) -> Result<Matcher, CodecError> {
    let op = match reader.byte()? {
        0 => MatchOp::Equal,
        1 => MatchOp::Regex,
        2 => MatchOp::NotEqual,
        3 => MatchOp::NotRegex,
        tag => return Err(CodecError::Tag(tag)),
    };
    let (name, value) = (reader.text()?, reader.text()?);
    Matcher::new(op, name, value, MatcherDialect::Alertmanager).map_err(|_| CodecError::Matcher)
}
