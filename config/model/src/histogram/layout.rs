//! Brings histograms to a common layout, so that they can be added bucket by bucket.
//!
//! A layout is schema, zero threshold and custom bounds. Every change of it makes buckets coarser and loses no
//! observation.
use std::borrow::Cow;

use super::{Bucket, Histogram, ResetHint, exponential_bound};

/// Exponential and custom buckets have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("histograms with exponential and with custom buckets cannot be combined")]
pub struct IncompatibleBuckets;

/// What had to be overlooked when two histograms were combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Their custom bounds differ: only those that both have are left.
    pub bounds: bool,
    /// One says that its counter began anew, the other that it did not.
    pub hints_conflict: bool,
}

impl Histogram {
    /// Adds `other`, bucket by bucket.
    pub fn add(&mut self, other: &Self) -> Result<Reconciled, IncompatibleBuckets> {
        self.combine(other, |left, right| left + right)
    }

    /// Takes `other` away, bucket by bucket.
    pub fn subtract(&mut self, other: &Self) -> Result<Reconciled, IncompatibleBuckets> {
        self.combine(other, |left, right| left - right)
    }

    fn combine(
        &mut self,
        other: &Self,
        operate: impl Fn(f64, f64) -> f64,
    ) -> Result<Reconciled, IncompatibleBuckets> {
        let (other, bounds) = self.align(other)?;
        let hints_conflict = self.adopt_hint(other.reset_hint);
        self.count = operate(self.count, other.count);
        self.sum = operate(self.sum, other.sum);
        self.zero_count = operate(self.zero_count, other.zero_count);
        combine_buckets(&mut self.positive, &other.positive, &operate);
        combine_buckets(&mut self.negative, &other.negative, &operate);
        Ok(Reconciled {
            bounds,
            hints_conflict,
        })
    }

    /// What both together are: a gauge, if one is; unknown, if one is or if they contradict each other, which is
    /// answered with `true`.
    pub(super) fn adopt_hint(&mut self, other: ResetHint) -> bool {
        let (hint, conflict) = match (self.reset_hint, other) {
            (own, other) if own == other => (own, false),
            (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => (ResetHint::Gauge, false),
            (ResetHint::Unknown, _) | (_, ResetHint::Unknown) => (ResetHint::Unknown, false),
            _ => (ResetHint::Unknown, true),
        };
        self.reset_hint = hint;
        conflict
    }

    /// Brings both to one layout: changes `self`, and returns `other` as it must be read. `true` where custom bounds
    /// were given up.
    pub(super) fn align<'a>(
        &mut self,
        other: &'a Self,
    ) -> Result<(Cow<'a, Self>, bool), IncompatibleBuckets> {
        let mut other = Cow::Borrowed(other);
        if self.has_custom_buckets() != other.has_custom_buckets() {
            return Err(IncompatibleBuckets);
        }
        if self.has_custom_buckets() {
            let differ = self.custom_values != other.custom_values;
            if differ {
                let common = common_bounds(&self.custom_values, &other.custom_values);
                self.reduce_to_bounds(&common);
                other.to_mut().reduce_to_bounds(&common);
            }
            return Ok((other, differ));
        }
        if self.zero_threshold.is_nan() || other.zero_threshold.is_nan() {
            return Err(IncompatibleBuckets);
        }
        while self.zero_threshold != other.zero_threshold {
            if self.zero_threshold > other.zero_threshold {
                let threshold = self.zero_threshold;
                other.to_mut().widen_zero(threshold);
            } else {
                self.widen_zero(other.zero_threshold);
            }
        }
        if self.schema > other.schema {
            self.reduce_to_schema(other.schema);
        } else if other.schema > self.schema {
            let schema = self.schema;
            other.to_mut().reduce_to_schema(schema);
        }
        Ok((other, false))
    }

    /// Takes over the layout of `other`, which is known to be coarser or the same.
    pub(super) fn adopt_layout(&mut self, other: &Self) {
        if self.has_custom_buckets() {
            if self.custom_values != other.custom_values {
                let bounds: Vec<f64> = other.custom_values.to_vec();
                self.reduce_to_bounds(&bounds);
            }
            return;
        }
        if self.zero_threshold < other.zero_threshold {
            self.zero_threshold = other.zero_threshold;
            self.zero_count += self.take_up_to(other.zero_threshold);
        }
        if self.schema > other.schema {
            self.reduce_to_schema(other.schema);
        }
    }

