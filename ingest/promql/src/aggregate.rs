//! Aggregations: many rows become one per group, or the rows chosen of each group stay.
use std::cell::RefCell;

use model::go_number::{format_f, format_g};
use model::{Labels, LabelsBuilder};

use crate::annotations::Annotations;
use crate::answer::EvalError;
use crate::ast::{Aggregate, AggregateOp};
use crate::context::Context;
use crate::folding::{FoldedRow, Taker, fold_rows};
use crate::grouping::{GroupIndex, LabelChoice};
use crate::histogram_aggregate;
use crate::quantile::{ascending, quantile};
use crate::table::{ABSENT, Cell, Table, is_absent};

pub(crate) fn choice(node: &Aggregate) -> LabelChoice {
    if node.without {
        LabelChoice::without(&node.grouping)
    } else {
        LabelChoice::only(&node.grouping)
    }
}

/// Each row's group, and what the groups' members have in common, in the order of those labels.
struct Groups {
    of_row: Vec<usize>,
    labels: Vec<Labels>,
}

impl Groups {
    fn new(node: &Aggregate, table: &Table) -> Self {
        let choice = choice(node);
        let mut index = GroupIndex::new(&choice);
        let mut of_row: Vec<usize> = table
            .rows
            .iter()
            .map(|row| index.group_of(&row.labels))
            .collect();
        let mut places = vec![0; index.len()];
        let sorted = index.into_sorted().into_iter().enumerate();
        let labels = sorted
            .map(|(place, (labels, group))| {
                places[group] = place;
                labels
            })
            .collect();
        for group in &mut of_row {
            *group = places[*group];
        }
        Self { of_row, labels }
    }

    /// One row for each group.
    fn table(&self, input: &Table) -> Table {
        let mut table = Table::new(input.steps);
        for labels in &self.labels {
            table.add_row(labels.clone(), false);
        }
        for (row, group) in self.of_row.iter().enumerate() {
            table.rows[*group].drop_name |= input.rows[row].drop_name;
        }
        table
    }
}

/// The aggregations that fold values: all but those with a parameter.
pub(crate) fn fold(
    node: &Aggregate,
    input: &Table,
    annotations: &RefCell<Annotations<'_>>,
    context: &Context<'_>,
) -> Result<Table, EvalError> {
    if input.has_histograms() {
        if takes_histograms(node.op) {
            context.work(input.cells())?;
            let groups = Groups::new(node, input);
            let mut out = groups.table(input);
            let span = node.expr.span();
            histogram_aggregate::fold(node.op, input, &groups.of_row, &mut out, span, annotations);
            return Ok(out);
        }
        note_ignored(node, input, annotations);
    }
    let rows = |take: &mut Taker<'_>| {
        for (row, meta) in input.rows.iter().enumerate() {
            take(FoldedRow {
                labels: &meta.labels,
                drop_name: meta.drop_name,
                values: input.row_values(row),
            })?;
        }
        Ok(true)
    };
    let folded = fold_rows(node.op, &choice(node), input.steps, context, rows)?;
    Ok(folded.unwrap_or_default())
}

fn takes_histograms(op: AggregateOp) -> bool {
    matches!(
        op,
        AggregateOp::Avg | AggregateOp::Count | AggregateOp::Group | AggregateOp::Sum
    )
}

/// Says that histograms were passed over.
pub(crate) fn note_ignored(
    node: &Aggregate,
    input: &Table,
    annotations: &RefCell<Annotations<'_>>,
) {
    if (0..input.rows.len()).any(|row| input.row_has_histograms(row)) {
        annotations
            .borrow_mut()
            .ignored_in_aggregation(node.expr.span(), node.op.as_str());
    }
}

/// `quantile`: one parameter for each step.
pub(crate) fn quantiles(
    node: &Aggregate,
    params: &[f64],
    input: &Table,
    context: &Context<'_>,
) -> Result<Table, EvalError> {
    let groups = Groups::new(node, input);
    let mut out = groups.table(input);
    let mut members: Vec<Vec<f64>> = vec![Vec::new(); groups.labels.len()];
    for (step, param) in params.iter().enumerate() {
        context.work(input.rows.len())?;
        for values in &mut members {
            values.clear();
        }
        for (row, group) in groups.of_row.iter().enumerate() {
            let value = input.value(row, step);
            if !is_absent(value) {
                members[*group].push(value);
            }
        }
        for (group, values) in members.iter_mut().enumerate() {
            if !values.is_empty() {
                out.set(group, step, quantile(*param, values));
            }
        }
    }
    out.prune();
    Ok(out)
}

/// A value is printed, and labels are made with it.
const COUNT_VALUES_WORK: usize = 32;

