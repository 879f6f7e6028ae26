//! Runs a script, each eval in all the ways that must agree.
use std::collections::BTreeMap;
use std::time::Duration;

use model::histogram::{Bucket, ResetHint};
use model::{Histogram, Labels, Timestamp};
use watchbell_promql::ast::AtModifier;
use watchbell_promql::function::FunctionKind;
use watchbell_promql::{
    Answer, Expr, ParserOptions, Query, QueryLimits, QueryValue, SampleValue, Series, parse,
};

use crate::script::{Cell, Command, Eval, Expected, TextRule, Times, commands};
use watchbell_promql::MemorySeries;

use crate::storage;

pub(crate) struct Outcome {
    pub(crate) line: usize,
    pub(crate) expr: String,
    pub(crate) failure: Option<String>,
}

pub(crate) fn run(script: &str, options: &ParserOptions) -> Vec<Outcome> {
    let mut storage = MemorySeries::default();
    let mut outcomes = Vec::new();
    for command in commands(script) {
        match command {
            Command::Clear => storage = MemorySeries::default(),
            Command::Load(series) => {
                for loaded in series {
                    storage::insert(&mut storage, loaded);
                }
            }
            Command::Eval(eval) => outcomes.push(Outcome {
                line: eval.line,
                expr: eval.expr.clone(),
                failure: check(&eval, &storage, options).err(),
            }),
        }
    }
    outcomes
}

fn check(eval: &Eval, storage: &MemorySeries, options: &ParserOptions) -> Result<(), String> {
    match eval.times {
        Times::At(at) => check_instant(eval, storage, options, at),
        Times::Range { start, end, step } => {
            let answer = ask(&eval.expr, storage, options, eval.times);
            let Some(answer) = judged(eval, answer)? else {
                return Ok(());
            };
            let QueryValue::Matrix(matrix) = answer.value else {
                return Err("a range query gave no matrix".to_owned());
            };
            compare_matrix(eval, &matrix, start, end, step)
        }
    }
}

fn check_instant(
    eval: &Eval,
    storage: &MemorySeries,
    options: &ParserOptions,
    at: i64,
) -> Result<(), String> {
    let mut runs = vec![(eval.expr.clone(), at)];
    if let Some(pinned) = pinned(&eval.expr, at) {
        let times = if at == 0 {
            vec![-1000, 0, 1000]
        } else {
            vec![-10 * at, 0, at / 5, at, 10 * at]
        };
        runs.extend(times.into_iter().map(|time| (pinned.clone(), time)));
    }
    for (expr, at) in runs {
        check_one_instant(eval, storage, options, &expr, at)
            .map_err(|reason| format!("{expr} @@ {at}: {reason}"))?;
    }
    Ok(())
}

fn check_one_instant(
    eval: &Eval,
    storage: &MemorySeries,
    options: &ParserOptions,
    expr: &str,
    at: i64,
) -> Result<(), String> {
    let answer = ask(expr, storage, options, Times::At(at));
    let Some(answer) = judged(eval, answer)? else {
        return Ok(());
    };
    if let Some((start, end, step)) = eval.matrix_times {
        let QueryValue::Matrix(matrix) = answer.value else {
            return Err("expected a matrix".to_owned());
        };
        return compare_matrix(eval, &matrix, start, end, step);
    }
    compare_value(eval, &answer.value, eval.ordered)?;
    let lower = expr.to_lowercase();
    let uses_query_times = ["start()", "end()", "range()", "step()"]
        .iter()
        .any(|call| lower.contains(call));
    if eval.ordered || uses_query_times || matches!(eval.expected, Expected::Text(_)) {
        return Ok(());
    }
    let minute = 60_000;
    let times = Times::Range {
        start: at - minute,
        end: at + minute,
        step: minute,
    };
    let ranged =
        ask(expr, storage, options, times).map_err(|error| format!("as a range query: {error}"))?;
    let QueryValue::Matrix(matrix) = ranged.value else {
        return Err("a range query gave no matrix".to_owned());
    };
    let middle: Vec<(Labels, Cell)> = matrix
        .into_iter()
        .filter_map(|series| {
            let found = cells_of(&series).remove(&at)?;
            Some((series.labels.clone(), found))
        })
        .collect();
    let compared = match &eval.expected {
        Expected::Scalar(expected) => match middle.as_slice() {
            [(_, Cell::Value(value))] if same(*expected, *value) => Ok(()),
            _ => Err(format!("expected {expected}, got {middle:?}")),
        },
        Expected::Series(expected) => compare_vector(expected, &middle, false),
        Expected::Text(_) => Ok(()),
    };
    compared.map_err(|reason| format!("as a range query: {reason}"))
}

