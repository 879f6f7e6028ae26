//! Sums of many histograms, with what floating point numbers lose kept beside them.
use super::layout::combine_buckets;
use super::{Bucket, Histogram, IncompatibleBuckets, Reconciled};

/// Neumaier's compensated summation in every number of a histogram.
#[derive(Clone, Debug)]
pub struct HistogramSum {
    total: Histogram,
    /// What was lost so far, in the layout of `total`.
    lost: Histogram,
}

impl HistogramSum {
    #[must_use]
    pub fn starting_at(first: Histogram) -> Self {
        let lost = Histogram {
            schema: first.schema,
            zero_threshold: first.zero_threshold,
            custom_values: first.custom_values.clone(),
            ..Histogram::default()
        };
        Self { total: first, lost }
    }

    /// On an error the sum is as it was.
    pub fn add(&mut self, other: &Histogram) -> Result<Reconciled, IncompatibleBuckets> {
        let (other, bounds) = self.total.align(other)?;
        let hints_conflict = self.total.adopt_hint(other.reset_hint);
        self.lost.adopt_layout(&self.total);
        add(&mut self.total.count, &mut self.lost.count, other.count);
        add(&mut self.total.sum, &mut self.lost.sum, other.sum);
        add(
            &mut self.total.zero_count,
            &mut self.lost.zero_count,
            other.zero_count,
        );
        add_buckets(
            &mut self.total.positive,
            &mut self.lost.positive,
            &other.positive,
        );
        add_buckets(
            &mut self.total.negative,
            &mut self.lost.negative,
            &other.negative,
        );
        Ok(Reconciled {
            bounds,
            hints_conflict,
        })
    }

    #[must_use]
    pub fn value(mut self) -> Histogram {
        let plus = |total: f64, lost: f64| {
            // What is infinite has lost nothing that could be said.
            if total.is_infinite() {
                total
            } else {
                total + lost
            }
        };
        self.total.count = plus(self.total.count, self.lost.count);
        self.total.sum = plus(self.total.sum, self.lost.sum);
        self.total.zero_count = plus(self.total.zero_count, self.lost.zero_count);
        combine_buckets(&mut self.total.positive, &self.lost.positive, &plus);
        combine_buckets(&mut self.total.negative, &self.lost.negative, &plus);
        self.total
    }

    /// Every number times `factor`.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            total: self.total.scaled(factor),
            lost: self.lost.scaled(factor),
        }
    }

    /// Whether any number grew beyond what a float can hold.
    #[must_use]
    pub fn has_overflown(&self) -> bool {
        self.total.has_number(f64::is_infinite)
    }

    /// Whether any number could grow beyond what a float can hold when `other` is added.
    #[must_use]
    pub fn may_overflow(&self, other: &Histogram) -> bool {
        let is_huge = |number: f64| number.abs() > f64::MAX / 4.0;
        self.total.has_number(is_huge) || other.has_number(is_huge)
    }
}

fn add(total: &mut f64, lost: &mut f64, value: f64) {
    let sum = *total + value;
    if sum.is_infinite() {
        *lost = 0.0;
    } else if total.abs() >= value.abs() {
        *lost += (*total - sum) + value;
    } else {
        *lost += (value - sum) + *total;
    }
    *total = sum;
}

/// Both `totals` and `lost` get the indexes of all three.
fn add_buckets(totals: &mut Vec<Bucket>, lost: &mut Vec<Bucket>, others: &[Bucket]) {
    // Where nothing is added nothing changes; where a bucket is new it begins with nothing lost.
    combine_buckets(totals, others, &|own, _| own);
    combine_buckets(lost, totals, &|own, _| own);
    let mut others = others.iter().peekable();
    for (total, lost) in totals.iter_mut().zip(lost) {
        if let Some(other) = others.next_if(|other| other.index == total.index) {
            add(&mut total.count, &mut lost.count, other.count);
        }
    }
}
