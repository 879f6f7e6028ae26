//! Alerts on their way to an Alertmanager: `POST /api/v2/alerts`.
use std::collections::BTreeMap;

use config::RelabelConfig;
use model::wire::PostableAlert;
use model::{Labels, TenantId, go_json};
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Client, Response, StatusCode};
use ruler_core::{Destination, Message, SendOutcome, relabel};
use runtime::TENANT_HEADER;

use crate::external::{External, Outside, SEND_TIMEOUT};

/// Of a refusal's body, what is worth a place in the log.
const REASON_CHARS_MAX: usize = 200;
const REASON_BYTES_MAX: usize = 4 * REASON_CHARS_MAX;

/// Posts batches. Each batch is one request of its own, so one destination's trouble is no other's.
#[derive(Clone, Debug)]
pub struct Sender {
    client: Client,
    external: External,
}

impl Sender {
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            external: External::default(),
        }
    }

    pub(crate) fn external(&self) -> &External {
        &self.external
    }

    /// Any 2xx is a success. What may be different next time is `Failed`, what stays wrong is `Rejected`.
    /// An alert that relabelling drops is not told to this destination, and that is a success too.
    pub async fn send(
        &self,
        tenant: &TenantId,
        destination: &Destination,
        messages: &[Message],
    ) -> SendOutcome {
        let outside = self.external.current();
        let target = outside
            .alertmanagers
            .iter()
            .find(|target| *target.url == *destination.0);
        let own_steps = target.map_or(&[][..], |target| &target.alert_relabel_configs);
        let timeout = target.map_or(SEND_TIMEOUT, |target| target.timeout);
        let alerts: Vec<PostableAlert> = messages
            .iter()
            .filter_map(|message| postable(message, &outside, own_steps))
            .collect();
        if alerts.is_empty() {
            return SendOutcome::Delivered;
        }
        let body = match go_json::to_string(&alerts) {
            Ok(body) => body,
            Err(error) => {
                return SendOutcome::Rejected {
                    reason: error.to_string(),
                };
            }
        };
        let request = self
            .client
            .post(&*destination.0)
            .timeout(timeout)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("Watchbell/", env!("CARGO_PKG_VERSION")))
            .header(TENANT_HEADER, tenant.as_str())
            .body(body);
        match request.send().await {
            Ok(response) if response.status().is_success() => SendOutcome::Delivered,
            Ok(response) => {
                let status = response.status();
                refused(status, &beginning(response).await)
            }
            Err(error) => SendOutcome::Failed {
                reason: with_causes(&error.without_url()),
            },
        }
    }
}

/// As the destination is to see it; `None` where relabelling drops it.
fn postable(
    message: &Message,
    outside: &Outside,
    own_steps: &[RelabelConfig],
) -> Option<PostableAlert> {
    let alert = &message.alert;
    // Of two pairs with one name the later stays: the alert's own.
    let labels: Labels = outside
        .external_labels
        .iter()
        .chain(&alert.labels)
        .collect();
    let labels = relabel(&labels, &outside.alert_relabel_configs)?;
    let labels = relabel(&labels, own_steps)?;
    Some(PostableAlert {
        labels: texts(&labels),
        annotations: texts(&alert.annotations),
        starts_at: Some(alert.starts_at.to_rfc3339_millis()),
        ends_at: Some(alert.ends_at.to_rfc3339_millis()),
        generator_url: generator_url(&outside.external_url, &message.expression),
    })
}

/// Empty where the expression is not known any more.
fn generator_url(external_url: &str, expression: &str) -> String {
    if expression.is_empty() {
        return String::new();
    }
    let escaped = query_escape(expression);
    format!("{external_url}/graph?g0.expr={escaped}&g0.tab=1")
}

/// As much of an answer as is worth a place in the log.
async fn beginning(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < REASON_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(part)) => body.extend_from_slice(&part),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(REASON_BYTES_MAX);
    String::from_utf8_lossy(&body).into_owned()
}

fn refused(status: StatusCode, body: &str) -> SendOutcome {
    let body: String = body.trim().chars().take(REASON_CHARS_MAX).collect();
    let reason = format!("bad response status {status}: {body}");
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return SendOutcome::TooLarge { reason };
    }
    let passes = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    );
    if status.is_client_error() && !passes {
        SendOutcome::Rejected { reason }
    } else {
        SendOutcome::Failed { reason }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn texts(labels: &Labels) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Go's `url.QueryEscape`: a space becomes `+`; letters, digits and `-_.~` stay.
fn query_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use ruler_core::SendOutcome;

    use super::{query_escape, refused};

    #[test]
    fn escapes_as_go_does() {
        assert_eq!(
            query_escape(r#"sum by (job) (up{a="é*~"}) > 1"#),
            "sum+by+%28job%29+%28up%7Ba%3D%22%C3%A9%2A~%22%7D%29+%3E+1"
        );
    }

    #[test]
    fn what_stays_wrong_is_not_tried_again() {
        for (status, again) in [
            (400, false),
            (401, false),
            (404, false),
            (408, true),
            (429, true),
            (500, true),
            (503, true),
            (302, true),
        ] {
            let outcome = refused(StatusCode::from_u16(status).unwrap(), "no");
            let failed = matches!(outcome, SendOutcome::Failed { .. });
            assert_eq!(failed, again, "{status}");
        }
    }
}
