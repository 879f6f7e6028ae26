//! Series as test scripts and tests of rules write them: a metric, and its values a step apart.
//!
//! `1 2`, `_` (a gap), `_x3`, `5x3` (four times five), `1+2x3` (1 3 5 7), `stale`, and histograms in double braces.
use std::fmt;
use std::sync::Arc;

use model::{Histogram, Labels, MatchOp, duration, stale_nan};

use crate::ast::{Boundary, Expr, Offset};
use crate::histogram_notation;
use crate::options::ParserOptions;
use crate::parser::parse;

/// What a series has at one step.
#[derive(Clone, Debug, PartialEq)]
pub enum NotedValue {
    Gap,
    Histogram(Arc<Histogram>),
    Value(f64),
}

/// Why a text is no series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotationError {
    /// Bytes from the beginning of the text.
    pub at: usize,
    pub message: String,
}

/// `1:7: parse error: …`, as of an expression.
impl fmt::Display for NotationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "1:{}: parse error: {}",
            self.at + 1,
            self.message
        )
    }
}

impl std::error::Error for NotationError {}

/// `name{label="value"}`; the empty text, like `{}`, is a series without labels.
///
/// # Errors
/// What is no metric.
pub fn parse_metric(text: &str) -> Result<Labels, NotationError> {
    let refused = |at: usize, message: &str| {
        Err(NotationError {
            at,
            message: message.to_owned(),
        })
    };
    let text = text.trim();
    if text.is_empty() || text == "{}" {
        return Ok(Labels::default());
    }
    let selector = match parse(text, &ParserOptions::all()) {
        Ok(Expr::Selector(selector)) => selector,
        // Nothing but empty values: nothing.
        Err(error) if error.message.contains("non-empty matcher") => return Ok(Labels::default()),
        Err(error) => return refused(error.span.start as usize, &error.message),
        Ok(
            Expr::Aggregate(_)
            | Expr::Binary(_)
            | Expr::Call(_)
            | Expr::Matrix(_)
            | Expr::Number(_)
            | Expr::Paren(_)
            | Expr::Subquery(_)
            | Expr::Text(_)
            | Expr::Unary(_),
        ) => return refused(0, "a metric is expected, not an expression"),
    };
    if selector.at.is_some()
        || selector.offset != Offset::default()
        || selector.boundary != Boundary::Plain
    {
        return refused(0, "a metric has no modifiers");
    }
    let mut labels: Vec<(&str, &str)> = Vec::new();
    for matcher in &selector.matchers {
        if matcher.op() != MatchOp::Equal {
            return refused(0, "unexpected matcher in label set, expected \"=\"");
        }
        if labels.iter().any(|(name, _)| *name == matcher.name()) {
            let message = format!("label name \"{}\" is not unique", matcher.name());
            return refused(0, &message);
        }
        labels.push((matcher.name(), matcher.value()));
    }
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    Ok(labels.collect())
}

/// The values of a series, one for each step; no more than `count_max`.
///
/// # Errors
/// The first mistake, and more values than that.
pub fn parse_series_values(text: &str, count_max: usize) -> Result<Vec<NotedValue>, NotationError> {
    let mut values = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        let (item, behind) = item(rest).map_err(|(remaining, message)| NotationError {
            at: text.len() - remaining,
            message,
        })?;
        if !behind.is_empty() && !behind.starts_with(char::is_whitespace) {
            let at = text.len() - behind.len();
            let message = format!("unexpected {:?} in series values", first_word(behind));
            return Err(NotationError { at, message });
        }
        if item.count > count_max - values.len() {
            let message = format!("more than {count_max} values");
            return Err(NotationError { at, message });
        }
        item.write(&mut values)
            .map_err(|message| NotationError { at, message })?;
        rest = behind.trim_start();
    }
    Ok(values)
}

