//! Carries out what one tenant's ruler decides.
use std::collections::BTreeMap;
use std::sync::Arc;

use ingest::SharedReads;
use model::TenantId;
use ruler_core::{
    Append, AppendReport, Appended, Command, Destination, Evaluate, Evaluated, Event, GroupKey,
    Input, Message, Persist, QueryCost, RuleResult, Ruler, SendOutcome,
};
use runtime::Shell;
use runtime::log::Log;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::evaluate::{Evaluation, evaluate};
use crate::journal::save;
use crate::sender::Sender;
use crate::story::Story;
use crate::turns::Turns;
use crate::views::Views;

pub(crate) struct ShellParts {
    pub(crate) tenant: TenantId,
    pub(crate) evaluation: Evaluation,
    pub(crate) sender: Sender,
    pub(crate) log: Option<Log>,
    /// Weak, so that a ruler ends when nobody else can reach it.
    pub(crate) inputs: mpsc::WeakSender<Input>,
    pub(crate) turns: Turns,
    pub(crate) views: Views,
    pub(crate) tally: watch::Sender<SnapshotTally>,
    /// How many times rules were taken over.
    pub(crate) loads: watch::Sender<u64>,
}

/// The snapshots that were tried, numbered from 1 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SnapshotTally {
    begun: u64,
    ended: u64,
    /// What came of the one that ended last.
    is_written: bool,
}

impl SnapshotTally {
    /// Whether a snapshot was written that began after `before`: one that was under way then may lie in the log before
    /// whatever happened meanwhile. `None` as long as none has ended.
    pub(crate) fn written_since(self, before: Self) -> Option<bool> {
        (self.ended > before.begun).then_some(self.is_written)
    }

    fn begin(&mut self) {
        self.begun += 1;
    }

    fn end(&mut self, is_written: bool) {
        self.ended = self.begun;
        self.is_written = is_written;
    }
}

pub(crate) struct TenantShell {
    parts: ShellParts,
    story: Story,
    /// What the rules of a running iteration read together.
    shared: BTreeMap<GroupKey, Arc<SharedReads>>,
}

impl TenantShell {
    pub(crate) fn new(parts: ShellParts) -> Self {
        let story = Story::new(parts.tenant.clone(), parts.evaluation.metrics.clone());
        Self {
            parts,
            story,
            shared: BTreeMap::new(),
        }
    }

    /// What was decided is in the log before anybody hears of it.
    async fn save(&mut self, changes: &mut Vec<Persist>) {
        let changes = std::mem::take(changes);
        let Some(log) = self.parts.log.as_ref().filter(|_| !changes.is_empty()) else {
            return;
        };
        let whole = changes
            .iter()
            .any(|change| matches!(change, Persist::Snapshot(_)));
        if whole {
            self.parts.tally.send_modify(SnapshotTally::begin);
        }
        let outcome = save(log, &self.parts.tenant, &changes).await;
        if let Err(failure) = &outcome {
            let reason = failure.to_string();
            self.answer_later(Input::PersistFailed { reason });
        }
        if whole && outcome.is_ok() {
            self.story.note_saved();
        }
        if whole {
            let is_written = outcome.is_ok();
            self.parts.tally.send_modify(|tally| tally.end(is_written));
        }
    }

    /// The machine takes in nothing while its orders are carried out, so nobody may wait for it here.
    fn answer_later(&self, input: Input) {
        let inputs = self.parts.inputs.clone();
        tokio::spawn(answer(inputs, input));
    }

    fn evaluate(&mut self, order: Evaluate) {
        let selectors = &order.group.shared_selectors;
        let shared = (!selectors.is_empty()).then(|| {
            let shared = self.shared.entry(order.ticket.group.clone());
            shared
                .or_insert_with(|| Arc::new(SharedReads::new(selectors.clone())))
                .clone()
        });
        let evaluation = self.parts.evaluation.clone();
        let inputs = self.parts.inputs.clone();
        let turns = self.parts.turns.clone();
        tokio::spawn(async move {
            let ticket = order.ticket.clone();
            let turn = turns.turn(&evaluation.tenant).await;
            let started = Instant::now();
            let (outcome, cost) = run(evaluation, order, shared).await;
            drop(turn);
            let evaluated = Evaluated {
                ticket,
                outcome,
                took: started.elapsed(),
                cost,
            };
            answer(inputs, Input::Evaluated(evaluated)).await;
        });
    }

    fn forget_shared(&mut self, events: &[Event]) {
        for event in events {
            if let Event::IterationFinished { group, .. } = event
                && let Some(shared) = self.shared.remove(group)
            {
                let metrics = &self.parts.evaluation.metrics;
                metrics.selections_shared.inc_by(shared.spared());
            }
        }
    }

