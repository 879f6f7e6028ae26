//! What holds for a whole run of a query: its times, its bounds, what it has used of them.
use std::cell::Cell;

use model::{Labels, Timestamp};

use crate::answer::EvalError;
use crate::ast::{
    AtModifier, DurationExpr, DurationKind, DurationOp, DurationValue, Offset, Subquery,
};
use crate::number_functions::{larger, smaller};
use crate::options::QueryLimits;
use crate::seen::Seen;
use crate::table::Steps;

/// Some hundred microseconds.
const WORK_BETWEEN_CHECKS: usize = 1 << 16;

pub(crate) struct Context<'a> {
    limits: &'a QueryLimits<'a>,
    /// The steps of the query itself, not of a subquery.
    query: Steps,
    /// The step that was asked for: none for an instant query.
    step: i64,
    /// Where the query ends, which need not be a step.
    end: i64,
    pub(crate) lookback: i64,
    samples: Cell<usize>,
    /// Done since somebody was asked last whether the query is still wanted.
    work: Cell<usize>,
    series: Cell<usize>,
    /// Beside the samples.
    label_bytes: Cell<usize>,
    pub(crate) seen: Seen,
}

/// A float with its time; histograms are counted by what they take.
const SAMPLE_BYTES: usize = 16;
/// What a series takes beside its labels' text and its samples.
const SERIES_BYTES: usize = 128;

impl<'a> Context<'a> {
    pub(crate) fn new(limits: &'a QueryLimits<'a>, query: Steps, end: i64, step: i64) -> Self {
        Self {
            limits,
            query,
            step,
            end,
            lookback: i64::try_from(limits.lookback.as_millis()).unwrap_or(i64::MAX),
            samples: Cell::new(0),
            work: Cell::new(0),
            series: Cell::new(0),
            label_bytes: Cell::new(0),
            seen: match limits.seen {
                Some(_) => Seen::by_step(query.count),
                None => Seen::default(),
            },
        }
    }

    /// Hands over what was counted, where it was asked for.
    pub(crate) fn finish(self) {
        if let Some(tell) = self.limits.seen {
            tell(self.seen.into_steps());
        }
    }

    pub(crate) fn query_start(&self) -> i64 {
        self.query.start
    }

    pub(crate) fn query_end(&self) -> i64 {
        self.end
    }

    pub(crate) fn query_step(&self) -> i64 {
        self.step
    }

    /// From the query's start to its end.
    pub(crate) fn query_range(&self) -> i64 {
        self.end.saturating_sub(self.query.start)
    }

    /// Takes `samples` more into memory.
    pub(crate) fn charge(&self, samples: usize) -> Result<(), EvalError> {
        let used = self.samples.get().saturating_add(samples);
        if used > self.limits.samples_max {
            return Err(EvalError::TooManySamples);
        }
        if used > self.samples_by_bytes() {
            return Err(EvalError::TooManyBytes);
        }
        self.samples.set(used);
        Ok(())
    }

