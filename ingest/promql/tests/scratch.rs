use watchbell_promql::{Expr, ParserOptions, parse};
#[test]
fn go() {
    println!("Expr {}", std::mem::size_of::<Expr>());
    for (name, text) in [
        ("paren", "(".repeat(490) + "1" + &")".repeat(490)),
        ("minus", "-".repeat(490) + "x"),
        ("chain", "1".to_owned() + &"+1".repeat(490)),
        ("pow", "1".to_owned() + &"^1".repeat(490)),
        ("call", "abs(".repeat(490) + "x" + &")".repeat(490)),
        ("agg", "sum by (a) (".repeat(490) + "x" + &")".repeat(490)),
    ] {
        for kb in [128, 256, 512, 1024, 2048, 4096, 8192] {
            let t = text.clone();
            if std::env::var("ONLY").map_or(true, |o| o == format!("{name}{kb}")) {
                println!("{name} {kb}");
                std::thread::Builder::new()
                    .stack_size(kb * 1024)
                    .spawn(move || {
                        println!("{}", parse(&t, &ParserOptions::all()).is_ok());
                    })
                    .unwrap()
                    .join()
                    .unwrap();
            }
        }
    }
}
