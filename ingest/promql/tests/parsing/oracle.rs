//! Real rules and Prometheus' own scripts, read by this parser and by promql-parser.
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use watchbell_promql::{ParserOptions, parse};

#[test]
fn every_expression_of_real_rules_parses_and_prints_as_the_oracle_does() {
    let mut count = 0;
    for folder in ["real/rules", "real/gds/alerts"] {
        let Some(folder) = shared(folder) else {
            return;
        };
        for path in files(&folder, "yml") {
            for expr in rule_expressions(&fs::read_to_string(&path).unwrap()) {
                // The default options: what a server without flags takes.
                let own = parse(&expr, &ParserOptions::default())
                    .unwrap_or_else(|error| panic!("{}: {expr}: {error}", path.display()));
                let theirs = promql_parser::parser::parse(&expr)
                    .unwrap_or_else(|error| panic!("the oracle on {expr}: {error}"));
                assert_eq!(
                    comparable(&own.to_string()),
                    comparable(&theirs.to_string()),
                    "{expr}"
                );
                count += 1;
            }
        }
    }
    println!("{count} expressions");
    assert!(count >= 450, "only {count} expressions found");
}

#[test]
fn scripts_parse_and_print_as_the_oracle_does() {
    let Some(folder) = shared("conformance/promql") else {
        return;
    };
    let (mut both, mut alone) = (0, 0);
    for path in files(&folder, "test") {
        for expr in script_expressions(&fs::read_to_string(&path).unwrap()) {
            let own = parse(&expr, &ParserOptions::all())
                .unwrap_or_else(|error| panic!("{expr}: {error}"));
            match promql_parser::parser::parse(&expr) {
                Ok(theirs) => {
                    both += 1;
                    let (own, theirs) = (own.to_string(), theirs.to_string());
                    if !is_known_difference(&expr) {
                        assert_eq!(comparable(&own), comparable(&theirs), "{expr}");
                    }
                }
                Err(error) => {
                    alone += 1;
                    assert!(lacks(&expr), "the oracle on {expr}: {error}");
                }
            }
        }
    }
    println!("{both} parsed by both, {alone} by this parser alone");
    assert!(both >= 1000, "only {both}");
}

/// What promql-parser 0.11.1 does not know.
fn lacks(expr: &str) -> bool {
    ["anchored", "smoothed", "</", ">/", "step()", "range()", "min_of", "max_of", "STEP()", "STep()", "info("]
        .iter()
        .any(|part| expr.contains(part))
        // Durations with arithmetic.
        || expr.contains('[')
        || expr.contains("offset")
}

/// Where it prints otherwise than Prometheus: infinities, durations as numbers, bytes, empty `ignoring`, signs.
fn is_known_difference(expr: &str) -> bool {
    let lower = expr.to_lowercase();
    ["inf", "\\x", "ignoring()", "ignoring ()", "group_left", "group_right", "fill"]
        .iter()
        .any(|part| lower.contains(part))
        || has_duration_outside_brackets(expr)
        || expr.contains("@ -")
        // It drops a plus before a vector.
        || expr.starts_with('+')
}

fn has_duration_outside_brackets(expr: &str) -> bool {
    let mut depth = 0;
    let mut before = ' ';
    let mut in_number = false;
    for character in expr.chars() {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && in_number && "smhdwy".contains(character) {
            return true;
        }
        in_number = character.is_ascii_digit()
            && (in_number || !(before.is_alphanumeric() || before == '_'));
        before = character;
    }
    false
}

/// The oracle prints a grouping and a quoted name with other blanks and quotes than Prometheus now does.
fn comparable(printed: &str) -> String {
    printed.replace([' ', '\n'], "")
}

fn script_expressions(script: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut failing = String::new();
    for line in script.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let skipped = match words.as_slice() {
            [head, "instant", "at", ..] if head.starts_with("eval") => 4,
            [head, "range", "from", ..] if head.starts_with("eval") => 8,
            _ => {
                if line.starts_with("expect fail") {
                    // Not every failure is the parser's, but these prove nothing here.
                    found.retain(|expr| *expr != failing);
                }
                continue;
            }
        };
        let mut expr = line;
        for word in &words[..skipped] {
            expr = expr.trim_start().strip_prefix(word).unwrap();
        }
        failing = expr.trim().to_owned();
        found.push(failing.clone());
    }
    found
}

/// The values of `expr:` keys: one line, quoted or not, or the indented lines beneath.
fn rule_expressions(yaml: &str) -> Vec<String> {
    let lines: Vec<&str> = yaml.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let key = line.trim_start().trim_start_matches("- ");
        let Some(value) = key.strip_prefix("expr:") else {
            continue;
        };
        let value = value.trim();
        if let Some(quoted) = value
            .strip_prefix('\'')
            .and_then(|rest| rest.strip_suffix('\''))
        {
            found.push(quoted.replace("''", "'"));
            continue;
        }
        if let Some(quoted) = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        {
            found.push(quoted.replace("\\\"", "\"").replace("\\\\", "\\"));
            continue;
        }
        let mut text = if value.starts_with(['|', '>']) {
            String::new()
        } else {
            value.to_owned()
        };
        let own = indent(line)
            + if line.trim_start().starts_with("- ") {
                2
            } else {
                0
            };
        for more in &lines[index + 1..] {
            if !more.trim().is_empty() && indent(more) <= own {
                break;
            }
            text.push('\n');
            text.push_str(more);
        }
        found.push(text.trim().to_owned());
    }
    found
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|own| own == extension))
        .collect();
    files.sort();
    files
}

/// A folder beside the project; where it is missing the test is skipped, loudly, but not in CI.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(name);
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} is missing",
        path.display()
    );
    // Past what the test harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {} is missing", path.display());
    None
}
