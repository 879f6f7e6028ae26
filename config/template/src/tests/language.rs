//! The language, the functions and their errors.
use crate::set::{Mode, TemplateSet};
use crate::tests::world::{alertmanager, prometheus, prometheus_value};

fn check(render: fn(&str) -> Result<String, String>, rows: &[(&str, &str)]) {
    for (template, text) in rows {
        assert_eq!(render(template).as_deref(), Ok(*text), "{template}");
    }
}

fn refuse(render: fn(&str) -> Result<String, String>, rows: &[(&str, &str)]) {
    for (template, error) in rows {
        assert_eq!(
            render(template).map_err(|error| error.to_string()),
            Err((*error).to_owned()),
            "{template}"
        );
    }
}

#[test]
fn text_actions_comments_and_trimming() {
    check(
        alertmanager,
        &[
            ("", ""),
            ("plain }} text", "plain }} text"),
            ("a {{/* not shown */}} b", "a  b"),
            ("a {{- /* not shown */ -}} b", "ab"),
            ("a {{- 1 -}} b", "a1b"),
            ("a\n\t{{- 1 }} b", "a1 b"),
            ("{{-3}}", "-3"),
            ("{{\n\"x\"\n}}", "x"),
            ("{{define \"x\"}}X{{.}}{{end}}{{template \"x\" 7}}", "X7"),
            ("{{block \"b\" 3}}[{{.}}]{{end}}", "[3]"),
            ("{{define \"x\"}}{{end}}{{template \"x\"}}", ""),
        ],
    );
}

#[test]
fn control() {
    check(
        alertmanager,
        &[
            ("{{if true}}a{{else}}b{{end}}", "a"),
            (
                "{{if 0}}a{{else if \"\"}}b{{else if 1}}c{{else}}d{{end}}",
                "c",
            ),
            ("{{with 7}}{{.}}{{end}}", "7"),
            (
                "{{with \"\"}}a{{else with \"x\"}}{{.}}{{else}}d{{end}}",
                "x",
            ),
            ("{{with 0}}a{{else}}{{.Status}}{{end}}", "firing"),
            ("{{range list 1 2}}<{{.}}>{{end}}", "<1><2>"),
            (
                "{{range $i, $e := list \"a\" \"b\"}}{{$i}}{{$e}} {{end}}",
                "0a 1b ",
            ),
            ("{{range $e := list 4 5}}{{$e}}{{end}}", "45"),
            (
                "{{range $k, $v := dict \"b\" 2 \"a\" 1}}{{$k}}={{$v}},{{end}}",
                "a=1,b=2,",
            ),
            ("{{range 3}}{{.}}{{end}}", "012"),
            ("{{range list}}a{{else}}none{{end}}", "none"),
            ("{{range or nil}}a{{else}}none{{end}}", "none"),
            (
                "{{range 9}}{{if eq . 1}}{{continue}}{{end}}{{if eq . 4}}{{break}}{{end}}{{.}}{{end}}",
                "023",
            ),
            (
                "{{$x := 1}}{{if true}}{{$x = 2}}{{$x := 3}}{{end}}{{$x}}",
                "2",
            ),
            ("{{$x := 0}}{{range 4}}{{$x = .}}{{end}}{{$x}}", "3"),
            ("{{$i := 9}}{{range $i = list 1 2}}{{end}}{{$i}}", "2"),
            ("{{range $a := list 1}}{{$.Status}}{{end}}", "firing"),
            ("{{if $n := 3}}{{$n}}{{end}}", "3"),
        ],
    );
}

