//! Rule files: found by their patterns, read and compiled together, all or nothing.
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use config::{Files as _, Problem, Problems, RuleFile, RuleFilesPattern};
use promql::ParserOptions;
use ruler_core::{Group, GroupDefaults, compile_groups};
use runtime::DiskFiles;
use sha2::{Digest, Sha256};

/// Where one tenant's rule files are, and how they are understood.
#[derive(Clone, Debug)]
pub struct RuleFiles {
    /// Shell patterns; relative ones are meant from `base`.
    pub patterns: Vec<RuleFilesPattern>,
    pub base: PathBuf,
    pub defaults: GroupDefaults,
    pub parser_options: ParserOptions,
}

/// The groups of all files.
#[derive(Clone, Debug)]
pub struct LoadedRules {
    pub groups: Vec<Arc<Group>>,
    pub files: usize,
}

/// For each pattern its files' names and a hash of their texts, or why it was not followed: what tells whether a later
/// look finds something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileContents(BTreeMap<String, Result<Hashes, String>>);

/// A file that cannot be read has none.
type Hashes = BTreeMap<PathBuf, Option<[u8; 32]>>;

impl FileContents {
    /// Patterns that found files before and now find none.
    pub(crate) fn emptied_since<'p>(&self, before: &'p Self) -> Vec<&'p str> {
        let had_files = before
            .0
            .iter()
            .filter(|(_, found)| found.as_ref().is_ok_and(|files| !files.is_empty()));
        had_files
            .map(|(pattern, _)| pattern.as_str())
            .filter(|pattern| matches!(self.0.get(*pattern), Some(Ok(files)) if files.is_empty()))
            .collect()
    }
}

/// What each pattern found, or why it was not followed; and each file's text, or why it cannot be read.
pub(crate) struct ReadFiles(Vec<(RuleFilesPattern, Result<Texts, String>)>);

type Texts = Vec<(PathBuf, Result<String, String>)>;

impl ReadFiles {
    /// Unread files are without a hash.
    pub(crate) fn contents(&self) -> FileContents {
        let hashes = |texts: &Texts| -> Hashes {
            let texts = texts.iter();
            texts
                .map(|(path, text)| (path.clone(), text.as_ref().ok().map(|text| hash(text))))
                .collect()
        };
        let patterns = self.0.iter();
        FileContents(
            patterns
                .map(|(pattern, found)| {
                    let found = found.as_ref().map(hashes).map_err(String::clone);
                    (pattern.pattern.clone(), found)
                })
                .collect(),
        )
    }
}

impl RuleFiles {
    /// Reads and compiles every file. Blocks.
    ///
    /// # Errors
    /// All mistakes of all files; then nothing is to be used.
    pub fn load(&self) -> Result<LoadedRules, Problems> {
        self.compile(&self.read())
    }

    /// Blocks.
    pub(crate) fn read(&self) -> ReadFiles {
        let read = |paths: Vec<PathBuf>| {
            let texts = paths.into_iter().map(|path| {
                let text = DiskFiles.read(&path);
                (path, text)
            });
            texts.collect()
        };
        let patterns = self.patterns.iter();
        ReadFiles(
            patterns
                .map(|pattern| (pattern.clone(), self.matches(pattern).map(read)))
                .collect(),
        )
    }

    /// In the order of the patterns, within a pattern by name; a file that two patterns find comes once.
    pub(crate) fn compile(&self, read: &ReadFiles) -> Result<LoadedRules, Problems> {
        let mut problems = Problems::new();
        let mut files = Vec::new();
        let mut known = BTreeSet::new();
        for (pattern, found) in &read.0 {
            let found = match found {
                Ok(found) => found,
                Err(reason) => {
                    let pattern_text = &pattern.pattern;
                    let message =
                        format!("error retrieving rule files for {pattern_text}: {reason}");
                    problems.push(pattern.problem(message));
                    continue;
                }
            };
            for (path, text) in found {
                if !known.insert(path) {
                    continue;
                }
                let name = path.to_string_lossy();
                match text {
                    Ok(text) => files.push(RuleFile::read(&name, text, &mut problems)),
                    Err(reason) => problems.push(Problem::new(&name, None, "", reason.clone())),
                }
            }
        }
        let groups = compile_groups(&files, self.defaults, &self.parser_options, &mut problems);
        if problems.is_empty() {
            Ok(LoadedRules {
                groups,
                files: files.len(),
            })
        } else {
            Err(problems)
        }
    }

