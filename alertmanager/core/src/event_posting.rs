//! How recorded events go to a webhook: when a failed request is sent again, and which events share one.
use std::time::Duration;

/// No wait between two attempts is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostRetries {
    /// Attempts of one request, the first included.
    pub attempts_max: u32,
    /// The first wait; each further one is twice as long, up to 30 s.
    pub backoff: Duration,
}

impl PostRetries {
    /// How long to wait after so many failed attempts; `None` where there is no further one.
    #[must_use]
    pub fn wait(&self, failed: u32) -> Option<Duration> {
        let doublings = failed.saturating_sub(1).min(31);
        let wait = self.backoff.saturating_mul(1 << doublings);
        (failed < self.attempts_max).then(|| wait.min(BACKOFF_MAX))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    pub events_max: usize,
    /// Of a whole body; one event that is larger goes alone.
    pub bytes_max: usize,
}

/// The size of a JSON list that grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchSize {
    events: usize,
    /// Without the brackets.
    bytes: usize,
}

impl BatchSize {
    /// Whether an event of so many bytes may come to those that are there.
    #[must_use]
    pub fn admits(&self, bytes: usize, limits: BatchLimits) -> bool {
        let with_it = self.with(bytes);
        self.events == 0
            || (with_it.events <= limits.events_max && with_it.bytes + 2 <= limits.bytes_max)
    }

    #[must_use]
    pub fn with(self, bytes: usize) -> Self {
        let comma = usize::from(self.events > 0);
        Self {
            events: self.events + 1,
            bytes: self.bytes + comma + bytes,
        }
    }

    /// Whether nothing more can come.
    #[must_use]
    pub fn is_full(&self, limits: BatchLimits) -> bool {
        self.events >= limits.events_max || self.bytes + 2 >= limits.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BatchLimits, BatchSize, PostRetries};

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let waits = |attempts_max, millis| {
            let retries = PostRetries {
                attempts_max,
                backoff: Duration::from_millis(millis),
            };
            (1..)
                .map_while(|failed| retries.wait(failed))
                .map(|wait| wait.as_millis())
                .collect::<Vec<_>>()
        };
        assert_eq!(waits(3, 500), [500, 1000]);
        assert_eq!(waits(1, 500), [0; 0]);
        assert_eq!(waits(5, 10_000), [10_000, 20_000, 30_000, 30_000]);
        assert_eq!(waits(40, 20_000).last(), Some(&30_000));
    }

    #[test]
    fn a_batch_is_bounded_in_events_and_bytes() {
        // Sizes of events, and how many each body holds.
        let bodies = |events_max, bytes_max, sizes: &[usize]| {
            let limits = BatchLimits {
                events_max,
                bytes_max,
            };
            let (mut bodies, mut size) = (Vec::new(), BatchSize::default());
            for bytes in sizes {
                if !size.admits(*bytes, limits) {
                    bodies.push(size.events);
                    size = BatchSize::default();
                }
                size = size.with(*bytes);
                if size.is_full(limits) {
                    bodies.push(size.events);
                    size = BatchSize::default();
                }
            }
            (bodies, size.events)
        };
        assert_eq!(bodies(2, 1000, &[10, 10, 10]), (vec![2], 1));
        // `[10,10]` has 23 bytes: two brackets and a comma.
        assert_eq!(bodies(9, 23, &[10, 10, 10]), (vec![2], 1));
        assert_eq!(bodies(9, 22, &[10, 10, 10]), (vec![1, 1], 1));
        assert_eq!(bodies(9, 22, &[50, 10]), (vec![1], 1));
    }
}
