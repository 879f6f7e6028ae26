//! PagerDuty: Events API v1 and v2, and the incidents they open.
//!
//! An alert is known by its integration key and its deduplication key. A trigger for an open one adds to it, a
//! resolve closes it, a trigger after that opens another; acknowledging or resolving what is not open is accepted
//! and forgotten.
use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;
use serde_json::{Value, json};

use crate::event::Happened;
use crate::event_schema::{Event, EventAction, read_v1, read_v2};
use crate::fake::{Decision, Fake, Vendor};
use crate::http::{Answer, HttpRequest};
use crate::rate::{RateLimit, RateLimiter};

const V1_PATH: &str = "/generic/2010-04-15/create_event.json";
const V2_PATH: &str = "/v2/enqueue";
/// A whole request may have 512 KB.
const BODY_BYTES_MAX: usize = 512 * 1024;
/// Documented as about 120 events a minute and integration key, in a sliding window.
const RATE_LIMIT: RateLimit = RateLimit {
    requests: 120,
    window: Duration::from_secs(60),
};

pub type PagerDuty = Fake<PagerDutyAccount>;

/// One account: its incidents and what it refuses.
#[derive(Debug)]
pub struct PagerDutyAccount {
    pub incidents: Vec<Incident>,
    limiter: RateLimiter<String>,
    /// Where set, other keys are refused by v2 and dropped in silence by v1.
    keys: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// From 1.
    pub number: u64,
    /// The integration (v2: routing, v1: service) key.
    pub key: String,
    pub dedup_key: String,
    /// Of the trigger that opened it; later ones do not change it.
    pub summary: String,
    /// Empty for v1, which knows none.
    pub severity: String,
    pub status: IncidentStatus,
    pub opened_at: Timestamp,
    pub resolved_at: Option<Timestamp>,
    /// In order of arrival, beginning with the trigger that opened it.
    pub log: Vec<LogEntry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentStatus {
    Triggered,
    Acknowledged,
    Resolved,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    pub at: Timestamp,
    pub action: EventAction,
    pub summary: String,
    /// `custom_details` (v2) or `details` (v1); null where there were none.
    pub details: Value,
}

impl Default for PagerDutyAccount {
    fn default() -> Self {
        Self {
            incidents: Vec::new(),
            limiter: RateLimiter::new(Some(RATE_LIMIT)),
            keys: None,
        }
    }
}

impl PagerDutyAccount {
    pub fn limit_rate(&mut self, limit: Option<RateLimit>) {
        self.limiter = RateLimiter::new(limit);
    }

    /// Only these integration keys exist.
    pub fn allow_keys(&mut self, keys: impl IntoIterator<Item = String>) {
        self.keys = Some(keys.into_iter().collect());
    }

    fn knows(&self, key: &str) -> bool {
        self.keys
            .as_ref()
            .is_none_or(|keys| keys.iter().any(|known| known == key))
    }

    fn take_in(&mut self, event: Event, at: Timestamp) -> (String, Vec<Happened>) {
        let dedup_key = event
            .dedup_key
            .clone()
            .unwrap_or_else(|| format!("made-{:032}", self.incidents.len()));
        let open = self.incidents.iter_mut().find(|incident| {
            incident.status != IncidentStatus::Resolved
                && incident.key == event.key
                && incident.dedup_key == dedup_key
        });
        let entry = LogEntry {
            at,
            action: event.action,
            summary: event.summary.clone(),
            details: event.details.clone(),
        };
        let happened = match (open, event.action) {
            (Some(incident), action) => {
                incident.log.push(entry);
                incident.on(action, event.summary, at)
            }
            (None, EventAction::Trigger) => {
                let number = self.incidents.len() as u64 + 1;
                self.incidents.push(Incident {
                    number,
                    key: event.key.clone(),
                    dedup_key: dedup_key.clone(),
                    summary: event.summary.clone(),
                    severity: event.severity.clone(),
                    status: IncidentStatus::Triggered,
                    opened_at: at,
                    resolved_at: None,
                    log: vec![entry],
                });
                vec![Happened::IncidentOpened {
                    number,
                    key: event.key,
                    dedup_key: dedup_key.clone(),
                    summary: event.summary,
                    severity: event.severity,
                }]
            }
            (None, EventAction::Acknowledge | EventAction::Resolve) => Vec::new(),
        };
        (dedup_key, happened)
    }
}

impl Incident {
    fn on(&mut self, action: EventAction, summary: String, at: Timestamp) -> Vec<Happened> {
        let number = self.number;
        match action {
            EventAction::Trigger => vec![Happened::IncidentUpdated { number, summary }],
            EventAction::Acknowledge => {
                self.status = IncidentStatus::Acknowledged;
                vec![Happened::IncidentAcknowledged { number }]
            }
            EventAction::Resolve => {
                self.status = IncidentStatus::Resolved;
                self.resolved_at = Some(at);
                // The incident keeps its title; what happened now is told in the words of the event that did it.
                let summary = Some(summary).filter(|summary| !summary.is_empty());
                vec![Happened::IncidentResolved {
                    number,
                    summary: summary.unwrap_or_else(|| self.summary.clone()),
                }]
            }
        }
    }
}

impl Vendor for PagerDutyAccount {
    const NAME: &'static str = "PagerDuty";

