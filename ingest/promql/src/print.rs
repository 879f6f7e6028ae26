//! The canonical text of an expression, as rules, `generatorURL` and the API show it.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use model::go_number::format_f;
use model::go_quote::quote;
use model::{METRIC_NAME, MatchOp, Matcher, duration, is_classic_label_name};

use crate::ast::{
    Aggregate, AtModifier, Binary, Boundary, Cardinality, DurationExpr, DurationKind,
    DurationValue, Expr, NumberLiteral, Offset, VectorMatching, VectorSelector,
};

impl Display for Expr {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aggregate(node) => Display::fmt(node, formatter),
            Self::Binary(node) => Display::fmt(node, formatter),
            Self::Call(node) => {
                write!(formatter, "{}(", node.function.name)?;
                list(formatter, &node.args, Display::fmt)?;
                formatter.write_str(")")
            }
            Self::Matrix(node) => {
                name_and_matchers(formatter, &node.selector)?;
                write!(formatter, "[{}]", node.range)?;
                modifiers(formatter, &node.selector)
            }
            Self::Number(node) => Display::fmt(node, formatter),
            Self::Paren(node) => write!(formatter, "({})", node.expr),
            Self::Selector(node) => {
                name_and_matchers(formatter, node)?;
                modifiers(formatter, node)
            }
            Self::Subquery(node) => {
                write!(formatter, "{}[{}:", node.expr, node.range)?;
                if let Some(step) = &node.step {
                    Display::fmt(step, formatter)?;
                }
                formatter.write_str("]")?;
                at_and_offset(formatter, node.at, &node.offset)
            }
            Self::Text(node) => formatter.write_str(&quote(&node.value)),
            Self::Unary(node) => {
                let sign = if node.negate { "-" } else { "+" };
                write!(formatter, "{sign}{}", node.expr)
            }
        }
    }
}

impl Display for Aggregate {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.op.as_str())?;
        if self.without || !self.grouping.is_empty() {
            formatter.write_str(if self.without { " without " } else { " by " })?;
            labels(formatter, &self.grouping)?;
            formatter.write_str(" ")?;
        }
        formatter.write_str("(")?;
        if let Some(param) = &self.param {
            write!(formatter, "{param}, ")?;
        }
        write!(formatter, "{})", self.expr)
    }
}

impl Display for Binary {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.lhs, self.op.as_str())?;
        if self.return_bool {
            formatter.write_str(" bool")?;
        }
        if let Some(matching) = &self.matching {
            matching_text(formatter, matching)?;
        }
        write!(formatter, " {}", self.rhs)
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if self.duration {
            let sign = if self.value < 0.0 { "-" } else { "" };
            let millis = (self.value.abs() * 1000.0).round() as u64;
            let text = duration::format(Duration::from_millis(millis));
            write!(formatter, "{sign}{text}")
        } else {
            formatter.write_str(&format_f(self.value))
        }
    }
}

impl Display for DurationValue {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Computed(expr) => Display::fmt(expr, formatter),
            Self::Millis(millis) => {
                let sign = if *millis < 0 { "-" } else { "" };
                let text = duration::format(Duration::from_millis(millis.unsigned_abs()));
                write!(formatter, "{sign}{text}")
            }
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if self.wrapped {
            formatter.write_str("(")?;
        }
        match &self.kind {
            DurationKind::Binary(op, left, right) => {
                write!(formatter, "{left} {} {right}", op.as_str())?;
            }
            DurationKind::MaxOf(left, right) => write!(formatter, "max_of({left}, {right})")?,
            DurationKind::MinOf(left, right) => write!(formatter, "min_of({left}, {right})")?,
            DurationKind::Negate(inner) => write!(formatter, "-{inner}")?,
            DurationKind::Number(number) => Display::fmt(number, formatter)?,
            DurationKind::Plus(inner) => Display::fmt(inner, formatter)?,
            DurationKind::Range => formatter.write_str("range()")?,
            DurationKind::Step => formatter.write_str("step()")?,
        }
        if self.wrapped {
            formatter.write_str(")")?;
        }
        Ok(())
    }
}

