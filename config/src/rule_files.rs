//! The rule files that globs name.
use std::collections::BTreeSet;

use crate::files::Files;
use crate::problem::{Problem, Problems};
use crate::rules::RuleFile;

/// Reads every file that a pattern names, each once, in order of their paths; a pattern that names none is no mistake.
/// The result is to be used only where no problem was added.
#[must_use]
pub fn load_rule_files(
    patterns: &[String],
    files: &dyn Files,
    problems: &mut Problems,
) -> Vec<RuleFile> {
    let mut paths = BTreeSet::new();
    for pattern in patterns {
        match files.glob(pattern) {
            Ok(found) => paths.extend(found),
            Err(reason) => problems.push(Problem::new(
                pattern,
                None,
                "",
                format!("error retrieving rule files for {pattern}: {reason}"),
            )),
        }
    }
    let mut rule_files = Vec::with_capacity(paths.len());
    for path in paths {
        let name = path.display().to_string();
        match files.read(&path) {
            Ok(text) => rule_files.push(RuleFile::read(&name, &text, problems)),
            Err(reason) => problems.push(Problem::new(&name, None, "", reason)),
        }
    }
    rule_files
}

#[cfg(test)]
mod tests {
    use super::load_rule_files;
    use crate::files::MemoryFiles;
    use crate::problem::Problems;

    #[test]
    fn each_file_is_read_once() {
        let files: MemoryFiles = [
            ("r/b.yml", "groups: []"),
            ("r/a.yml", "groups: [{name: g}]"),
            ("r/c.txt", "x"),
            ("r/sub/d.yml", "x"),
        ]
        .into_iter()
        .collect();
        let mut problems = Problems::new();
        let patterns = ["r/*.yml", "r/a*", "nowhere/*"].map(str::to_owned);
        let loaded = load_rule_files(&patterns, &files, &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let names: Vec<_> = loaded.iter().map(|file| file.file.as_str()).collect();
        assert_eq!(names, ["r/a.yml", "r/b.yml"]);
        let _ = load_rule_files(
            &["r/[".to_owned(), "r/c.txt".to_owned()],
            &files,
            &mut problems,
        );
        assert_eq!(problems.len(), 2, "{problems}");
    }
}