    fn matches(&self, pattern: &RuleFilesPattern) -> Result<Vec<PathBuf>, String> {
        DiskFiles.glob(&self.base.join(&pattern.pattern).to_string_lossy())
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use config::{Place, RuleFilesPattern};
    use promql::ParserOptions;
    use ruler_core::GroupDefaults;

    use super::RuleFiles;

    const GOOD: &str = "groups:\n- name: web\n  rules:\n  - alert: Down\n    expr: up == 0\n";
    const BAD: &str = "groups:\n- name: web\n  rules:\n  - alert: Down\n    expr: sum(\n  - record: x\n    expr: '}'\n";

    fn pattern(pattern: &str) -> RuleFilesPattern {
        RuleFilesPattern {
            pattern: pattern.to_owned(),
            file: "watchbell.yml".to_owned(),
            place: Some(Place { line: 2, column: 3 }),
            path: "rule_files[0]".to_owned(),
        }
    }

    fn files(base: &Path) -> RuleFiles {
        RuleFiles {
            patterns: vec![pattern("*.yml"), pattern("a.*")],
            base: base.to_owned(),
            defaults: GroupDefaults {
                interval: Duration::from_secs(60),
                query_offset: Duration::ZERO,
            },
            parser_options: ParserOptions::default(),
        }
    }

    #[test]
    fn loads_every_file_once() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yml", "c.txt"] {
            fs::write(folder.path().join(name), GOOD).unwrap();
        }
        let loaded = files(folder.path()).load().unwrap();
        let keys: Vec<String> = loaded
            .groups
            .iter()
            .map(|group| group.key.to_string())
            .collect();
        let at = folder.path().display();
        assert_eq!(keys, [format!("{at}/a.yml;web"), format!("{at}/b.yml;web")]);
    }

    #[test]
    fn one_mistake_refuses_all_and_every_mistake_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yml"), GOOD).unwrap();
        fs::write(folder.path().join("b.yml"), BAD).unwrap();
        fs::write(folder.path().join("c.yml"), b"\xff").unwrap();
        let problems = files(folder.path()).load().unwrap_err();
        let lines: Vec<Option<u32>> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines.len(), 3, "{problems}");
        assert!(
            lines.contains(&Some(5)) && lines.contains(&Some(7)),
            "{problems}"
        );
    }

    #[test]
    fn a_file_that_a_pattern_names_and_that_cannot_be_read_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b.yml"), GOOD).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("a.yml")).unwrap();
        fs::create_dir(folder.path().join("c.yml")).unwrap();
        let problems = files(folder.path()).load().unwrap_err();
        let at = folder.path().display();
        assert_eq!(
            problems.to_string(),
            format!(
                "{at}/a.yml: No such file or directory (os error 2)\n\
                 {at}/c.yml: is a directory, and not a regular file"
            )
        );
    }

    #[test]
    fn a_broken_pattern_is_told_where_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let files = RuleFiles {
            patterns: vec![pattern("rules/[*.yml")],
            ..files(folder.path())
        };
        let problems = files.load().unwrap_err();
        assert_eq!(problems.len(), 1, "{problems}");
        let said = problems.to_string();
        let start =
            "watchbell.yml:2:3: error retrieving rule files for rules/[*.yml: Pattern syntax error";
        assert!(
            said.starts_with(start) && said.ends_with("(rule_files[0])"),
            "{said}"
        );
    }

    #[test]
    fn real_rule_files_are_without_a_mistake() {
        let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/real");
        if !real.is_dir() {
            let missing = format!(
                "{} is missing: real rule files are not read",
                real.display()
            );
            assert!(std::env::var("CI").is_err(), "{missing}");
            eprintln!("{missing}");
            return;
        }
        let files = RuleFiles {
            patterns: vec![pattern("rules/*.yml"), pattern("gds/alerts/*.yml")],
            ..files(&real)
        };
        match files.load() {
            Ok(loaded) => assert!(loaded.files > 50 && loaded.groups.len() > 50),
            Err(problems) => panic!("{problems}"),
        }
    }

    #[test]
    fn a_changed_added_or_removed_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let mut seen = vec![files.read().contents()];
        fs::write(folder.path().join("a.yml"), GOOD).unwrap();
        seen.push(files.read().contents());
        fs::write(folder.path().join("a.yml"), BAD).unwrap();
        seen.push(files.read().contents());
        fs::write(folder.path().join("b.yml"), GOOD).unwrap();
        seen.push(files.read().contents());
        fs::remove_file(folder.path().join("b.yml")).unwrap();
        for pair in seen.windows(2) {
            assert_ne!(pair[0], pair[1]);
        }
        assert_eq!(files.read().contents(), seen[2]);
    }
}
