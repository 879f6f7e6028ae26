//! What one rule has become: its alerts, its series, its health.
use std::time::Duration;

use model::{Labels, Timestamp};

use crate::alert::ActiveAlert;
use crate::alerting::{ActiveAlerts, AlertPolicy, OutgoingAlert, Sending, Transition};
use crate::evaluation::{AppendReport, QueryCost, RuleResult};
use crate::notes::Notes;
use crate::record::Record;
use crate::recording::{RecordPolicy, Recorded, record};
use crate::refusal::{LeftOut, OverLimit};
use crate::restore::SavedRule;
use crate::rule::{Group, Rule, RuleKind};
use crate::series::{SampleBatch, SeriesValue, WrittenSeries};

/// For how long firing alerts are kept alive at the receivers while their rule's query fails. An hour gives an operator
/// time to repair the storage without every alert resolving itself; past it nobody knows any more whether it is true.
pub const QUERY_FAILURE_GRACE: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RuleHealth {
    /// Not evaluated yet.
    #[default]
    Unknown,
    Ok,
    Err {
        reason: String,
    },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct RuleState {
    /// Always empty for a recording rule.
    pub(crate) alerts: ActiveAlerts,
    pub(crate) written: WrittenSeries,
    pub(crate) health: RuleHealth,
    /// When, by the wall clock, it was last evaluated.
    pub(crate) last_evaluation: Option<Timestamp>,
    pub(crate) evaluation_time: Duration,
    /// The slot of the latest evaluation whose result was taken.
    pub(crate) succeeded_at: Option<Timestamp>,
    /// Since the latest result its query has failed.
    query_fails: bool,
    /// Of the latest result, above the group's limit.
    pub(crate) left_out: usize,
    pub(crate) figures: RuleFigures,
}

/// What a rule has taken since it was loaded first; a reload that keeps the rule keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleFigures {
    pub evaluations: u64,
    /// Of these, those whose query failed, or whose result was not taken or not written.
    pub failures: u64,
    /// Slots that passed without an evaluation.
    pub missed: u64,
    /// In queries, templates and writes.
    pub took: Duration,
    /// Series and samples that its queries read.
    pub series: u64,
    pub samples: u64,
    /// Of the latest evaluation.
    pub last: QueryCost,
}

/// How results are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taking {
    pub(crate) sending: Sending,
    pub(crate) over_limit: OverLimit,
}

/// What follows from a result, in the order in which it is to happen: save, tell, write.
#[derive(Debug, Default)]
pub(crate) struct RuleStep {
    pub(crate) record: Option<Record>,
    pub(crate) outgoing: Vec<OutgoingAlert>,
    /// The batch, and the series that stand written once it is.
    pub(crate) batch: Option<(SampleBatch, WrittenSeries)>,
    pub(crate) transitions: Vec<Transition>,
}

impl RuleState {
    /// Alerts as they were saved. Pending ones begin anew after an outage of more than `outage_tolerance`. Where the
    /// clock was set back meanwhile, nobody knows how long the outage was, and ages go on as if there had been none: by
    /// times that are still to come a firing alert would be too young to fire.
    pub(crate) fn restored(saved: SavedRule, outage_tolerance: Duration, now: Timestamp) -> Self {
        let ahead = saved.evaluated_at.saturating_since(now);
        let evaluated_at = saved.evaluated_at - ahead;
        let mut alerts =
            ActiveAlerts::restored(saved.alerts.into_values().map(|alert| ActiveAlert {
                state: alert.state.earlier(ahead),
                ..alert
            }));
        if now.saturating_since(evaluated_at) > outage_tolerance {
            alerts.forget_pending();
        }
        Self {
            written: alerts.written(),
            alerts,
            succeeded_at: Some(evaluated_at),
            ..Self::default()
        }
    }

    /// A recording rule whose series are these.
    pub(crate) fn recorded(written: WrittenSeries) -> Self {
        Self {
            written,
            ..Self::default()
        }
    }

    /// What a restart would have to find; `None` while there is no alert.
    pub(crate) fn saved(&self) -> Option<SavedRule> {
        let evaluated_at = self.succeeded_at?;
        let alerts = || {
            self.alerts
                .iter()
                .map(|alert| (alert.labels.clone(), alert.clone()))
                .collect()
        };
        (!self.alerts.is_empty()).then(|| SavedRule {
            evaluated_at,
            alerts: alerts(),
        })
    }

    /// The slot of the latest evaluation that was good, where the query has failed since.
    pub(crate) fn unconfirmed_since(&self) -> Option<Timestamp> {
        self.succeeded_at.filter(|_| self.query_fails)
    }

    /// What receivers are told beside the annotations of this rule's alerts.
    pub(crate) fn notes(&self) -> Notes {
        let mut notes = Notes::default();
        if let (Some(since), RuleHealth::Err { reason }) = (self.unconfirmed_since(), &self.health)
        {
            notes.unconfirmed(since, reason);
        }
        if self.left_out > 0 {
            notes.left_out(self.left_out);
        }
        notes
    }

    pub(crate) fn count(&mut self, took: Duration, cost: QueryCost) {
        self.evaluation_time = took;
        let figures = &mut self.figures;
        figures.evaluations += 1;
        figures.took += took;
        figures.series += cost.series as u64;
        figures.samples += cost.samples as u64;
        figures.last = cost;
    }

