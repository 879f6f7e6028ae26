//! `info(v, {…})`: the labels of info metrics join the series that they are about, found by `instance` and `job`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the kinds of expression that it is about"
)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use model::{LabelsBuilder, METRIC_NAME, MatchOp, Matcher, MatcherDialect, Timestamp};

use crate::annotations::Annotations;
use crate::answer::EvalError;
use crate::ast::{Boundary, Expr, VectorSelector};
use crate::context::Context;
use crate::reader::SeriesReader;
use crate::selection::{Reading, Wanted, instant_values};
use crate::span::Span;
use crate::table::{Steps, Table, is_absent};

const IDENTIFYING: [&str; 2] = ["instance", "job"];
const TARGET_INFO: &str = "target_info";
const ANY_INFO: &str = ".+_info";

/// What tells an info series from others: its name and whom it is about.
type Signature = (String, [String; 2]);

pub(crate) fn join(
    context: &Context<'_>,
    annotations: &RefCell<Annotations<'_>>,
    reader: &dyn SeriesReader,
    base: Table,
    of: &Expr,
    selector: Option<&VectorSelector>,
    steps: Steps,
) -> Result<Table, EvalError> {
    let matchers = selector.map_or(&[][..], |selector| selector.matchers.as_slice());
    let (mut names, data): (Vec<Matcher>, Vec<Matcher>) = matchers
        .iter()
        .cloned()
        .partition(|matcher| matcher.name() == METRIC_NAME);
    if names.is_empty() {
        names.push(Matcher::equal(METRIC_NAME, TARGET_INFO));
    } else if names
        .iter()
        .all(|matcher| matches!(matcher.op(), MatchOp::NotEqual | MatchOp::NotRegex))
    {
        names.insert(0, regex(METRIC_NAME, ANY_INFO)?);
    }
    // Info series are not enriched themselves.
    let is_info: Vec<bool> = base
        .rows
        .iter()
        .map(|row| {
            names
                .iter()
                .all(|matcher| matcher.matches_labels(&row.labels))
        })
        .collect();
    let times = reference_times(context, of, steps)?;
    let infos = read_infos(
        context,
        annotations,
        reader,
        &base,
        &is_info,
        &names,
        &data,
        times,
    )?;
    combine(&base, &is_info, &infos, &data)
}

/// For every info series the times of its samples, at each step.
#[expect(clippy::too_many_arguments, reason = "a run's parts, each used once")]
fn read_infos(
    context: &Context<'_>,
    annotations: &RefCell<Annotations<'_>>,
    reader: &dyn SeriesReader,
    base: &Table,
    is_info: &[bool],
    names: &[Matcher],
    data: &[Matcher],
    times: Steps,
) -> Result<Table, EvalError> {
    let mut matchers: Vec<Matcher> = names.iter().chain(data).cloned().collect();
    let mut known = false;
    for label in IDENTIFYING {
        let values: BTreeSet<&str> = base
            .rows
            .iter()
            .zip(is_info)
            .filter(|(_, is_info)| !**is_info)
            .filter_map(|(row, _)| row.labels.get(label))
            .collect();
        if !values.is_empty() {
            let alternatives: Vec<String> = values.into_iter().map(regex_escaped).collect();
            matchers.push(regex(label, &alternatives.join("|"))?);
            known = true;
        }
    }
    if !known {
        return Ok(Table::new(times.count));
    }
    let wanted = VectorSelector {
        name: None,
        matchers,
        at: None,
        offset: None,
        boundary: Boundary::Plain,
        span: Span::default(),
    };
    let after = times.start.saturating_sub(context.lookback);
    let reading = Reading {
        matchers: &wanted.matchers,
        after,
        until: times.last(),
        newest_only: times.count == 1,
        sees_order: true,
        series: Rc::default(),
    };
    let series = reading.read(context, reader)?;
    instant_values(
        context,
        annotations,
        &series,
        &wanted,
        times,
        Wanted::Millis,
    )
}

