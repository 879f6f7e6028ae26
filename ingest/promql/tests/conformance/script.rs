//! The language of Prometheus' own PromQL test scripts.
use model::{Labels, duration};
use watchbell_promql::{
    Expr, ParserOptions, parse, parse_metric, parse_series_values, parse_start_offsets,
};

pub(crate) use watchbell_promql::NotedValue as Cell;

use crate::nhcb;

/// More than any script has.
const VALUES_MAX: usize = 1_000_000;

pub(crate) enum Command {
    Clear,
    Eval(Box<Eval>),
    Load(Vec<Loaded>),
}

pub(crate) struct Eval {
    pub(crate) line: usize,
    pub(crate) expr: String,
    pub(crate) times: Times,
    pub(crate) expected: Expected,
    pub(crate) ordered: bool,
    pub(crate) fail: Option<TextRule>,
    pub(crate) warnings: Vec<TextRule>,
    pub(crate) infos: Vec<TextRule>,
    pub(crate) no_warning: bool,
    pub(crate) no_info: bool,
    /// An instant query whose answer is a matrix over these times.
    pub(crate) matrix_times: Option<(i64, i64, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Times {
    At(i64),
    Range { start: i64, end: i64, step: i64 },
}

pub(crate) enum Expected {
    Scalar(f64),
    Series(Vec<(Labels, Vec<Cell>)>),
    Text(String),
}

/// A series of a `load` command: values at their times in milliseconds, each with when its counter began.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) labels: Labels,
    pub(crate) cells: Vec<(i64, Cell)>,
    /// Offsets from the samples' times; as long as `cells`, or empty.
    pub(crate) starts: Vec<Option<i64>>,
}

pub(crate) enum TextRule {
    Any,
    Exactly(String),
    Finds(model::GoRegex),
}

impl TextRule {
    pub(crate) fn holds(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => wanted == text,
            Self::Finds(regex) => regex.is_match(text),
        }
    }
}

pub(crate) fn commands(script: &str) -> Vec<Command> {
    let lines: Vec<&str> = script
        .split('\n')
        .map(str::trim)
        .map(|line| if line.starts_with('#') { "" } else { line })
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].is_empty() {
            at += 1;
            continue;
        }
        let begin = at;
        while at < lines.len() && !lines[at].is_empty() {
            at += 1;
        }
        let block = &lines[begin..at];
        // Commands without anything beneath may follow each other directly.
        let word = block[0]
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_lowercase();
        match word.as_str() {
            "clear" => {
                commands.push(Command::Clear);
                at = begin + 1;
            }
            "load" | "load_with_nhcb" => commands.push(load(block)),
            _ if word.starts_with("eval") => {
                let (eval, used) = eval(block, begin + 1);
                commands.push(Command::Eval(Box::new(eval)));
                at = begin + used;
            }
            _ => panic!("line {}: invalid command {:?}", begin + 1, block[0]),
        }
    }
    commands
}

fn load(block: &[&str]) -> Command {
    let mut words = block[0].split_whitespace();
    let converts = words.next() == Some("load_with_nhcb");
    let step = millis(words.next().unwrap());
    let mut series: Vec<Loaded> = Vec::new();
    let mut starts: Vec<Option<i64>> = Vec::new();
    for line in &block[1..] {
        let (metric, values) = metric_and_rest(line);
        if let Some(metric) = metric.strip_suffix("@st") {
            assert!(!metric.is_empty());
            starts = parse_start_offsets(values, VALUES_MAX).unwrap();
            continue;
        }
        let labels = labels(metric);
        let timed = cells(values)
            .into_iter()
            .enumerate()
            .map(|(index, cell)| (step * index as i64, cell))
            .collect();
        series.retain(|own| own.labels != labels);
        series.push(Loaded {
            labels,
            cells: timed,
            starts: std::mem::take(&mut starts),
        });
    }
    if converts {
        let converted = nhcb::converted(&series);
        series.extend(converted);
    }
    Command::Load(series)
}

