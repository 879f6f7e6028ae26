//! A notification's data as the objects that templates see.
use std::sync::Arc;

use model::quote_meta;

use crate::alertmanager::data::{AlertData, NotificationData};
use crate::go_time::GoTime;
use crate::value::{List, ListKind, Map, Object, Value};

#[derive(Debug)]
struct NotificationObject {
    receiver: Arc<str>,
    alerts: Value,
    external_url: Arc<str>,
    notification_reason: Arc<str>,
    data: NotificationData,
}

#[derive(Debug)]
struct AlertObject {
    generator_url: Arc<str>,
    fingerprint: Arc<str>,
    data: AlertData,
}

impl From<NotificationData> for Value {
    fn from(mut data: NotificationData) -> Self {
        let alerts = std::mem::take(&mut data.alerts)
            .into_iter()
            .map(|alert| -> Value {
                Value::Object(Arc::new(AlertObject {
                    generator_url: alert.generator_url.as_str().into(),
                    fingerprint: alert.fingerprint.as_str().into(),
                    data: alert,
                }))
            });
        Self::Object(Arc::new(NotificationObject {
            receiver: quote_meta(&data.receiver).into(),
            alerts: Self::List(List::flat(ListKind::Alerts, alerts)),
            external_url: data.external_url.as_str().into(),
            notification_reason: data.notification_reason.as_str().into(),
            data,
        }))
    }
}

impl Object for NotificationObject {
    fn type_name(&self) -> &'static str {
        "*template.Data"
    }

    fn fields(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("Receiver", "receiver"),
            ("Status", "status"),
            ("Alerts", "alerts"),
            ("NotificationReason", "notification_reason"),
            ("GroupLabels", "groupLabels"),
            ("CommonLabels", "commonLabels"),
            ("CommonAnnotations", "commonAnnotations"),
            ("RouteLabels", "routeLabels"),
            ("ExternalURL", "externalURL"),
        ]
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Receiver" => Value::Str(Arc::clone(&self.receiver)),
            "Status" => self.data.status.as_str().into(),
            "Alerts" => self.alerts.clone(),
            "NotificationReason" => Value::Str(Arc::clone(&self.notification_reason)),
            "GroupLabels" => Value::Map(Map::Kv(self.data.group_labels.clone())),
            "CommonLabels" => Value::Map(Map::Kv(self.data.common_labels.clone())),
            "CommonAnnotations" => Value::Map(Map::Kv(self.data.common_annotations.clone())),
            "RouteLabels" => Value::Map(Map::Kv(self.data.route_labels.clone())),
            "ExternalURL" => Value::Str(Arc::clone(&self.external_url)),
            _ => return None,
        })
    }
}

impl Object for AlertObject {
    fn type_name(&self) -> &'static str {
        "template.Alert"
    }

    fn fields(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("Status", "status"),
            ("Labels", "labels"),
            ("Annotations", "annotations"),
            ("StartsAt", "startsAt"),
            ("EndsAt", "endsAt"),
            ("GeneratorURL", "generatorURL"),
            ("Fingerprint", "fingerprint"),
        ]
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Status" => self.data.status.as_str().into(),
            "Labels" => Value::Map(Map::Kv(self.data.labels.clone())),
            "Annotations" => Value::Map(Map::Kv(self.data.annotations.clone())),
            "StartsAt" => Value::Time(GoTime::utc(self.data.starts_at)),
            "EndsAt" => Value::Time(GoTime::utc(self.data.ends_at)),
            "GeneratorURL" => Value::Str(Arc::clone(&self.generator_url)),
            "Fingerprint" => Value::Str(Arc::clone(&self.fingerprint)),
            _ => return None,
        })
    }
}
