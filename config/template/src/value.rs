//! What templates compute with.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use model::Labels;

use crate::go_time::GoTime;

/// Lists and maps made by templates may stand in each other this deep: dropping and printing them recurses.
pub(crate) const VALUE_DEPTH_MAX: u16 = 32;

/// A value of Go's, as far as templates can meet it. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Value {
    /// No value at all, or a nil interface: prints `<no value>`.
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Arc<str>),
    /// A string that is declared to be safe in HTML.
    Safe(Safety, Arc<str>),
    List(List),
    Map(Map),
    Time(GoTime),
    /// Nanoseconds.
    Duration(i64),
    Object(Arc<dyn Object>),
}

/// What a safe string may be used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    Html,
    Url,
}

#[derive(Clone, Debug)]
pub struct List {
    pub(crate) kind: ListKind,
    pub(crate) items: Arc<[Value]>,
    depth: u16,
}

/// Lists have methods by what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    Alerts,
    Any,
    Pairs,
    Samples,
    Strings,
}

#[derive(Clone, Debug)]
pub enum Map {
    /// Alertmanager's label sets, which have methods and print as `k=v, k2=v2`.
    Kv(Labels),
    /// `map[string]string`
    Strings(Labels),
    /// `map[string]interface {}`
    Any(AnyMap),
}

#[derive(Clone, Debug)]
pub struct AnyMap {
    pub(crate) entries: Arc<BTreeMap<Arc<str>, Value>>,
    depth: u16,
}

/// A struct of Go's.
pub trait Object: fmt::Debug + Send + Sync {
    fn type_name(&self) -> &'static str;
    /// The fields in Go's order, and how each is called in JSON.
    fn fields(&self) -> &'static [(&'static str, &'static str)];
    fn field(&self, name: &str) -> Option<Value>;
}

impl List {
    /// `None` where the items are nested too deeply.
    pub(crate) fn new(kind: ListKind, items: Vec<Value>) -> Option<Self> {
        let depth = 1 + items.iter().map(Value::depth).max().unwrap_or(0);
        (depth <= VALUE_DEPTH_MAX).then(|| Self {
            kind,
            items: items.into(),
            depth,
        })
    }

    /// A list whose items hold no lists.
    pub(crate) fn flat(kind: ListKind, items: impl IntoIterator<Item = Value>) -> Self {
        Self {
            kind,
            items: items.into_iter().collect(),
            depth: 1,
        }
    }

    pub(crate) fn strings<'a>(items: impl IntoIterator<Item = &'a str>) -> Self {
        Self::flat(ListKind::Strings, items.into_iter().map(Value::from))
    }
}

impl AnyMap {
    /// `None` where the values are nested too deeply.
    pub(crate) fn new(entries: BTreeMap<Arc<str>, Value>) -> Option<Self> {
        let depth = 1 + entries.values().map(Value::depth).max().unwrap_or(0);
        (depth <= VALUE_DEPTH_MAX).then(|| Self {
            entries: Arc::new(entries),
            depth,
        })
    }
}

impl Map {
    /// The value under a key; `None` where there is none.
    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        match self {
            Self::Kv(labels) | Self::Strings(labels) => labels.get(key).map(Value::from),
            Self::Any(map) => map.entries.get(key).cloned(),
        }
    }

    /// What stands for a missing key: Go's zero value of the element type.
    pub(crate) fn zero(&self) -> Value {
        match self {
            Self::Kv(_) | Self::Strings(_) => Value::from(""),
            Self::Any(_) => Value::Nil,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Kv(labels) | Self::Strings(labels) => labels.len(),
            Self::Any(map) => map.entries.len(),
        }
    }

    /// In the order of the keys.
    pub(crate) fn entries(&self) -> Vec<(Arc<str>, Value)> {
        match self {
            Self::Kv(labels) | Self::Strings(labels) => labels
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            Self::Any(map) => map
                .entries
                .iter()
                .map(|(key, value)| (Arc::clone(key), value.clone()))
                .collect(),
        }
    }
}

impl Value {
    fn depth(&self) -> u16 {
        match self {
            Self::List(list) => list.depth,
            Self::Map(Map::Any(map)) => map.depth,
            Self::Nil
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Str(_)
            | Self::Safe(..)
            | Self::Map(_)
            | Self::Time(_)
            | Self::Duration(_)
            | Self::Object(_) => 0,
        }
    }

    /// Go's name of the type, as error messages and `%T` show it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::Safe(Safety::Html, _) => "template.HTML",
            Self::Safe(Safety::Url, _) => "template.URL",
            Self::List(list) => match list.kind {
                ListKind::Alerts => "template.Alerts",
                ListKind::Any => "[]interface {}",
                ListKind::Pairs => "template.Pairs",
                ListKind::Samples => "template.queryResult",
                ListKind::Strings => "[]string",
            },
            Self::Map(Map::Kv(_)) => "template.KV",
            Self::Map(Map::Strings(_)) => "map[string]string",
            Self::Map(Map::Any(_)) => "map[string]interface {}",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::Object(object) => object.type_name(),
        }
    }

    /// Go's truth: what is not zero and not empty. Structs are always true.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Duration(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) | Self::Safe(_, text) => !text.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => map.len() > 0,
            Self::Time(_) | Self::Object(_) => true,
        }
    }

    /// The text of a string, safe or not.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) | Self::Safe(_, text) => Some(text),
            Self::Nil
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::List(_)
            | Self::Map(_)
            | Self::Time(_)
            | Self::Duration(_)
            | Self::Object(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}
