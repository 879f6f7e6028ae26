//! Reading a YAML tree: a cursor knows its place and its path, and every mistake goes to one list.
//!
//! Reading never stops at a mistake. What cannot be read takes its default, so that what stands around it is
//! checked too; whoever gets the result looks at the list before using it. As for Go's decoders, a null is the same
//! as an absent key, and a scalar that is wanted as text keeps what was written.
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{duration, go_duration};

use crate::problem::{Place, Stage};
use crate::source::{Source, UnknownKeys};
use crate::value::{HttpUrl, HttpUrlError, Secret, SecretSource, TemplateText, TemplateValue};
use crate::yaml::{Entry, Node, Resolved, Scalar, Value};

/// One node of the tree.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    source: &'a Source,
    node: &'a Node,
    path: String,
}

impl<'a> Cursor<'a> {
    pub(crate) fn root(source: &'a Source, node: &'a Node) -> Self {
        Self {
            source,
            node,
            path: String::new(),
        }
    }

    pub(crate) fn place(&self) -> Place {
        self.node.place
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn source(&self) -> &'a Source {
        self.source
    }

    pub(crate) fn problem(&self, message: impl Into<String>) {
        self.source
            .problem(Some(self.node.place), &self.path, message);
    }

    /// A problem that shows only when the whole file is known.
    pub(crate) fn file_problem(&self, message: impl Into<String>) {
        self.problem_at(Stage::File, message);
    }

    pub(crate) fn template_problem(&self, message: impl Into<String>) {
        self.problem_at(Stage::Template, message);
    }

    fn problem_at(&self, stage: Stage, message: impl Into<String>) {
        let place = Some(self.node.place);
        self.source.problem_at(stage, place, &self.path, message);
    }

    pub(crate) fn warn(&self, message: impl Into<String>) {
        self.source.warn(self.node.place, &self.path, message);
    }

    pub(crate) fn is_null(&self) -> bool {
        self.node.value == Value::Null
    }

    /// Text as it was written; a null is the empty text.
    pub(crate) fn text(&self) -> Option<String> {
        if self.is_null() {
            return Some(String::new());
        }
        self.scalar("string").map(|scalar| scalar.text.clone())
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.scalar("bool")? {
            Scalar {
                resolved: Resolved::Bool(value),
                ..
            } => Some(*value),
            _ => self.mismatch("bool"),
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self.scalar("int")? {
            Scalar {
                resolved: Resolved::Integer(value),
                ..
            } => Some(*value),
            _ => self.mismatch("int"),
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self.scalar("float64")? {
            Scalar {
                resolved: Resolved::Float(value),
                ..
            } => Some(*value),
            #[expect(
                clippy::cast_precision_loss,
                reason = "as Go reads an integer for a float"
            )]
            Scalar {
                resolved: Resolved::Integer(value),
                ..
            } => Some(*value as f64),
            _ => self.mismatch("float64"),
        }
    }

    pub(crate) fn unsigned(&self) -> Option<u64> {
        match self.scalar("uint64")? {
            Scalar {
                resolved: Resolved::Integer(value),
                ..
            } if *value >= 0 => Some(value.unsigned_abs()),
            _ => self.mismatch("uint64"),
        }
    }