#[test]
fn pipelines_fields_and_methods() {
    check(
        alertmanager,
        &[
            ("{{1 | printf \"%d-%d\" 2}}", "2-1"),
            ("{{(index .Alerts 0).Annotations.summary}}", "A is down"),
            ("{{.Alerts.Firing | len}}{{len .Alerts.Resolved}}", "11"),
            ("{{.CommonLabels.SortedPairs.Values}}", "[Down critical]"),
            ("{{.CommonLabels.Names | join \",\"}}", "alertname,severity"),
            ("{{.CommonLabels.Values.Join \"/\"}}", "Down/critical"),
            (
                "{{(.CommonLabels.Remove .GroupLabels.Names).Names}}",
                "[severity]",
            ),
            (
                "{{.CommonLabels.Remove (stringSlice \"severity\")}}",
                "alertname=Down",
            ),
            ("{{.CommonLabels}}", "alertname=Down, severity=critical"),
            ("{{.CommonLabels.nothing}}|{{.CommonAnnotations.x}}", "|"),
            ("{{(dict).nothing}}", "<no value>"),
            (
                "{{range .CommonLabels.SortedPairs}}{{.Name}}:{{.Value}} {{end}}",
                "alertname:Down severity:critical ",
            ),
            (
                "{{(index .Alerts 0).StartsAt}}",
                "2026-01-02 03:04:05 +0000 UTC",
            ),
            (
                "{{(index .Alerts 0).StartsAt.Format \"Jan 2, 2006 at 3:04pm (MST)\"}}",
                "Jan 2, 2026 at 3:04am (UTC)",
            ),
            ("{{(index .Alerts 0).StartsAt.Unix}}", "1767323045"),
            ("{{(index .Alerts 0).EndsAt.IsZero}}", "true"),
            (
                "{{(index .Alerts 0).EndsAt}}",
                "0001-01-01 00:00:00 +0000 UTC",
            ),
            ("{{now.Sub (index .Alerts 0).StartsAt}}", "1h0m0s"),
            ("{{(now.Sub (index .Alerts 0).StartsAt).Minutes}}", "60"),
            (
                "{{with $a := index .Alerts 0}}{{$a.Labels.instance}}{{end}}",
                "a:1",
            ),
            ("{{.Receiver}}", "team-X"),
            ("{{.NotificationReason}}", "first notification"),
            ("{{.RouteLabels}}{{.RouteLabels.x}}", ""),
        ],
    );
}

#[test]
fn literals() {
    check(
        alertmanager,
        &[
            (
                "{{0x10}} {{0b11}} {{0o17}} {{017}} {{1_000}} {{-5}}",
                "16 3 15 15 1000 -5",
            ),
            (
                "{{1.5}} {{1e3}} {{1e21}} {{.5}} {{2.0}}",
                "1.5 1000 1e+21 0.5 2",
            ),
            ("{{'a'}} {{'\\n'}} {{'\\u00e9'}}", "97 10 233"),
            (
                "{{\"a\\tb\\\"\\x41\\u00e9\"}} {{`raw\\n`}}",
                "a\tb\"Aé raw\\n",
            ),
            ("{{true}} {{print nil}} {{eq nil nil}}", "true <nil> true"),
        ],
    );
}

#[test]
fn builtins() {
    check(
        alertmanager,
        &[
            ("{{and 1 0 2}} {{or 0 \"\" 3 4}} {{not 1}}", "0 3 false"),
            ("{{and false (index (list) 5)}}", "false"),
            ("{{or 1 (index (list) 5)}}", "1"),
            (
                "{{eq 1 2 1}} {{ne \"a\" \"b\"}} {{lt 1 2}} {{le 2.0 2.0}} {{gt \"b\" \"a\"}} {{ge 1 2}}",
                "true true true true true false",
            ),
            (
                "{{len \"héé\"}} {{len (list 1 2)}} {{len .CommonLabels}}",
                "5 2 2",
            ),
            (
                "{{index (list \"a\" \"b\") 1}} {{index (dict \"k\" (list 7)) \"k\" 0}} {{index .CommonLabels \"x\"}}|",
                "b 7 |",
            ),
            (
                "{{slice \"abcdef\" 1 3}} {{slice (list 1 2 3) 1}}",
                "bc [2 3]",
            ),
            (
                "{{print 1 2 \"a\" 3 4.5}} {{println \"a\" 1}}",
                "1 2a3 4.5 a 1\n",
            ),
            (
                "{{html \"<a&'\\\">\"}} {{js \"it's <b>\"}} {{urlquery \"a b&c\"}}",
                "&lt;a&amp;&#39;&#34;&gt; it\\'s \\u003Cb\\u003E a+b%26c",
            ),
        ],
    );
}

