//! What stands for a vector that is not there.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a match names the kinds of expression that it is about"
)]

use model::{LabelsBuilder, METRIC_NAME, MatchOp, Matcher};

use crate::ast::Expr;
use crate::table::Table;

/// One, without a name, at the steps where nothing is; its labels are those that the selector demands.
pub(crate) fn absent(selected: &Expr, present: &[bool]) -> Table {
    let mut table = Table::new(present.len());
    let matchers: &[Matcher] = match selected.unwrapped() {
        Expr::Matrix(node) => &node.selector.matchers,
        Expr::Selector(node) => &node.matchers,
        _ => &[],
    };
    let mut builder = LabelsBuilder::default();
    let mut demanded: Vec<&str> = Vec::new();
    for matcher in matchers
        .iter()
        .filter(|matcher| matcher.name() != METRIC_NAME)
    {
        if matcher.op() == MatchOp::Equal && !demanded.contains(&matcher.name()) {
            builder.set(matcher.name(), matcher.value());
            demanded.push(matcher.name());
        } else {
            builder.remove(matcher.name());
        }
    }
    table.add_row(builder.build(), false);
    for (step, present) in present.iter().enumerate() {
        if !present {
            table.set(0, step, 1.0);
        }
    }
    table.prune();
    table
}