    /// Text that means something; the parser's error is the problem.
    pub(crate) fn parsed<T, E: Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text()?;
        parse(&text)
            .map_err(|error| self.problem(error.to_string()))
            .ok()
    }

    /// Prometheus' duration.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.parsed(duration::parse)
    }

    /// Go's duration.
    pub(crate) fn go_duration(&self) -> Option<Duration> {
        self.parsed(go_duration::parse)
    }

    /// An `http` or `https` address.
    pub(crate) fn http_url(&self) -> Option<HttpUrl> {
        self.parsed(HttpUrl::parse)
    }

    /// An address that is a secret. A printed configuration says `<secret>` there, and is accepted again.
    pub(crate) fn secret_url(&self) -> Option<Secret> {
        self.parsed(|text| {
            if text == "<secret>" {
                return Ok(Secret::new(text));
            }
            match HttpUrl::parse(text) {
                Ok(url) => Ok(Secret::new(url.as_str())),
                // The long form quotes the address, which is the secret.
                Err(HttpUrlError::Malformed(_)) => Err("invalid URL".to_owned()),
                Err(error @ (HttpUrlError::MissingHost | HttpUrlError::UnsupportedScheme(_))) => {
                    Err(error.to_string())
                }
            }
        })
    }

    /// The elements of a list; another value is a problem.
    pub(crate) fn list(&self) -> Vec<Self> {
        if !matches!(self.node.value, Value::List(_) | Value::Null) {
            let _: Option<()> = self.mismatch("[]string");
        }
        self.items()
    }

    /// The elements, where it is a list.
    pub(crate) fn items(&self) -> Vec<Self> {
        let Value::List(items) = &self.node.value else {
            return Vec::new();
        };
        let item = |(index, node)| Self {
            source: self.source,
            node,
            path: format!("{}[{index}]", self.path),
        };
        items.iter().enumerate().map(item).collect()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.list().iter().filter_map(Cursor::text).collect()
    }

    /// Values with their keys, in the order of the file, each key with its place; another value is a problem.
    pub(crate) fn entries(&self) -> Vec<(String, Place, Self)> {
        if !matches!(self.node.value, Value::Map(_) | Value::Null) {
            let _: Option<()> = self.mismatch("map[string]string");
        }
        self.map_entries()
    }

    /// The entries, where it is a map.
    pub(crate) fn map_entries(&self) -> Vec<(String, Place, Self)> {
        let Value::Map(entries) = &self.node.value else {
            return Vec::new();
        };
        entries
            .iter()
            .map(|entry| (entry.key.text.clone(), entry.place, self.child(entry)))
            .collect()
    }

    /// The text, where it is a scalar.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match &self.node.value {
            Value::Scalar(scalar) => Some(scalar.text.clone()),
            Value::List(_) | Value::Map(_) | Value::Null => None,
        }
    }

    /// The node below with this path, or the nearest above it that is written: defaults stand nowhere.
    pub(crate) fn nearest(&self, path: &str) -> Self {
        let full = if path.starts_with('[') {
            format!("{}{path}", self.path)
        } else {
            self.path_of(path)
        };
        let children = match &self.node.value {
            Value::List(_) => self.items(),
            Value::Map(entries) => entries.iter().map(|entry| self.child(entry)).collect(),
            Value::Null | Value::Scalar(_) => Vec::new(),
        };
        for child in children {
            if let Some(rest) = full.strip_prefix(child.path.as_str()) {
                match rest.chars().next() {
                    None => return child,
                    Some('.') => return child.nearest(&rest[1..]),
                    Some('[') => return child.nearest(rest),
                    Some(_) => {}
                }
            }
        }
        self.clone()
    }

    pub(crate) fn text_map(&self) -> BTreeMap<String, String> {
        self.entries()
            .into_iter()
            .filter_map(|(key, _, value)| Some((key, value.text()?)))
            .collect()
    }

    /// Any value. As for Alertmanager, entries of a map whose key is not text (an unquoted `n`, a number) are dropped;
    /// here a warning says so.
    pub(crate) fn template_value(&self) -> TemplateValue {
        match &self.node.value {
            Value::Null => TemplateValue::Null,
            Value::Scalar(scalar) => match scalar.resolved {
                Resolved::Bool(value) => TemplateValue::Bool(value),
                Resolved::Float(value) => TemplateValue::Float(value),
                Resolved::Integer(value) => TemplateValue::Integer(value),
                Resolved::Text => TemplateValue::Text(TemplateText::new(scalar.text.as_str())),
            },
            Value::List(_) => {
                TemplateValue::List(self.list().iter().map(Cursor::template_value).collect())
            }
            Value::Map(entries) => {
                let mut map = BTreeMap::new();
                for entry in entries {
                    let child = self.child(entry);
                    if entry.key.resolved == Resolved::Text {
                        map.insert(entry.key.text.clone(), child.template_value());
                    } else {
                        child.warn(format!(
                            "the key {} is not a text and is dropped: quote it",
                            entry.key.text
                        ));
                    }
                }
                TemplateValue::Map(map)
            }
        }
    }

    /// The keys of a map. `type_name` is Go's name of the type, for messages about unknown keys.
    pub(crate) fn fields(&self, type_name: &'static str) -> Fields<'a> {
        if !matches!(self.node.value, Value::Map(_) | Value::Null) {
            let _: Option<()> = self.mismatch(type_name);
        }
        Fields {
            cursor: self.clone(),
            known: Vec::new(),
            type_name,
        }
    }

    fn child(&self, entry: &'a Entry) -> Self {
        Self {
            source: self.source,
            node: &entry.value,
            path: self.path_of(&entry.key.text),
        }
    }

    fn path_of(&self, key: &str) -> String {
        let separator = if self.path.is_empty() { "" } else { "." };
        format!("{}{separator}{key}", self.path)
    }

    fn scalar(&self, type_name: &str) -> Option<&'a Scalar> {
        match &self.node.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::List(_) | Value::Map(_) | Value::Null => self.mismatch(type_name),
        }
    }

    /// Go's words for a value of another type than wanted; in a file of our own, whose types have no name in Go, ours.
    fn mismatch<T>(&self, type_name: &str) -> Option<T> {
        let found = match &self.node.value {
            Value::List(_) => "!!seq".to_owned(),
            Value::Map(_) => "!!map".to_owned(),
            Value::Null => "!!null".to_owned(),
            Value::Scalar(scalar) => {
                let tag = match scalar.resolved {
                    Resolved::Bool(_) => "!!bool",
                    Resolved::Float(_) => "!!float",
                    Resolved::Integer(_) => "!!int",
                    Resolved::Text => "!!str",
                };
                let mut shown = scalar.text.clone();
                if shown.chars().count() > 10 {
                    shown = shown.chars().take(7).collect::<String>() + "...";
                }
                format!("{tag} `{shown}`")
            }
        };
        let message = if type_name.is_empty() {
            format!("keys and values are expected here, not {found}")
        } else {
            format!("cannot unmarshal {found} into {type_name}")
        };
        self.problem_at(Stage::Decoding, message);
        None
    }
}

