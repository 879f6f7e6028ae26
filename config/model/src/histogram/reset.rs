//! Whether a counter of observations began anew between two of its histograms.
use std::borrow::Cow;

use super::{Bucket, Histogram, ResetHint};

impl Histogram {
    /// Whether observations that `previous` counted are missing here. A hint of the source is believed.
    #[must_use]
    pub fn is_reset_since(&self, previous: &Self) -> bool {
        match self.reset_hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            ResetHint::Gauge | ResetHint::Unknown => {}
        }
        if self.count < previous.count || self.has_custom_buckets() != previous.has_custom_buckets()
        {
            return true;
        }
        if self.has_custom_buckets() {
            let mut own = Cow::Borrowed(self);
            let mut before = Cow::Borrowed(previous);
            if own.custom_values != before.custom_values {
                match own.to_mut().align(previous) {
                    Ok((aligned, _)) => before = aligned,
                    Err(_) => return true,
                }
            }
            return is_less(&own.positive, &before.positive);
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let mut before = Cow::Borrowed(previous);
        if self.zero_threshold > before.zero_threshold {
            if before.zero_end_for(self.zero_threshold) != self.zero_threshold {
                // It would cut a bucket in two.
                return true;
            }
            before.to_mut().widen_zero(self.zero_threshold);
        }
        if self.schema < before.schema {
            before.to_mut().reduce_to_schema(self.schema);
        }
        self.zero_count < before.zero_count
            || is_less(&self.positive, &before.positive)
            || is_less(&self.negative, &before.negative)
    }
}

/// Whether any bucket holds less than before.
fn is_less(now: &[Bucket], before: &[Bucket]) -> bool {
    let mut now = now.iter().peekable();
    before.iter().any(|before| {
        while now.next_if(|own| own.index < before.index).is_some() {}
        let count = now
            .next_if(|own| own.index == before.index)
            .map_or(0.0, |own| own.count);
        count < before.count
    })
}
