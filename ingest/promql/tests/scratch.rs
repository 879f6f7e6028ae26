use watchbell_promql::{parse, ParserOptions};
#[test]
fn go() {
    for t in ["1+1","sum by (a,b) (rate(x{a=\"b\",c!=\"d\"}[5m])) > 3","-2^2","2^-1*3","a and on (x) b","foo[5m","foo[]","foo[\"5m\"]","foo[5mm]","(1))","((1)","sum","sum without(==)(x)","sum some_metric by (test)","MIN keep_common (some_metric)","foo{a==\"b\"}","foo{a}","foo{,}","rate(foo)","abs(1)","foo offset 5m [5m]","foo offset","foo @ x","topk(x)","1 == 1","","  ","foo{__name__=\"a\"}","{\"a\",\"b\"}","up{} @ -5","x[30m1s-30m1s % 1m]","x offset -min_of(step(), 1s)^0","sum(x) by (x,)","f(1,)","min_of(1,2)","start()","x offset (100+2)", "1_000 + 0x1F + 010", "a + b * c or d unless e", "foo{a=~\"(\"}", "'a' + 1", "x !~ 1", "x ! 1","x\n  + )", "some_metric[5m] offset 1m @ 100", "bool", "1 > bool 2", "x[5m:]", "x[5m:1m] @ end() offset 1h", "-x", "- - -x", "+Inf", "5m", "rate(x[5m])[10m:1m]", "foo and bar{", "a + fill(1) b", "foo[0]","foo[99999999999]", "{a=\"\"}","foo:bar{a=\"b\"}", "sum by (a:b) (x)","quantile(0.9, x)", "\"\\xff\"", "foo[5m:1m:1m]", "x['a']", "foo}", "foo]", "rate(foo[1m:])", "x{a=\"b\" c=\"d\"}"] {
        match parse(t, &ParserOptions::all()) { Ok(e) => println!("{t:45} OK  {e}"), Err(e) => println!("{t:45} ERR {e}") }
    }
}