#[test]
fn printf() {
    check(
        alertmanager,
        &[
            (
                "{{printf \"%d|%5d|%-5d|%05d|%+d|% d\" 1 2 3 4 5 6}}",
                "1|    2|3    |00004|+5| 6",
            ),
            (
                "{{printf \"%x %X %o %b %#x %c %q %U\" 255 255 8 5 255 65 65 233}}",
                "ff FF 10 101 0xff A 'A' U+00E9",
            ),
            (
                "{{printf \"%s|%5s|%-5s|%.2s|%q|%x\" \"a\" \"b\" \"c\" \"def\" \"g\\\"\" \"hi\"}}",
                "a|    b|c    |de|\"g\\\"\"|6869",
            ),
            ("{{printf \"%v %+v %T %t\" 1 2 3 true}}", "1 2 int true"),
            (
                "{{printf \"%.2f|%8.3f|%-8.1f|%08.2f|%e|%g|%.3g|%G\" 3.14159 3.14159 3.14159 -3.14159 1234567.0 1e21 1234.5678 1e-7}}",
                "3.14|   3.142|3.1     |-0003.14|1.234567e+06|1e+21|1.23e+03|1E-07",
            ),
            (
                "{{printf \"%d\" 1.5}} {{printf \"%s\" 1}} {{printf \"%d\" \"x\"}}",
                "%!d(float64=1.5) %!s(int=1) %!d(string=x)",
            ),
            (
                "{{printf \"%d %d\" 1}} {{printf \"%d\" 1 2 \"x\"}} {{printf \"%\"}} {{printf \"%z\" 1}}",
                "1 %!d(MISSING) 1%!(EXTRA int=2, string=x) %!(NOVERB) %!z(int=1)",
            ),
            (
                "{{printf \"%[2]d %[1]d\" 1 2}} {{printf \"%[5]d\" 1}} {{printf \"%*d\" 4 7}} {{printf \"100%%\"}}",
                "2 1 %!d(BADINDEX)    7 100%",
            ),
            (
                "{{printf \"%v %s %d\" (list 1 \"a\") (stringSlice \"x\" \"y\") (list 1 2)}}",
                "[1 a] [x y] [1 2]",
            ),
            ("{{printf \"%v %d\" nil nil}}", "<nil> %!d(<nil>)"),
            (
                "{{printf \"%s\" .CommonLabels}} {{printf \"%T\" .CommonLabels}}",
                "alertname=Down, severity=critical template.KV",
            ),
            (
                "{{printf \"%6.2f%%\" 12.345}} {{printf \"%q\" (stringSlice \"a\")}}",
                " 12.35% [\"a\"]",
            ),
        ],
    );
}

