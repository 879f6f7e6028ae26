//! What a series' newest value was: enough to tell a repetition from a contradiction.
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use model::histogram::Bucket;
use model::{Histogram, Sample, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) timestamp: Timestamp,
    /// Of a float its bits, of a histogram a hash.
    bits: u64,
    is_histogram: bool,
}

impl Newest {
    /// Buckets that hold nothing and hints make no difference, since chunks do not keep them.
    pub(crate) fn histogram(timestamp: Timestamp, histogram: &Histogram) -> Self {
        let mut hasher = FixedState::default().build_hasher();
        hasher.write_u64(histogram.sum.to_bits());
        if !histogram.is_stale() {
            hasher.write_i32(histogram.schema);
            for number in [
                histogram.zero_threshold,
                histogram.zero_count,
                histogram.count,
            ] {
                hasher.write_u64(number.to_bits());
            }
            for bound in histogram.custom_values.iter() {
                hasher.write_u64(bound.to_bits());
            }
            for buckets in [&histogram.positive, &histogram.negative] {
                for Bucket { index, count } in buckets.iter().filter(|one| one.count != 0.0) {
                    hasher.write_i32(*index);
                    hasher.write_u64(count.to_bits());
                }
                hasher.write_u8(0);
            }
        }
        Self {
            timestamp,
            bits: hasher.finish(),
            is_histogram: true,
        }
    }
}

impl Newest {
    pub(crate) fn is_histogram(self) -> bool {
        self.is_histogram
    }
}

impl From<Sample> for Newest {
    #[inline]
    fn from(sample: Sample) -> Self {
        Self {
            timestamp: sample.timestamp,
            bits: sample.value.to_bits(),
            is_histogram: false,
        }
    }
}
