//! Where events go, looked at before anything is taken over.
use std::path::PathBuf;
use std::sync::Arc;

use config::{EventWebhook, HttpUrl};
use notifiers::{HttpClient, HttpError};

/// Makes ready what a configuration names.
#[derive(Default)]
pub struct Destinations(pub(super) Vec<Destination>);

pub(super) enum Destination {
    File(PathBuf),
    Stdout,
    Webhook {
        /// Its place among the configured webhooks: their addresses are secrets.
        index: usize,
        settings: Box<EventWebhook>,
        client: Arc<HttpClient>,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    #[error("event_recorder webhook output requires an absolute http(s) url")]
    Address,
    #[error("event_recorder webhook_outputs[{index}]")]
    Http {
        index: usize,
        #[source]
        source: HttpError,
    },
}

impl Destinations {
    /// Without a block there are none.
    ///
    /// # Errors
    /// The first webhook that could not be posted to whatever its host does. A file that cannot be opened is no
    /// mistake: it is tried again with each event, for a history that cannot be kept must not keep pages back.
    pub async fn prepare(config: Option<&config::EventRecorder>) -> Result<Self, RecorderError> {
        let Some(config) = config else {
            return Ok(Self::default());
        };
        let mut destinations: Vec<Destination> = config
            .files
            .iter()
            .cloned()
            .map(Destination::File)
            .collect();
        for (index, settings) in config.webhooks.iter().enumerate() {
            HttpUrl::parse(settings.url.reveal()).map_err(|_| RecorderError::Address)?;
            let http = settings.http.clone().unwrap_or_default();
            let failed = |source| RecorderError::Http { index, source };
            let client = HttpClient::new(http, settings.timeout()).map_err(failed)?;
            client.rehearse().await.map_err(failed)?;
            destinations.push(Destination::Webhook {
                index,
                settings: Box::new(settings.clone()),
                client: Arc::new(client),
            });
        }
        destinations.extend((0..config.stdouts).map(|_| Destination::Stdout));
        Ok(Self(destinations))
    }
}

impl Destination {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(own), Self::File(other)) => own == other,
            (Self::Stdout, Self::Stdout) => true,
            (
                Self::Webhook {
                    index, settings, ..
                },
                Self::Webhook {
                    index: other_index,
                    settings: other,
                    ..
                },
            ) => index == other_index && settings == other,
            (Self::File(_) | Self::Stdout | Self::Webhook { .. }, _) => false,
        }
    }

    /// As `output` in metrics.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => format!("file:{}", path.display()),
            Self::Stdout => "stdout".to_owned(),
            Self::Webhook { index, .. } => format!("webhook:{index}"),
        }
    }
}