/// `_`, `_x3`, `-1m`, `-1mx3`, `-30s-1mx2`: when counters began, in milliseconds from the samples' times; no more than
/// `count_max`.
///
/// # Errors
/// The first mistake, and more offsets than that.
pub fn parse_start_offsets(
    text: &str,
    count_max: usize,
) -> Result<Vec<Option<i64>>, NotationError> {
    let mut offsets = Vec::new();
    for word in text.split_whitespace() {
        let at = word.as_ptr() as usize - text.as_ptr() as usize;
        let wrong = |message: String| NotationError { at, message };
        let not_one = || wrong(format!("{word:?} is no start offset"));
        let (offset, count) = match word.rsplit_once('x') {
            Some((offset, count)) => (offset, count.parse::<usize>().map_err(|_| not_one())?),
            None => (word, 0),
        };
        if count >= count_max - offsets.len() {
            return Err(wrong(format!("more than {count_max} offsets")));
        }
        if offset == "_" {
            offsets.extend(std::iter::repeat_n(None, count.max(1)));
            continue;
        }
        let second = offset.get(1..).and_then(|rest| rest.find(['+', '-']));
        let (first, step) = offset.split_at(second.map_or(offset.len(), |at| at + 1));
        let (mut offset, step) = match (signed_millis(first), signed_millis(step)) {
            (Some(first), Some(step)) => (first, step),
            _ => return Err(not_one()),
        };
        for _ in 0..=count {
            offsets.push(Some(offset));
            offset = offset.saturating_add(step);
        }
    }
    Ok(offsets)
}

fn signed_millis(text: &str) -> Option<i64> {
    let (sign, text) = match text.as_bytes().first() {
        None => return Some(0),
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        Some(_) => (1, text),
    };
    let millis = i64::try_from(duration::parse(text).ok()?.as_millis()).ok()?;
    Some(sign * millis)
}

/// One word of the values.
struct Item {
    first: NotedValue,
    step: Step,
    count: usize,
}

enum Step {
    None,
    Add(f64),
    AddHistogram(Histogram),
    SubtractHistogram(Histogram),
}

/// What follows, and what is wrong there: how much of the text remains, and the message.
type Read<'a, T> = Result<(T, &'a str), (usize, String)>;

impl Item {
    fn write(self, values: &mut Vec<NotedValue>) -> Result<(), String> {
        let mut value = self.first;
        for index in 0..self.count {
            if index + 1 == self.count {
                values.push(value);
                return Ok(());
            }
            let next = match (&value, &self.step) {
                (NotedValue::Value(value), Step::Add(step)) => NotedValue::Value(value + step),
                (NotedValue::Histogram(histogram), Step::AddHistogram(step)) => {
                    let mut next = Histogram::clone(histogram);
                    next.add(step)
                        .map_err(|_| "histograms with different kinds of buckets")?;
                    NotedValue::Histogram(Arc::new(next))
                }
                (NotedValue::Histogram(histogram), Step::SubtractHistogram(step)) => {
                    let mut next = Histogram::clone(histogram);
                    next.subtract(step)
                        .map_err(|_| "histograms with different kinds of buckets")?;
                    NotedValue::Histogram(Arc::new(next))
                }
                _ => value.clone(),
            };
            values.push(std::mem::replace(&mut value, next));
        }
        Ok(())
    }
}

fn item(text: &str) -> Read<'_, Item> {
    if let Some(rest) = text.strip_prefix('_') {
        let (count, rest) = times(rest)?;
        let item = Item {
            first: NotedValue::Gap,
            step: Step::None,
            count: count.unwrap_or(1),
        };
        return Ok((item, rest));
    }
    if text.starts_with("{{") {
        return histogram_item(text);
    }
    let (first, rest) = match text.strip_prefix("stale") {
        Some(rest) => (stale_nan(), rest),
        None => number(text).ok_or_else(|| {
            let word = first_word(text);
            let message =
                format!("unexpected {word:?} in series values, expected a number or \"stale\"");
            (text.len(), message)
        })?,
    };
    let (step, behind) = match rest.as_bytes().first() {
        Some(sign @ (b'+' | b'-')) => {
            let unsigned = rest[1..].starts_with(|c: char| c != '+' && c != '-');
            let parsed = number(&rest[1..]).filter(|_| unsigned);
            let (step, behind) =
                parsed.ok_or_else(|| (rest.len(), "a step is expected".to_owned()))?;
            let step = if *sign == b'-' { -step } else { step };
            (Step::Add(step), behind)
        }
        _ => (Step::None, rest),
    };
    repeated(NotedValue::Value(first), step, behind)
}