    /// A result of the slot `at` arrived.
    pub(crate) fn evaluated(
        &mut self,
        group: &Group,
        rule: &Rule,
        at: Timestamp,
        outcome: Result<RuleResult, String>,
        taking: Taking,
    ) -> RuleStep {
        let step = match outcome {
            Ok(result) => self.take(group, rule, at, result, taking),
            Err(reason) => self.failed(group, rule, at, reason, taking.sending),
        };
        match self.health {
            RuleHealth::Unknown | RuleHealth::Ok => {}
            RuleHealth::Err { .. } => self.figures.failures += 1,
        }
        step
    }

    fn take(
        &mut self,
        group: &Group,
        rule: &Rule,
        at: Timestamp,
        result: RuleResult,
        Taking {
            sending,
            over_limit,
        }: Taking,
    ) -> RuleStep {
        let mut step = RuleStep::default();
        self.query_fails = false;
        self.left_out = 0;
        let limit = group.limit;
        let samples = match result {
            RuleResult::Alerting(elements) => {
                let policy = AlertPolicy {
                    name: &rule.key.name,
                    timing: rule.alert_timing(),
                    limit,
                    over_limit,
                };
                self.alerts.step(policy, elements, at).map(|alerts| {
                    step.transitions = alerts.transitions;
                    self.left_out = alerts.left_out.map_or(0, |left_out| left_out.count);
                    let notes = self.notes();
                    step.outgoing = self.alerts.take_due(sending, &notes, at);
                    Recorded {
                        samples: alerts.samples,
                        left_out: alerts.left_out,
                    }
                })
            }
            RuleResult::Recording(elements) => {
                let policy = RecordPolicy {
                    name: &rule.key.name,
                    labels: &rule.key.labels,
                    limit,
                    over_limit,
                };
                record(policy, &self.written, elements)
            }
        };
        match samples {
            Ok(Recorded { samples, left_out }) => {
                self.left_out = left_out.map_or(0, |left_out| left_out.count);
                self.health = match left_out {
                    None => RuleHealth::Ok,
                    Some(LeftOut { limit, count }) => RuleHealth::Err {
                        reason: format!("exceeded limit of {limit}: {count} more are left out"),
                    },
                };
                self.succeeded_at = Some(at);
                step.batch = self.batch(samples, at - group.query_offset);
            }
            Err(refused) => {
                self.health = RuleHealth::Err {
                    reason: refused.to_string(),
                };
            }
        }
        step.record = self.take_record(group, rule, at);
        step
    }

    /// The query failed. State and series stay as they are; firing alerts are told again within the grace, so that the
    /// receivers do not take silence for an end, with a note that says so.
    fn failed(
        &mut self,
        group: &Group,
        rule: &Rule,
        at: Timestamp,
        reason: String,
        sending: Sending,
    ) -> RuleStep {
        self.health = RuleHealth::Err { reason };
        self.query_fails = true;
        let within_grace = self
            .succeeded_at
            .is_some_and(|succeeded| at.saturating_since(succeeded) <= QUERY_FAILURE_GRACE);
        let outgoing = if within_grace {
            let notes = self.notes();
            self.alerts.take_due_firing(sending, &notes, at)
        } else {
            Vec::new()
        };
        RuleStep {
            record: self.take_record(group, rule, at),
            outgoing,
            ..RuleStep::default()
        }
    }

    /// The storage answered to a batch whose series are `written`. What has changed about a recording rule's series has
    /// to be saved.
    pub(crate) fn appended(
        &mut self,
        group: &Group,
        rule: &Rule,
        mut written: WrittenSeries,
        outcome: Result<AppendReport, String>,
    ) -> Option<Record> {
        let report = match outcome {
            Ok(report) => report,
            Err(reason) => {
                self.health = RuleHealth::Err { reason };
                self.figures.failures += 1;
                return None;
            }
        };
        let refused: Vec<Labels> = report
            .refused
            .iter()
            .map(|sample| sample.labels.clone())
            .collect();
        written.remove(&refused);
        if let Some(sample) = report.refused.into_iter().next() {
            self.health = RuleHealth::Err {
                reason: sample.reason,
            };
        }
        let before = std::mem::replace(&mut self.written, written);
        match rule.kind {
            // They are those of its alerts, which are saved.
            RuleKind::Alerting { .. } => return None,
            RuleKind::Recording => {}
        }
        let (added, ended) = before.change_to(&self.written);
        (!added.is_empty() || !ended.is_empty()).then(|| Record::Wrote {
            group: group.key.clone(),
            rule: rule.key.clone(),
            added,
            ended,
        })
    }

    fn batch(
        &self,
        samples: Vec<SeriesValue>,
        at: Timestamp,
    ) -> Option<(SampleBatch, WrittenSeries)> {
        if samples.is_empty() && self.written.is_empty() {
            return None;
        }
        let written = WrittenSeries::of(&samples);
        let ended = self.written.ended(&written);
        Some((SampleBatch { at, samples, ended }, written))
    }

    /// What has to be saved. A rule with active alerts is saved at every evaluation: how long it was not evaluated
    /// decides after a restart whether its pending alerts begin anew.
    fn take_record(&mut self, group: &Group, rule: &Rule, at: Timestamp) -> Option<Record> {
        match rule.kind {
            RuleKind::Recording => return None,
            RuleKind::Alerting { .. } => {}
        }
        let changes = self.alerts.take_changes();
        if self.alerts.is_empty() && changes.forgotten.is_empty() {
            return None;
        }
        Some(Record::Evaluated {
            group: group.key.clone(),
            rule: rule.key.clone(),
            at: self.succeeded_at.unwrap_or(at),
            changed: changes.changed,
            forgotten: changes.forgotten,
        })
    }
}
