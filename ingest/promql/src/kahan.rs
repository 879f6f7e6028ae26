//! Sums that do not lose small terms beside large ones (Kahan's method as Neumaier improved it).

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KahanSum {
    pub(crate) sum: f64,
    pub(crate) compensation: f64,
}

impl KahanSum {
    pub(crate) const fn starting_at(sum: f64) -> Self {
        Self {
            sum,
            compensation: 0.0,
        }
    }

    #[must_use]
    pub(crate) fn plus(self, term: f64) -> Self {
        let sum = self.sum + term;
        let compensation = if sum.is_infinite() {
            0.0
        } else if self.sum.abs() >= term.abs() {
            self.compensation + ((self.sum - sum) + term)
        } else {
            self.compensation + ((term - sum) + self.sum)
        };
        Self { sum, compensation }
    }

    #[must_use]
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self {
            sum: self.sum * factor,
            compensation: self.compensation * factor,
        }
    }

    pub(crate) fn value(self) -> f64 {
        self.sum + self.compensation
    }
}

/// A mean that sums up as long as the sum stays finite, and then goes on from mean to mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KahanMean {
    count: f64,
    running: KahanSum,
    incremental: bool,
}

impl KahanMean {
    pub(crate) const fn starting_at(value: f64) -> Self {
        Self {
            count: 1.0,
            running: KahanSum::starting_at(value),
            incremental: false,
        }
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let next = self.running.plus(value);
            if !next.sum.is_infinite() {
                self.running = next;
                return;
            }
            self.incremental = true;
            self.running.sum /= self.count - 1.0;
            self.running.compensation /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        self.running = self.running.scaled(share).plus(value / self.count);
    }

    pub(crate) fn value(self) -> f64 {
        if self.incremental {
            self.running.value()
        } else {
            self.running.sum / self.count + self.running.compensation / self.count
        }
    }
}
