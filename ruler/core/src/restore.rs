//! Alert state as it was saved, until the rules are there to claim it.
//!
//! Each evaluation that changes an alert saves the change before anybody is told. A restart replays snapshot and records,
//! and every alert goes on exactly where it was: the same start, the same `for` behind it, the same last message.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Timestamp};

use crate::alert::ActiveAlert;
use crate::codec::DecodeError;
use crate::record::{Record, snapshot_from_bytes, snapshot_to_bytes};
use crate::rule::{GroupKey, RuleKey};
use crate::series::WrittenSeries;

/// A pending alert whose rule was not evaluated for longer begins anew: nobody knows what its series did meanwhile
/// (`--rules.alert.for-outage-tolerance`). Within it the time without evaluations counts towards `for`.
pub const OUTAGE_TOLERANCE: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedState {
    pub(crate) rules: BTreeMap<GroupKey, BTreeMap<RuleKey, SavedRule>>,
    /// The series of recording rules.
    pub(crate) written: BTreeMap<GroupKey, BTreeMap<RuleKey, WrittenSeries>>,
    pub(crate) departed: BTreeMap<Labels, DepartedAlert>,
}

/// What was saved of one group's rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct SavedGroup {
    pub(crate) rules: BTreeMap<RuleKey, SavedRule>,
    pub(crate) written: BTreeMap<RuleKey, WrittenSeries>,
}

/// An alerting rule's alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRule {
    /// The slot of its latest evaluation that succeeded.
    pub evaluated_at: Timestamp,
    pub alerts: BTreeMap<Labels, ActiveAlert>,
}

/// The resolved alert of a rule that is gone, told again until the receivers can have no doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepartedAlert {
    pub alert: ActiveAlert,
    pub expression: Arc<str>,
}

impl SavedState {
    /// The latest snapshot, where there is one, and the records after it in their order.
    ///
    /// # Errors
    /// Bytes of another version, or bytes that are not what was written.
    pub fn replay<'a>(
        snapshot: Option<&[u8]>,
        records: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, DecodeError> {
        let mut state = Self::default();
        if let Some(bytes) = snapshot {
            for record in snapshot_from_bytes(bytes)? {
                state.apply(record);
            }
        }
        for bytes in records {
            state.apply(Record::from_bytes(bytes)?);
        }
        Ok(state)
    }

    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Evaluated {
                group,
                rule,
                at,
                changed,
                forgotten,
            } => {
                let rules = self.rules.entry(group.clone()).or_default();
                let saved = rules.entry(rule.clone()).or_insert_with(|| SavedRule {
                    evaluated_at: at,
                    alerts: BTreeMap::new(),
                });
                saved.evaluated_at = at;
                for labels in forgotten {
                    saved.alerts.remove(&labels);
                }
                for alert in changed {
                    saved.alerts.insert(alert.labels.clone(), alert);
                }
                if saved.alerts.is_empty() {
                    self.remove_rule(&group, &rule);
                }
            }
            Record::Wrote {
                group,
                rule,
                added,
                ended,
            } => {
                let rules = self.written.entry(group.clone()).or_default();
                let written = rules.entry(rule.clone()).or_default();
                written.apply(added, &ended);
                if written.is_empty() {
                    self.remove_rule(&group, &rule);
                }
            }
            Record::RuleRemoved { group, rule } => self.remove_rule(&group, &rule),
            Record::Departed { alert, expression } => {
                self.departed
                    .insert(alert.labels.clone(), DepartedAlert { alert, expression });
            }
            Record::DepartedForgotten { labels } => {
                self.departed.remove(&labels);
            }
        }
    }

    fn remove_rule(&mut self, group: &GroupKey, rule: &RuleKey) {
        remove_from(&mut self.rules, group, rule);
        remove_from(&mut self.written, group, rule);
    }

    pub(crate) fn take_group(&mut self, group: &GroupKey) -> SavedGroup {
        SavedGroup {
            rules: self.rules.remove(group).unwrap_or_default(),
            written: self.written.remove(group).unwrap_or_default(),
        }
    }

    /// Every group of which something is saved.
    pub(crate) fn groups(&self) -> BTreeSet<GroupKey> {
        let groups = self.rules.keys().chain(self.written.keys());
        groups.cloned().collect()
    }

    #[must_use]
    pub fn to_snapshot(&self) -> Vec<u8> {
        let rules = self.rules.iter().flat_map(|(group, rules)| {
            rules.iter().map(|(rule, saved)| Record::Evaluated {
                group: group.clone(),
                rule: rule.clone(),
                at: saved.evaluated_at,
                changed: saved.alerts.values().cloned().collect(),
                forgotten: Vec::new(),
            })
        });
        let departed = self.departed.values().map(|departed| Record::Departed {
            alert: departed.alert.clone(),
            expression: departed.expression.clone(),
        });
        let written = self.written.iter().flat_map(|(group, rules)| {
            rules.iter().map(|(rule, written)| Record::Wrote {
                group: group.clone(),
                rule: rule.clone(),
                added: written.labels().to_vec(),
                ended: Vec::new(),
            })
        });
        let records: Vec<Record> = rules.chain(written).chain(departed).collect();
        snapshot_to_bytes(&records)
    }

    /// Alerts in all, for the operator's eyes.
    #[must_use]
    pub fn alert_count(&self) -> usize {
        let of_rules: usize = self
            .rules
            .values()
            .flat_map(BTreeMap::values)
            .map(|saved| saved.alerts.len())
            .sum();
        of_rules + self.departed.len()
    }
}