#[test]
fn alertmanager_functions() {
    check(
        alertmanager,
        &[
            (
                "{{\"abc\" | title}} {{title \"HELLO don't foo_bar\"}}",
                "Abc Hello Don't Foo_bar",
            ),
            ("{{\" a b c \" | trimSpace}}", "a b c"),
            (
                "{{match \"^a\" \"abc\"}} {{reReplaceAll \"ab\" \"AB\" \"abcdabcda\"}}",
                "true ABcdABcda",
            ),
            ("{{reReplaceAll \"(a)(b)\" \"$2${1}\" \"ab\"}}", "ba"),
            (
                "{{\"search?q=test%20foo\" | urlUnescape}}",
                "search?q=test foo",
            ),
            (
                "{{humanizeDuration 1234567}} {{humanizeDuration \"60.5\"}} {{humanizeDuration (now.Sub now)}}",
                "14d 6h 56m 7s 1m 0s 0s",
            ),
            (
                "{{(index .Alerts 0).StartsAt | date \"2006-01-02\"}}",
                "2026-01-02",
            ),
            (
                "{{(toDate \"2006-01-02 15:04:05\" \"2024-01-01 08:15:30\") | tz \"Europe/Paris\"}}",
                "2024-01-01 09:15:30 +0100 CET",
            ),
            (
                "{{toDate \"2006-01-02\" \"not-a-date\" | date \"2006\"}}",
                "0001",
            ),
            (
                "{{mustToDate \"Jan _2 06 3:04PM\" \"Feb  3 24 1:05PM\"}}",
                "2024-02-03 13:05:00 +0000 UTC",
            ),
            (
                "{{42 | toJson}} {{list 1 \"<a>\" nil true 1.5 | toJson}} {{dict \"b\" 1 \"a\" (list) | toJson}} {{.CommonLabels | toJson}}",
                "42 [1,\"\\u003ca\\u003e\",null,true,1.5] {\"a\":[],\"b\":1} {\"alertname\":\"Down\",\"severity\":\"critical\"}",
            ),
            (
                "{{(index .Alerts 0) | toJson}}",
                "{\"status\":\"firing\",\"labels\":{\"alertname\":\"Down\",\"instance\":\"a:1\",\"severity\":\"critical\"},\"annotations\":{\"summary\":\"A is down\"},\"startsAt\":\"2026-01-02T03:04:05Z\",\"endsAt\":\"0001-01-01T00:00:00Z\",\"generatorURL\":\"http://p/g?a=1\\u0026b=2\",\"fingerprint\":\"2fc4c353ef13c5b1\"}",
            ),
            (
                "{{\"flush>>\" | base64encode}} {{base64decode \"Zmx1c2g-Pg==\"}}",
                "Zmx1c2g-Pg== flush>>",
            ),
            (
                "{{dict}} {{dict \"a\" 1 \"b\" 2}} {{list}} {{append (list \"a\" \"b\") \"c\" \"d\"}}",
                "map[] map[a:1 b:2] [] [a b c d]",
            ),
            (
                "{{since (index .Alerts 0).StartsAt}} {{now | date \"15:04\"}}",
                "1h0m0s 04:04",
            ),
            (
                "{{toUpper \"é\"}} {{toLower \"ÀB\"}} {{join \"-\" (stringSlice \"a\" \"b\")}}",
                "É àb a-b",
            ),
            (
                "{{safeHtml \"<b>\"}}{{safeUrl \"x y\"}} {{routeLabels \"none\"}}",
                "<b>x y ",
            ),
        ],
    );
}