fn histogram_item(text: &str) -> Read<'_, Item> {
    let (first, rest) = histogram_notation::parse(text)?;
    let (step, behind) = match rest.as_bytes() {
        [sign @ (b'+' | b'-'), b'{', b'{', ..] => {
            let (step, behind) = histogram_notation::parse(&rest[1..])?;
            match sign {
                b'-' => (Step::SubtractHistogram(step), behind),
                _ => (Step::AddHistogram(step), behind),
            }
        }
        _ => (Step::None, rest),
    };
    repeated(NotedValue::Histogram(Arc::new(first)), step, behind)
}

fn repeated(first: NotedValue, step: Step, behind: &str) -> Read<'_, Item> {
    let (count, rest) = times(behind)?;
    let count = match (count, &step) {
        (None, Step::None) => 1,
        (None, _) => {
            let message = "a step without a number of times, such as x3".to_owned();
            return Err((behind.len(), message));
        }
        (Some(count), _) => count.saturating_add(1),
    };
    Ok((Item { first, step, count }, rest))
}

/// `x7`
fn times(text: &str) -> Read<'_, Option<usize>> {
    let Some(rest) = text.strip_prefix('x') else {
        return Ok((None, text));
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    match rest[..digits].parse() {
        Ok(count) => Ok((Some(count), &rest[digits..])),
        Err(_) => Err((rest.len(), "a number of times is expected".to_owned())),
    }
}

/// A number at the beginning of the text, and what follows it. A duration is its seconds.
pub(crate) fn number(text: &str) -> Option<(f64, &str)> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() - unsigned.len() > 1 {
        return None;
    }
    let ends = |rest: &str| {
        rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || "x+-]}".contains(c))
    };
    let signed = |value: f64| if text.starts_with('-') { -value } else { value };
    let digits = &unsigned[..number_length(unsigned)];
    let rest = &unsigned[digits.len()..];
    if let Some(value) = digits.parse().ok().filter(|_| ends(rest)) {
        return Some((signed(value), rest));
    }
    let word = unsigned.find(|c: char| !c.is_ascii_digit() && !"ywdhms".contains(c));
    let (word, rest) = unsigned.split_at(word.unwrap_or(unsigned.len()));
    let seconds = duration::parse(word).ok()?.as_secs_f64();
    ends(rest).then_some((signed(seconds), rest))
}