/// `count_values`: one row for each value of each group. `label` receives the value.
pub(crate) fn count_values(
    node: &Aggregate,
    label: &str,
    input: &Table,
    context: &Context<'_>,
) -> Result<Table, EvalError> {
    let mut counted = node.clone();
    if !node.without {
        counted.grouping.push(label.to_owned());
    }
    let choice = choice(&counted);
    let mut index = GroupIndex::new(&choice);
    let mut out = Table::new(input.steps);
    for (row, meta) in input.rows.iter().enumerate() {
        for step in 0..input.steps {
            let value = match input.cell(row, step) {
                Cell::Absent => continue,
                Cell::Float(value) => format_f(value),
                Cell::Histogram(histogram) => histogram.to_string(),
            };
            let mut builder = LabelsBuilder::new(&meta.labels);
            builder.set(label, &value);
            let group = index.group_of(&builder.build());
            context.work(COUNT_VALUES_WORK)?;
            if group == out.rows.len() {
                context.charge(input.steps)?;
                out.add_row(index.labels(group).clone(), false);
            }
            out.rows[group].drop_name |= meta.drop_name;
            let count = out.value(group, step);
            out.set(
                group,
                step,
                if is_absent(count) { 1.0 } else { count + 1.0 },
            );
        }
    }
    Ok(out)
}

/// Checks the parameter of `topk`, `bottomk` and `limitk` at every step.
pub(crate) fn counts(params: &[f64]) -> Result<Vec<usize>, EvalError> {
    let error = |text: String| Err(EvalError::Execution(text));
    if params.iter().any(|param| param.is_nan()) {
        return error("Parameter value is NaN".to_owned());
    }
    let mut counts = Vec::with_capacity(params.len());
    for param in params {
        if *param >= 9_223_372_036_854_775_808.0 {
            return error(format!("Scalar value {} overflows int64", format_g(*param)));
        }
        if *param < -9_223_372_036_854_775_808.0 {
            return error(format!(
                "Scalar value {} underflows int64",
                format_g(*param)
            ));
        }
        counts.push(if *param < 1.0 { 0 } else { *param as usize });
    }
    Ok(counts)
}

/// `topk`, `bottomk`: the rows with the largest or smallest values of each group stay, at each step others.
/// Where there is one step they are sorted by value within their groups.
pub(crate) fn extremes(
    node: &Aggregate,
    counts: &[usize],
    input: Table,
    context: &Context<'_>,
) -> Result<Table, EvalError> {
    let largest = node.op == AggregateOp::TopK;
    let order = |left: f64, right: f64| match (left.is_nan(), right.is_nan()) {
        // NaN comes last whichever end is asked for.
        (false, false) if largest => ascending(right, left),
        (false, false) => ascending(left, right),
        _ => left.is_nan().cmp(&right.is_nan()),
    };
    let groups = Groups::new(node, &input);
    let mut kept = input.clone();
    kept.drop_histograms();
    kept.values.fill(ABSENT);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.labels.len()];
    context.charge(input.cells())?;
    for (step, count) in counts.iter().enumerate() {
        context.work(input.rows.len())?;
        for rows in &mut members {
            rows.clear();
        }
        for (row, group) in groups.of_row.iter().enumerate() {
            if !is_absent(input.value(row, step)) {
                members[*group].push(row);
            }
        }
        for rows in &mut members {
            rows.sort_by(|left, right| order(input.value(*left, step), input.value(*right, step)));
            rows.truncate(*count);
            for row in rows.iter() {
                kept.set(*row, step, input.value(*row, step));
            }
        }
    }
    if input.steps == 1 {
        let mut sorted = Table::new(1);
        for row in members.into_iter().flatten() {
            let meta = &input.rows[row];
            let out = sorted.add_row(meta.labels.clone(), meta.drop_name);
            sorted.set(out, 0, input.value(row, 0));
        }
        return Ok(sorted);
    }
    kept.prune();
    Ok(kept)
}

/// `limitk`: the first rows of each group stay.
pub(crate) fn first_rows(
    node: &Aggregate,
    counts: &[usize],
    mut input: Table,
    context: &Context<'_>,
) -> Result<Table, EvalError> {
    let groups = Groups::new(node, &input);
    for (step, count) in counts.iter().enumerate() {
        context.work(input.rows.len())?;
        let mut seen = vec![0; groups.labels.len()];
        for (row, group) in groups.of_row.iter().enumerate() {
            if !input.holds(row, step) {
                continue;
            }
            seen[*group] += 1;
            if seen[*group] > *count {
                input.clear(row, step);
            }
        }
    }
    input.prune();
    Ok(input)
}

/// `limit_ratio`: a row stays where the hash of its labels lies below the ratio; a negative ratio asks for the rest.
pub(crate) fn sampled(ratios: &[f64], mut input: Table) -> Table {
    for row in 0..input.rows.len() {
        let place = input.rows[row].labels.xxhash64() as f64 / u64::MAX as f64;
        for (step, ratio) in ratios.iter().enumerate() {
            let stays = if *ratio >= 0.0 {
                place < *ratio
            } else {
                place >= 1.0 + *ratio
            };
            if !stays {
                input.clear(row, step);
            }
        }
    }
    input.prune();
    input
}