/// The keys of a map, asked for by name; what was never asked for is unknown.
pub(crate) struct Fields<'a> {
    cursor: Cursor<'a>,
    known: Vec<&'static str>,
    type_name: &'static str,
}

impl<'a> Fields<'a> {
    pub(crate) fn cursor(&self) -> &Cursor<'a> {
        &self.cursor
    }

    /// The value of a key, unless it is absent or null.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Cursor<'a>> {
        self.get_even_null(key).filter(|cursor| !cursor.is_null())
    }

    pub(crate) fn get_even_null(&mut self, key: &'static str) -> Option<Cursor<'a>> {
        self.known.push(key);
        #[cfg(test)]
        {
            let path = self.cursor.path_of(key);
            self.cursor.source.note_asked(path);
        }
        self.entry(key).map(|entry| self.cursor.child(entry))
    }

    pub(crate) fn text(&mut self, key: &'static str) -> String {
        self.text_or(key, "")
    }

    pub(crate) fn text_or(&mut self, key: &'static str, default: &str) -> String {
        self.get(key)
            .and_then(|cursor| cursor.text())
            .unwrap_or_else(|| default.to_owned())
    }

    pub(crate) fn template(&mut self, key: &'static str) -> TemplateText {
        TemplateText::new(self.text(key))
    }

    pub(crate) fn template_or(&mut self, key: &'static str, default: &str) -> TemplateText {
        TemplateText::new(self.text_or(key, default))
    }

    pub(crate) fn boolean_or(&mut self, key: &'static str, default: bool) -> bool {
        self.get(key)
            .and_then(|cursor| cursor.boolean())
            .unwrap_or(default)
    }

    pub(crate) fn duration_or(&mut self, key: &'static str, default: Duration) -> Duration {
        self.duration(key).unwrap_or(default)
    }

    pub(crate) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.get(key).and_then(|cursor| cursor.duration())
    }

    /// A number, at least `least`.
    pub(crate) fn size_or(&mut self, key: &'static str, default: usize, least: usize) -> usize {
        let Some(cursor) = self.get(key) else {
            return default;
        };
        let Some(size) = cursor.unsigned() else {
            return default;
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size < least {
            cursor.problem(format!("must be at least {least}"));
        }
        size
    }

    pub(crate) fn templates(&mut self, key: &'static str) -> Vec<TemplateText> {
        self.texts(key).into_iter().map(TemplateText::new).collect()
    }

    pub(crate) fn templates_by_name(
        &mut self,
        key: &'static str,
    ) -> BTreeMap<String, TemplateText> {
        let texts = self.text_map(key).into_iter();
        texts
            .map(|(name, text)| (name, TemplateText::new(text)))
            .collect()
    }

    /// Zero, like an absent key, means that there is no timeout.
    pub(crate) fn go_timeout(&mut self, key: &'static str) -> Option<Duration> {
        self.get(key)
            .and_then(|cursor| cursor.go_duration())
            .filter(|timeout| !timeout.is_zero())
    }

    pub(crate) fn list(&mut self, key: &'static str) -> Vec<Cursor<'a>> {
        self.get(key)
            .map(|cursor| cursor.list())
            .unwrap_or_default()
    }

    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<String> {
        self.get(key)
            .map(|cursor| cursor.texts())
            .unwrap_or_default()
    }

    pub(crate) fn text_map(&mut self, key: &'static str) -> BTreeMap<String, String> {
        self.get(key)
            .map(|cursor| cursor.text_map())
            .unwrap_or_default()
    }

    pub(crate) fn http_url(&mut self, key: &'static str) -> Option<HttpUrl> {
        self.get(key).and_then(|cursor| cursor.http_url())
    }

    pub(crate) fn secret_url(&mut self, key: &'static str) -> Option<Secret> {
        self.get(key).and_then(|cursor| cursor.secret_url())
    }

    /// A secret; the empty text is none.
    pub(crate) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        let text = self.text(key);
        (!text.is_empty()).then(|| Secret::new(text))
    }

    /// A path; the empty text is none. Relative ones are meant from `base`, where there is one.
    pub(crate) fn path(&mut self, key: &'static str, base: Option<&Path>) -> Option<PathBuf> {
        let text = self.text(key);
        let path = base.map_or_else(|| PathBuf::from(&text), |base| base.join(&text));
        (!text.is_empty()).then_some(path)
    }

    /// A secret that stands under one key, or whose file stands under another; both are a problem.
    pub(crate) fn secret_or_file(
        &mut self,
        key: &'static str,
        file_key: &'static str,
    ) -> Option<SecretSource> {
        let inline = self.secret(key);
        let file = self.path(file_key, None);
        self.one_source(key, inline, file_key, file)
    }

    /// As `secret_or_file`, of an address.
    pub(crate) fn secret_url_or_file(
        &mut self,
        key: &'static str,
        file_key: &'static str,
    ) -> Option<SecretSource> {
        let inline = self.secret_url(key);
        let file = self.path(file_key, None);
        self.one_source(key, inline, file_key, file)
    }

    pub(crate) fn one_source(
        &self,
        key: &'static str,
        inline: Option<Secret>,
        file_key: &'static str,
        file: Option<PathBuf>,
    ) -> Option<SecretSource> {
        if inline.is_some() && file.is_some() {
            self.problem(
                file_key,
                format!("at most one of {key} & {file_key} must be configured"),
            );
        }
        inline
            .map(SecretSource::Inline)
            .or_else(|| file.map(SecretSource::File))
    }

    /// A problem with a key's value, or with the whole where the key is absent.
    pub(crate) fn problem(&self, key: &str, message: impl Into<String>) {
        match self.entry(key) {
            Some(entry) => self.cursor.child(entry).problem(message),
            None => self.cursor.problem(message),
        }
    }

    /// As `problem`, of what shows only when the whole file is known.
    pub(crate) fn file_problem(&self, key: &str, message: impl Into<String>) {
        match self.entry(key) {
            Some(entry) => self.cursor.child(entry).file_problem(message),
            None => self.cursor.file_problem(message),
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entry(key)
            .is_some_and(|entry| entry.value.value != Value::Null)
    }

    /// Keys that nobody asked for are problems; in Go's words where the type has a name in Go.
    pub(crate) fn finish(self) {
        for entry in self.unknown() {
            let key = &entry.key.text;
            let message = if self.type_name.is_empty() {
                format!("unknown key {key}")
            } else {
                format!("field {key} not found in type {}", self.type_name)
            };
            let path = self.cursor.path_of(key);
            let source = self.cursor.source;
            match source.unknown_keys() {
                UnknownKeys::Refused => {
                    source.problem_at(Stage::Decoding, Some(entry.place), &path, message);
                }
                UnknownKeys::WarnedOf => source.warn(entry.place, &path, message),
            }
        }
    }

    /// What other programs read, and we do not, is passed over.
    pub(crate) fn finish_ignoring_others(self) {}

    fn unknown(&self) -> Vec<&'a Entry> {
        match &self.cursor.node.value {
            Value::Map(entries) => entries
                .iter()
                .filter(|entry| !self.known.contains(&entry.key.text.as_str()))
                .collect(),
            Value::List(_) | Value::Null | Value::Scalar(_) => Vec::new(),
        }
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        match &self.cursor.node.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key.text == key),
            Value::List(_) | Value::Null | Value::Scalar(_) => None,
        }
    }
}