    fn owns(path: &str) -> bool {
        path == V1_PATH || path == V2_PATH
    }

    fn answer(&mut self, request: &HttpRequest, at: Timestamp) -> Decision {
        if request.method != "POST" {
            return Decision::refused(Answer::text(405, ""), "only POST");
        }
        if request.body.len() > BODY_BYTES_MAX {
            return Decision::refused(invalid(413, &["event is too large"]), "more than 512 KB");
        }
        let Some(body) = request.json() else {
            let answer = json!({
                "status": "Unrecognized object",
                "message": "Event object format is unrecognized",
                "errors": ["JSON parse error"],
            });
            return Decision::refused(Answer::json(400, &answer), "not JSON");
        };
        let first = request.path == V1_PATH;
        let event = match if first {
            read_v1(&body)
        } else {
            read_v2(&body)
        } {
            Ok(event) => event,
            Err(errors) => {
                let reason = errors.join(", ");
                return Decision::refused(invalid(400, &errors), reason);
            }
        };
        if !self.limiter.admits(event.key.clone(), at) {
            return Decision::rate_limited(self.rate_limited(request, None));
        }
        if !self.knows(&event.key) && !first {
            return Decision::refused(
                invalid(400, &["Invalid routing key"]),
                "unknown routing key",
            );
        }
        let (dedup_key, happened) = if self.knows(&event.key) {
            self.take_in(event, at)
        } else {
            (event.dedup_key.unwrap_or_default(), Vec::new())
        };
        let (status, name) = if first {
            (200, "incident_key")
        } else {
            (202, "dedup_key")
        };
        let answer = json!({"status": "success", "message": "Event processed", name: dedup_key});
        Decision::accepted(Answer::json(status, &answer), happened)
    }

    /// v1 says 403 where v2 says 429.
    fn rate_limited(&self, request: &HttpRequest, retry_after: Option<u64>) -> Answer {
        let status = if request.path == V1_PATH { 403 } else { 429 };
        let body = json!({
            "status": "throttle exceeded",
            "message": "Requests for this service are arriving too quickly.  Please retry later.",
        });
        let answer = Answer::json(status, &body);
        match retry_after {
            Some(seconds) => answer.with_header("retry-after", seconds),
            None => answer,
        }
    }
}

fn invalid<Error: AsRef<str>>(status: u16, errors: &[Error]) -> Answer {
    let errors: Vec<&str> = errors.iter().map(AsRef::as_ref).collect();
    Answer::json(
        status,
        &json!({"status": "invalid event", "message": "Event object is invalid", "errors": errors}),
    )
}

impl Fake<PagerDutyAccount> {
    #[must_use]
    pub fn v1_url(&self) -> String {
        format!("{}{V1_PATH}", self.base_url())
    }

    #[must_use]
    pub fn v2_url(&self) -> String {
        format!("{}{V2_PATH}", self.base_url())
    }

    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        self.look(|account| account.incidents.clone())
    }

    /// The open incidents (triggered or acknowledged) by deduplication key.
    #[must_use]
    pub fn open_incidents(&self) -> BTreeMap<String, Incident> {
        self.look(|account| {
            account
                .incidents
                .iter()
                .filter(|incident| incident.status != IncidentStatus::Resolved)
                .map(|incident| (incident.dedup_key.clone(), incident.clone()))
                .collect()
        })
    }

