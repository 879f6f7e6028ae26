//! A rule's data and the samples of a query as the objects that templates see.
use std::sync::Arc;

use model::Labels;

use crate::host::QueryResult;
use crate::prometheus::data::AlertTemplateData;
use crate::value::{Map, Object, Value};

#[derive(Debug)]
struct AlertTemplateObject {
    external_url: Arc<str>,
    data: AlertTemplateData,
}

#[derive(Debug)]
struct Sample {
    labels: Labels,
    value: f64,
}

impl From<AlertTemplateData> for Value {
    fn from(data: AlertTemplateData) -> Self {
        Self::Object(Arc::new(AlertTemplateObject {
            external_url: data.external_url.as_str().into(),
            data,
        }))
    }
}

impl From<QueryResult> for Value {
    fn from(result: QueryResult) -> Self {
        Self::Object(Arc::new(Sample {
            labels: result.labels,
            value: result.value,
        }))
    }
}

impl Object for AlertTemplateObject {
    fn type_name(&self) -> &'static str {
        "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"
    }

    fn fields(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("Labels", "Labels"),
            ("ExternalLabels", "ExternalLabels"),
            ("ExternalURL", "ExternalURL"),
            ("Value", "Value"),
        ]
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Labels" => Value::Map(Map::Strings(self.data.labels.clone())),
            "ExternalLabels" => Value::Map(Map::Strings(self.data.external_labels.clone())),
            "ExternalURL" => Value::Str(Arc::clone(&self.external_url)),
            "Value" => Value::Float(self.data.value),
            _ => return None,
        })
    }
}

impl Object for Sample {
    fn type_name(&self) -> &'static str {
        "*template.sample"
    }

    fn fields(&self) -> &'static [(&'static str, &'static str)] {
        &[("Labels", "Labels"), ("Value", "Value")]
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Labels" => Value::Map(Map::Strings(self.labels.clone())),
            "Value" => Value::Float(self.value),
            _ => return None,
        })
    }
}