fn eval(block: &[&str], line: usize) -> (Eval, usize) {
    let (head, rest) = block[0].split_once(char::is_whitespace).unwrap();
    let suffix = head.strip_prefix("eval").unwrap().to_owned();
    let (kind, rest) = rest.trim_start().split_once(char::is_whitespace).unwrap();
    let (times, expr) = match kind {
        "instant" => {
            let rest = rest.trim_start().strip_prefix("at").unwrap().trim_start();
            let (at, expr) = rest.split_once(char::is_whitespace).unwrap();
            (Times::At(millis(at)), expr)
        }
        "range" => {
            let words: Vec<&str> = rest.split_whitespace().take(6).collect();
            assert_eq!(
                [words[0], words[2], words[4]],
                ["from", "to", "step"],
                "line {line}"
            );
            let mut expr = rest;
            for word in &words {
                expr = expr.trim_start().strip_prefix(word).unwrap();
            }
            let (start, end) = (millis(words[1]), millis(words[3]));
            let step = millis(words[5]);
            (Times::Range { start, end, step }, expr)
        }
        _ => panic!("line {line}: neither instant nor range"),
    };
    let mut eval = Eval {
        line,
        expr: expr.trim().to_owned(),
        times,
        expected: Expected::Series(Vec::new()),
        ordered: suffix == "_ordered",
        fail: (suffix == "_fail").then_some(TextRule::Any),
        warnings: Vec::new(),
        infos: Vec::new(),
        no_warning: false,
        no_info: false,
        matrix_times: None,
    };
    match suffix.as_str() {
        "_warn" => eval.warnings.push(TextRule::Any),
        "_info" => eval.infos.push(TextRule::Any),
        _ => {}
    }
    let mut series = Vec::new();
    for (index, text) in block.iter().enumerate().skip(1) {
        if let Some(rule) = text.strip_prefix("expect ") {
            expectation(&mut eval, rule.trim());
        } else if let Some(text) = text.strip_prefix("expected_fail_message") {
            eval.fail = Some(TextRule::Exactly(text.trim().to_owned()));
        } else if let Some(pattern) = text.strip_prefix("expected_fail_regexp") {
            eval.fail = Some(TextRule::Finds(
                model::GoRegex::unanchored(pattern.trim()).unwrap(),
            ));
        } else if let Some(value) = scalar(text) {
            eval.expected = Expected::Scalar(value);
            return (eval, index + 1);
        } else {
            let (metric, values) = metric_and_rest(text);
            series.push((labels(metric), cells(values)));
        }
    }
    if let Expected::Series(expected) = &mut eval.expected {
        *expected = series;
    }
    (eval, block.len())
}

fn expectation(eval: &mut Eval, rule: &str) {
    let (kind, rest) = rule.split_once(char::is_whitespace).unwrap_or((rule, ""));
    let rest = rest.trim();
    let text_rule = || {
        if let Some(text) = rest.strip_prefix("msg:") {
            TextRule::Exactly(text.trim().to_owned())
        } else if let Some(pattern) = rest.strip_prefix("regex:") {
            TextRule::Finds(model::GoRegex::unanchored(pattern.trim()).unwrap())
        } else {
            TextRule::Any
        }
    };
    match kind {
        "ordered" => eval.ordered = true,
        "fail" => eval.fail = Some(text_rule()),
        "warn" => eval.warnings.push(text_rule()),
        "info" => eval.infos.push(text_rule()),
        "no_warn" => eval.no_warning = true,
        "no_info" => eval.no_info = true,
        "string" => match parse(rest, &ParserOptions::all()) {
            Ok(Expr::Text(text)) => eval.expected = Expected::Text(text.value),
            _ => panic!("line {}: not a string: {rest}", eval.line),
        },
        "range" => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            assert_eq!(
                [words[0], words[1], words[3], words[5]],
                ["vector", "from", "to", "step"]
            );
            eval.matrix_times = Some((millis(words[2]), millis(words[4]), millis(words[6])));
        }
        _ => panic!("line {}: unknown expectation {rule}", eval.line),
    }
}

/// A metric ends at the first blank outside of braces and quotes.
fn metric_and_rest(line: &str) -> (&str, &str) {
    let mut in_braces = false;
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in line.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"' | '\'') if character == '\\' => escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None => match character {
                '"' | '\'' | '`' => quote = Some(character),
                '{' => in_braces = true,
                '}' => in_braces = false,
                _ if character.is_whitespace() && !in_braces => {
                    return (&line[..at], line[at..].trim());
                }
                _ => {}
            },
        }
    }
    (line, "")
}

fn labels(metric: &str) -> Labels {
    parse_metric(metric).unwrap_or_else(|error| panic!("not a metric: {metric:?}: {error}"))
}

fn cells(text: &str) -> Vec<Cell> {
    parse_series_values(text, VALUES_MAX).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// A line that is one number.
fn scalar(line: &str) -> Option<f64> {
    match parse_series_values(line, 1).ok()?.as_slice() {
        [Cell::Value(value)] => Some(*value),
        _ => None,
    }
}

fn millis(text: &str) -> i64 {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    match duration::parse(unsigned) {
        Ok(duration) => sign * duration.as_millis() as i64,
        Err(_) => sign * (unsigned.parse::<f64>().expect("a duration") * 1000.0) as i64,
    }
}
