//! What parses prints in canonical form; what does not is refused with Prometheus' words and place.
use watchbell_promql::{DEPTH_MAX, HEIGHT_MAX, ParserOptions, parse};

#[test]
fn prints_in_canonical_form() {
    for (text, printed) in [
        ("1+1", "1 + 1"),
        ("-2^2", "-2 ^ 2"),
        ("2 ^ -1*3", "2 ^ -1 * 3"),
        ("- - -x", "---x"),
        ("+inf", "+Inf"),
        ("NaN", "NaN"),
        ("1_000 + 0x1F + 010", "1000 + 31 + 8"),
        ("5m", "5m"),
        ("x[300]", "x[5m]"),
        ("x[1003ms]", "x[1s3ms]"),
        ("x[60*30]", "x[60 * 30]"),
        ("x[30m1s-30m1s % 1m]", "x[30m1s - 30m1s % 1m]"),
        ("x[5m:]", "x[5m:]"),
        (
            "rate(x[5m])[1h:1m] @ end() offset 1d",
            "rate(x[5m])[1h:1m] @ end() offset 1d",
        ),
        ("x[5m] offset 1m @ 100", "x[5m] @ 100.000 offset 1m"),
        ("x @ -5 offset -1w", "x @ -5.000 offset -1w"),
        ("x offset (100+2)", "x offset (100 + 2)"),
        (
            "x offset -min_of(step(), 1s)^0",
            "x offset -min_of(step(), 1s) ^ 0",
        ),
        ("x[5m] anchored @ start()", "x[5m] anchored @ start()"),
        (r#"x{c!="d",a='b'}"#, r#"x{a="b",c!="d"}"#),
        (
            r#"{"a.b", "c d"=~"e|f"}"#,
            r#"{"c d"=~"e|f",__name__="a.b"}"#,
        ),
        (r#"{__name__="x"}"#, r#"{__name__="x"}"#),
        ("up{}", "up"),
        ("sum(x) by (a, b,)", "sum by (a, b) (x)"),
        ("SUM BY () (x)", "sum(x)"),
        ("avg without () (x)", "avg without () (x)"),
        ("topk(3, x)", "topk(3, x)"),
        (
            "count_values by (a) (\"v\", x)",
            "count_values by (a) (\"v\", x)",
        ),
        ("a AND ON (x) b", "a and on (x) b"),
        ("a * on(x) group_left(y) b", "a * on (x) group_left (y) b"),
        ("a == bool ignoring(x) b", "a == bool ignoring (x) b"),
        ("a + fill(0) b", "a + fill (0) b"),
        (
            "a + fill_left(1) fill_right(-2) b",
            "a + fill_left (1) fill_right (-2) b",
        ),
        ("a </ 1 >/ 2", "a </ 1 >/ 2"),
        ("a + b * c or d unless e", "a + b * c or d unless e"),
        ("sum", "sum"),
        ("offset + by + and", "offset + by + and"),
        ("start{end=\"x\"}", "start{end=\"x\"}"),
        ("x # the rest is silence\n + 1", "x + 1"),
        (r#""a\n\x41\101\u00e9" "#, r#""a\nAAé""#),
        ("`a\\n`", r#""a\\n""#),
        ("time() - 1", "time() - 1"),
        ("min_of(1,2)", "min_of(1, 2)"),
    ] {
        let expr =
            parse(text, &ParserOptions::all()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expr.to_string(), printed, "{text}");
    }
}

#[test]
fn refuses_with_prometheus_words() {
    let mut wrong = Vec::new();
    for (text, error) in [
        (
            "",
            "unknown position: parse error: no expression found in input",
        ),
        (
            "  # nothing",
            "1:1: parse error: no expression found in input",
        ),
        ("1 +", "1:4: parse error: unexpected end of input"),
        (
            "x\n  + )",
            "2:6: parse error: unexpected right parenthesis ')'",
        ),
        ("(1", "1:3: parse error: unclosed left parenthesis"),
        (
            "foo[5m",
            "1:7: parse error: unexpected end of input in duration expression",
        ),
        (
            "foo{a=\"b\"",
            "1:10: parse error: unexpected end of input inside braces",
        ),
        ("foo]", "1:4: parse error: unexpected right bracket ']'"),
        ("foo{{", "1:5: parse error: unexpected left brace '{'"),
        ("x ~ 1", "1:3: parse error: unexpected character: '~'"),
        (
            "x ! 1",
            "1:3: parse error: unexpected character after '!': ' '",
        ),
        (
            "x{a;}",
            "1:4: parse error: unexpected character inside braces: ';'",
        ),
        ("\"a", "1:1: parse error: unterminated quoted string"),
        ("`a", "1:1: parse error: unterminated raw string"),
        (
            r#""\x""#,
            "1:1: parse error: illegal character U+0022 '\"' in escape sequence",
        ),
        (
            r#""\q""#,
            "1:1: parse error: unknown escape sequence U+0071 'q'",
        ),
        (
            "foo[5mm]",
            "1:5: parse error: bad number or duration syntax: \"5mm\"",
        ),
        (
            "1__0",
            "1:1: parse error: bad number or duration syntax: \"1__\"",
        ),
        (
            "foo[]",
            "1:5: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        (
            "foo[5m 1m]",
            "1:8: parse error: unexpected duration \"1m\" in subquery or range, expected \":\" or \"]\"",
        ),
        (
            "foo[5m:1m 1m]",
            "1:11: parse error: unexpected duration \"1m\" in subquery selector, expected \"]\"",
        ),
        (
            "foo[0]",
            "1:5: parse error: duration must be greater than 0",
        ),
        (
            "foo[99999999999]",
            "1:5: parse error: duration out of range",
        ),
        ("foo[1/0]", "1:6: parse error: division by zero"),
        ("foo[1%0]", "1:6: parse error: modulo by zero"),
        (
            "foo offset",
            "1:11: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
        ),
        (
            "foo @ x",
            "1:7: parse error: unexpected identifier \"x\" in @, expected timestamp",
        ),
        (
            "foo @ Inf",
            "1:1: parse error: timestamp out of bounds for @ modifier: +Inf",
        ),
        (
            "foo offset 5m [5m]",
            "1:15: parse error: no offset modifiers allowed before range",
        ),
        (
            "foo @ 1 [5m]",
            "1:9: parse error: no @ modifiers allowed before range",
        ),
        (
            "sum(x)[5m]",
            "1:7: parse error: ranges only allowed for vector selectors",
        ),
        (
            "foo offset 1m offset 2m",
            "1:1: parse error: offset may not be set multiple times",
        ),
        (
            "foo @ 1 @ 2",
            "1:1: parse error: @ <timestamp> may not be set multiple times",
        ),
        (
            "1 offset 5m",
            "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        (
            "foo anchored smoothed",
            "1:1: parse error: anchored and smoothed modifiers cannot be used together",
        ),
        (
            "foo[5m:] anchored",
            "1:1: parse error: anchored modifier is not supported for subqueries",
        ),
        (
            "foo{a}",
            "1:6: parse error: unexpected \"}\" in label matching, expected label matching operator",
        ),
        (
            "foo{a==\"b\"}",
            "1:7: parse error: unexpected \"=\" in label matching, expected string",
        ),
        (
            "foo{,}",
            "1:5: parse error: unexpected \",\" in label matching, expected identifier or \"}\"",
        ),
        (
            "x{a=\"b\" c=\"d\"}",
            "1:9: parse error: unexpected identifier \"c\" in label matching, expected \",\" or \"}\"",
        ),
        (
            "foo{a=~\"(\"}",
            "1:5: parse error: error parsing regexp: missing closing ): `^(?s:()$`",
        ),
        (
            "foo{__name__=\"a\"}",
            "1:1: parse error: metric name must not be set twice: \"foo\" or \"a\"",
        ),
        (
            r#"{"a","b"}"#,
            "1:1: parse error: metric name must not be set twice: \"a\" or \"b\"",
        ),
        (
            "{}",
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        (
            "{a=~\".*\"}",
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        (
            "sum without(==)(x)",
            "1:13: parse error: unexpected <op:==> in grouping opts, expected label",
        ),
        (
            "sum by a (x)",
            "1:8: parse error: unexpected identifier \"a\" in grouping opts, expected \"(\"",
        ),
        (
            "sum by (a b) (x)",
            "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
        ),
        (
            "sum by (a) x",
            "1:12: parse error: unexpected identifier \"x\" in aggregation",
        ),
        ("sum(x) by (a) by (b)", "1:15: parse error: unexpected <by>"),
        (
            "sum some_metric",
            "1:5: parse error: unexpected identifier \"some_metric\"",
        ),
        (
            "sum()",
            "1:1: parse error: no arguments for aggregate expression provided",
        ),
        (
            "topk(x)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        (
            "topk(\"a\", x)",
            "1:6: parse error: expected type scalar in aggregation parameter, got string",
        ),
        ("f(1)", "1:1: parse error: unknown function with name \"f\""),
        (
            "rate(1,)",
            "1:7: parse error: trailing commas not allowed in function call args",
        ),
        (
            "rate(foo)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        (
            "rate()",
            "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 0",
        ),
        (
            "round()",
            "1:1: parse error: expected at least 1 argument(s) in call to \"round\", got 0",
        ),
        (
            "round(x,1,2)",
            "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3",
        ),
        (
            "1 == 1",
            "1:3: parse error: comparisons between scalars must use BOOL modifier",
        ),
        (
            "1 + bool 1",
            "1:3: parse error: bool modifier can only be used on comparison operators",
        ),
        (
            "1 and 1",
            "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
        ),
        (
            "x + on(a) 1",
            "1:1: parse error: vector matching only allowed between instant vectors",
        ),
        (
            "x and on(a) group_left y",
            "1:1: parse error: no grouping allowed for \"and\" operation",
        ),
        (
            "x + on(a) group_left(a) y",
            "1:3: parse error: label \"a\" must not occur in ON and GROUP clause at once",
        ),
        (
            "x or fill(1) y",
            "1:1: parse error: filling in missing series not allowed for set operators",
        ),
        (
            "x + fill(1) 2",
            "1:1: parse error: filling in missing series only allowed between instant vectors",
        ),
        (
            "'a' + 1",
            "1:1: parse error: binary expression must contain only scalar and instant vector types",
        ),
        (
            "-x[5m]",
            "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"",
        ),
        (
            "1[5m:]",
            "1:1: parse error: subquery is only allowed on instant vector, got scalar instead",
        ),
        (
            "info(x, y)",
            "1:9: parse error: expected label selectors only, got vector selector instead",
        ),
        (
            "x 12345678901",
            "1:3: parse error: unexpected number \"1234567890\"...",
        ),
    ] {
        let found = parse(text, &ParserOptions::all())
            .map_or_else(|error| error.to_string(), |expr| expr.to_string());
        if found != error {
            wrong.push(format!(
                "{text}
  wanted {error}
  got    {found}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}",
        wrong.join(
            "
"
        )
    );
}

#[test]
fn a_server_without_flags_refuses_what_is_experimental() {
    for (text, error) in [
        (
            "mad_over_time(x[5m])",
            "1:1: parse error: function \"mad_over_time\" is not enabled",
        ),
        (
            "limitk(1, x)",
            "1:1: parse error: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
        ),
        (
            "x[5m] anchored",
            "1:1: parse error: anchored modifier is experimental and not enabled",
        ),
        (
            "x + fill(1) y",
            "1:5: parse error: binop fill modifiers are experimental and not enabled",
        ),
    ] {
        let error_found = parse(text, &ParserOptions::default()).unwrap_err();
        assert_eq!(error_found.to_string(), error);
    }
    for text in [
        "x[5m * 2]",
        "x offset step()",
        "x @ end()",
        "x offset -5m",
        "a </ 1",
    ] {
        assert!(parse(text, &ParserOptions::default()).is_ok(), "{text}");
    }
}

#[test]
fn too_deep_is_an_error_and_no_crash() {
    let deep = 100_000;
    let texts = [
        "(".repeat(deep) + "1" + &")".repeat(deep),
        "-".repeat(deep) + "1",
        "-".repeat(deep) + "x",
        "1".to_owned() + &"+1".repeat(deep),
        "1".to_owned() + &"^1".repeat(deep),
        "abs(".repeat(deep),
        "sum by (a) (".repeat(deep),
        "x".to_owned() + &"[5m:]".repeat(deep),
        format!("x[{}1{}]", "(".repeat(deep), ")".repeat(deep)),
        format!("x[1{}]", "+1".repeat(deep)),
        format!("x[{}1]", "-".repeat(deep)),
    ];
    for text in texts {
        let error = parse(&text, &ParserOptions::all()).unwrap_err();
        let deep = format!("expression is nested more than {DEPTH_MAX} levels deep");
        let high = format!("expression is more than {HEIGHT_MAX} levels high");
        assert!([deep, high].contains(&error.message), "{error}");
    }
    // As high as it may be it still fits into a small stack.
    let chain = "x".to_owned() + &" or x".repeat(HEIGHT_MAX - 2);
    let worker = std::thread::Builder::new().stack_size(1024 * 1024);
    let printed = worker
        .spawn(move || {
            parse(&chain, &ParserOptions::all())
                .unwrap()
                .to_string()
                .len()
        })
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(printed, 1 + 5 * (HEIGHT_MAX - 2));
}
