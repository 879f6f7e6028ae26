//! Functions that change labels, or sort by them.
use std::cmp::Ordering;

use model::{GoRegex, LabelsBuilder, METRIC_NAME, is_label_name};

use crate::answer::EvalError;
use crate::context::Context;
use crate::table::Table;

/// `label_replace`: where `pattern` matches the whole of `source`'s value, `target` becomes `replacement` with the
/// groups filled in.
pub(crate) fn replace(
    table: &mut Table,
    target: &str,
    replacement: &str,
    source: &str,
    pattern: &str,
    context: &Context<'_>,
) -> Result<(), EvalError> {
    let regex = GoRegex::anchored_dot_all(pattern)
        .map_err(|_| invalid("regular expression", "label_replace", pattern))?;
    if !is_valid_name(target) {
        return Err(invalid("destination label name", "label_replace", target));
    }
    let groups = replacement.matches('$').count();
    for row in &mut table.rows {
        let value = row.labels.value(source);
        // No group is longer than the value.
        let length_max = (groups.saturating_mul(value.len())).saturating_add(replacement.len());
        charge_text(context, length_max)?;
        let Some(value) = regex.expand(value, replacement) else {
            continue;
        };
        let mut builder = LabelsBuilder::new(&row.labels);
        builder.set(target, &value);
        row.labels = builder.build();
        if target == METRIC_NAME {
            row.drop_name = false;
        }
    }
    table.merge()
}

/// `label_join`: `target` becomes the values of `sources` with `separator` between them.
pub(crate) fn join(
    table: &mut Table,
    target: &str,
    separator: &str,
    sources: &[&str],
    context: &Context<'_>,
) -> Result<(), EvalError> {
    for source in sources {
        if !is_valid_name(source) {
            return Err(invalid("source label name", "label_join", source));
        }
    }
    if !is_valid_name(target) {
        return Err(invalid("destination label name", "label_join", target));
    }
    for row in &mut table.rows {
        let values: Vec<&str> = sources
            .iter()
            .map(|source| row.labels.value(source))
            .collect();
        let lengths = values.iter().map(|value| value.len() + separator.len());
        charge_text(context, lengths.sum())?;
        let mut builder = LabelsBuilder::new(&row.labels);
        builder.set(target, &values.join(separator));
        row.labels = builder.build();
        if target == METRIC_NAME {
            row.drop_name = false;
        }
    }
    table.merge()
}

/// What a label of ordinary length needs is counted with its sample.
const TEXT_FREE: usize = 1024;
/// A text is held more than once while labels are made of it.
const TEXT_BYTES_PER_SAMPLE: usize = 4;

/// Counts a text that is to be made, before it is, and that there is something to do.
fn charge_text(context: &Context<'_>, length: usize) -> Result<(), EvalError> {
    context.work(1 + length)?;
    context.charge(length.saturating_sub(TEXT_FREE) / TEXT_BYTES_PER_SAMPLE)
}

/// `sort_by_label`: by the values of these labels, numbers inside them by their size, then by all labels.
pub(crate) fn order_by(left: &model::Labels, right: &model::Labels, names: &[&str]) -> Ordering {
    for name in names {
        let (left, right) = (left.value(name), right.value(name));
        if left != right {
            return natural(left, right);
        }
    }
    left.cmp(right)
}

/// A replaced byte tells that a literal was no UTF-8, and no name of a label.
fn is_valid_name(name: &str) -> bool {
    is_label_name(name) && !name.contains('\u{fffd}')
}

fn invalid(what: &str, function: &str, text: &str) -> EvalError {
    EvalError::Execution(format!("invalid {what} in {function}(): {text}"))
}

/// Runs of digits compare as numbers, everything else as text.
fn natural(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left, right);
    while !left.is_empty() && !right.is_empty() {
        let (left_run, left_rest) = run(left);
        let (right_run, right_rest) = run(right);
        let digits = |run: &str| run.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits(left_run) && digits(right_run) {
            let trimmed = |run: &str| run.trim_start_matches('0').to_owned();
            let (left_number, right_number) = (trimmed(left_run), trimmed(right_run));
            left_number
                .len()
                .cmp(&right_number.len())
                .then_with(|| left_number.cmp(&right_number))
                .then_with(|| left_run.len().cmp(&right_run.len()))
        } else {
            left_run.cmp(right_run)
        };
        if order != Ordering::Equal {
            return order;
        }
        left = left_rest;
        right = right_rest;
    }
    left.len().cmp(&right.len())
}

/// The leading run of digits, or of what is none.
fn run(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text
        .find(|c: char| c.is_ascii_digit() != digits)
        .unwrap_or(text.len());
    text.split_at(end)
}
