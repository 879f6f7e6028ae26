//! Changes of alert state as they are saved, each whole, so that a restart at any moment finds the state of the last
//! evaluation that anybody could have heard of.
use std::sync::Arc;

use model::{Labels, Timestamp};

use crate::alert::{ActiveAlert, AlertState};
use crate::codec::{DecodeError, Decoder, Encoder};
use crate::rule::{GroupKey, RuleClass, RuleKey};

/// 1 had no [`Record::Wrote`].
const VERSIONS: std::ops::RangeInclusive<u8> = 1..=2;
const VERSION: u8 = *VERSIONS.end();

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A rule was evaluated and has, or had, active alerts.
    Evaluated {
        group: GroupKey,
        rule: RuleKey,
        /// The slot of its latest evaluation that succeeded.
        at: Timestamp,
        changed: Vec<ActiveAlert>,
        forgotten: Vec<Labels>,
    },
    /// A recording rule has written other series than before: a restart goes on to mark those that end.
    Wrote {
        group: GroupKey,
        rule: RuleKey,
        added: Vec<Labels>,
        ended: Vec<Labels>,
    },
    /// A rule is gone, and with it its alerts and series.
    RuleRemoved { group: GroupKey, rule: RuleKey },
    /// The resolved alert of a rule that is gone: changed or new.
    Departed {
        alert: ActiveAlert,
        expression: Arc<str>,
    },
    /// Nobody has to be told of it any more.
    DepartedForgotten { labels: Labels },
}

impl Record {
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.mark(VERSION);
        encode(self, &mut encoder);
        encoder.finish()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        check_version(&mut decoder)?;
        let record = decode(&mut decoder)?;
        decoder.finish()?;
        Ok(record)
    }
}

/// A whole state: the records that build it from nothing.
#[must_use]
pub(crate) fn snapshot_to_bytes<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<u8> {
    let mut encoder = Encoder::default();
    encoder.mark(VERSION);
    for record in records {
        encode(record, &mut encoder);
    }
    encoder.finish()
}

pub(crate) fn snapshot_from_bytes(bytes: &[u8]) -> Result<Vec<Record>, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    check_version(&mut decoder)?;
    let mut records = Vec::new();
    while !decoder.is_at_end() {
        records.push(decode(&mut decoder)?);
    }
    Ok(records)
}

fn check_version(decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
    let found = decoder.mark()?;
    if VERSIONS.contains(&found) {
        return Ok(());
    }
    Err(DecodeError::Version {
        found,
        known: VERSION,
    })
}

const EVALUATED: u8 = 1;
const RULE_REMOVED: u8 = 2;
const DEPARTED: u8 = 3;
const DEPARTED_FORGOTTEN: u8 = 4;
const WROTE: u8 = 5;

fn encode(record: &Record, encoder: &mut Encoder) {
    match record {
        Record::Evaluated {
            group,
            rule,
            at,
            changed,
            forgotten,
        } => {
            encoder.mark(EVALUATED);
            encode_keys(group, rule, encoder);
            encoder.time(*at);
            encoder.count(changed.len());
            for alert in changed {
                encode_alert(alert, encoder);
            }
            encode_all(forgotten, encoder);
        }
        Record::Wrote {
            group,
            rule,
            added,
            ended,
        } => {
            encoder.mark(WROTE);
            encode_keys(group, rule, encoder);
            encode_all(added, encoder);
            encode_all(ended, encoder);
        }
        Record::RuleRemoved { group, rule } => {
            encoder.mark(RULE_REMOVED);
            encode_keys(group, rule, encoder);
        }
        Record::Departed { alert, expression } => {
            encoder.mark(DEPARTED);
            encode_alert(alert, encoder);
            encoder.text(expression);
        }
        Record::DepartedForgotten { labels } => {
            encoder.mark(DEPARTED_FORGOTTEN);
            encoder.labels(labels);
        }
    }
}

