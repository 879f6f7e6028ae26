//! A group as API and pages show it: copied out once an iteration, so that readers wait for nobody.
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;

use crate::alert::{ActiveAlert, AlertState};
use crate::group_state::{GroupState, LastIteration};
use crate::rule::{Group, Rule};
use crate::rule_state::{RuleFigures, RuleHealth, RuleState};

#[derive(Clone, Debug)]
pub struct GroupView {
    pub group: Arc<Group>,
    /// In the order of the group's rules.
    pub rules: Vec<RuleView>,
    /// `None` before the first one has ended.
    pub last_iteration: Option<LastIteration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleView {
    /// Pending and firing ones.
    pub alerts: Vec<ActiveAlert>,
    pub health: RuleHealth,
    /// By the wall clock.
    pub last_evaluation: Option<Timestamp>,
    pub evaluation_time: Duration,
    /// The slot of its latest good evaluation, where its query has failed since.
    pub unconfirmed_since: Option<Timestamp>,
    /// Of its latest result, above the group's limit.
    pub left_out: usize,
    pub figures: RuleFigures,
}

impl GroupView {
    pub(crate) fn of(state: &GroupState) -> Self {
        Self {
            group: state.group.clone(),
            rules: state.rules.iter().map(RuleView::of).collect(),
            last_iteration: state.last,
        }
    }

    /// Each rule and what it has become.
    pub fn iter(&self) -> impl Iterator<Item = (&Rule, &RuleView)> {
        self.group.rules.iter().zip(&self.rules)
    }
}

impl RuleView {
    fn of(state: &RuleState) -> Self {
        Self {
            alerts: state
                .alerts
                .iter()
                .filter(|alert| alert.state.is_alive())
                .cloned()
                .collect(),
            health: state.health.clone(),
            last_evaluation: state.last_evaluation,
            evaluation_time: state.evaluation_time,
            unconfirmed_since: state.unconfirmed_since(),
            left_out: state.left_out,
            figures: state.figures,
        }
    }

    /// `firing`, `pending`, `inactive`, or `unknown` before the first evaluation: the gravest of its alerts.
    #[must_use]
    pub fn state(&self) -> &'static str {
        let any =
            |wanted: fn(&AlertState) -> bool| self.alerts.iter().any(|alert| wanted(&alert.state));
        if any(|state| matches!(state, AlertState::Firing { .. })) {
            "firing"
        } else if any(|state| matches!(state, AlertState::Pending { .. })) {
            "pending"
        } else if self.last_evaluation.is_some() {
            "inactive"
        } else {
            "unknown"
        }
    }
}