fn ask(
    expr: &str,
    storage: &MemorySeries,
    options: &ParserOptions,
    times: Times,
) -> Result<Answer, String> {
    let query = Query::compile(expr, options).map_err(|error| error.to_string())?;
    let limits = QueryLimits::default();
    let at = Timestamp::from_millis;
    match times {
        Times::At(millis) => query.instant(storage, at(millis), &limits),
        Times::Range { start, end, step } => query.range(
            storage,
            at(start),
            at(end),
            Duration::from_millis(step as u64),
            &limits,
        ),
    }
    .map_err(|error| error.to_string())
}

/// The answer, unless a failure was expected and came.
fn judged(eval: &Eval, answer: Result<Answer, String>) -> Result<Option<Answer>, String> {
    match (answer, &eval.fail) {
        (Err(error), Some(rule)) if rule.holds(&error) => Ok(None),
        (Err(error), Some(_)) => Err(format!("failed in another way: {error}")),
        (Err(error), None) => Err(format!("failed: {error}")),
        (Ok(answer), Some(_)) => Err(format!("expected a failure, got {:?}", answer.value)),
        (Ok(answer), None) => {
            annotations("warning", &answer.warnings, &eval.warnings, eval.no_warning)?;
            annotations("info", &answer.infos, &eval.infos, eval.no_info)?;
            Ok(Some(answer))
        }
    }
}

fn annotations(kind: &str, got: &[String], rules: &[TextRule], none: bool) -> Result<(), String> {
    if none && !got.is_empty() {
        return Err(format!("expected no {kind}, got {got:?}"));
    }
    if rules.is_empty() {
        return Ok(());
    }
    let all_expected = got
        .iter()
        .all(|text| rules.iter().any(|rule| rule.holds(text)));
    let all_came = rules
        .iter()
        .all(|rule| got.iter().any(|text| rule.holds(text)));
    if all_expected && all_came {
        Ok(())
    } else {
        Err(format!("other {kind}s than expected: {got:?}"))
    }
}

fn compare_value(eval: &Eval, value: &QueryValue, ordered: bool) -> Result<(), String> {
    match (&eval.expected, value) {
        (Expected::Scalar(expected), QueryValue::Scalar { value, .. }) => {
            if same(*expected, *value) {
                Ok(())
            } else {
                Err(format!("expected {expected}, got {value}"))
            }
        }
        (Expected::Text(expected), QueryValue::Text { value, .. }) if expected == value => Ok(()),
        (Expected::Series(expected), QueryValue::Vector(vector)) => {
            let got: Vec<(Labels, Cell)> = vector
                .iter()
                .map(|sample| {
                    let cell = match &sample.value {
                        SampleValue::Float(value) => Cell::Value(*value),
                        SampleValue::Histogram(histogram) => Cell::Histogram(histogram.clone()),
                    };
                    (sample.labels.clone(), cell)
                })
                .collect();
            compare_vector(expected, &got, ordered)
        }
        (_, value) => Err(format!("unexpected value {value:?}")),
    }
}

fn compare_vector(
    expected: &[(Labels, Vec<Cell>)],
    got: &[(Labels, Cell)],
    ordered: bool,
) -> Result<(), String> {
    let wrong = |reason: &str| Err(format!("{reason}: expected {expected:?}, got {got:?}"));
    if expected.len() != got.len() {
        return wrong("other elements");
    }
    for (index, (labels, cells)) in expected.iter().enumerate() {
        let found = if ordered {
            got.get(index).filter(|(own, _)| own == labels)
        } else {
            got.iter().find(|(own, _)| own == labels)
        };
        match (found, cells.as_slice()) {
            (Some((_, value)), [wanted]) if same_cell(wanted, value) => {}
            (Some(_), _) => return wrong("another value"),
            (None, _) => return wrong("missing element"),
        }
    }
    Ok(())
}

fn compare_matrix(
    eval: &Eval,
    got: &[Series],
    start: i64,
    end: i64,
    step: i64,
) -> Result<(), String> {
    let expected: Vec<(Labels, Vec<(i64, Cell)>)> = match &eval.expected {
        Expected::Series(series) => series
            .iter()
            .map(|(labels, cells)| {
                let timed = cells
                    .iter()
                    .enumerate()
                    .map(|(index, cell)| (start + step * index as i64, cell.clone()))
                    .filter(|(_, cell)| *cell != Cell::Gap)
                    .collect();
                (labels.clone(), timed)
            })
            .collect(),
        Expected::Scalar(_) | Expected::Text(_) => return Err("expected no matrix".to_owned()),
    };
    let wrong = |reason: &str| {
        let shown: Vec<String> = got
            .iter()
            .map(|series| format!("{} {:?}", series.labels, cells_of(series)))
            .collect();
        Err(format!(
            "{reason}: expected {expected:?}, got {shown:?} (to {end})"
        ))
    };
    if !got.is_sorted_by(|left, right| left.labels < right.labels) {
        return wrong("not sorted");
    }
    if expected.len() != got.len() {
        return wrong("other series");
    }
    for (labels, cells) in &expected {
        let Some(series) = got.iter().find(|series| series.labels == *labels) else {
            return wrong("missing series");
        };
        let found = cells_of(series);
        if found.len() != cells.len() {
            return wrong("other samples");
        }
        for ((at, found), (wanted_at, wanted)) in found.iter().zip(cells) {
            if at != wanted_at || !same_cell(wanted, found) {
                return wrong("another value");
            }
        }
    }
    Ok(())
}

