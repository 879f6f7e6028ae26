//! Any text is an expression or an error; what is printed is read again and prints the same.
use promql::{ParserOptions, parse};

pub(crate) fn run(text: &str) {
    let options = ParserOptions::all();
    if let Ok(expression) = parse(text, &options) {
        let printed = expression.to_string();
        let again = parse(&printed, &options).expect("what is printed can be read");
        assert_eq!(again.to_string(), printed);
    }
}
