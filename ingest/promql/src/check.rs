//! Types and the other rules that the grammar does not know.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the cases that break a rule"
)]

use model::go_quote::quote;
use model::{METRIC_NAME, Matcher};

use crate::ast::{Binary, Cardinality, Expr, ValueType, VectorSelector};
use crate::function::{Arity, FunctionKind};
use crate::parse_error::ParseError;
use crate::span::Span;

/// Stops at the first rule that is broken, in the order in which Prometheus looks.
pub(crate) fn check(text: &str, expr: &mut Expr) -> Result<(), ParseError> {
    Checker { text }.expr(expr).map(|_| ())
}

struct Checker<'a> {
    text: &'a str,
}

impl Checker<'_> {
    fn expr(&self, expr: &mut Expr) -> Result<ValueType, ParseError> {
        let span = expr.span();
        match expr {
            Expr::Aggregate(node) => {
                self.expect(&mut node.expr, ValueType::Vector, "aggregation expression")?;
                if let Some(param) = &mut node.param {
                    let wanted = if node.op == crate::ast::AggregateOp::CountValues {
                        ValueType::Text
                    } else {
                        ValueType::Scalar
                    };
                    self.expect(param, wanted, "aggregation parameter")?;
                }
            }
            Expr::Binary(node) => self.binary(node, span)?,
            Expr::Call(_) => self.call(expr, span)?,
            Expr::Matrix(node) => self.selector(&node.selector)?,
            Expr::Number(_) | Expr::Text(_) => {}
            Expr::Paren(node) => {
                self.expr(&mut node.expr)?;
            }
            Expr::Selector(node) => self.selector(node)?,
            Expr::Subquery(node) => {
                let found = self.expr(&mut node.expr)?;
                if found != ValueType::Vector {
                    return Err(self.error(
                        span,
                        format!(
                            "subquery is only allowed on instant vector, got {} instead",
                            found.wire_name()
                        ),
                    ));
                }
            }
            Expr::Unary(node) => {
                let found = self.expr(&mut node.expr)?;
                if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                    return Err(self.error(
                        span,
                        format!(
                            "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                            quote(found.as_str())
                        ),
                    ));
                }
            }
        }
        Ok(expr.value_type())
    }

    fn expect(&self, expr: &mut Expr, wanted: ValueType, context: &str) -> Result<(), ParseError> {
        let found = self.expr(expr)?;
        if found == wanted {
            return Ok(());
        }
        Err(self.error(
            expr.span(),
            format!(
                "expected type {} in {context}, got {}",
                wanted.as_str(),
                found.as_str()
            ),
        ))
    }

    fn binary(&self, node: &mut Binary, span: Span) -> Result<(), ParseError> {
        let left = self.expr(&mut node.lhs)?;
        let right = self.expr(&mut node.rhs)?;
        let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
        if node.return_bool && !node.op.is_comparison() {
            return Err(self.error(
                node.op_span,
                "bool modifier can only be used on comparison operators",
            ));
        }
        if node.op.is_comparison() && !node.return_bool && scalars {
            return Err(self.error(
                node.op_span,
                "comparisons between scalars must use BOOL modifier",
            ));
        }
        if let Some(matching) = &node.matching
            && matching.on
            && let Some(twice) = matching
                .labels
                .iter()
                .find(|label| matching.include.contains(label))
        {
            return Err(self.error(
                node.op_span,
                format!(
                    "label {} must not occur in ON and GROUP clause at once",
                    quote(twice)
                ),
            ));
        }
        for (side, found) in [(&node.lhs, left), (&node.rhs, right)] {
            if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                return Err(self.error(
                    side.span(),
                    "binary expression must contain only scalar and instant vector types",
                ));
            }
        }
        let vectors = left == ValueType::Vector && right == ValueType::Vector;
        let matching = node.matching.take().unwrap_or_default();
        let filling = matching.fill.left.is_some() || matching.fill.right.is_some();
        if !vectors && !matching.labels.is_empty() {
            return Err(self.error(span, "vector matching only allowed between instant vectors"));
        }
        if !vectors && filling {
            return Err(self.error(
                span,
                "filling in missing series only allowed between instant vectors",
            ));
        }
        if node.op.is_set() && vectors {
            let grouped = matches!(
                matching.cardinality,
                Cardinality::ManyToOne | Cardinality::OneToMany
            );
            if grouped {
                return Err(self.error(
                    span,
                    format!(
                        "no grouping allowed for {} operation",
                        quote(node.op.as_str())
                    ),
                ));
            }
            if filling {
                return Err(self.error(
                    span,
                    "filling in missing series not allowed for set operators",
                ));
            }
        }
        if node.op.is_set() && !vectors {
            return Err(self.error(
                span,
                format!(
                    "set operator {} not allowed in binary scalar expression",
                    quote(node.op.as_str())
                ),
            ));
        }
        node.matching = vectors.then_some(matching);
        Ok(())
    }

    fn call(&self, expr: &mut Expr, span: Span) -> Result<(), ParseError> {
        let Expr::Call(node) = expr else {
            return Ok(());
        };
        let function = node.function;
        let (wanted, given) = (function.args.len(), node.args.len());
        let least = match function.arity {
            Arity::Exact => wanted,
            Arity::Optional | Arity::Repeated | Arity::UpTo(_) => wanted - 1,
        };
        let most = match function.arity {
            Arity::Exact | Arity::Optional => wanted,
            Arity::Repeated => usize::MAX,
            Arity::UpTo(count) => wanted - 1 + count,
        };
        let bound = match function.arity {
            Arity::Exact if given != wanted => Some(("", wanted)),
            _ if given < least => Some(("at least ", least)),
            _ if given > most => Some(("at most ", most)),
            _ => None,
        };
        if let Some((words, count)) = bound {
            return Err(self.error(
                span,
                format!(
                    "expected {words}{count} argument(s) in call to {}, got {given}",
                    quote(function.name)
                ),
            ));
        }
        let context = format!("call to function {}", quote(function.name));
        for (index, arg) in node.args.iter_mut().enumerate() {
            let wanted = function.args[index.min(function.args.len() - 1)];
            if function.kind == FunctionKind::Info && index == 1 {
                self.info_selector(arg)?;
                continue;
            }
            self.expect(arg, wanted, &context)?;
        }
        Ok(())
    }

    /// The second argument of `info` chooses labels, so it may match everything, and it names no metric.
    fn info_selector(&self, arg: &Expr) -> Result<(), ParseError> {
        match arg {
            Expr::Selector(selector) if selector.name.is_none() => Ok(()),
            Expr::Selector(_) => Err(self.error(
                arg.span(),
                "expected label selectors only, got vector selector instead",
            )),
            Expr::Aggregate(_)
            | Expr::Binary(_)
            | Expr::Call(_)
            | Expr::Matrix(_)
            | Expr::Number(_)
            | Expr::Paren(_)
            | Expr::Subquery(_)
            | Expr::Text(_)
            | Expr::Unary(_) => Err(self.error(
                arg.span(),
                format!(
                    "expected label selectors as the second argument to \"info\", got {}",
                    arg.value_type().as_str()
                ),
            )),
        }
    }

    fn selector(&self, selector: &VectorSelector) -> Result<(), ParseError> {
        let mut names = selector
            .matchers
            .iter()
            .filter(|matcher| matcher.name() == METRIC_NAME);
        if let Some(name) = &selector.name {
            // The last one is the name itself.
            let inside = names.next().filter(|_| names.next().is_some());
            return match inside {
                Some(inside) => Err(self.error(
                    selector.span,
                    format!(
                        "metric name must not be set twice: {} or {}",
                        quote(name),
                        quote(inside.value())
                    ),
                )),
                None => Ok(()),
            };
        }
        if selector.matchers.iter().all(Matcher::matches_empty) {
            return Err(self.error(
                selector.span,
                "vector selector must contain at least one non-empty matcher",
            ));
        }
        Ok(())
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, span, message)
    }
}
