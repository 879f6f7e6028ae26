//! A query's tree as `/api/v1/parse_query` answers it. Members stand in the order of the alphabet, durations are in
//! milliseconds; those that are computed when the query runs are 0, with their expression beside.
use model::{Matcher, go_number};
use promql::ast::{
    AtModifier, Boundary, Cardinality, DurationExpr, DurationKind, DurationValue, VectorMatching,
    VectorSelector,
};
use promql::function::{Arity, Function};
use promql::{Expr, ValueType};
use serde_json::{Map, Value, json};

pub(crate) fn tree(expr: &Expr) -> Value {
    match expr {
        Expr::Aggregate(node) => json!({
            "expr": tree(&node.expr),
            "grouping": node.grouping,
            "op": node.op.as_str(),
            "param": node.param.as_deref().map(tree),
            "type": "aggregation",
            "without": node.without,
        }),
        Expr::Binary(node) => json!({
            "bool": node.return_bool,
            "lhs": tree(&node.lhs),
            "matching": node.matching.as_ref().map(matching),
            "op": node.op.as_str(),
            "rhs": tree(&node.rhs),
            "type": "binaryExpr",
        }),
        Expr::Call(node) => json!({
            "args": node.args.iter().map(tree).collect::<Vec<_>>(),
            "func": function(node.function),
            "type": "call",
        }),
        Expr::Matrix(node) => {
            let mut members = selector(&node.selector);
            members.insert("range".to_owned(), millis(Some(&node.range)));
            members.insert("rangeExpr".to_owned(), duration_expr(Some(&node.range)));
            members.insert("type".to_owned(), "matrixSelector".into());
            sorted(members)
        }
        Expr::Number(node) => number(node.value),
        Expr::Paren(node) => json!({"expr": tree(&node.expr), "type": "parenExpr"}),
        Expr::Selector(node) => {
            let mut members = selector(node);
            members.insert("type".to_owned(), "vectorSelector".into());
            sorted(members)
        }
        Expr::Subquery(node) => {
            let (timestamp, start_or_end) = at(node.at);
            json!({
                "expr": tree(&node.expr),
                "offset": millis(node.offset.as_ref()),
                "offsetExpr": duration_expr(node.offset.as_ref()),
                "range": millis(Some(&node.range)),
                "rangeExpr": duration_expr(Some(&node.range)),
                "startOrEnd": start_or_end,
                "step": millis(node.step.as_ref()),
                "stepExpr": duration_expr(node.step.as_ref()),
                "timestamp": timestamp,
                "type": "subquery",
            })
        }
        Expr::Text(node) => json!({"type": "stringLiteral", "val": node.value}),
        Expr::Unary(node) => json!({
            "expr": tree(&node.expr),
            "op": if node.negate { "-" } else { "+" },
            "type": "unaryExpr",
        }),
    }
}

fn number(value: f64) -> Value {
    json!({"type": "numberLiteral", "val": go_number::format_f(value)})
}

fn matching(matching: &VectorMatching) -> Value {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "fillValues": {"lhs": matching.fill.left, "rhs": matching.fill.right},
        "include": matching.include,
        "labels": matching.labels,
        "on": matching.on,
    })
}

fn function(function: &Function) -> Value {
    let variadic = match function.arity {
        Arity::Exact => 0,
        Arity::Optional => 1,
        Arity::Repeated => -1,
        Arity::UpTo(count) => i64::try_from(count).unwrap_or(i64::MAX),
    };
    let arg_types: Vec<&str> = function.args.iter().map(|arg| arg.wire_name()).collect();
    json!({
        "argTypes": arg_types,
        "name": function.name,
        "returnType": ValueType::wire_name(function.returns),
        "variadic": variadic,
    })
}