fn decode(decoder: &mut Decoder<'_>) -> Result<Record, DecodeError> {
    match decoder.mark()? {
        EVALUATED => {
            let (group, rule) = decode_keys(decoder)?;
            let at = decoder.time()?;
            let changed = (0..decoder.count()?)
                .map(|_| decode_alert(decoder))
                .collect::<Result<_, _>>()?;
            let forgotten = decode_all(decoder)?;
            Ok(Record::Evaluated {
                group,
                rule,
                at,
                changed,
                forgotten,
            })
        }
        WROTE => {
            let (group, rule) = decode_keys(decoder)?;
            Ok(Record::Wrote {
                group,
                rule,
                added: decode_all(decoder)?,
                ended: decode_all(decoder)?,
            })
        }
        RULE_REMOVED => {
            let (group, rule) = decode_keys(decoder)?;
            Ok(Record::RuleRemoved { group, rule })
        }
        DEPARTED => Ok(Record::Departed {
            alert: decode_alert(decoder)?,
            expression: decoder.shared_text()?,
        }),
        DEPARTED_FORGOTTEN => Ok(Record::DepartedForgotten {
            labels: decoder.labels()?,
        }),
        mark => Err(DecodeError::Mark {
            what: "a record",
            mark,
        }),
    }
}

fn encode_all(labels: &[Labels], encoder: &mut Encoder) {
    encoder.count(labels.len());
    for labels in labels {
        encoder.labels(labels);
    }
}

fn decode_all(decoder: &mut Decoder<'_>) -> Result<Vec<Labels>, DecodeError> {
    (0..decoder.count()?).map(|_| decoder.labels()).collect()
}

fn encode_keys(group: &GroupKey, rule: &RuleKey, encoder: &mut Encoder) {
    encoder.text(&group.file);
    encoder.text(&group.name);
    encoder.mark(match rule.class {
        RuleClass::Alerting => 1,
        RuleClass::Recording => 2,
    });
    encoder.text(&rule.name);
    encoder.labels(&rule.labels);
    encoder.varint(u64::from(rule.twin));
}

fn decode_keys(decoder: &mut Decoder<'_>) -> Result<(GroupKey, RuleKey), DecodeError> {
    let group = GroupKey {
        file: decoder.shared_text()?,
        name: decoder.shared_text()?,
    };
    let class = match decoder.mark()? {
        1 => RuleClass::Alerting,
        2 => RuleClass::Recording,
        mark => {
            return Err(DecodeError::Mark {
                what: "a class of rules",
                mark,
            });
        }
    };
    let rule = RuleKey {
        class,
        name: decoder.shared_text()?,
        labels: decoder.labels()?,
        twin: u32::try_from(decoder.varint()?).unwrap_or(u32::MAX),
    };
    Ok((group, rule))
}

fn encode_alert(alert: &ActiveAlert, encoder: &mut Encoder) {
    encoder.labels(&alert.labels);
    encoder.labels(&alert.annotations);
    encoder.float(alert.value);
    match alert.state {
        AlertState::Pending { active_at } => {
            encoder.mark(1);
            encoder.time(active_at);
        }
        AlertState::Firing {
            active_at,
            fired_at,
            unseen_since,
            sent_at,
        } => {
            encoder.mark(2);
            encoder.time(active_at);
            encoder.time(fired_at);
            encoder.optional_time(unseen_since);
            encoder.optional_time(sent_at);
        }
        AlertState::Resolved {
            active_at,
            fired_at,
            resolved_at,
            sent_at,
        } => {
            encoder.mark(3);
            encoder.time(active_at);
            encoder.time(fired_at);
            encoder.time(resolved_at);
            encoder.optional_time(sent_at);
        }
    }
}

fn decode_alert(decoder: &mut Decoder<'_>) -> Result<ActiveAlert, DecodeError> {
    let labels = decoder.labels()?;
    let annotations = decoder.labels()?;
    let value = decoder.float()?;
    let state = match decoder.mark()? {
        1 => AlertState::Pending {
            active_at: decoder.time()?,
        },
        2 => AlertState::Firing {
            active_at: decoder.time()?,
            fired_at: decoder.time()?,
            unseen_since: decoder.optional_time()?,
            sent_at: decoder.optional_time()?,
        },
        3 => AlertState::Resolved {
            active_at: decoder.time()?,
            fired_at: decoder.time()?,
            resolved_at: decoder.time()?,
            sent_at: decoder.optional_time()?,
        },
        mark => {
            return Err(DecodeError::Mark {
                what: "an alert's state",
                mark,
            });
        }
    };
    Ok(ActiveAlert {
        labels,
        annotations,
        value,
        state,
    })
}
