//! Which expressions have the same value at every step.

use crate::ast::Expr;
use crate::function::FunctionKind;
use crate::number_functions;

/// Whether every step has the same value: all selectors are pinned, and nothing looks at the clock.
pub(crate) fn is_invariant(expr: &Expr) -> bool {
    match expr {
        Expr::Matrix(node) => node.selector.at.is_some(),
        Expr::Number(_) | Expr::Text(_) => true,
        Expr::Selector(node) => node.at.is_some(),
        Expr::Subquery(node) => node.at.is_some(),
        Expr::Call(node) => {
            !looks_at_time(node.function.kind, node.args.len())
                && node.args.iter().all(is_invariant)
        }
        Expr::Aggregate(_) | Expr::Binary(_) | Expr::Paren(_) | Expr::Unary(_) => {
            expr.children().into_iter().all(is_invariant)
        }
    }
}

fn looks_at_time(kind: FunctionKind, args: usize) -> bool {
    let date = number_functions::date_part(kind, 0.0).is_some();
    (date && args == 0)
        || matches!(
            kind,
            FunctionKind::Info
                | FunctionKind::PredictLinear
                | FunctionKind::Time
                | FunctionKind::TimestampOf
        )
}
