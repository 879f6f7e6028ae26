//! A query on several lines, as `/api/v1/format_query` answers it: what is longer than a line is split at its operators
//! and parentheses, and each level stands two spaces to the right.
use promql::Expr;
use promql::ast::{Aggregate, Binary, Call, NumberLiteral, Subquery};

const LINE_CHARS_MAX: usize = 100;
const INDENT: &str = "  ";

pub(crate) fn pretty(expr: &Expr) -> String {
    at_level(expr, 0)
}

fn at_level(expr: &Expr, level: usize) -> String {
    let indent = INDENT.repeat(level);
    let line = expr.to_string();
    let fits = line.len() <= LINE_CHARS_MAX;
    match expr {
        // Prometheus does not indent these.
        Expr::Subquery(_) if fits => line,
        Expr::Subquery(node) => format!("{}{}", at_level(&node.expr, level), range_of(node)),
        Expr::Unary(node) => {
            let sign = if node.negate { "-" } else { "+" };
            format!("{indent}{sign}{}", at_level(&node.expr, level).trim())
        }
        Expr::Matrix(_) | Expr::Number(_) | Expr::Selector(_) | Expr::Text(_) => {
            format!("{indent}{line}")
        }
        Expr::Aggregate(_) | Expr::Binary(_) | Expr::Call(_) | Expr::Paren(_) if fits => {
            format!("{indent}{line}")
        }
        Expr::Aggregate(node) => {
            let param = node.param.as_ref().map_or_else(String::new, |param| {
                format!("{},\n", at_level(param, level + 1))
            });
            format!(
                "{indent}{}(\n{param}{}\n{indent})",
                head_of(node),
                at_level(&node.expr, level + 1)
            )
        }
        Expr::Binary(node) => format!(
            "{}\n{indent}{}\n{}",
            at_level(&node.lhs, level + 1),
            operator_of(node),
            at_level(&node.rhs, level + 1)
        ),
        Expr::Call(node) => call(node, &indent, level),
        Expr::Paren(node) => format!("{indent}(\n{}\n{indent})", at_level(&node.expr, level + 1)),
    }
}

fn call(node: &Call, indent: &str, level: usize) -> String {
    let args: Vec<String> = node
        .args
        .iter()
        .map(|arg| at_level(arg, level + 1))
        .collect();
    format!(
        "{indent}{}(\n{}\n{indent})",
        node.function.name,
        args.join(",\n")
    )
}

/// What stands for an operand where only the rest of the text is wanted.
fn one() -> Box<Expr> {
    Box::new(Expr::Number(NumberLiteral {
        value: 1.0,
        duration: false,
        span: promql::Span::default(),
    }))
}

/// `sum by (a) `
fn head_of(node: &Aggregate) -> String {
    let bare = Expr::Aggregate(Aggregate {
        param: None,
        expr: one(),
        ..node.clone()
    });
    let text = bare.to_string();
    text.strip_suffix("(1)").unwrap_or(&text).to_owned()
}

/// `+ on (a) group_left ()`
fn operator_of(node: &Binary) -> String {
    let bare = Expr::Binary(Binary {
        lhs: one(),
        rhs: one(),
        ..node.clone()
    });
    let text = bare.to_string();
    let operator = text
        .strip_prefix("1 ")
        .and_then(|text| text.strip_suffix(" 1"));
    operator.unwrap_or(&text).to_owned()
}

/// `[5m:1m] offset 1h`
fn range_of(node: &Subquery) -> String {
    let bare = Expr::Subquery(Subquery {
        expr: one(),
        ..node.clone()
    });
    let text = bare.to_string();
    text.strip_prefix('1').unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use promql::{ParserOptions, parse};

    use super::{LINE_CHARS_MAX, pretty};

    #[test]
    fn what_fits_on_a_line_stays_there() {
        let expr = |text: &str| parse(text, &ParserOptions::default()).unwrap();
        assert_eq!(pretty(&expr("sum  by(a)(x)")), "sum by (a) (x)");
        let name = "x".repeat(LINE_CHARS_MAX - 5);
        assert_eq!(
            pretty(&expr(&format!("sum({name})"))),
            format!("sum({name})")
        );
        assert_eq!(
            pretty(&expr(&format!("sum({name}x)"))),
            format!("sum(\n  {name}x\n)")
        );
    }

    #[test]
    fn longer_ones_are_split_where_prometheus_splits_them() {
        let long = "x".repeat(60);
        let text = format!(
            "topk by (job) (5, rate({long}{{a=\"b\"}}[5m]) / on (job) group_left () -({long} offset 5m))"
        );
        let expr = parse(&text, &ParserOptions::default()).unwrap();
        assert_eq!(
            pretty(&expr),
            format!(
                "topk by (job) (\n  5,\n    rate({long}{{a=\"b\"}}[5m])\n  / on (job) group_left ()\n    -({long} offset 5m)\n)"
            )
        );
        let text = format!("max_over_time(({long} + {long})[1h:5m] offset 1d)");
        let expr = parse(&text, &ParserOptions::default()).unwrap();
        assert_eq!(
            pretty(&expr),
            format!(
                "max_over_time(\n  (\n      {long}\n    +\n      {long}\n  )[1h:5m] offset 1d\n)"
            )
        );
        let again = parse(&pretty(&expr), &ParserOptions::default()).unwrap();
        assert_eq!(again.to_string(), expr.to_string());
    }
}
