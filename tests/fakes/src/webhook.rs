//! A receiver of webhooks: takes any JSON that is posted below `/webhook`.
use model::Timestamp;
use serde_json::Value;

use crate::event::Happened;
use crate::fake::{Decision, Fake, Vendor};
use crate::http::{Answer, HttpRequest};

const PATH: &str = "/webhook";

pub type Webhook = Fake<WebhookReceiver>;

/// Every body that was taken, with the path it came to.
#[derive(Debug, Default)]
pub struct WebhookReceiver {
    pub bodies: Vec<(String, Value)>,
}

impl Vendor for WebhookReceiver {
    const NAME: &'static str = "Webhook";

    fn owns(path: &str) -> bool {
        path.starts_with(PATH)
    }

    fn answer(&mut self, request: &HttpRequest, _at: Timestamp) -> Decision {
        if request.method != "POST" {
            return Decision::refused(Answer::text(405, ""), "only POST");
        }
        if request.header("content-type") != Some("application/json") {
            return Decision::refused(Answer::text(415, ""), "not application/json");
        }
        let Some(body) = request.json() else {
            return Decision::refused(Answer::text(400, "not JSON"), "not JSON");
        };
        let called = Happened::WebhookCalled {
            path: request.path.clone(),
            status: body["status"].as_str().unwrap_or("").to_owned(),
        };
        self.bodies.push((request.path.clone(), body));
        Decision::accepted(Answer::text(200, "ok"), vec![called])
    }

    fn rate_limited(&self, _request: &HttpRequest, retry_after: Option<u64>) -> Answer {
        let answer = Answer::text(429, "");
        match retry_after {
            Some(seconds) => answer.with_header("retry-after", seconds),
            None => answer,
        }
    }
}

impl Fake<WebhookReceiver> {
    /// `name` tells several webhooks apart; it may be empty.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        if name.is_empty() {
            format!("{}{PATH}", self.base_url())
        } else {
            format!("{}{PATH}/{name}", self.base_url())
        }
    }
}