    /// Takes the labels of series into memory, until the end of the run.
    pub(crate) fn charge_labels<'l>(
        &self,
        all: impl ExactSizeIterator<Item = &'l Labels>,
    ) -> Result<(), EvalError> {
        let series = self.series.get().saturating_add(all.len());
        if series > self.limits.series_max {
            return Err(EvalError::TooManySeries);
        }
        self.series.set(series);
        let bytes: usize = all.map(|labels| SERIES_BYTES + labels.size_bytes()).sum();
        self.label_bytes
            .set(self.label_bytes.get().saturating_add(bytes));
        self.charge(0)
    }

    /// How many samples the bound of bytes leaves room for.
    fn samples_by_bytes(&self) -> usize {
        let left = self.limits.bytes_max.checked_sub(self.label_bytes.get());
        // With no room left not even nothing fits.
        left.map_or(0, |left| left / SAMPLE_BYTES)
    }

    pub(crate) fn samples_used(&self) -> usize {
        self.samples.get()
    }

    /// Everything taken since `before` is gone but `kept`.
    pub(crate) fn release_to(&self, before: usize, kept: usize) {
        self.samples.set(before.saturating_add(kept));
    }

    pub(crate) fn samples_left(&self) -> usize {
        let most = self.limits.samples_max.min(self.samples_by_bytes());
        most.saturating_sub(self.samples.get())
    }

    /// Which bound it is that [`Context::samples_left`] keeps.
    pub(crate) fn too_many(&self) -> EvalError {
        if self.samples_by_bytes() < self.limits.samples_max {
            EvalError::TooManyBytes
        } else {
            EvalError::TooManySamples
        }
    }

    pub(crate) fn check_cancelled(&self) -> Result<(), EvalError> {
        match self.limits.cancelled {
            Some(cancelled) if cancelled() => Err(EvalError::Cancelled),
            Some(_) | None => Ok(()),
        }
    }

    /// Says that about so many values are looked at, and now and then asks whether the query is still wanted.
    #[inline]
    pub(crate) fn work(&self, values: usize) -> Result<(), EvalError> {
        let done = self.work.get().saturating_add(values);
        if done < WORK_BETWEEN_CHECKS {
            self.work.set(done);
            return Ok(());
        }
        self.work.set(0);
        self.check_cancelled()
    }

    /// Where a selector with these modifiers looks at each step.
    pub(crate) fn moved(
        &self,
        at: Option<AtModifier>,
        offset: &Offset,
        steps: Steps,
    ) -> Result<Steps, EvalError> {
        let offset = match offset {
            Some(offset) => self.millis(offset)?,
            None => 0,
        };
        let fixed = match at {
            None => None,
            Some(AtModifier::End) => Some(self.end),
            Some(AtModifier::Start) => Some(self.query.start),
            Some(AtModifier::Time(time)) => Some(time.as_millis()),
        };
        Ok(Steps {
            start: fixed.unwrap_or(steps.start).saturating_sub(offset),
            interval: if fixed.is_some() { 0 } else { steps.interval },
            count: steps.count,
        })
    }

    /// When a subquery's expression is computed: at multiples of its step, from the first one inside the earliest
    /// window to the end of the latest.
    pub(crate) fn subquery_steps(
        &self,
        subquery: &Subquery,
        steps: Steps,
    ) -> Result<Steps, EvalError> {
        let moved = self.moved(subquery.at, &subquery.offset, steps)?;
        let range = self.positive_millis(&subquery.range)?;
        let interval = match &subquery.step {
            Some(step) => self.positive_millis(step)?,
            None => i64::try_from(self.limits.default_step.as_millis())
                .unwrap_or(i64::MAX)
                .max(1),
        };
        let after = moved.start.saturating_sub(range);
        let start = (after.div_euclid(interval))
            .saturating_add(1)
            .saturating_mul(interval);
        Ok(Steps::between(start, moved.last(), interval))
    }

    pub(crate) fn positive_millis(&self, duration: &DurationValue) -> Result<i64, EvalError> {
        let millis = self.millis(duration)?;
        if millis > 0 {
            return Ok(millis);
        }
        let (start, end) = match duration {
            DurationValue::Computed(expr) => (expr.span.start, expr.span.end),
            DurationValue::Millis(_) => (0, 0),
        };
        Err(EvalError::Execution(format!(
            "{start}:{end}: duration must be greater than 0"
        )))
    }

    fn millis(&self, duration: &DurationValue) -> Result<i64, EvalError> {
        let expr = match duration {
            DurationValue::Millis(millis) => return Ok(*millis),
            DurationValue::Computed(expr) => expr,
        };
        let millis = self.seconds(expr)? * 1000.0;
        // Nanoseconds must fit into 63 bits.
        if millis.abs() < 9_223_372_036_854.0 {
            Ok(millis.round() as i64)
        } else {
            Err(EvalError::Execution(format!(
                "{}:{}: duration is out of range",
                expr.span.start, expr.span.end
            )))
        }
    }

    fn seconds(&self, expr: &DurationExpr) -> Result<f64, EvalError> {
        let zero = |what: &str| Err(EvalError::Execution(what.to_owned()));
        Ok(match &expr.kind {
            DurationKind::Binary(op, left, right) => {
                let (left, right) = (self.seconds(left)?, self.seconds(right)?);
                match op {
                    DurationOp::Add => left + right,
                    DurationOp::Div if right == 0.0 => return zero("division by zero"),
                    DurationOp::Div => left / right,
                    DurationOp::Mod if right == 0.0 => return zero("modulo by zero"),
                    DurationOp::Mod => left % right,
                    DurationOp::Mul => left * right,
                    DurationOp::Pow => left.powf(right),
                    DurationOp::Sub => left - right,
                }
            }
            DurationKind::MaxOf(left, right) => larger(self.seconds(left)?, self.seconds(right)?),
            DurationKind::MinOf(left, right) => smaller(self.seconds(left)?, self.seconds(right)?),
            DurationKind::Negate(inner) => -self.seconds(inner)?,
            DurationKind::Number(number) => number.value,
            DurationKind::Plus(inner) => self.seconds(inner)?,
            DurationKind::Range => Timestamp::from_millis(self.query_range()).as_secs_f64(),
            DurationKind::Step => Timestamp::from_millis(self.step).as_secs_f64(),
        })
    }
}