#[test]
fn prometheus_functions() {
    check(
        prometheus,
        &[
            (
                "{{ $labels.instance }}: {{ $value }}",
                "db-1:9100: 1.234567e+06",
            ),
            (
                "{{ .Labels.job }} {{ $externalLabels.region }} {{ $externalURL }} {{ $labels.no }}",
                "node eu http://prom:9090/some/path ",
            ),
            ("{{ printf \"%d\" $value }}", "%!d(float64=1.234567e+06)"),
            (
                "{{ $value | humanize }} {{ humanize1024 1048576.0 }} {{ humanizePercentage 0.1234567 }} {{ humanizeDuration 899.99 }}",
                "1.235M 1Mi 12.35% 14m 59s",
            ),
            (
                "{{ humanizeTimestamp 1435065584.128 }} {{ 1435065584.128 | toTime }}",
                "2015-06-23 13:19:44.128 +0000 UTC 2015-06-23 13:19:44.128 +0000 UTC",
            ),
            (
                "{{ (1435065584 | toTime).Format \"2006\" }} {{ toDuration 3600 }}",
                "2015 1h0m0s",
            ),
            (
                "{{ range query \"metric\" }}{{ .Labels.instance }}={{ .Value }};{{ end }}",
                "b=21;a=11;",
            ),
            (
                "{{ range query \"metric\" | sortByLabel \"instance\" }}{{ label \"instance\" . }}={{ value . }};{{ end }}",
                "a=11;b=21;",
            ),
            (
                "{{ query \"metric\" | first | value }} {{ with query \"nothing\" }}x{{ else }}none{{ end }}",
                "21 none",
            ),
            (
                "{{ query \"metric\" | first | label \"instance\" }} {{ query \"metric\" | first | strvalue }}",
                "b ",
            ),
            ("{{ now }}", "1.353755652e+09"),
            (
                "{{define \"x\"}}{{.arg0}}/{{.arg1}}{{end}}{{template \"x\" (args 1 \"b\")}} {{ tmpl \"x\" (args 2 3) }}",
                "1/b 2/3",
            ),
            (
                "{{ title \"aa bb CC\" }} {{ reReplaceAll \"(.*):\\\\d+\" \"$1\" $labels.instance }} {{ match \"a+\" \"aa\" }}",
                "Aa Bb CC db-1 true",
            ),
            (
                "{{ graphLink \"up == 0\" }} {{ tableLink \"up\" }}",
                "/graph?g0.expr=up+%3D%3D+0&g0.tab=0 /graph?g0.expr=up&g0.tab=1",
            ),
            (
                "{{ stripPort \"a:1\" }} {{ stripDomain \"a.b:1\" }} {{ pathPrefix }} {{ externalURL }}",
                "a a:1 /some/path http://prom:9090/some/path",
            ),
            (
                "{{ parseDuration \"1h30m\" }} {{ parseDuration \"-5m\" }} {{ urlQueryEscape \"a b\" }}",
                "5400 -300 a+b",
            ),
            (
                "{{ safeHtml \"<b>\" }} {{ toUpper \"a\" }} {{ humanize \"12345\" }}",
                "<b> A 12.35k",
            ),
        ],
    );
    for (value, text) in [
        (123_456.0, "123456"),
        (999_999.0, "999999"),
        (1_000_000.0, "1e+06"),
        (0.000_01, "1e-05"),
        (0.5, "0.5"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ] {
        assert_eq!(prometheus_value("{{ $value }}", value).as_deref(), Ok(text));
    }
}

#[test]
fn parse_errors_are_gos() {
    refuse(
        alertmanager,
        &[
            (
                "a\n{{ nofunc }}",
                "template: :2: function \"nofunc\" not defined",
            ),
            ("{{ } }}", "template: :1: unexpected \"}\" in command"),
            ("{{ .X } }}", "template: :1: unexpected \"}\" in operand"),
            ("{{ \"abc }}", "template: :1: unterminated quoted string"),
            ("{{ `abc }}", "template: :1: unterminated raw quoted string"),
            ("{{ $x }}", "template: :1: undefined variable \"$x\""),
            ("{{ if }}{{end}}", "template: :1: missing value for if"),
            ("{{ if true }}", "template: :1: unexpected EOF"),
            ("{{ end }}", "template: :1: unexpected {{end}}"),
            ("{{ else }}", "template: :1: unexpected {{else}}"),
            ("{{", "template: :1: unclosed action"),
            ("{{ .X", "template: :1: unclosed action"),
            ("{{\n.X\n", "template: :3: unclosed action started at :1"),
            ("{{ (1 }}", "template: :1: unclosed left paren"),
            ("{{ 1) }}", "template: :1: unexpected right paren"),
            ("{{/* x", "template: :1: unclosed comment"),
            (
                "{{/* x */ y}}",
                "template: :1: comment ends before closing delimiter",
            ),
            ("{{ 1x }}", "template: :1: bad number syntax: \"1x\""),
            (
                "{{ 1 | 2 }}",
                "template: :1: non executable command in pipeline stage 2",
            ),
            ("{{ break }}", "template: :1: {{break}} outside {{range}}"),
            (
                "{{ nil.x }}",
                "template: :1: unexpected . after term \"nil\"",
            ),
            (
                "{{ $a, $b := 1 }}",
                "template: :1: too many declarations in command",
            ),
            (
                "{{define \"x\"}}a{{end}}{{define \"x\"}}b{{end}}",
                "template: :1: template: multiple definition of template \"x\"",
            ),
            (
                "{{template x}}",
                "template: :1: unexpected \"x\" in template clause",
            ),
            ("{{ 08 }}", "template: :1: integer overflow: \"08\""),
            ("{{ 0b12 }}", "template: :1: bad number syntax: \"0b12\""),
            (
                "{{ 99999999999999999999 }}",
                "template: :1: integer overflow: \"99999999999999999999\"",
            ),
            ("{{ .a$ }}", "template: :1: bad character U+0024 '$'"),
        ],
    );
}

#[test]
fn parse_errors_name_line_and_column_of_the_users_text() {
    let error = TemplateSet::prometheus()
        .compile("__alert_A", "ab {{ nope }}", Mode::Text)
        .unwrap_err();
    assert_eq!((error.line, error.column), (1, 7));
    let error = TemplateSet::alertmanager()
        .with_file("my.tmpl", "{{ define \"x\" }}\n  {{ nope }}{{ end }}")
        .unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.line, error.column),
        ("template: my.tmpl:2: function \"nope\" not defined", 2, 6)
    );
}

