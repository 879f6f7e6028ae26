//! One tenant's machine: the handle by which requests reach it, and the shell that carries out its orders.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alertmanager_core::{
    Alertmanager, Answer, Command, Event, Input, Record, SilenceId, Tally, Ticket, View,
};
use arc_swap::ArcSwapOption;
use model::{TenantId, Timestamp};
use parking_lot::Mutex;
use runtime::log::{AppendError, Log};
use runtime::{BudgetSpent, Clock, Shell};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{error, info};

use crate::attempts::Attempts;
use crate::deliver::Deliverer;
use crate::flushes::Flushes;
use crate::journal::save;
use crate::metrics::AlertmanagerMetrics;
use crate::recorder::EventRecorder;
use crate::room::{Place, Room};
use crate::story::tell;

/// Requests and outcomes that wait for a tenant's machine.
pub(crate) const INPUTS_MAX: usize = 1024;
/// States that only time changes are seen this late at most.
const VIEW_AGE_MAX: Duration = Duration::from_millis(100);
/// While the log cannot be written the whole state is offered to it again this often.
const SAVE_AGAIN: Duration = Duration::from_secs(5);
/// While the disk does not answer it is looked this often whether it does again.
const HANGING_LOOK: Duration = Duration::from_secs(1);
/// Counting alerts by state looks at all of them: what was counted is shown for so long.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// Why a request got no answer from its machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("too many requests are waiting, try again later")]
    Busy,
    #[error("shutting down")]
    Stopped,
    #[error("could not be written to the log, try again later")]
    Unsaved,
    #[error(
        "silence {0} is in force, but could not be written to the log: it is lost if the process ends before that is possible again"
    )]
    SilenceUnsaved(SilenceId),
    #[error(
        "the silence has ended, but that could not be written to the log: it is back if the process ends before that is possible again"
    )]
    EndOfSilenceUnsaved,
}

/// Cheap to copy.
#[derive(Clone)]
pub(crate) struct TenantHandle {
    inputs: mpsc::Sender<Input>,
    shared: Arc<Shared>,
}

/// An answer that is still to come.
pub(crate) struct Answered(oneshot::Receiver<Result<Answer, AskError>>);

impl Answered {
    pub(crate) async fn come(self) -> Result<Answer, AskError> {
        self.0.await.unwrap_or(Err(AskError::Stopped))
    }
}

/// What handle and shell share.
pub(crate) struct Shared {
    ticket_next: AtomicU64,
    waiting: Mutex<BTreeMap<Ticket, Waiting>>,
    room: Room,
    /// Counts the batches after which something may look different.
    version: AtomicU64,
    published: ArcSwapOption<Published>,
    attempts: Attempts,
    counted: Mutex<Option<(Timestamp, Tally)>>,
}

/// Who asked, and the room that the question takes until it is answered.
struct Waiting {
    answer: oneshot::Sender<Result<Answer, AskError>>,
    _places: Vec<Place>,
}

struct Published {
    version: u64,
    view: Arc<View>,
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            ticket_next: AtomicU64::new(0),
            waiting: Mutex::default(),
            room: Room::of_tenant(),
            version: AtomicU64::new(0),
            published: ArcSwapOption::empty(),
            attempts: Attempts::default(),
            counted: Mutex::default(),
        })
    }

    fn publish(&self, view: &Arc<View>) {
        let published = Published {
            version: self.version.load(Ordering::Acquire),
            view: Arc::clone(view),
        };
        self.published.store(Some(Arc::new(published)));
    }

    pub(crate) fn answer(&self, ticket: Ticket, answer: Result<Answer, AskError>) {
        if let Some(waiting) = self.waiting.lock().remove(&ticket) {
            // Whoever asked may have gone.
            let _ = waiting.answer.send(answer);
        }
    }
}

impl TenantHandle {
    pub(crate) fn new(inputs: mpsc::Sender<Input>, shared: Arc<Shared>) -> Self {
        Self { inputs, shared }
    }