    fn append(&self, order: Append) {
        let tenant = self.parts.tenant.clone();
        let backend = self.parts.evaluation.backend.clone();
        let inputs = self.parts.inputs.clone();
        tokio::spawn(async move {
            let started = Instant::now();
            let appending = async move { backend.append(&tenant, &order.batch).await };
            let outcome = outcome_of("write", appending).await;
            let outcome: Result<AppendReport, String> = outcome.and_then(|outcome| outcome);
            if let Some(ticket) = order.ticket {
                let appended = Appended {
                    ticket,
                    outcome,
                    took: started.elapsed(),
                };
                answer(inputs, Input::Appended(appended)).await;
            }
        });
    }

    fn send(&self, destination: Destination, messages: Vec<Message>) {
        let tenant = self.parts.tenant.clone();
        let sender = self.parts.sender.clone();
        let inputs = self.parts.inputs.clone();
        let metrics = self.parts.evaluation.metrics.clone();
        tokio::spawn(async move {
            let started = Instant::now();
            let count = messages.len();
            let sending = {
                let destination = destination.clone();
                async move { sender.send(&tenant, &destination, &messages).await }
            };
            // Without an outcome nothing would ever go to this destination again.
            let outcome = outcome_of("sending", sending).await;
            let outcome = outcome.unwrap_or_else(|reason| SendOutcome::Failed { reason });
            metrics.batch_sent(&destination, started.elapsed());
            match &outcome {
                SendOutcome::Delivered => metrics.alerts_delivered(&destination, count),
                SendOutcome::Failed { .. }
                | SendOutcome::Rejected { .. }
                | SendOutcome::TooLarge { .. } => {
                    metrics.alerts_failed(&destination, count);
                }
            }
            let sent = Input::Sent {
                destination,
                outcome,
            };
            answer(inputs, sent).await;
        });
    }
}

impl Shell<Ruler> for TenantShell {
    async fn carry_out(&mut self, machine: &Ruler, commands: Vec<Command>, events: Vec<Event>) {
        let mut changes = Vec::new();
        for command in commands {
            if let Command::Persist(change) = command {
                changes.push(change);
                continue;
            }
            self.save(&mut changes).await;
            match command {
                Command::Append(order) => self.append(order),
                Command::Evaluate(order) => self.evaluate(order),
                Command::Persist(_) => {}
                Command::Send {
                    destination,
                    messages,
                } => self.send(destination, messages),
            }
        }
        self.save(&mut changes).await;
        self.forget_shared(&events);
        let taken_over = events
            .iter()
            .filter(|event| **event == Event::RulesTakenOver);
        let taken_over = taken_over.count() as u64;
        self.story.tell(machine, &self.parts.views, events);
        // Only now readers see them.
        self.parts.loads.send_modify(|loads| *loads += taken_over);
    }
}

async fn answer(inputs: mpsc::WeakSender<Input>, input: Input) {
    if let Some(inputs) = inputs.upgrade() {
        // A ruler that has stopped needs no answers.
        let _ = inputs.send(input).await;
    }
}

/// In a task of its own: what panics has an outcome too, since somebody waits for it.
async fn outcome_of<T: Send + 'static>(
    what: &str,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, String> {
    let outcome = tokio::spawn(work).await;
    outcome.map_err(|failure| failed(what, &failure))
}

/// On a thread that may block. An engine that panics fails one evaluation, not the process: the rule's failure is told
/// as any other.
async fn run(
    evaluation: Evaluation,
    order: Evaluate,
    shared: Option<Arc<SharedReads>>,
) -> (Result<RuleResult, String>, QueryCost) {
    let runtime = Handle::current();
    let running = tokio::task::spawn_blocking(move || {
        evaluate(&evaluation, &order, shared.as_deref(), &runtime)
    });
    match running.await {
        Ok(outcome) => outcome,
        Err(failure) => (Err(failed("evaluation", &failure)), QueryCost::default()),
    }
}

fn failed(what: &str, failure: &tokio::task::JoinError) -> String {
    format!("{what} ended abnormally: {failure}")
}

#[cfg(test)]
mod tests {
    use super::{SnapshotTally, outcome_of};

    /// A checkpoint that took it for its own would remove the segment that holds it.
    #[test]
    fn a_snapshot_that_was_under_way_is_not_the_one_that_is_waited_for() {
        let mut tally = SnapshotTally::default();
        tally.begin();
        let before = tally;
        assert_eq!(tally.written_since(before), None);
        tally.end(true);
        assert_eq!(tally.written_since(before), None, "it began before");
        tally.begin();
        assert_eq!(tally.written_since(before), None);
        tally.end(false);
        assert_eq!(tally.written_since(before), Some(false));
        tally.begin();
        tally.end(true);
        assert_eq!(tally.written_since(before), Some(true));
    }

    #[tokio::test]
    async fn what_panics_has_an_outcome_too() {
        assert_eq!(outcome_of("sending", async { 5 }).await, Ok(5));
        let failed = outcome_of::<()>("sending", async { panic!("on purpose") });
        let reason = failed.await.unwrap_err();
        assert!(reason.starts_with("sending ended abnormally: "), "{reason}");
    }
}