    /// Makes the zero bucket reach to `threshold`, and on to the end of a bucket with observations in which it falls.
    pub(super) fn widen_zero(&mut self, threshold: f64) {
        let threshold = self.zero_end_for(threshold);
        self.zero_count += self.take_up_to(threshold);
        self.zero_threshold = threshold;
    }

    /// Where a zero bucket that must reach to `threshold` ends.
    pub(super) fn zero_end_for(&self, threshold: f64) -> f64 {
        let mut end = threshold;
        loop {
            let cut = self
                .positive
                .iter()
                .chain(&self.negative)
                .filter(|bucket| bucket.count != 0.0)
                .map(|bucket| {
                    (
                        self.bound(bucket.index.saturating_sub(1)),
                        self.bound(bucket.index),
                    )
                })
                .find(|(lower, upper)| *lower < end && *upper > end);
            match cut {
                Some((_, upper)) => end = upper,
                None => return end,
            }
        }
    }

    /// Removes the buckets that begin below `threshold`, and returns what they held.
    fn take_up_to(&mut self, threshold: f64) -> f64 {
        let schema = self.schema;
        let mut taken = 0.0;
        for buckets in [&mut self.positive, &mut self.negative] {
            let inside = buckets.partition_point(|bucket| {
                exponential_bound(schema, bucket.index.saturating_sub(1)) < threshold
            });
            taken += buckets
                .drain(..inside)
                .map(|bucket| bucket.count)
                .sum::<f64>();
        }
        taken
    }

    /// Merges buckets until they are those of the lower resolution `schema`.
    pub fn reduce_to_schema(&mut self, schema: i32) {
        let shift = self.schema - schema;
        if shift <= 0 || self.has_custom_buckets() {
            return;
        }
        let index = |bucket: &Bucket| (bucket.index.saturating_sub(1) >> shift) + 1;
        merge_buckets(&mut self.positive, index);
        merge_buckets(&mut self.negative, index);
        self.schema = schema;
    }

    /// Merges custom buckets until `bounds` tell them apart, all of which they have.
    pub(super) fn reduce_to_bounds(&mut self, bounds: &[f64]) {
        let own = std::mem::replace(&mut self.custom_values, bounds.into());
        merge_buckets(&mut self.positive, |bucket| {
            let upper = super::custom_bound(&own, bucket.index);
            let index = bounds.partition_point(|bound| *bound < upper);
            i32::try_from(index).unwrap_or(i32::MAX)
        });
    }
}

/// Gives each bucket the index that it has in a coarser layout. Neighbours that share it become one.
fn merge_buckets(buckets: &mut Vec<Bucket>, index: impl Fn(&Bucket) -> i32) {
    for bucket in buckets.iter_mut() {
        bucket.index = index(bucket);
    }
    buckets.dedup_by(|next, kept| {
        let same = next.index == kept.index;
        if same {
            kept.count += next.count;
        }
        same
    });
}

fn common_bounds(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter()
        .copied()
        .filter(|bound| {
            right
                .binary_search_by(|other| other.total_cmp(bound))
                .is_ok()
        })
        .collect()
}

/// Applies `operate` bucket by bucket; where one side has none it counts as zero.
pub(super) fn combine_buckets(
    own: &mut Vec<Bucket>,
    others: &[Bucket],
    operate: &impl Fn(f64, f64) -> f64,
) {
    let same = own.len() == others.len()
        && own
            .iter()
            .zip(others)
            .all(|(own, other)| own.index == other.index);
    if same {
        for (own, other) in own.iter_mut().zip(others) {
            own.count = operate(own.count, other.count);
        }
        return;
    }
    let mut merged = Vec::with_capacity(own.len().max(others.len()));
    let (mut left, mut right) = (own.iter().peekable(), others.iter().peekable());
    loop {
        let index = match (left.peek(), right.peek()) {
            (Some(left), Some(right)) => left.index.min(right.index),
            (Some(only), None) | (None, Some(only)) => only.index,
            (None, None) => break,
        };
        let count = |bucket: Option<&Bucket>| bucket.map_or(0.0, |bucket| bucket.count);
        let own = count(left.next_if(|bucket| bucket.index == index));
        let other = count(right.next_if(|bucket| bucket.index == index));
        merged.push(Bucket {
            index,
            count: operate(own, other),
        });
    }
    *own = merged;
}
