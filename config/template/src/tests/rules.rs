//! The templates of real rules, as they are found in rule files.
use std::fs;
use std::path::Path;

use crate::set::{Mode, TemplateSet};
use crate::tests::world::shared;

/// The texts of a rule file's lines that hold actions, without the quotes of YAML.
fn templates(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.contains("{{") && !line.trim_start().starts_with('#'))
        .filter(|line| line.matches("{{").count() == line.matches("}}").count())
        .map(|line| {
            let value = line
                .split_once(": ")
                .map_or(line, |(_, value)| value)
                .trim();
            if let Some(inner) = value.strip_prefix('\'') {
                inner.trim_end_matches('\'').replace("''", "'")
            } else if let Some(inner) = value.strip_prefix('"') {
                inner
                    .trim_end_matches('"')
                    .replace("\\\"", "\"")
                    .replace("\\n", "\n")
            } else {
                value.to_owned()
            }
        })
        .collect()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files(&path));
        } else if path
            .extension()
            .is_some_and(|kind| kind == "yml" || kind == "yaml")
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn templates_of_real_rules_are_understood() {
    let (Some(rules), Some(alerts)) = (shared("real/rules"), shared("real/gds/alerts")) else {
        return;
    };
    let set = TemplateSet::prometheus();
    let mut count = 0;
    for path in files(&rules).into_iter().chain(files(&alerts)) {
        for template in templates(&fs::read_to_string(&path).unwrap()) {
            let compiled = set.compile("__alert_x", &template, Mode::Text);
            assert!(
                compiled.is_ok(),
                "{}: {template}: {compiled:?}",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count > 500, "only {count} templates were found");
}
