//! How fast one tenant may send: a bucket that fills steadily, and from which every request takes its samples.
use std::time::Duration;

use model::Timestamp;

/// A level is counted in thousandths of a sample, so that a millisecond fills it by the rate exactly.
const PARTS: i64 = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRate {
    pub samples_per_second: usize,
    /// What may come at once after a quiet time.
    pub burst_samples: usize,
}

/// Nothing of the request is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tenant sends more than its limit of {samples_per_second} samples a second; try again in {} s",
    retry_after.as_secs()
)]
pub struct RateExceeded {
    pub samples_per_second: usize,
    /// Whole seconds, at least one.
    pub retry_after: Duration,
}

/// Full at first.
#[derive(Clone, Debug, Default)]
pub(crate) struct SampleBucket {
    /// What has been taken and has not flowed back, and when that was so.
    taken: Option<(i64, Timestamp)>,
}

impl SampleBucket {
    /// Whether so many samples may come now; they are not taken yet.
    ///
    /// A request that is larger than the burst may come when the bucket is full, and is paid for afterwards: it would
    /// never fit otherwise, and its sender would come again for ever.
    pub(crate) fn check(
        &mut self,
        rate: SampleRate,
        samples: usize,
        now: Timestamp,
    ) -> Result<(), RateExceeded> {
        let (burst, wanted) = (parts(rate.burst_samples), parts(samples));
        // How much may be taken out still for the request to fit.
        let bearable = (burst - wanted).max(0);
        let excess = self.flow_back(rate, now) - bearable;
        if samples == 0 || excess <= 0 {
            return Ok(());
        }
        let millis = excess
            .unsigned_abs()
            .div_ceil(per_milli(rate).unsigned_abs());
        Err(RateExceeded {
            samples_per_second: rate.samples_per_second,
            retry_after: Duration::from_secs(millis.div_ceil(1000)),
        })
    }

    pub(crate) fn take(&mut self, rate: SampleRate, samples: usize, now: Timestamp) {
        let taken = self.flow_back(rate, now).saturating_add(parts(samples));
        self.taken = Some((taken, now));
    }

    /// What is taken still. A clock that was set back fills nothing, and holds nobody up for longer.
    fn flow_back(&mut self, rate: SampleRate, now: Timestamp) -> i64 {
        let (taken, at) = self.taken.unwrap_or((0, now));
        let millis = i64::try_from(now.saturating_since(at).as_millis()).unwrap_or(i64::MAX);
        let returned = per_milli(rate).saturating_mul(millis);
        let taken = taken.saturating_sub(returned).max(0);
        self.taken = Some((taken, now));
        taken
    }
}

fn parts(samples: usize) -> i64 {
    i64::try_from(samples)
        .unwrap_or(i64::MAX)
        .saturating_mul(PARTS)
}

/// A thousandth of a sample a millisecond is a sample a second.
fn per_milli(rate: SampleRate) -> i64 {
    i64::try_from(rate.samples_per_second)
        .unwrap_or(i64::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::{SampleBucket, SampleRate};

    const RATE: SampleRate = SampleRate {
        samples_per_second: 100,
        burst_samples: 500,
    };

    #[test]
    fn a_bucket_fills_steadily_up_to_its_burst() {
        let mut bucket = SampleBucket::default();
        for (millis, samples, retry_secs) in [
            (0, 500, None),
            (0, 0, None),
            (0, 1, Some(1)),
            (9, 1, Some(1)),
            (10, 1, None),
            // Refused ones take nothing.
            (1010, 101, Some(1)),
            (1010, 100, None),
            (1010, 500, Some(5)),
            (2_000, 500, Some(5)),
            (100_000, 499, None),
            (100_000, 2, Some(1)),
            // Larger than the burst: when the bucket is full, and paid for afterwards.
            (104_980, 2_000, Some(1)),
            (104_990, 2_000, None),
            (104_990, 1, Some(16)),
            (119_990, 1, Some(1)),
            (120_000, 1, None),
            // The clock is set back by a minute.
            (60_000, 1, Some(1)),
            (60_010, 1, None),
        ] {
            let now = Timestamp::from_millis(millis);
            let checked = bucket.check(RATE, samples, now);
            let refused = checked.map_err(|error| error.retry_after.as_secs()).err();
            assert_eq!(refused, retry_secs, "{samples} at {millis}");
            if refused.is_none() {
                bucket.take(RATE, samples, now);
            }
        }
    }

    #[test]
    fn large_numbers_do_no_harm() {
        let rate = SampleRate {
            samples_per_second: usize::MAX,
            burst_samples: usize::MAX,
        };
        let mut bucket = SampleBucket::default();
        bucket.take(rate, usize::MAX, Timestamp::MIN);
        assert_eq!(bucket.check(rate, usize::MAX, Timestamp::MAX), Ok(()));
    }
}