#[test]
fn errors_at_run_time_are_gos() {
    refuse(
        alertmanager,
        &[
            (
                "{{ .X }}",
                "template: :1:3: executing \"\" at <.X>: can't evaluate field X in type *template.Data",
            ),
            (
                "ab\n {{ (index .Alerts 0).Nope }}",
                "template: :2:21: executing \"\" at <(index .Alerts 0).Nope>: can't evaluate field Nope in type template.Alert",
            ),
            (
                "{{ index .Alerts 7 }}",
                "template: :1:3: executing \"\" at <index .Alerts 7>: error calling index: index out of range: 7",
            ),
            (
                "{{ template \"no\" . }}",
                "template: :1:12: executing \"\" at <{{template \"no\" .}}>: template \"no\" not defined",
            ),
            (
                "{{ range 1.5 }}{{ end }}",
                "template: :1:9: executing \"\" at <1.5>: range can't iterate over 1.5",
            ),
            (
                "{{ eq 1 \"a\" }}",
                "template: :1:3: executing \"\" at <eq 1 \"a\">: error calling eq: incompatible types for comparison",
            ),
            (
                "{{ toUpper 1 }}",
                "template: :1:11: executing \"\" at <1>: expected string; found 1",
            ),
            (
                "{{ 1 | toUpper }}",
                "template: :1:7: executing \"\" at <toUpper>: wrong type for value; expected string; got int",
            ),
            (
                "{{ nil | toUpper }}",
                "template: :1:3: executing \"\" at <nil>: nil is not a command",
            ),
            (
                "{{ toUpper }}",
                "template: :1:3: executing \"\" at <toUpper>: wrong number of args for toUpper: want 1 got 0",
            ),
            (
                "{{ .Status 1 }}",
                "template: :1:3: executing \"\" at <.Status>: Status has arguments but cannot be invoked as function",
            ),
            (
                "{{ (dict \"a\" nil).a.b }}",
                "template: :1:17: executing \"\" at <(dict \"a\" nil).a.b>: nil pointer evaluating interface {}.b",
            ),
            (
                "{{ dict \"a\" }}",
                "template: :1:3: executing \"\" at <dict \"a\">: error calling dict: dict requires an even number of arguments",
            ),
            (
                "{{ tz \"No/Where\" now }}",
                "template: :1:3: executing \"\" at <tz \"No/Where\" now>: error calling tz: unknown time zone No/Where",
            ),
            (
                "{{ match \"(\" \"\" }}",
                "template: :1:3: executing \"\" at <match \"(\" \"\">: error calling match: error parsing regexp: missing closing ): `(`",
            ),
        ],
    );
    refuse(
        prometheus,
        &[
            (
                "{{ query \"bad\" }}",
                "error executing template __alert_A: template: __alert_A:1:115: executing \"__alert_A\" at <query \"bad\">: error calling query: cannot evaluate bad",
            ),
            (
                "{{ humanize \"x\" }}",
                "error executing template __alert_A: template: __alert_A:1:115: executing \"__alert_A\" at <humanize \"x\">: error calling humanize: strconv.ParseFloat: parsing \"x\": invalid syntax",
            ),
            (
                "{{ query \"nothing\" | first }}",
                "error executing template __alert_A: template: __alert_A:1:133: executing \"__alert_A\" at <first>: error calling first: first() called on vector with no elements",
            ),
        ],
    );
}

