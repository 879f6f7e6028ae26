//! The patterns of rule files.
use std::path::Path;

use crate::cursor::{Cursor, Fields};
use crate::problem::{Place, Problem};

/// A pattern of rule files, and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFilesPattern {
    /// Relative ones were written from the folder of their file, and that folder is in them.
    pub pattern: String,
    pub file: String,
    pub place: Option<Place>,
    /// The key in its file: `rule_files[0]`.
    pub path: String,
}

impl RuleFilesPattern {
    /// What stands under `rule_files`.
    pub(crate) fn read(fields: &mut Fields<'_>, base: &Path) -> Vec<Self> {
        let patterns = fields.list("rule_files");
        let pattern = |cursor: &Cursor<'_>| {
            Some(Self {
                pattern: base.join(cursor.text()?).display().to_string(),
                file: cursor.source().file().to_owned(),
                place: Some(cursor.place()),
                path: cursor.path().to_owned(),
            })
        };
        patterns.iter().filter_map(pattern).collect()
    }

    /// Something that is wrong with the pattern itself.
    #[must_use]
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.file, self.place, &self.path, message)
    }
}
