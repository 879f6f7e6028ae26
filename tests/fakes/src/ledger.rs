//! What a fake knows, what it received, and who waits for it.
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use parking_lot::Mutex;
use runtime::Clock;
use tokio::sync::{broadcast, watch};

use crate::event::{EVENTS_BEHIND_MAX, FakeEvent, Happened};
use crate::fault::FaultPlan;

/// More than this one fake does not record: past it requests are refused, so that no test passes by accident.
pub(crate) const RECORDS_MAX: usize = 200_000;

/// A condition did not come true in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedOut {
    pub within: Duration,
    /// What was received until then, one a line.
    pub received: String,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "not within {:?}; received:\n{}",
            self.within, self.received
        )
    }
}

impl std::error::Error for TimedOut {}

/// Where events go, and the time: shared by the fakes that were started together.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: broadcast::Sender<FakeEvent>,
}

impl Stage {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            events: broadcast::Sender::new(EVENTS_BEHIND_MAX),
        }
    }

    pub(crate) fn tell(&self, at: Timestamp, what: Happened) {
        // Nobody needs to listen.
        let _ = self.events.send(FakeEvent { at, what });
    }
}

pub(crate) struct Pages<State, Record, Fault> {
    pub(crate) state: State,
    pub(crate) records: Vec<Record>,
    pub(crate) faults: FaultPlan<Fault>,
}

pub(crate) struct Ledger<State, Record, Fault> {
    pages: Mutex<Pages<State, Record, Fault>>,
    version: watch::Sender<u64>,
    pub(crate) stage: Stage,
}

impl<State, Record: fmt::Display, Fault: Clone> Ledger<State, Record, Fault> {
    pub(crate) fn new(state: State, stage: Stage) -> Self {
        Self {
            pages: Mutex::new(Pages {
                state,
                records: Vec::new(),
                faults: FaultPlan::new(),
            }),
            version: watch::Sender::new(0),
            stage,
        }
    }

    pub(crate) fn look<Seen>(
        &self,
        look: impl FnOnce(&Pages<State, Record, Fault>) -> Seen,
    ) -> Seen {
        look(&self.pages.lock())
    }

    /// Changes something, and lets those who wait look again.
    pub(crate) fn write<Said>(
        &self,
        write: impl FnOnce(&mut Pages<State, Record, Fault>) -> Said,
    ) -> Said {
        let said = write(&mut self.pages.lock());
        self.version.send_modify(|version| *version += 1);
        said
    }

    /// Looks at once and after every change, until there is something to be seen.
    pub(crate) async fn wait_for<Seen>(
        &self,
        within: Duration,
        mut look: impl FnMut(&State, &[Record]) -> Option<Seen>,
    ) -> Result<Seen, TimedOut> {
        let mut version = self.version.subscribe();
        let looking = async {
            loop {
                version.borrow_and_update();
                if let Some(seen) = self.look(|pages| look(&pages.state, &pages.records)) {
                    return seen;
                }
                if version.changed().await.is_err() {
                    // The sender lives in `self`.
                    unreachable!("the ledger outlives those who wait for it");
                }
            }
        };
        tokio::time::timeout(within, looking)
            .await
            .map_err(|_| TimedOut {
                within,
                received: self.look(|pages| {
                    let lines: Vec<String> =
                        pages.records.iter().map(ToString::to_string).collect();
                    lines.join("\n")
                }),
            })
    }
}