fn selector(selector: &VectorSelector) -> Map<String, Value> {
    let (timestamp, start_or_end) = at(selector.at);
    let matchers: Vec<Value> = selector.matchers.iter().map(matcher).collect();
    let members = [
        (
            "anchored",
            Value::from(selector.boundary == Boundary::Anchored),
        ),
        ("matchers", matchers.into()),
        ("name", selector.name.as_deref().unwrap_or_default().into()),
        ("offset", millis(selector.offset.as_ref())),
        ("offsetExpr", duration_expr(selector.offset.as_ref())),
        ("smoothed", (selector.boundary == Boundary::Smoothed).into()),
        ("startOrEnd", start_or_end),
        ("timestamp", timestamp),
    ];
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn matcher(matcher: &Matcher) -> Value {
    json!({"name": matcher.name(), "type": matcher.op().as_str(), "value": matcher.value()})
}

/// Time and word of an `@`.
fn at(at: Option<AtModifier>) -> (Value, Value) {
    match at {
        None => (Value::Null, Value::Null),
        Some(AtModifier::End) => (Value::Null, "end".into()),
        Some(AtModifier::Start) => (Value::Null, "start".into()),
        Some(AtModifier::Time(time)) => (time.as_millis().into(), Value::Null),
    }
}

fn millis(duration: Option<&DurationValue>) -> Value {
    match duration {
        Some(DurationValue::Millis(millis)) => (*millis).into(),
        Some(DurationValue::Computed(_)) | None => 0.into(),
    }
}

fn duration_expr(duration: Option<&DurationValue>) -> Value {
    match duration {
        Some(DurationValue::Computed(expr)) => duration_tree(expr),
        Some(DurationValue::Millis(_)) | None => Value::Null,
    }
}

fn duration_tree(expr: &DurationExpr) -> Value {
    let (op, lhs, rhs) = match &expr.kind {
        DurationKind::Binary(op, lhs, rhs) => (op.as_str(), Some(lhs), Some(rhs)),
        DurationKind::MaxOf(lhs, rhs) => ("max_of", Some(lhs), Some(rhs)),
        DurationKind::MinOf(lhs, rhs) => ("min_of", Some(lhs), Some(rhs)),
        DurationKind::Negate(rhs) => ("-", None, Some(rhs)),
        DurationKind::Number(literal) => {
            return json!({
                "duration": literal.duration,
                "type": "numberLiteral",
                "val": go_number::format_f(literal.value),
            });
        }
        DurationKind::Plus(rhs) => ("+", None, Some(rhs)),
        DurationKind::Range => ("range", None, None),
        DurationKind::Step => ("step", None, None),
    };
    json!({
        "lhs": lhs.map(|lhs| duration_tree(lhs)),
        "op": op,
        "rhs": rhs.map(|rhs| duration_tree(rhs)),
        "type": "durationExpr",
        "wrapped": expr.wrapped,
    })
}

/// Whichever way the map keeps its members.
fn sorted(members: Map<String, Value>) -> Value {
    let members: std::collections::BTreeMap<String, Value> = members.into_iter().collect();
    Value::Object(members.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use model::go_json;
    use promql::{ParserOptions, parse};

    use super::tree;

    #[test]
    fn trees_are_those_of_prometheus() {
        let up = r#"{"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"up"}],"name":"up","offset":0,"offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"}"#;
        let number = |text: &str| format!(r#"{{"type":"numberLiteral","val":"{text}"}}"#);
        for (query, expected) in [
            ("1e3", number("1000")),
            ("-Inf", number("-Inf")),
            ("-up", format!(r#"{{"expr":{up},"op":"-","type":"unaryExpr"}}"#)),
            ("\"a<b\"", r#"{"type":"stringLiteral","val":"a\u003cb"}"#.to_owned()),
            ("(up)", format!(r#"{{"expr":{up},"type":"parenExpr"}}"#)),
            (
                "topk by (a) (5, up)",
                format!(
                    r#"{{"expr":{up},"grouping":["a"],"op":"topk","param":{},"type":"aggregation","without":false}}"#,
                    number("5")
                ),
            ),
            (
                "up > bool 1",
                format!(
                    r#"{{"bool":true,"lhs":{up},"matching":null,"op":"\u003e","rhs":{},"type":"binaryExpr"}}"#,
                    number("1")
                ),
            ),
            (
                "up * on (a) group_left (b) up",
                format!(
                    r#"{{"bool":false,"lhs":{up},"matching":{{"card":"many-to-one","fillValues":{{"lhs":null,"rhs":null}},"include":["b"],"labels":["a"],"on":true}},"op":"*","rhs":{up},"type":"binaryExpr"}}"#
                ),
            ),
            (
                "round(up)",
                format!(
                    r#"{{"args":[{up}],"func":{{"argTypes":["vector","scalar"],"name":"round","returnType":"vector","variadic":1}},"type":"call"}}"#
                ),
            ),
            (
                r#"x{a!~"b"}[5m] @ 1.5 offset -1m"#,
                r#"{"anchored":false,"matchers":[{"name":"a","type":"!~","value":"b"},{"name":"__name__","type":"=","value":"x"}],"name":"x","offset":-60000,"offsetExpr":null,"range":300000,"rangeExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":1500,"type":"matrixSelector"}"#.to_owned(),
            ),
            (
                "up[1h:step() * 2] @ end()",
                format!(
                    r#"{{"expr":{up},"offset":0,"offsetExpr":null,"range":3600000,"rangeExpr":null,"startOrEnd":"end","step":0,"stepExpr":{{"lhs":{{"lhs":null,"op":"step","rhs":null,"type":"durationExpr","wrapped":false}},"op":"*","rhs":{{"duration":false,"type":"numberLiteral","val":"2"}},"type":"durationExpr","wrapped":false}},"timestamp":null,"type":"subquery"}}"#
                ),
            ),
        ] {
            let expr = parse(query, &ParserOptions::default()).unwrap();
            let json = go_json::to_string(&tree(&expr)).unwrap();
            assert_eq!(json, expected, "{query}");
        }
    }
}
