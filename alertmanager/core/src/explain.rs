//! Why somebody is told of an alert, or is not: what the machine knows about one alert, in the order in which it
//! decides. Nothing is remembered for it; it is read off the state.
use std::sync::Arc;

use config::RouteIndex;
use model::{Alert, AlertStatus, Fingerprint, Labels, Timestamp};
use notifiers_core::GroupKey;

use crate::delivery::Undelivered;
use crate::dispatch::Dispatcher;
use crate::group::{GroupTiming, Schedule};
use crate::hashes::{AlertHashes, Uncertain};
use crate::interval::IntervalMute;
use crate::machine::Alertmanager;
use crate::mute::{Mutes, interval_mute};
use crate::nflog::LogKey;
use crate::silence::{Silence, SilenceState};

#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The instant that mutes were judged at.
    pub at: Timestamp,
    pub alert: Arc<Alert>,
    pub status: AlertStatus,
    /// One for each route that matches, in tree order.
    pub routes: Vec<RouteExplanation>,
    /// Active at that instant and matching.
    pub silences: Vec<Silence>,
    pub inhibition: Option<Inhibition>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RouteExplanation {
    /// From the root down to the route whose receiver is told.
    pub path: Vec<PathStep>,
    pub receiver: String,
    pub group_key: Arc<GroupKey>,
    pub group_labels: Labels,
    /// `None` where the alert is in no group: it is over, and nobody is to be told of it.
    pub group: Option<GroupExplanation>,
    /// What the route's time intervals say at that instant.
    pub interval: Option<IntervalMute>,
    pub integrations: Vec<IntegrationExplanation>,
}

/// One route on the way, with what it asked of the alert's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// `{}/{team="x"}/1`
    pub id: String,
    /// Each with the value that the alert has: `team=~"x|y" matches "x"`; none for the root.
    pub matchers: Vec<String>,
    /// Whether the next sibling was tried too.
    pub continues: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupExplanation {
    /// `None` before the first one.
    pub last_flush: Option<Timestamp>,
    pub next_flush: Timestamp,
    pub members: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IntegrationExplanation {
    pub key: LogKey,
    pub send_resolved: bool,
    pub told: Told,
    /// A notification that has not arrived yet.
    pub undelivered: Option<Undelivered>,
}

/// What the notification log says that an integration knows of the alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Never,
    Fires {
        at: Timestamp,
    },
    Resolved {
        at: Timestamp,
    },
    /// An attempt to say that it fires ended, and nobody knows whether it arrived.
    PerhapsFires,
    /// The same, of the word that it is over.
    PerhapsResolved,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Inhibition {
    /// The alert that keeps it quiet.
    pub source: Fingerprint,
    pub labels: Labels,
    /// The rule's name, or its number from 0 where it has none.
    pub rule: String,
}

impl Alertmanager {
    /// What is known of an alert at `now`, with mutes judged at `at`; `None` for an alert that is not known.
    #[must_use]
    pub fn explain(
        &self,
        fingerprint: Fingerprint,
        at: Timestamp,
        now: Timestamp,
    ) -> Option<Explanation> {
        let stored = self.alerts.get(fingerprint)?;
        let alert = Arc::clone(&stored.alert);
        let mutes = Mutes {
            now: at,
            ..self.mutes(now)
        };
        let mut judged = mutes.of(fingerprint, &alert);
        // Of an instant that has passed also silences may tell that are over by now.
        judged.silenced_by = self.silences.matching(&alert.labels);
        judged.silenced_by.retain(|id| {
            let silence = self.silences.get(id);
            silence.is_some_and(|silence| silence.state(at) == SilenceState::Active)
        });
        let routes = stored
            .routes
            .iter()
            .map(|route| self.explain_route(*route, &alert, stored.hash, at))
            .collect();
        let silences = judged
            .silenced_by
            .iter()
            .filter_map(|id| self.silences.get(id).cloned())
            .collect();
        let inhibition = judged.inhibited_by.and_then(|source| {
            Some(Inhibition {
                source,
                labels: self.alerts.get(source)?.alert.labels.clone(),
                rule: match self.inhibitor.rule_between(&alert.labels, source)? {
                    (number, rule) if rule.name.is_empty() => number.to_string(),
                    (_, rule) => rule.name.clone(),
                },
            })
        });
        Some(Explanation {
            at,
            status: alert.status(now),
            alert,
            routes,
            silences,
            inhibition,
        })
    }

    fn explain_route(
        &self,
        route: RouteIndex,
        alert: &Alert,
        hash: u64,
        at: Timestamp,
    ) -> RouteExplanation {
        let id = Dispatcher::id(&self.policy, route, alert);
        let settings = self.policy.route(route);
        let timing = GroupTiming::of(settings);
        let group = self.groups.get(&id).map(|group| GroupExplanation {
            last_flush: match group.schedule() {
                Schedule::Waiting { .. } => None,
                Schedule::Running { due } => Some(due - timing.interval),
            },
            next_flush: group.due(),
            members: group.members().len(),
        });
        let integrations = self
            .policy
            .targets(route, &id.key)
            .into_iter()
            .map(|key| IntegrationExplanation {
                send_resolved: self
                    .policy
                    .integration(&key)
                    .is_some_and(|integration| integration.send_resolved),
                told: self.told_of(&key, hash),
                undelivered: self.deliveries.undelivered(&key),
                key,
            })
            .collect();
        RouteExplanation {
            path: self.path_to(route, alert),
            receiver: settings.receiver.clone(),
            group_labels: settings.group_by.group_labels(&alert.labels),
            group_key: id.key,
            group,
            interval: interval_mute(&self.policy, route, &self.settings.local_zone, at),
            integrations,
        }
    }

    fn told_of(&self, key: &LogKey, hash: u64) -> Told {
        let uncertain = self.deliveries.uncertain(key);
        let perhaps = |of: fn(&Uncertain) -> &AlertHashes| {
            uncertain.is_some_and(|uncertain| of(uncertain).contains(hash))
        };
        if perhaps(|uncertain| &uncertain.firing) {
            return Told::PerhapsFires;
        }
        if perhaps(|uncertain| &uncertain.ended) {
            return Told::PerhapsResolved;
        }
        match self.nflog.entry(key) {
            Some(entry) if entry.firing.contains(hash) => Told::Fires { at: entry.at },
            Some(entry) if entry.resolved.contains(hash) => Told::Resolved { at: entry.at },
            Some(_) | None => Told::Never,
        }
    }

    fn path_to(&self, route: RouteIndex, alert: &Alert) -> Vec<PathStep> {
        let mut path = Vec::new();
        let mut next = Some(route);
        while let Some(index) = next {
            let route = self.policy.route(index);
            path.push(PathStep {
                id: route.id.clone(),
                matchers: route
                    .matchers
                    .iter()
                    .map(|matcher| {
                        let value = model::go_quote::quote(alert.labels.value(matcher.name()));
                        format!("{matcher} matches {value}")
                    })
                    .collect(),
                continues: route.continues,
            });
            next = route.parent;
        }
        path.reverse();
        path
    }
}