    /// A human takes an open incident. Says whether there was one of that number.
    pub fn acknowledge(&self, number: u64) -> bool {
        self.change(|account| {
            let open = account.incidents.iter_mut().find(|incident| {
                incident.number == number && incident.status == IncidentStatus::Triggered
            });
            match open {
                Some(incident) => {
                    incident.status = IncidentStatus::Acknowledged;
                    true
                }
                None => false,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use serde_json::{Value, json};

    use super::{IncidentStatus, PagerDutyAccount, V1_PATH, V2_PATH};
    use crate::fake::Vendor;
    use crate::http::HttpRequest;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn post(account: &mut PagerDutyAccount, path: &str, body: &Value, second: i64) -> (u16, Value) {
        let request = HttpRequest {
            method: "POST".into(),
            path: path.into(),
            query: String::new(),
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        };
        let decision = account.answer(&request, Timestamp::from_secs(second));
        let said = serde_json::from_str(&decision.answer.body).unwrap();
        (decision.answer.status, said)
    }

    fn v2(action: &str, dedup_key: &str) -> Value {
        json!({"routing_key": KEY, "event_action": action, "dedup_key": dedup_key,
               "payload": {"summary": "s", "source": "x", "severity": "error"}})
    }

    #[test]
    fn an_incident_lives_once_for_each_firing() {
        let mut account = PagerDutyAccount::default();
        for (second, (action, dedup_key)) in [
            ("resolve", "a"),
            ("trigger", "a"),
            ("trigger", "a"),
            ("acknowledge", "a"),
            ("trigger", "a"),
            ("trigger", "b"),
            ("resolve", "a"),
            ("resolve", "a"),
            ("trigger", "a"),
        ]
        .into_iter()
        .enumerate()
        {
            let (status, said) = post(&mut account, V2_PATH, &v2(action, dedup_key), second as i64);
            assert_eq!((status, &said["dedup_key"]), (202, &json!(dedup_key)));
        }
        let lives: Vec<(&str, IncidentStatus, usize, Option<i64>)> = account
            .incidents
            .iter()
            .map(|incident| {
                (
                    incident.dedup_key.as_str(),
                    incident.status,
                    incident.log.len(),
                    incident.resolved_at.map(|at| at.as_millis() / 1000),
                )
            })
            .collect();
        assert_eq!(
            lives,
            [
                ("a", IncidentStatus::Resolved, 5, Some(6)),
                ("b", IncidentStatus::Triggered, 1, None),
                ("a", IncidentStatus::Triggered, 1, None),
            ]
        );
    }

    #[test]
    fn the_first_version_knows_other_words() {
        let mut account = PagerDutyAccount::default();
        let trigger = json!({"service_key": KEY, "event_type": "trigger", "incident_key": "k",
            "description": "d", "client": "c", "client_url": "u", "details": {"firing": "x"},
            "event_action": "", "payload": null});
        assert_eq!(
            post(&mut account, V1_PATH, &trigger, 0),
            (
                200,
                json!({"status": "success", "message": "Event processed", "incident_key": "k"})
            )
        );
        assert_eq!(account.incidents[0].log[0].details, json!({"firing": "x"}));
        let short = json!({"service_key": "abc", "event_type": "trigger", "description": "d"});
        let (status, said) = post(&mut account, V1_PATH, &short, 0);
        assert_eq!(status, 400);
        assert_eq!(
            said["errors"],
            json!(["Service key is the wrong length (should be 32 characters)"])
        );
    }

    #[test]
    fn a_hundred_and_twenty_a_minute_and_no_more() {
        for (path, limited, event) in [
            (V2_PATH, 429, v2("trigger", "a")),
            (
                V1_PATH,
                403,
                json!({"service_key": KEY, "event_type": "trigger", "description": "d"}),
            ),
        ] {
            let mut account = PagerDutyAccount::default();
            let statuses: Vec<u16> = (0..121)
                .map(|_| post(&mut account, path, &event, 10).0)
                .collect();
            assert!(statuses[..120].iter().all(|status| *status < 300));
            assert_eq!(statuses[120], limited);
            assert!(
                post(&mut account, path, &event, 71).0 < 300,
                "the window moves on"
            );
        }
    }
}