fn number_length(text: &str) -> usize {
    let word = text.get(..3).unwrap_or_default();
    if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("nan") {
        return 3;
    }
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut exponent = false;
    while at < bytes.len() {
        match bytes[at] {
            b'0'..=b'9' | b'.' => {}
            b'e' | b'E' if !exponent && at > 0 => {
                exponent = true;
                if matches!(bytes.get(at + 1), Some(b'+' | b'-')) {
                    at += 1;
                }
            }
            _ => break,
        }
        at += 1;
    }
    at
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{NotedValue, parse_metric, parse_series_values, parse_start_offsets};
    use crate::histogram_notation;

    fn shown(text: &str) -> String {
        match parse_series_values(text, 12) {
            Ok(values) => {
                let words: Vec<String> = values
                    .iter()
                    .map(|value| match value {
                        NotedValue::Gap => "_".to_owned(),
                        NotedValue::Histogram(histogram) => histogram_notation::print(histogram),
                        NotedValue::Value(value) if model::is_stale_nan(*value) => {
                            "stale".to_owned()
                        }
                        NotedValue::Value(value) => value.to_string(),
                    })
                    .collect();
                words.join(" ")
            }
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn values_are_read() {
        for (text, expected) in [
            ("", ""),
            (" 1\t2  3 ", "1 2 3"),
            ("1 _ 2 _x2 3", "1 _ 2 _ _ 3"),
            ("_x0 1", "1"),
            ("1x2 0x1", "1 1 1 0 0"),
            ("1+2x3", "1 3 5 7"),
            ("-1-1x2", "-1 -2 -3"),
            ("1.5e+2x1 1e2+1e1x2 .5 1.", "150 150 100 110 120 0.5 1"),
            ("stale stalex1", "stale stale stale"),
            ("NaN inf -Inf +INF", "NaN inf -inf inf"),
            ("5m 1h30m", "300 5400"),
            (
                "{{schema:1 count:4 sum:5 buckets:[1 3]}}x1",
                "{{schema:1 count:4 sum:5 buckets:[1 3]}} {{schema:1 count:4 sum:5 buckets:[1 3]}}",
            ),
            (
                "{{count:4 buckets:[1 3]}}+{{count:1 offset:1 buckets:[1]}}x2",
                "{{schema:0 count:4 buckets:[1 3]}} {{schema:0 count:5 buckets:[1 4]}} {{schema:0 count:6 buckets:[1 5]}}",
            ),
            ("1x12", "! 1:1: parse error: more than 12 values"),
            ("1x11 1", "! 1:6: parse error: more than 12 values"),
            (
                "1x99999999999999999999",
                "! 1:3: parse error: a number of times is expected",
            ),
            (
                "1+1",
                "! 1:4: parse error: a step without a number of times, such as x3",
            ),
            ("1x", "! 1:3: parse error: a number of times is expected"),
            ("1+-1x2", "! 1:2: parse error: a step is expected"),
            (
                "1 y 2",
                "! 1:3: parse error: unexpected \"y\" in series values, expected a number or \"stale\"",
            ),
            (
                "1 --1",
                "! 1:3: parse error: unexpected \"--1\" in series values, expected a number or \"stale\"",
            ),
            (
                "1x3.5",
                "! 1:4: parse error: unexpected \".5\" in series values",
            ),
            (
                "1 _1",
                "! 1:4: parse error: unexpected \"1\" in series values",
            ),
            (
                "1_",
                "! 1:1: parse error: unexpected \"1_\" in series values, expected a number or \"stale\"",
            ),
            (
                "0x1f",
                "! 1:4: parse error: unexpected \"f\" in series values",
            ),
            (
                "{{count:1",
                "! 1:1: parse error: a histogram without its end \"}}\"",
            ),
            (
                "1 {{cont:1}}",
                "! 1:5: parse error: unknown key \"cont\" of a histogram",
            ),
            (
                "{{buckets:[1 x]}}",
                "! 1:3: parse error: \"x\" is no number",
            ),
            (
                "{{schema:1.5}}",
                "! 1:3: parse error: \"1.5\" is no whole number",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn metrics_are_read() {
        for (text, expected) in [
            ("", "{}"),
            ("{}", "{}"),
            ("a", r#"{__name__="a"}"#),
            (r#"a{b="c",}"#, r#"{__name__="a", b="c"}"#),
            (r#"a{b='c', d=""} "#, r#"{__name__="a", b="c"}"#),
            (r#"{b="offset 5m"}"#, r#"{b="offset 5m"}"#),
            (r#"{b=""}"#, "{}"),
            (
                r#"a{b=~"c"}"#,
                "! 1:1: parse error: unexpected matcher in label set, expected \"=\"",
            ),
            (
                r#"a{b="c", b="d"}"#,
                "! 1:1: parse error: label name \"b\" is not unique",
            ),
            (
                "a offset 5m",
                "! 1:1: parse error: a metric has no modifiers",
            ),
            ("a @ 5", "! 1:1: parse error: a metric has no modifiers"),
            (
                "a[5m]",
                "! 1:1: parse error: a metric is expected, not an expression",
            ),
        ] {
            let read = match parse_metric(text) {
                Ok(labels) => labels.to_string(),
                Err(error) => format!("! {error}"),
            };
            assert_eq!(read, expected, "{text}");
        }
        assert!(parse_metric(r#"a{b="c""#).is_err());
    }

    #[test]
    fn start_offsets_are_read() {
        assert_eq!(
            parse_start_offsets("_ -1m _x2 -30s-1mx1", 10),
            Ok(vec![
                None,
                Some(-60_000),
                None,
                None,
                Some(-30_000),
                Some(-90_000)
            ])
        );
        for (text, expected) in [
            ("_ 1y1", "1:3: parse error: \"1y1\" is no start offset"),
            ("-1mx10", "1:1: parse error: more than 10 offsets"),
        ] {
            let error = parse_start_offsets(text, 10).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