    /// Puts a question to the machine; a full queue is a refusal, not a wait.
    pub(crate) async fn ask(
        &self,
        input: impl FnOnce(Ticket) -> Input,
    ) -> Result<Answer, AskError> {
        self.ask_from(Vec::new(), input).await
    }

    /// As [`TenantHandle::ask`], with a question that takes room of the process, and now of its tenant too. Both are held
    /// until the machine has answered, even where the asker has gone.
    pub(crate) async fn ask_with(
        &self,
        mut place: Place,
        input: impl FnOnce(Ticket) -> Input,
    ) -> Result<Answer, AskError> {
        let mut of_tenant = self.shared.room.enter();
        let bytes = place.bytes();
        of_tenant
            .grow(bytes)
            .and_then(|()| of_tenant.stay())
            .and_then(|()| place.stay())
            .map_err(|BudgetSpent| AskError::Busy)?;
        self.ask_from(vec![place, of_tenant], input).await
    }

    async fn ask_from(
        &self,
        places: Vec<Place>,
        input: impl FnOnce(Ticket) -> Input,
    ) -> Result<Answer, AskError> {
        let (ticket, answered) = self.ticket(places);
        if let Err(refused) = self.inputs.try_send(input(ticket)) {
            self.shared.waiting.lock().remove(&ticket);
            return Err(match refused {
                mpsc::error::TrySendError::Full(_) => AskError::Busy,
                mpsc::error::TrySendError::Closed(_) => AskError::Stopped,
            });
        }
        answered.come().await
    }

    /// Puts a question to the machine, and waits for room where there is none. The answer is still to come.
    pub(crate) async fn line_up(
        &self,
        input: impl FnOnce(Ticket) -> Input,
    ) -> Result<Answered, AskError> {
        let (ticket, answered) = self.ticket(Vec::new());
        if self.inputs.send(input(ticket)).await.is_err() {
            self.shared.waiting.lock().remove(&ticket);
            return Err(AskError::Stopped);
        }
        Ok(answered)
    }

    fn ticket(&self, places: Vec<Place>) -> (Ticket, Answered) {
        let ticket = Ticket(self.shared.ticket_next.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            answer,
            _places: places,
        };
        self.shared.waiting.lock().insert(ticket, waiting);
        (ticket, Answered(answered))
    }

    /// How the last attempts to tell its integrations went.
    pub(crate) fn attempts(&self) -> &Attempts {
        &self.shared.attempts
    }

    /// What readers see: never older than the last answer that a writer got.
    pub(crate) async fn view(&self, now: Timestamp) -> Result<Arc<View>, AskError> {
        let version = self.shared.version.load(Ordering::Acquire);
        if let Some(published) = self.shared.published.load_full()
            && published.version == version
            && now.saturating_since(published.view.at) < VIEW_AGE_MAX
        {
            return Ok(Arc::clone(&published.view));
        }
        match self.ask(|ticket| Input::Look { ticket }).await? {
            Answer::View(view) => Ok(view),
            Answer::Alerts(_)
            | Answer::Configured
            | Answer::Explained(_)
            | Answer::Exported(_)
            | Answer::SilenceExpired(_)
            | Answer::SilenceSet(_)
            | Answer::Snapshot(_)
            | Answer::Tally(_) => Err(AskError::Stopped),
        }
    }

    /// How much there is, as it was counted at most [`COUNT_INTERVAL`] ago, or longer where the machine is busy.
    pub(crate) async fn tally(&self, by_group: bool, now: Timestamp) -> Option<Tally> {
        let counted = self.shared.counted.lock().clone();
        if let Some((at, tally)) = &counted
            && now.saturating_since(*at) < COUNT_INTERVAL
        {
            return Some(tally.clone());
        }
        let wanted = |ticket| Input::TallyWanted { ticket, by_group };
        match self.ask(wanted).await {
            Ok(Answer::Tally(tally)) => {
                *self.shared.counted.lock() = Some((now, (*tally).clone()));
                Some(*tally)
            }
            Ok(_) | Err(_) => counted.map(|(_, tally)| tally),
        }
    }
}