fn remove_from<Saved>(
    groups: &mut BTreeMap<GroupKey, BTreeMap<RuleKey, Saved>>,
    group: &GroupKey,
    rule: &RuleKey,
) {
    if let Some(rules) = groups.get_mut(group) {
        rules.remove(rule);
        if rules.is_empty() {
            groups.remove(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Labels, Timestamp};
    use proptest::prelude::*;

    use super::SavedState;
    use crate::alert::{ActiveAlert, AlertState};
    use crate::codec::DecodeError;
    use crate::record::Record;
    use crate::rule::{GroupKey, RuleClass, RuleKey};

    fn time() -> impl Strategy<Value = Timestamp> {
        any::<i64>().prop_map(Timestamp::from_millis)
    }

    fn labels() -> impl Strategy<Value = Labels> {
        prop::collection::btree_map("[a-d]", ".{0,6}", 0..3).prop_map(Labels::from_pairs)
    }

    fn state() -> impl Strategy<Value = AlertState> {
        prop_oneof![
            time().prop_map(|active_at| AlertState::Pending { active_at }),
            (
                time(),
                time(),
                prop::option::of(time()),
                prop::option::of(time())
            )
                .prop_map(|(active_at, fired_at, unseen_since, sent_at)| {
                    AlertState::Firing {
                        active_at,
                        fired_at,
                        unseen_since,
                        sent_at,
                    }
                }),
            (time(), time(), time(), prop::option::of(time())).prop_map(
                |(active_at, fired_at, resolved_at, sent_at)| AlertState::Resolved {
                    active_at,
                    fired_at,
                    resolved_at,
                    sent_at
                }
            ),
        ]
    }

    fn alert() -> impl Strategy<Value = ActiveAlert> {
        (labels(), labels(), any::<u64>(), state()).prop_map(
            |(labels, annotations, bits, state)| ActiveAlert {
                labels,
                annotations,
                value: f64::from_bits(bits),
                state,
            },
        )
    }

    fn keys() -> impl Strategy<Value = (GroupKey, RuleKey)> {
        ("[ab]", "[xy]", any::<bool>(), 0..2_u32).prop_map(|(group, name, alerting, twin)| {
            let class = if alerting {
                RuleClass::Alerting
            } else {
                RuleClass::Recording
            };
            let rule = RuleKey {
                class,
                name: name.as_str().into(),
                labels: Labels::from_pairs([("severity", "page")]),
                twin,
            };
            (GroupKey::new("rules.yml", &group), rule)
        })
    }

    fn record() -> impl Strategy<Value = Record> {
        prop_oneof![
            8 => (keys(), time(), prop::collection::vec(alert(), 0..4), prop::collection::vec(labels(), 0..3))
                .prop_map(|((group, rule), at, changed, forgotten)| Record::Evaluated {
                    group,
                    rule,
                    at,
                    changed,
                    forgotten
                }),
            3 => (keys(), prop::collection::vec(labels(), 0..4), prop::collection::vec(labels(), 0..3))
                .prop_map(|((group, rule), added, ended)| Record::Wrote { group, rule, added, ended }),
            1 => keys().prop_map(|(group, rule)| Record::RuleRemoved { group, rule }),
            2 => (alert(), ".{0,9}").prop_map(|(alert, expression)| Record::Departed {
                alert,
                expression: expression.as_str().into()
            }),
            1 => labels().prop_map(|labels| Record::DepartedForgotten { labels }),
        ]
    }

    fn replay(snapshot: Option<&[u8]>, records: &[Vec<u8>]) -> SavedState {
        SavedState::replay(snapshot, records.iter().map(Vec::as_slice)).unwrap()
    }

    proptest! {
        #[test]
        fn a_snapshot_anywhere_between_records_changes_nothing(
            records in prop::collection::vec(record(), 0..20),
            cut in 0..20_usize,
        ) {
            let mut state = SavedState::default();
            for record in &records {
                state.apply(record.clone());
            }
            let bytes: Vec<Vec<u8>> = records.iter().map(Record::to_bytes).collect();
            prop_assert_eq!(&replay(None, &bytes), &state);
            let (before, after) = bytes.split_at(cut.min(bytes.len()));
            let snapshot = replay(None, before).to_snapshot();
            prop_assert_eq!(&replay(Some(&snapshot), after), &state);
        }

        #[test]
        fn bytes_cut_short_are_refused_and_none_panics(record in record(), cut in any::<prop::sample::Index>(), noise: Vec<u8>) {
            let bytes = record.to_bytes();
            prop_assert!(Record::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
            let _any_answer = Record::from_bytes(&noise);
        }
    }

    /// Bytes of version 1 as the first release wrote them: they are read for good.
    #[test]
    fn bytes_of_version_1_are_read() {
        let record = Record::Evaluated {
            group: GroupKey::new("r.yml", "g"),
            rule: RuleKey {
                class: RuleClass::Alerting,
                name: "Down".into(),
                labels: Labels::default(),
                twin: 0,
            },
            at: Timestamp::from_millis(258),
            changed: vec![ActiveAlert {
                labels: Labels::from_pairs([("a", "b")]),
                annotations: Labels::default(),
                value: 1.0,
                state: AlertState::Firing {
                    active_at: Timestamp::from_millis(1),
                    fired_at: Timestamp::from_millis(2),
                    unseen_since: None,
                    sent_at: Some(Timestamp::from_millis(3)),
                },
            }],
            forgotten: Vec::new(),
        };
        let hex: String = record
            .to_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let version_1 = hex.replacen("02", "01", 1);
        assert_eq!(
            version_1,
            "010105722e796d6c01670104446f776e0000020100000000000001010161016200000000000000f03f\
             0201000000000000000200000000000000000103000000000000000\
             0"
        );
        let mut bytes = record.to_bytes();
        assert_eq!(Record::from_bytes(&bytes), Ok(record.clone()));
        bytes[0] = 1;
        assert_eq!(Record::from_bytes(&bytes), Ok(record));
        assert_eq!(
            Record::from_bytes(&[9, 1]),
            Err(DecodeError::Version { found: 9, known: 2 })
        );
    }
}
