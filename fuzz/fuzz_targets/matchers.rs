//! Matchers of all three grammars, and regular expressions.
#![no_main]
use model::GoRegex;
use model::matcher_syntax::{ParserMode, parse_list, parse_one};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for mode in [ParserMode::Classic, ParserMode::Fallback, ParserMode::Utf8] {
        let _ = parse_list(text, mode);
        let _ = parse_one(text, mode);
    }
    if let Ok(regex) = GoRegex::anchored(text) {
        let _ = regex.is_match(text);
    }
});
