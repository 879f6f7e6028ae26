//! For any text: no panic. For any expression: what is printed parses to what prints the same.
use proptest::prelude::*;
use watchbell_promql::{ParserOptions, parse};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}") {
        let _ = parse(&text, &ParserOptions::all());
    }

    #[test]
    fn no_heap_of_tokens_makes_the_parser_panic(tokens in prop::collection::vec(token(), 0..25)) {
        let text = tokens.join(" ");
        if let Ok(expr) = parse(&text, &ParserOptions::all()) {
            let printed = expr.to_string();
            let again = parse(&printed, &ParserOptions::all());
            prop_assert!(again.is_ok(), "{} printed as {}: {:?}", text, printed, again);
        }
    }

    #[test]
    fn printing_and_parsing_come_to_rest(expr in vector()) {
        let first = parse(&expr, &ParserOptions::all());
        prop_assert!(first.is_ok(), "{}: {:?}", expr, first);
        let printed = first.unwrap().to_string();
        let second = parse(&printed, &ParserOptions::all());
        prop_assert!(second.is_ok(), "{} printed as {}: {:?}", expr, printed, second);
        prop_assert_eq!(second.unwrap().to_string(), printed);
    }
}

fn token() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "x",
        "sum",
        "by",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "5m",
        "1",
        "0x1F",
        "-",
        "+",
        "*",
        "^",
        "==",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "offset",
        "@",
        "start",
        "end",
        "step",
        "rate",
        "abs",
        "a=\"b\"",
        "a!~\"c|d\"",
        ",",
        ":",
        "and",
        "unless",
        "\"t\"",
        "'q'",
        "anchored",
        "fill",
        "min_of",
        "topk",
        "time()",
        "NaN",
        "1e3",
        "#",
        "\n",
    ])
    .prop_map(str::to_owned)
}

fn selector() -> impl Strategy<Value = String> {
    let matchers = prop::collection::vec(
        (
            "[a-z]{1,3}",
            prop::sample::select(vec!["=", "!=", "=~", "!~"]),
            "[a-z|.\u{e9}\"]{0,4}",
        ),
        0..3,
    );
    let offset = prop::sample::select(vec![
        "",
        " offset 5m",
        " offset -1h",
        " @ 12.5",
        " @ end() offset (step() * 2)",
    ]);
    ("m[a-z:_]{0,5}", matchers, offset).prop_map(|(name, matchers, offset)| {
        let inside: Vec<String> = matchers
            .into_iter()
            .map(|(label, op, value)| format!("{label}{op}`{}`", value.replace('|', ".")))
            .collect();
        format!("{name}{{{}}}{offset}", inside.join(", "))
    })
}

fn vector() -> impl Strategy<Value = String> {
    selector().prop_recursive(5, 40, 3, |inner| {
        let op = prop::sample::select(vec![
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "atan2",
            "==",
            "!=",
            "> bool",
            "and",
            "or",
            "unless",
            "+ on (a)",
            "* ignoring (b) group_left (c)",
            "- fill (1)",
        ]);
        let function = prop::sample::select(vec!["abs", "ceil", "sort", "timestamp", "-", "+", ""]);
        let aggregation = prop::sample::select(vec![
            "sum",
            "avg by (a)",
            "max without (b, c)",
            "topk by (a)",
            "quantile",
            "count_values",
        ]);
        prop_oneof![
            (inner.clone(), op, inner.clone())
                .prop_map(|(left, op, right)| format!("{left} {op} ({right})")),
            (function, inner.clone()).prop_map(|(function, arg)| format!("{function}({arg})")),
            (aggregation, inner.clone()).prop_map(|(aggregation, arg)| {
                let param = match aggregation {
                    "topk by (a)" => "3, ",
                    "quantile" => "0.9, ",
                    "count_values" => "\"v\", ",
                    _ => "",
                };
                format!("{aggregation} ({param}{arg})")
            }),
            (inner.clone(), "[1-9]m")
                .prop_map(|(arg, range)| format!("max_over_time(({arg})[1h:{range}])")),
            (inner, -10.0..10.0)
                .prop_map(|(arg, number): (String, f64)| format!("({arg}) * {number}")),
        ]
    })
}