/// The times at which the first selector of the series that are enriched looks, however deep it stands in subqueries.
fn reference_times(context: &Context<'_>, of: &Expr, steps: Steps) -> Result<Steps, EvalError> {
    let (at, offset, inner) = match of {
        Expr::Matrix(node) => (node.selector.at, &node.selector.offset, None),
        Expr::Selector(node) => (node.at, &node.offset, None),
        Expr::Subquery(node) => (node.at, &node.offset, Some(&node.expr)),
        _ => {
            let selecting = of
                .children()
                .into_iter()
                .find(|child| !child.selectors().is_empty());
            return selecting.map_or(Ok(steps), |child| reference_times(context, child, steps));
        }
    };
    let moved = context.moved(at, offset, steps)?;
    match inner {
        Some(inner) => reference_times(context, inner, moved),
        None => Ok(moved),
    }
}

fn combine(
    base: &Table,
    is_info: &[bool],
    infos: &Table,
    data: &[Matcher],
) -> Result<Table, EvalError> {
    let mut out = Table::new(base.steps);
    let signature = |labels: &model::Labels, name: &str| -> Signature {
        (
            name.to_owned(),
            IDENTIFYING.map(|label| labels.value(label).to_owned()),
        )
    };
    let info_names: BTreeSet<&str> = infos
        .rows
        .iter()
        .filter_map(|row| row.labels.metric_name())
        .collect();
    let demands_match = data.iter().any(|matcher| !matcher.matches_empty());
    let mut out_rows: BTreeMap<(model::Labels, bool), usize> = BTreeMap::new();
    for step in 0..base.steps {
        let mut newest: BTreeMap<Signature, usize> = BTreeMap::new();
        for (row, meta) in infos.rows.iter().enumerate() {
            let at = infos.value(row, step);
            if is_absent(at) {
                continue;
            }
            let key = signature(&meta.labels, meta.labels.metric_name().unwrap_or_default());
            if let Some(known) = newest.get(&key) {
                let known_at = infos.value(*known, step);
                if known_at > at {
                    continue;
                }
                if known_at == at {
                    return Err(EvalError::Execution(format!(
                        "found duplicate series for info metric: existing {} @ {}, new {} @ {}",
                        infos.rows[*known].labels,
                        Timestamp::from_millis(known_at as i64).as_millis(),
                        meta.labels,
                        Timestamp::from_millis(at as i64).as_millis(),
                    )));
                }
            }
            newest.insert(key, row);
        }
        for (row, meta) in base.rows.iter().enumerate() {
            if !base.holds(row, step) {
                continue;
            }
            let mut builder = LabelsBuilder::new(&meta.labels);
            if !is_info[row] {
                let found: Vec<usize> = info_names
                    .iter()
                    .filter_map(|name| newest.get(&signature(&meta.labels, name)).copied())
                    .collect();
                if found.is_empty() && demands_match {
                    continue;
                }
                add_labels(&mut builder, &meta.labels, infos, &found, data)?;
            }
            let labels = builder.build();
            let out_row = *out_rows
                .entry((labels.clone(), meta.drop_name))
                .or_insert_with(|| out.add_row(labels, meta.drop_name));
            if out.holds(out_row, step) {
                return Err(EvalError::Execution(crate::table::SAME_LABELS.to_owned()));
            }
            out.set_cell(out_row, step, base.cell(row, step));
        }
    }
    out.prune();
    Ok(out)
}

/// Adds what the info series know: the labels asked for, or all, where the series has none of the name itself.
fn add_labels(
    builder: &mut LabelsBuilder,
    own: &model::Labels,
    infos: &Table,
    found: &[usize],
    data: &[Matcher],
) -> Result<(), EvalError> {
    let mut added: BTreeMap<&str, &str> = BTreeMap::new();
    for row in found {
        for (name, value) in &infos.rows[*row].labels {
            let asked = data.is_empty() || data.iter().any(|matcher| matcher.name() == name);
            if name == METRIC_NAME || !asked {
                continue;
            }
            if added.get(name).is_some_and(|known| *known != value) {
                return Err(EvalError::Execution(format!("conflicting label: {name}")));
            }
            if own.get(name).is_none() {
                added.insert(name, value);
            }
        }
    }
    for (name, value) in added {
        builder.set(name, value);
    }
    Ok(())
}

fn regex(name: &str, pattern: &str) -> Result<Matcher, EvalError> {
    Matcher::new(MatchOp::Regex, name, pattern, MatcherDialect::PromQl)
        .map_err(|error| EvalError::Execution(error.to_string()))
}

fn regex_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