#[test]
fn functions_refuse_what_they_cannot_mean() {
    for (render, text, function, reason) in [
        (
            alertmanager as fn(&str) -> Result<String, String>,
            "{{ mustToDate \"2006-01-02\" \"not-a-date\" }}",
            "mustToDate",
            "parsing time \"not-a-date\" as \"2006-01-02\": cannot parse \"not-a-date\"",
        ),
        (
            alertmanager,
            "{{ base64decode \"not-valid-base64!\" }}",
            "base64decode",
            "illegal base64 data at input byte ",
        ),
        (alertmanager, "{{ dict 1 \"v\" }}", "dict", ""),
        (
            alertmanager,
            "{{ humanizeDuration \"one\" }}",
            "humanizeDuration",
            "strconv.ParseFloat: parsing \"one\": invalid syntax",
        ),
        (alertmanager, "{{ call 1 }}", "call", "non-function"),
        (alertmanager, "{{ urlUnescape \"%zz\" }}", "urlUnescape", ""),
        (
            prometheus,
            "{{ \"NaN\" | toTime }}",
            "toTime",
            "value is NaN or Inf",
        ),
        (
            prometheus,
            "{{ humanizeTimestamp 1e30 }}",
            "humanizeTimestamp",
            "1e+30 cannot be represented as a nanoseconds timestamp since it overflows int64",
        ),
        (
            prometheus,
            "{{ parseDuration \"soon\" }}",
            "parseDuration",
            "",
        ),
        (
            prometheus,
            "{{ match \"(\" \"\" }}",
            "match",
            "error parsing regexp",
        ),
        (
            prometheus,
            "{{ humanize (args 1) }}",
            "humanize",
            "can't convert map[string]interface {} to float",
        ),
    ] {
        let error = render(text).unwrap_err();
        let expected = format!("error calling {function}: {reason}");
        assert!(error.contains(&expected), "{text}: {error}");
    }
    for (text, rendered) in [
        ("{{ humanizeTimestamp \"NaN\" }}", "NaN"),
        ("{{ humanizeTimestamp \"+Inf\" }}", "+Inf"),
        ("{{ humanizePercentage \"0.5\" }}", "50%"),
        ("{{ humanize1024 \"2048\" }}", "2ki"),
        ("{{ toLower \"AB\" }}", "ab"),
        (
            "{{ range query \"metric\" | sortByLabel \"instance\" }}{{ . | value }} {{ end }}",
            "11 21 ",
        ),
    ] {
        assert_eq!(prometheus(text).as_deref(), Ok(rendered), "{text}");
    }
    for (text, rendered) in [
        (
            "{{ (.CommonLabels.Remove (stringSlice \"severity\")).SortedPairs.Values }}",
            "[Down]",
        ),
        (
            "{{ humanizeDuration .1 }} {{ humanizeDuration 1.2345 }}",
            "100ms 1.234s",
        ),
        (
            "{{ dict \"b\" (dict \"c\" 1) | toJson }}",
            "{\"b\":{\"c\":1}}",
        ),
        ("{{ append (list) 1 }}", "[1]"),
    ] {
        assert_eq!(alertmanager(text).as_deref(), Ok(rendered), "{text}");
    }
}