fn matching_text(formatter: &mut Formatter<'_>, matching: &VectorMatching) -> fmt::Result {
    if matching.on || !matching.labels.is_empty() {
        formatter.write_str(if matching.on { " on " } else { " ignoring " })?;
        labels(formatter, &matching.labels)?;
    }
    let side = match matching.cardinality {
        Cardinality::ManyToMany | Cardinality::OneToOne => None,
        Cardinality::ManyToOne => Some(" group_left "),
        Cardinality::OneToMany => Some(" group_right "),
    };
    if let Some(side) = side {
        // `group_left` may only stand behind `on` or `ignoring`.
        if !matching.on && matching.labels.is_empty() {
            formatter.write_str(" ignoring ()")?;
        }
        formatter.write_str(side)?;
        labels(formatter, &matching.include)?;
    }
    match (matching.fill.left, matching.fill.right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
            write!(formatter, " fill ({})", format_f(left))
        }
        (left, right) => {
            if let Some(left) = left {
                write!(formatter, " fill_left ({})", format_f(left))?;
            }
            if let Some(right) = right {
                write!(formatter, " fill_right ({})", format_f(right))?;
            }
            Ok(())
        }
    }
}

fn name_and_matchers(formatter: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    let mut printed: Vec<String> = Vec::new();
    let mut name = selector.name.as_deref();
    for matcher in &selector.matchers {
        // The name before the braces is the last matcher; a quoted one alone in the braces prints as written.
        let is_name = matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal;
        if is_name && name == Some(matcher.value()) {
            continue;
        }
        printed.push(matcher_text(matcher));
    }
    printed.sort_unstable();
    if let Some(text) = name.take() {
        formatter.write_str(text)?;
    }
    if !printed.is_empty() || selector.name.is_none() {
        write!(formatter, "{{{}}}", printed.join(","))?;
    }
    Ok(())
}

fn matcher_text(matcher: &Matcher) -> String {
    let name = label_name(matcher.name());
    format!("{name}{}{}", matcher.op().as_str(), quote(matcher.value()))
}

fn modifiers(formatter: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    match selector.boundary {
        Boundary::Anchored => formatter.write_str(" anchored")?,
        Boundary::Plain => {}
        Boundary::Smoothed => formatter.write_str(" smoothed")?,
    }
    at_and_offset(formatter, selector.at, &selector.offset)
}

fn at_and_offset(
    formatter: &mut Formatter<'_>,
    at: Option<AtModifier>,
    offset: &Offset,
) -> fmt::Result {
    match at {
        None => {}
        Some(AtModifier::End) => formatter.write_str(" @ end()")?,
        Some(AtModifier::Start) => formatter.write_str(" @ start()")?,
        Some(AtModifier::Time(time)) => {
            let millis = time.as_millis();
            let sign = if millis < 0 { "-" } else { "" };
            let millis = millis.unsigned_abs();
            write!(formatter, " @ {sign}{}.{:03}", millis / 1000, millis % 1000)?;
        }
    }
    match offset {
        None | Some(DurationValue::Millis(0)) => Ok(()),
        Some(DurationValue::Computed(expr)) if needs_parentheses(expr) => {
            write!(formatter, " offset ({expr})")
        }
        Some(value) => write!(formatter, " offset {value}"),
    }
}

/// Behind `offset` only a single thing with a sign may stand without them.
fn needs_parentheses(expr: &DurationExpr) -> bool {
    match &expr.kind {
        DurationKind::Binary(..) => !expr.wrapped,
        DurationKind::Negate(inner) | DurationKind::Plus(inner) => {
            !expr.wrapped
                && matches!(
                    inner.kind,
                    DurationKind::Negate(_) | DurationKind::Plus(_) | DurationKind::Binary(..)
                )
                && !inner.wrapped
        }
        DurationKind::MaxOf(..)
        | DurationKind::MinOf(..)
        | DurationKind::Number(_)
        | DurationKind::Range
        | DurationKind::Step => false,
    }
}

fn labels(formatter: &mut Formatter<'_>, names: &[String]) -> fmt::Result {
    formatter.write_str("(")?;
    list(formatter, names, |name, formatter| {
        formatter.write_str(&label_name(name))
    })?;
    formatter.write_str(")")
}

fn label_name(name: &str) -> String {
    if is_classic_label_name(name) {
        name.to_owned()
    } else {
        quote(name)
    }
}

fn list<T>(
    formatter: &mut Formatter<'_>,
    items: &[T],
    print: impl Fn(&T, &mut Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            formatter.write_str(", ")?;
        }
        print(item, formatter)?;
    }
    Ok(())
}