/// Floats and histograms by their time.
fn cells_of(series: &Series) -> BTreeMap<i64, Cell> {
    let floats = series
        .samples
        .iter()
        .map(|sample| (sample.timestamp.as_millis(), Cell::Value(sample.value)));
    let histograms = series.histograms.iter().map(|sample| {
        let cell = Cell::Histogram(sample.histogram.clone());
        (sample.timestamp.as_millis(), cell)
    });
    floats.chain(histograms).collect()
}

fn same_cell(wanted: &Cell, got: &Cell) -> bool {
    match (wanted, got) {
        (Cell::Value(wanted), Cell::Value(got)) => same(*wanted, *got),
        (Cell::Histogram(wanted), Cell::Histogram(got)) => same_histogram(wanted, got),
        _ => false,
    }
}

/// In the same buckets, each count equal but for a millionth; the hint where one is expected.
fn same_histogram(wanted: &Histogram, got: &Histogram) -> bool {
    let (wanted, got) = (wanted.clone().compacted(), got.clone().compacted());
    let buckets = |wanted: &[Bucket], got: &[Bucket]| {
        wanted.len() == got.len()
            && wanted
                .iter()
                .zip(got)
                .all(|(wanted, got)| wanted.index == got.index && same(wanted.count, got.count))
    };
    (wanted.reset_hint == ResetHint::Unknown || wanted.reset_hint == got.reset_hint)
        && wanted.schema == got.schema
        && same(wanted.count, got.count)
        && same(wanted.sum, got.sum)
        && wanted.zero_threshold == got.zero_threshold
        && same(wanted.zero_count, got.zero_count)
        && wanted.custom_values == got.custom_values
        && buckets(&wanted.positive, &got.positive)
        && buckets(&wanted.negative, &got.negative)
}

/// Equal but for a millionth.
fn same(left: f64, right: f64) -> bool {
    const EPSILON: f64 = 1e-6;
    if left.is_nan() && right.is_nan() || left == right {
        return true;
    }
    let sum = left.abs() + right.abs();
    let difference = (left - right).abs();
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

/// The expression with every selector pinned to `at`, unless something in it looks at the clock.
fn pinned(text: &str, at: i64) -> Option<String> {
    let mut expr = parse(text, &ParserOptions::all()).ok()?;
    pin(&mut expr, Timestamp::from_millis(at)).then(|| expr.to_string())
}

fn pin(expr: &mut Expr, at: Timestamp) -> bool {
    let pin_one = |slot: &mut Option<AtModifier>| {
        slot.get_or_insert(AtModifier::Time(at));
        true
    };
    match expr {
        Expr::Aggregate(node) => {
            let param = node.param.as_mut().is_none_or(|param| pin(param, at));
            pin(&mut node.expr, at) && param
        }
        Expr::Binary(node) => {
            let left = pin(&mut node.lhs, at);
            pin(&mut node.rhs, at) && left
        }
        Expr::Call(node) => {
            let mut safe = !looks_at_clock(node.function.kind);
            for arg in &mut node.args {
                safe &= pin(arg, at);
            }
            safe
        }
        Expr::Matrix(node) => pin_one(&mut node.selector.at),
        Expr::Number(_) | Expr::Text(_) => true,
        Expr::Paren(node) => pin(&mut node.expr, at),
        Expr::Selector(node) => pin_one(&mut node.at),
        Expr::Subquery(node) => pin_one(&mut node.at) && !mentions_clock(&node.expr),
        Expr::Unary(node) => pin(&mut node.expr, at),
    }
}

fn mentions_clock(expr: &Expr) -> bool {
    if let Expr::Call(call) = expr
        && looks_at_clock(call.function.kind)
    {
        return true;
    }
    expr.children().into_iter().any(mentions_clock)
}

fn looks_at_clock(kind: FunctionKind) -> bool {
    matches!(
        kind,
        FunctionKind::DaysInMonth
            | FunctionKind::DayOfMonth
            | FunctionKind::DayOfWeek
            | FunctionKind::DayOfYear
            | FunctionKind::Hour
            | FunctionKind::Minute
            | FunctionKind::Month
            | FunctionKind::Year
            | FunctionKind::PredictLinear
            | FunctionKind::Time
            | FunctionKind::TimestampOf
            | FunctionKind::Start
            | FunctionKind::End
            | FunctionKind::Step
            | FunctionKind::Range
    )
}
