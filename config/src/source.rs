//! One text that is being read, and what has been found wrong with it so far.
use std::cell::RefCell;

use crate::problem::{Place, Problem, Problems, Stage};
use crate::yaml::{Node, YamlProblem, read};

/// One text that is being read.
pub(crate) struct Source {
    file: String,
    problems: RefCell<Problems>,
    warnings: RefCell<Problems>,
    unknown_keys: UnknownKeys,
    /// Every key that was asked for, by path: what a test holds examples and documents against.
    #[cfg(test)]
    asked: RefCell<std::collections::BTreeSet<String>>,
}

/// What a key is that nobody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownKeys {
    Refused,
    /// It is passed over, and the reader says so.
    WarnedOf,
}

impl Source {
    /// The text's tree, `None` where it is empty or is not YAML. `type_name` is Go's name of the top level.
    pub(crate) fn open(file: &str, text: &str, type_name: &str) -> (Self, Option<Node>) {
        let source = Self {
            file: file.to_owned(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
            unknown_keys: UnknownKeys::Refused,
            #[cfg(test)]
            asked: RefCell::default(),
        };
        let (node, problem) = read(text);
        match problem {
            None => {}
            Some(YamlProblem::DuplicateKey { key, place }) => {
                let message = format!("field {key} already set in type {type_name}");
                source.add(Problem::new(file, place, "", message).at(Stage::Decoding));
            }
            Some(YamlProblem::Syntax { message, place }) => {
                source.add(Problem::new(file, place, "", message).at(Stage::Syntax));
            }
        }
        (source, node)
    }

    pub(crate) fn with_unknown_keys(mut self, unknown_keys: UnknownKeys) -> Self {
        self.unknown_keys = unknown_keys;
        self
    }

    pub(crate) fn unknown_keys(&self) -> UnknownKeys {
        self.unknown_keys
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    pub(crate) fn add(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub(crate) fn problem(&self, place: Option<Place>, path: &str, message: impl Into<String>) {
        self.problem_at(Stage::Value, place, path, message);
    }

    pub(crate) fn problem_at(
        &self,
        stage: Stage,
        place: Option<Place>,
        path: &str,
        message: impl Into<String>,
    ) {
        self.add(Problem::new(&self.file, place, path, message).at(stage));
    }

    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    #[cfg(test)]
    pub(crate) fn asked(&self) -> std::collections::BTreeSet<String> {
        self.asked.borrow().clone()
    }

    pub(crate) fn warn(&self, place: Place, path: &str, message: impl Into<String>) {
        let warning = Problem::new(&self.file, Some(place), path, message);
        self.warnings.borrow_mut().push(warning);
    }

    #[cfg(test)]
    pub(crate) fn note_asked(&self, path: String) {
        self.asked.borrow_mut().insert(path);
    }

    /// Problems and warnings, each by place.
    pub(crate) fn close(self) -> (Problems, Problems) {
        (
            self.problems.into_inner().sorted(),
            self.warnings.into_inner().sorted(),
        )
    }
}
