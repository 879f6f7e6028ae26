//! What templates compute with.
use crate::alertmanager::data::NotificationData;
use crate::prometheus::data::AlertTemplateData;

/// A value of Go's, as far as templates can meet it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Value(());

impl From<NotificationData> for Value {
    fn from(_: NotificationData) -> Self {
        Self(())
    }
}

impl From<AlertTemplateData> for Value {
    fn from(_: AlertTemplateData) -> Self {
        Self(())
    }
}
