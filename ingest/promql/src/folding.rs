//! Folds rows into one per group, row by row, so that the rows themselves need not be kept.
use model::Labels;

use crate::answer::EvalError;
use crate::ast::AggregateOp;
use crate::context::Context;
use crate::grouping::{GroupIndex, LabelChoice};
use crate::kahan::{KahanMean, KahanSum};
use crate::table::{Table, is_absent};

/// What is remembered of a group at a step.
trait Fold: Clone {
    fn begin(value: f64) -> Self;
    fn add(&mut self, value: f64);
    fn finish(&self) -> f64;
}

/// One row of what is folded.
pub(crate) struct FoldedRow<'r> {
    pub(crate) labels: &'r Labels,
    pub(crate) drop_name: bool,
    pub(crate) values: &'r [f64],
}

/// What is called with every row, in any order.
pub(crate) type Taker<'t> = dyn FnMut(FoldedRow<'_>) -> Result<(), EvalError> + 't;

/// The table of groups, in the order of their labels, of the rows that `feed` hands over. `None` for an operator that
/// does not fold, and where `feed` says that it cannot be done this way.
pub(crate) fn fold_rows(
    op: AggregateOp,
    choice: &LabelChoice,
    steps: usize,
    context: &Context<'_>,
    feed: impl FnOnce(&mut Taker<'_>) -> Result<bool, EvalError>,
) -> Result<Option<Table>, EvalError> {
    let folder = Folder {
        choice,
        steps,
        context,
    };
    match op {
        AggregateOp::Avg => folder.run::<KahanMean>(feed),
        AggregateOp::Count => folder.run::<Count>(feed),
        AggregateOp::Group => folder.run::<Group>(feed),
        AggregateOp::Max => folder.run::<Max>(feed),
        AggregateOp::Min => folder.run::<Min>(feed),
        AggregateOp::StdDev => folder.run::<StdDev>(feed),
        AggregateOp::StdVar => folder.run::<Variance>(feed),
        AggregateOp::Sum => folder.run::<KahanSum>(feed),
        AggregateOp::BottomK
        | AggregateOp::CountValues
        | AggregateOp::LimitK
        | AggregateOp::LimitRatio
        | AggregateOp::Quantile
        | AggregateOp::TopK => Ok(None),
    }
}

struct Folder<'f, 'c> {
    choice: &'f LabelChoice,
    steps: usize,
    context: &'f Context<'c>,
}

impl Folder<'_, '_> {
    fn run<F: Fold>(
        self,
        feed: impl FnOnce(&mut Taker<'_>) -> Result<bool, EvalError>,
    ) -> Result<Option<Table>, EvalError> {
        let steps = self.steps;
        let mut index = GroupIndex::new(self.choice);
        let mut states: Vec<Option<F>> = Vec::new();
        let mut drop_names: Vec<bool> = Vec::new();
        let is_done = feed(&mut |row| {
            self.context.work(row.values.len())?;
            let group = index.group_of(row.labels);
            if group == drop_names.len() {
                self.context.charge(steps)?;
                drop_names.push(false);
                states.resize(states.len() + steps, None);
            }
            drop_names[group] |= row.drop_name;
            for (state, value) in states[group * steps..].iter_mut().zip(row.values) {
                match state {
                    _ if is_absent(*value) => {}
                    Some(state) => state.add(*value),
                    None => *state = Some(F::begin(*value)),
                }
            }
            Ok(())
        })?;
        if !is_done {
            return Ok(None);
        }
        let mut table = Table::new(steps);
        for (labels, group) in index.into_sorted() {
            let row = table.add_row(labels, drop_names[group]);
            for step in 0..steps {
                if let Some(state) = &states[group * steps + step] {
                    table.set(row, step, state.finish());
                }
            }
        }
        table.prune();
        Ok(Some(table))
    }
}

impl Fold for KahanSum {
    fn begin(value: f64) -> Self {
        Self::starting_at(value)
    }

    fn add(&mut self, value: f64) {
        *self = self.plus(value);
    }

    fn finish(&self) -> f64 {
        self.value()
    }
}

impl Fold for KahanMean {
    fn begin(value: f64) -> Self {
        Self::starting_at(value)
    }

    fn add(&mut self, value: f64) {
        Self::add(self, value);
    }

    fn finish(&self) -> f64 {
        self.value()
    }
}

#[derive(Clone)]
struct Count(f64);

impl Fold for Count {
    fn begin(_: f64) -> Self {
        Self(1.0)
    }

    fn add(&mut self, _: f64) {
        self.0 += 1.0;
    }

    fn finish(&self) -> f64 {
        self.0
    }
}

#[derive(Clone)]
struct Group;

impl Fold for Group {
    fn begin(_: f64) -> Self {
        Self
    }

    fn add(&mut self, _: f64) {}

    fn finish(&self) -> f64 {
        1.0
    }
}

#[derive(Clone)]
struct Max(f64);

impl Fold for Max {
    fn begin(value: f64) -> Self {
        Self(value)
    }

    fn add(&mut self, value: f64) {
        if self.0 < value || self.0.is_nan() {
            self.0 = value;
        }
    }

    fn finish(&self) -> f64 {
        self.0
    }
}

#[derive(Clone)]
struct Min(f64);

impl Fold for Min {
    fn begin(value: f64) -> Self {
        Self(value)
    }

    fn add(&mut self, value: f64) {
        if self.0 > value || self.0.is_nan() {
            self.0 = value;
        }
    }

    fn finish(&self) -> f64 {
        self.0
    }
}

/// Welford's method. A first value that is no finite number spoils the whole.
#[derive(Clone)]
struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Fold for Variance {
    fn begin(value: f64) -> Self {
        Self {
            count: 1.0,
            mean: value,
            squares: if value.is_finite() { 0.0 } else { f64::NAN },
        }
    }

    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn finish(&self) -> f64 {
        self.squares / self.count
    }
}

#[derive(Clone)]
struct StdDev(Variance);

impl Fold for StdDev {
    fn begin(value: f64) -> Self {
        Self(Variance::begin(value))
    }

    fn add(&mut self, value: f64) {
        self.0.add(value);
    }

    fn finish(&self) -> f64 {
        self.0.finish().sqrt()
    }
}
