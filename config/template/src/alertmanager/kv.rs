//! Label sets in Alertmanager's order: `alertname` first, the rest by name.
use std::sync::Arc;

use model::{ALERT_NAME, Labels};

use crate::value::{List, ListKind, Object, Value};

/// Names and values, `alertname` first.
pub(crate) fn sorted_pairs(labels: &Labels) -> Vec<(&str, &str)> {
    let first = labels.get(ALERT_NAME).map(|value| (ALERT_NAME, value));
    first
        .into_iter()
        .chain(labels.iter().filter(|(name, _)| *name != ALERT_NAME))
        .collect()
}

/// What `SortedPairs` gives.
pub(crate) fn pairs(labels: &Labels) -> List {
    let pairs = sorted_pairs(labels).into_iter().map(|(name, value)| {
        Value::Object(Arc::new(Pair {
            name: name.into(),
            value: value.into(),
        }))
    });
    List::flat(ListKind::Pairs, pairs)
}

#[derive(Debug)]
struct Pair {
    name: Arc<str>,
    value: Arc<str>,
}

impl Object for Pair {
    fn type_name(&self) -> &'static str {
        "template.Pair"
    }

    fn fields(&self) -> &'static [(&'static str, &'static str)] {
        &[("Name", "Name"), ("Value", "Value")]
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Name" => Some(Value::Str(Arc::clone(&self.name))),
            "Value" => Some(Value::Str(Arc::clone(&self.value))),
            _ => None,
        }
    }
}
