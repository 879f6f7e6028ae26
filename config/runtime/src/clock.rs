//! The one place where the operating system's clock is read.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use model::Timestamp;

use crate::stop::Stop;

const LOOKING_INTERVAL: Duration = Duration::from_secs(1);
/// An evaluation's usual interval: to be late by that is no harm. Time servers correct less in small steps.
const STANDSTILL_MAX: Duration = Duration::from_secs(60);

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// For how long `now` will go on to answer the same, because the system's clock was set back.
    fn standstill(&self) -> Duration {
        Duration::ZERO
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("system clock was set back, and nothing would be evaluated or told for {} s", standstill.as_secs())]
pub struct ClockSetBack {
    pub standstill: Duration,
}

/// Looks until `stop` whether the system's clock was set back by more than a minute. Whoever waits for a time waits so
/// much longer then, in silence; a process that begins anew has the new time at once.
///
/// # Errors
/// It was.
pub async fn watch_clock(clock: Arc<dyn Clock>, stop: Stop) -> Result<(), ClockSetBack> {
    watch_clock_every(LOOKING_INTERVAL, clock, stop).await
}

async fn watch_clock_every(
    interval: Duration,
    clock: Arc<dyn Clock>,
    mut stop: Stop,
) -> Result<(), ClockSetBack> {
    loop {
        let standstill = clock.standstill();
        if standstill > STANDSTILL_MAX {
            return Err(ClockSetBack { standstill });
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.stopped() => return Ok(()),
        }
    }
}

/// The system's wall clock, held back so that it never runs backwards within one process.
#[derive(Debug)]
pub struct SystemClock {
    latest: AtomicI64,
}

impl SystemClock {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            latest: AtomicI64::new(i64::MIN),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.held_back(wall_millis())
    }

    fn standstill(&self) -> Duration {
        self.standstill_at(wall_millis())
    }
}

impl SystemClock {
    fn held_back(&self, millis: i64) -> Timestamp {
        let latest = self.latest.fetch_max(millis, Ordering::Relaxed);
        Timestamp::from_millis(millis.max(latest))
    }

    fn standstill_at(&self, millis: i64) -> Duration {
        let latest = self.latest.load(Ordering::Relaxed);
        let behind = latest.saturating_sub(millis);
        Duration::from_millis(u64::try_from(behind).unwrap_or(0))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one reader of the system clock"
)]
fn wall_millis() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// A clock that stands still until it is set: for tests.
#[derive(Debug, Default)]
pub struct ManualClock {
    millis: AtomicI64,
}

impl ManualClock {
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            millis: AtomicI64::new(now.as_millis()),
        }
    }

    pub fn set(&self, now: Timestamp) {
        self.millis.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model::Timestamp;
    use parking_lot::Mutex;

    use super::{Clock, ClockSetBack, SystemClock, watch_clock_every};
    use crate::stop::Stopper;

    #[test]
    fn time_never_runs_backwards_and_says_for_how_long_it_stands_still() {
        let clock = SystemClock::new();
        for (wall, now, standstill) in [
            (1_000, 1_000, 0),
            (500, 1_000, 500),
            (900, 1_000, 100),
            (1_200, 1_200, 0),
        ] {
            assert_eq!(clock.held_back(wall), Timestamp::from_millis(now), "{wall}");
            let expected = Duration::from_millis(standstill);
            assert_eq!(clock.standstill_at(wall), expected, "{wall}");
        }
        assert_eq!(SystemClock::new().standstill_at(5), Duration::ZERO);
    }

    /// Stands still for so many seconds, the last one first; then the process is told to end.
    struct Scripted {
        standstills: Mutex<Vec<u64>>,
        stopper: Stopper,
    }

    impl Clock for Scripted {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(0)
        }

        fn standstill(&self) -> Duration {
            let seconds = self.standstills.lock().pop();
            if seconds.is_none() {
                self.stopper.stop();
            }
            Duration::from_secs(seconds.unwrap_or(0))
        }
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_by_more_than_a_minute_is_noticed() {
        let set_back = |seconds| {
            Err(ClockSetBack {
                standstill: Duration::from_secs(seconds),
            })
        };
        for (standstills, outcome) in [
            (vec![], Ok(())),
            (vec![0, 0, 0], Ok(())),
            (vec![0, 60, 1], Ok(())),
            (vec![7200, 0], set_back(7200)),
            (vec![0, 61], set_back(61)),
        ] {
            let (stopper, stop) = Stopper::new();
            let clock = Scripted {
                standstills: Mutex::new(standstills),
                stopper,
            };
            let moment = Duration::from_millis(1);
            assert_eq!(
                watch_clock_every(moment, Arc::new(clock), stop).await,
                outcome
            );
        }
    }
}