/// What to say of an answer whose effect is there, but not in the log. A second attempt would make a second silence.
fn unsaved(answer: &Answer) -> Option<AskError> {
    match answer {
        Answer::SilenceSet(Ok(id)) => Some(AskError::SilenceUnsaved(id.clone())),
        Answer::SilenceExpired(Ok(())) => Some(AskError::EndOfSilenceUnsaved),
        Answer::SilenceExpired(Err(_)) | Answer::SilenceSet(Err(_)) => None,
        Answer::Alerts(_)
        | Answer::Configured
        | Answer::Explained(_)
        | Answer::Exported(_)
        | Answer::Snapshot(_)
        | Answer::Tally(_)
        | Answer::View(_) => Some(AskError::Unsaved),
    }
}

pub(crate) struct TenantShell {
    pub(crate) tenant: TenantId,
    pub(crate) deliverer: Deliverer,
    pub(crate) log: Option<Log>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: AlertmanagerMetrics,
    pub(crate) recorder: Option<EventRecorder>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) flushes: Flushes,
    pub(crate) saving: Saving,
    pub(crate) log_silences: bool,
    /// How long the machine thought about the batch that is carried out.
    pub(crate) thought: Duration,
}

/// Whether the log has all that the machine wanted stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Saving {
    #[default]
    UpToDate,
    /// Something is missing in the log: before anything else the whole state must go there.
    Behind { again_at: Instant },
}

impl Drop for TenantShell {
    /// Whoever waits for a machine that has ended waits no longer.
    fn drop(&mut self) {
        self.shared.waiting.lock().clear();
    }
}

impl Shell<Alertmanager> for TenantShell {
    fn note_thought(&mut self, took: Duration) {
        self.thought = took;
    }

    /// What is missing in the log goes there as soon as it can, though nothing may happen meanwhile.
    fn retry_in(&self) -> Option<Duration> {
        match self.saving {
            Saving::UpToDate => None,
            Saving::Behind { .. } if self.log.as_ref().is_some_and(Log::hangs) => {
                Some(HANGING_LOOK)
            }
            Saving::Behind { again_at } => Some(again_at.saturating_duration_since(Instant::now())),
        }
    }

    async fn carry_out(
        &mut self,
        machine: &Alertmanager,
        commands: Vec<Command>,
        events: Vec<Event>,
    ) {
        let now = self.clock.now();
        for event in &events {
            tell(&self.tenant, &self.metrics, event, self.log_silences);
            self.measure(event);
            self.shared.attempts.note(event, now);
        }
        let flushing = self.flushes.begin(&self.deliverer.tracer, &events);
        let mut records = Vec::new();
        let mut orders = Vec::new();
        let mut hurries = Vec::new();
        let mut answers = Vec::new();
        for command in commands {
            match command {
                Command::Persist(record) => records.push(record),
                Command::Deliver(order) => orders.push(*order),
                Command::Hurry { id, deadline } => hurries.push((id, deadline)),
                // Written here and in its place, so that no record of something later stands before it in the log.
                Command::Answer {
                    ticket,
                    answer: Answer::Snapshot(snapshot),
                } => {
                    records.extend(snapshot);
                    answers.push((ticket, Answer::Snapshot(Vec::new())));
                }
                Command::Answer { ticket, answer } => answers.push((ticket, answer)),
            }
        }
        // A view that was looked at in the same batch may be older than what happened in it.
        let changed = !(records.is_empty() && events.is_empty());
        if changed {
            self.shared.version.fetch_add(1, Ordering::AcqRel);
        }
        // All of a batch goes into one write, before any of it is sent or answered.
        let saved = self.save(machine, records).await;
        // A page is worth more than its record: what cannot be stored is told nevertheless.
        for order in orders {
            let flush = self.flushes.of(&order.key);
            self.deliverer.start(order, flush);
        }
        for (id, deadline) in hurries {
            self.deliverer.hurry(id, deadline);
        }
        for span in flushing {
            self.deliverer.tracer.end(Some(span), None);
        }
        for (ticket, answer) in answers {
            if let Answer::View(view) = &answer
                && !changed
            {
                self.shared.publish(view);
            }
            self.answer(ticket, answer, saved);
        }
        self.record(events);
    }
}

