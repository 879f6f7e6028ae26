//! Inhibition: alerts that keep other alerts quiet.
//!
//! Each rule indexes all of its sources by the values that source and target must share, so that a second source
//! goes on inhibiting when the first resolves.
use std::collections::{BTreeMap, BTreeSet};

use config::InhibitRule;
use model::{Fingerprint, Labels, Timestamp, match_all};

use crate::store::AlertStore;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inhibitor {
    rules: Vec<IndexedRule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct IndexedRule {
    rule: InhibitRule,
    /// By the labels in `equal`; an absent label and an empty one are the same.
    sources: BTreeMap<Labels, BTreeSet<Fingerprint>>,
}

impl Inhibitor {
    #[must_use]
    pub fn new(rules: &[InhibitRule]) -> Self {
        let rules = rules
            .iter()
            .map(|rule| IndexedRule {
                rule: rule.clone(),
                sources: BTreeMap::new(),
            })
            .collect();
        Self { rules }
    }

    /// Notes an alert where it may be a source.
    pub fn insert(&mut self, fingerprint: Fingerprint, labels: &Labels) {
        for indexed in &mut self.rules {
            if match_all(&indexed.rule.source_matchers, labels) {
                indexed
                    .sources
                    .entry(indexed.rule.shared(labels))
                    .or_default()
                    .insert(fingerprint);
            }
        }
    }

    pub fn remove(&mut self, fingerprint: Fingerprint, labels: &Labels) {
        for indexed in &mut self.rules {
            let shared = indexed.rule.shared(labels);
            if let Some(sources) = indexed.sources.get_mut(&shared) {
                sources.remove(&fingerprint);
                if sources.is_empty() {
                    indexed.sources.remove(&shared);
                }
            }
        }
    }

    /// The alert that inhibits `labels`: of the first rule that does, the firing source with the lowest fingerprint.
    /// Where the target is itself a source of the rule, only sources that are no targets count, so that two alerts
    /// never inhibit each other.
    #[must_use]
    pub fn inhibited_by(
        &self,
        labels: &Labels,
        alerts: &AlertStore,
        now: Timestamp,
    ) -> Option<Fingerprint> {
        self.rules
            .iter()
            .filter(|indexed| {
                !indexed.sources.is_empty() && match_all(&indexed.rule.target_matchers, labels)
            })
            .find_map(|indexed| {
                let rule = &indexed.rule;
                let is_source = match_all(&rule.source_matchers, labels);
                let sources = indexed.sources.get(&rule.shared(labels))?;
                sources.iter().copied().find(|source| {
                    alerts.inhibits(*source, now)
                        && !(is_source
                            && alerts.get(*source).is_some_and(|stored| {
                                match_all(&rule.target_matchers, &stored.alert.labels)
                            }))
                })
            })
    }
}

impl Inhibitor {
    /// The first rule by which `source` inhibits `labels`, and its number.
    #[must_use]
    pub fn rule_between(
        &self,
        labels: &Labels,
        source: Fingerprint,
    ) -> Option<(usize, &InhibitRule)> {
        self.rules.iter().enumerate().find_map(|(number, indexed)| {
            let rule = &indexed.rule;
            let sources = indexed.sources.get(&rule.shared(labels))?;
            let applies = match_all(&rule.target_matchers, labels) && sources.contains(&source);
            applies.then_some((number, rule))
        })
    }
}

trait Shared {
    fn shared(&self, labels: &Labels) -> Labels;
}

impl Shared for InhibitRule {
    fn shared(&self, labels: &Labels) -> Labels {
        labels.filtered(|name| self.equal.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use config::InhibitRule;
    use model::{Alert, Labels, Matcher, Timestamp};
    use proptest::prelude::*;

    use super::Inhibitor;
    use crate::store::AlertStore;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn rule(source: &[(&str, &str)], target: &[(&str, &str)], equal: &[&str]) -> InhibitRule {
        let matchers = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| Matcher::equal(name, value))
                .collect()
        };
        InhibitRule {
            name: String::new(),
            source_matchers: matchers(source),
            target_matchers: matchers(target),
            equal: equal.iter().map(|name| (*name).to_owned()).collect(),
            written: config::WrittenInhibitRule::default(),
        }
    }

    fn labels(text: &str) -> Labels {
        text.split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .collect()
    }

    struct World {
        inhibitor: Inhibitor,
        store: AlertStore,
    }

    impl World {
        fn new(rules: &[InhibitRule]) -> Self {
            Self {
                inhibitor: Inhibitor::new(rules),
                store: AlertStore::default(),
            }
        }

        fn fire(&mut self, text: &str, ends_at: Timestamp) {
            let alert = Alert {
                labels: labels(text),
                annotations: Labels::default(),
                starts_at: NOW - Duration::from_secs(60),
                ends_at,
                updated_at: NOW,
                generator_url: String::new(),
                timeout: false,
            };
            self.inhibitor.insert(alert.fingerprint(), &alert.labels);
            self.store.put(alert, NOW, |_| Arc::default());
        }

        fn inhibits(&self, text: &str) -> bool {
            self.inhibitor
                .inhibited_by(&labels(text), &self.store, NOW)
                .is_some()
        }
    }

    #[test]
    fn follows_alertmanagers_table() {
        let mut world = World::new(&[
            rule(&[("s1", "1")], &[("t1", "1")], &["e"]),
            rule(&[("s2", "1")], &[("t2", "1")], &["e"]),
        ]);
        world.fire("s1=1 t1=2 e=1", Timestamp::MAX);
        world.fire("s2=1 e=1 t2=1", Timestamp::MAX);
        for (target, inhibited) in [
            ("t1=1 e=1", true),
            ("t2=1 e=1", true),
            ("t1=1 t3=1 e=1", true),
            ("t1=1 t2=1 e=1", true),
            ("t1=0 e=1", false),
            ("t1=1 e=0", false),
            ("s1=1 t1=1 e=1", true),
            ("s2=1 t2=1 e=1", false),
        ] {
            assert_eq!(world.inhibits(target), inhibited, "{target}");
        }
    }

    /// Alertmanager keeps one source per set of equal labels: when that one resolves, the target is told although
    /// the other still fires.
    #[test]
    fn a_second_source_goes_on_inhibiting() {
        let mut world = World::new(&[rule(
            &[("severity", "critical")],
            &[("severity", "warning")],
            &["cluster"],
        )]);
        world.fire("severity=critical cluster=a alertname=X", Timestamp::MAX);
        world.fire("severity=critical cluster=a alertname=Y", Timestamp::MAX);
        assert!(world.inhibits("severity=warning cluster=a"));
        world.fire("severity=critical cluster=a alertname=Y", NOW);
        assert!(world.inhibits("severity=warning cluster=a"));
        world.fire("severity=critical cluster=a alertname=X", NOW);
        assert!(!world.inhibits("severity=warning cluster=a"));
    }

    #[test]
    fn absent_labels_are_equal_and_an_empty_rule_inhibits_nothing() {
        let mut world = World::new(&[
            rule(&[], &[], &[]),
            rule(&[("s", "1")], &[("t", "1")], &["zone"]),
        ]);
        world.fire("s=1", Timestamp::MAX);
        assert!(world.inhibits("t=1"));
        assert!(!world.inhibits("t=1 zone=a"));
        assert!(!world.inhibits("other=1"));
        let source = labels("s=1");
        world.inhibitor.remove(source.fingerprint(), &source);
        assert!(!world.inhibits("t=1"));
    }
    fn some_labels() -> impl Strategy<Value = String> {
        let value = || prop_oneof![2 => Just("1"), 1 => Just("2"), 1 => Just("")];
        (value(), value(), value()).prop_map(|(s, t, e)| {
            let pairs = [("s", s), ("t", t), ("e", e)];
            let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
            let pairs: Vec<String> = pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            pairs.join(" ")
        })
    }

    proptest! {
        /// The index finds what a look at all alerts finds, whatever fired and ended before.
        #[test]
        fn an_alert_is_inhibited_exactly_by_a_firing_source_with_equal_labels(
            posts in prop::collection::vec((some_labels(), any::<bool>()), 0..4),
            target in some_labels(),
            equal in prop::collection::btree_set("[ste]", 0..3),
        ) {
            let equal: Vec<&str> = equal.iter().map(String::as_str).collect();
            let rule = rule(&[("s", "1")], &[("t", "1")], &equal);
            let mut world = World::new(std::slice::from_ref(&rule));
            for (text, fires) in &posts {
                world.fire(text, if *fires { Timestamp::MAX } else { NOW });
            }
            let is = |matchers: &[Matcher], labels: &Labels| model::match_all(matchers, labels);
            let target_labels = labels(&target);
            let two_sided = is(&rule.source_matchers, &target_labels);
            let inhibits = |source: &Labels| {
                is(&rule.source_matchers, source)
                    && !(two_sided && is(&rule.target_matchers, source))
                    && equal.iter().all(|name| source.value(name) == target_labels.value(name))
            };
            let expected = is(&rule.target_matchers, &target_labels)
                && world.store.iter().any(|(_, stored)| {
                    stored.alert.ends_at > NOW && inhibits(&stored.alert.labels)
                });
            prop_assert_eq!(world.inhibits(&target), expected);
        }
    }
}