impl TenantShell {
    /// What happened within the thought that came before.
    fn measure(&self, event: &Event) {
        match event {
            Event::AlertsReceived {
                firing, resolved, ..
            } => self.metrics.processed(self.thought, firing + resolved),
            Event::GarbageCollected => {
                self.metrics.silences.kept.garbage_collected(self.thought);
                self.metrics.nflog.garbage_collected(self.thought);
            }
            Event::AlertTooLarge { .. }
            | Event::AlertsMuted { .. }
            | Event::AlertsRefused { .. }
            | Event::AttemptEnded { .. }
            | Event::AttemptStarted { .. }
            | Event::Configured { .. }
            | Event::DeliveryAbandoned { .. }
            | Event::GroupFlushed { .. }
            | Event::NotificationMissed { .. }
            | Event::Recorded(_)
            | Event::Restored { .. }
            | Event::SilenceChanged { .. }
            | Event::WasAbsent { .. } => {}
        }
    }

    /// Says whether everything up to here is in the log. A disk that does not answer is waited for as long as the log
    /// does, and then no more before it does.
    async fn save(&mut self, machine: &Alertmanager, records: Vec<Record>) -> bool {
        let Some(log) = &self.log else {
            return true;
        };
        let records = match self.saving {
            Saving::UpToDate => records,
            Saving::Behind { again_at } if Instant::now() < again_at || log.hangs() => {
                return false;
            }
            Saving::Behind { .. } => machine.snapshot(self.clock.now()),
        };
        if records.is_empty() {
            self.saving = Saving::UpToDate;
            return true;
        }
        let tenant = &self.tenant;
        match save(log, tenant, &records).await {
            Ok(()) => {
                if self.saving != Saving::UpToDate {
                    info!(%tenant, "the log takes records again");
                }
                self.saving = Saving::UpToDate;
                true
            }
            Err(failure) => {
                self.metrics.persist_failures.inc();
                error!(%tenant, error = %failure, "alerts and notifications could not be stored; senders are told to try again");
                self.saving = Saving::Behind {
                    again_at: match failure {
                        // Whether it hangs is asked without a write.
                        AppendError::Hanging { .. } => Instant::now(),
                        AppendError::Closed
                        | AppendError::Overloaded { .. }
                        | AppendError::TooLarge { .. }
                        | AppendError::Write(_) => Instant::now() + SAVE_AGAIN,
                    },
                };
                false
            }
        }
    }

    fn answer(&self, ticket: Ticket, answer: Answer, saved: bool) {
        let answer = match answer {
            answer @ (Answer::Configured
            | Answer::Explained(_)
            | Answer::Exported(_)
            | Answer::Tally(_)
            | Answer::View(_)) => Ok(answer),
            answer @ (Answer::Alerts(_)
            | Answer::SilenceExpired(_)
            | Answer::SilenceSet(_)
            | Answer::Snapshot(_)) => match unsaved(&answer) {
                Some(error) if !saved => Err(error),
                Some(_) | None => Ok(answer),
            },
        };
        self.shared.answer(ticket, answer);
    }

    fn record(&self, events: Vec<Event>) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        for event in events {
            if let Event::Recorded(recorded) = event {
                recorder.record(*recorded);
            }
        }
    }
}
