//! `/api/watchbell/v1/alerts/{fingerprint}/explain`: why somebody is told of an alert, or is not.
use alertmanager_core::{
    Answer, AttemptEnd, Explanation, GroupExplanation, Inhibition, Input, IntegrationExplanation,
    IntervalMute, LogKey, RouteExplanation, Told,
};
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::{AlertStatus, Fingerprint, Timestamp};
use runtime::Tenant;
use serde::Serialize;

use crate::api::error::{ApiError, CODE_TYPE, json};
use crate::api::query::Query;
use crate::api::wire::{GettableSilence, LabelMap};
use crate::attempts::{Attempts, LastAttempt};
use crate::service::AlertmanagerService;
use crate::tenant::AskError;

pub(crate) async fn explain(
    State(service): State<AlertmanagerService>,
    Tenant(tenant): Tenant,
    Path(fingerprint): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let fingerprint = parse_fingerprint(&fingerprint)?;
    let query = Query::of(&uri);
    let at = match query.all("at").last() {
        None | Some("") => None,
        Some(text) => Some(Timestamp::parse_rfc3339(text).map_err(|error| {
            ApiError::bad_request(format!("failed to parse at param: {error}"))
        })?),
    };
    let not_found = || ApiError::Handler {
        status: StatusCode::NOT_FOUND,
        text: "alert not found".to_owned(),
    };
    let handle = service.known(&tenant).ok_or_else(not_found)?;
    let answer = handle
        .ask(|ticket| Input::Explain {
            ticket,
            fingerprint,
            at,
        })
        .await?;
    let Answer::Explained(explanation) = answer else {
        return Err(AskError::Stopped.into());
    };
    let explanation = explanation.ok_or_else(not_found)?;
    let now = service.inner.parts.clock.now();
    let body = Body::new(&explanation, fingerprint, handle.attempts(), now);
    Ok(json(StatusCode::OK, &body))
}

fn parse_fingerprint(text: &str) -> Result<Fingerprint, ApiError> {
    let is_right = text.len() == 16
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    u64::from_str_radix(text, 16)
        .ok()
        .filter(|_| is_right)
        .map(Fingerprint)
        .ok_or_else(|| {
            ApiError::invalid(
                CODE_TYPE,
                format!("fingerprint in path must be 16 hexadecimal digits: {text:?}"),
            )
        })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    at: String,
    fingerprint: String,
    labels: LabelMap<'a>,
    annotations: LabelMap<'a>,
    status: &'static str,
    starts_at: String,
    ends_at: String,
    updated_at: String,
    muted_by: MutedBody<'a>,
    routes: Vec<RouteBody<'a>>,
    /// In a sentence each, what a person would say.
    verdict: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MutedBody<'a> {
    silences: Vec<GettableSilence<'a>>,
    inhibition: Option<InhibitionBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InhibitionBody<'a> {
    fingerprint: String,
    labels: LabelMap<'a>,
    rule: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteBody<'a> {
    path: Vec<StepBody<'a>>,
    receiver: &'a str,
    group_key: &'a str,
    group_labels: LabelMap<'a>,
    group: Option<GroupBody>,
    time_intervals: Option<IntervalBody<'a>>,
    integrations: Vec<IntegrationBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepBody<'a> {
    route: &'a str,
    matchers: &'a [String],
    r#continue: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupBody {
    members: usize,
    last_flush: Option<String>,
    next_flush: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IntervalBody<'a> {
    names: &'a [String],
    reason: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IntegrationBody {
    integration: String,
    send_resolved: bool,
    knows: &'static str,
    told_at: Option<String>,
    undelivered: Option<UndeliveredBody>,
    last_attempt: Option<AttemptBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UndeliveredBody {
    attempts: u32,
    next_at: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptBody {
    at: String,
    reason: &'static str,
    number: u32,
    outcome: &'static str,
    detail: String,
}

impl<'a> Body<'a> {
    fn new(
        explanation: &'a Explanation,
        fingerprint: Fingerprint,
        attempts: &Attempts,
        now: Timestamp,
    ) -> Self {
        let alert = &explanation.alert;
        Self {
            at: explanation.at.to_rfc3339_millis(),
            fingerprint: fingerprint.to_string(),
            labels: LabelMap(&alert.labels),
            annotations: LabelMap(&alert.annotations),
            status: explanation.status.as_str(),
            starts_at: alert.starts_at.to_rfc3339_millis(),
            ends_at: alert.ends_at.to_rfc3339_millis(),
            updated_at: alert.updated_at.to_rfc3339_millis(),
            muted_by: MutedBody {
                silences: explanation
                    .silences
                    .iter()
                    .map(|silence| GettableSilence::new(silence, explanation.at))
                    .collect(),
                inhibition: explanation.inhibition.as_ref().map(InhibitionBody::new),
            },
            routes: explanation
                .routes
                .iter()
                .map(|route| RouteBody::new(route, attempts))
                .collect(),
            verdict: explanation
                .routes
                .iter()
                .map(|route| verdict(explanation, route, attempts, now))
                .collect(),
        }
    }
}

impl<'a> InhibitionBody<'a> {
    fn new(inhibition: &'a Inhibition) -> Self {
        Self {
            fingerprint: inhibition.source.to_string(),
            labels: LabelMap(&inhibition.labels),
            rule: &inhibition.rule,
        }
    }
}

impl<'a> RouteBody<'a> {
    fn new(route: &'a RouteExplanation, attempts: &Attempts) -> Self {
        Self {
            path: route
                .path
                .iter()
                .map(|step| StepBody {
                    route: &step.id,
                    matchers: &step.matchers,
                    r#continue: step.continues,
                })
                .collect(),
            receiver: &route.receiver,
            group_key: route.group_key.as_str(),
            group_labels: LabelMap(&route.group_labels),
            group: route.group.map(GroupBody::new),
            time_intervals: route.interval.as_ref().map(|interval| IntervalBody {
                names: interval.names(),
                reason: match interval {
                    IntervalMute::Muted(_) => "muted",
                    IntervalMute::NotActive(_) => "not active",
                },
            }),
            integrations: route
                .integrations
                .iter()
                .map(|integration| IntegrationBody::new(integration, attempts))
                .collect(),
        }
    }
}

impl GroupBody {
    fn new(group: GroupExplanation) -> Self {
        Self {
            members: group.members,
            last_flush: group.last_flush.map(Timestamp::to_rfc3339_millis),
            next_flush: group.next_flush.to_rfc3339_millis(),
        }
    }
}

impl IntegrationBody {
    fn new(integration: &IntegrationExplanation, attempts: &Attempts) -> Self {
        let (knows, told_at) = match integration.told {
            Told::Never => ("nothing", None),
            Told::Fires { at } => ("fires", Some(at)),
            Told::Resolved { at } => ("resolved", Some(at)),
            Told::PerhapsFires => ("perhaps fires", None),
            Told::PerhapsResolved => ("perhaps resolved", None),
        };
        Self {
            integration: name(&integration.key),
            send_resolved: integration.send_resolved,
            knows,
            told_at: told_at.map(Timestamp::to_rfc3339_millis),
            undelivered: integration.undelivered.map(|undelivered| UndeliveredBody {
                attempts: undelivered.attempts,
                next_at: undelivered.next_at.map(Timestamp::to_rfc3339_millis),
            }),
            last_attempt: attempts.of(&integration.key).map(AttemptBody::new),
        }
    }
}

impl AttemptBody {
    fn new(attempt: LastAttempt) -> Self {
        let (outcome, detail) = match attempt.end {
            None => ("under way", String::new()),
            Some(AttemptEnd::Delivered { id }) => ("delivered", id.unwrap_or_default()),
            Some(AttemptEnd::LeftOpen { reason, .. }) => ("unknown", reason),
            Some(AttemptEnd::Rejected { reason, .. }) => ("rejected", reason),
            Some(AttemptEnd::Retrying { reason, .. }) => ("failed", reason),
        };
        Self {
            at: attempt.at.to_rfc3339_millis(),
            reason: attempt.reason,
            number: attempt.number,
            outcome,
            detail,
        }
    }
}

fn name(key: &LogKey) -> String {
    format!("{}[{}]", key.integration, key.index)
}

/// The first thing that keeps this route's receiver from being told, or that it was told.
fn verdict(
    explanation: &Explanation,
    route: &RouteExplanation,
    attempts: &Attempts,
    now: Timestamp,
) -> String {
    let receiver = &route.receiver;
    if route.integrations.is_empty() {
        return format!("{receiver} has no integrations: nobody is told");
    }
    if let Some(IntervalMute::NotActive(names)) = &route.interval {
        return format!(
            "{receiver} is not told now: none of {} is active",
            names.join(", ")
        );
    }
    if let Some(IntervalMute::Muted(names)) = &route.interval {
        return format!("{receiver} is not told now: muted by {}", names.join(", "));
    }
    if let Some(inhibition) = &explanation.inhibition {
        return format!(
            "{receiver} is not told: inhibited by alert {} (rule {})",
            inhibition.source, inhibition.rule
        );
    }
    if let Some(silence) = explanation.silences.first() {
        return format!(
            "{receiver} is not told: silenced by {} of {} until {}",
            silence.id.as_str(),
            silence.created_by,
            silence.ends_at.to_rfc3339_millis()
        );
    }
    let states: Vec<String> = route
        .integrations
        .iter()
        .map(|integration| {
            let name = name(&integration.key);
            let failed = attempts
                .of(&integration.key)
                .and_then(|attempt| match attempt.end {
                    Some(AttemptEnd::Rejected { reason, .. }) => {
                        Some(format!("{name} rejected it: {reason}"))
                    }
                    Some(AttemptEnd::LeftOpen { reason, .. }) => {
                        Some(format!("{name} may or may not know: {reason}"))
                    }
                    Some(AttemptEnd::Retrying { until, reason }) => Some(format!(
                        "{name} could not be told, tried again at {}: {reason}",
                        until.to_rfc3339_millis()
                    )),
                    Some(AttemptEnd::Delivered { .. }) | None => None,
                });
            match (failed, integration.told, explanation.status) {
                (Some(failed), _, _) => failed,
                (None, Told::Fires { at }, AlertStatus::Firing) => {
                    format!("{name} was told at {}", at.to_rfc3339_millis())
                }
                (None, Told::Fires { .. }, AlertStatus::Resolved) => {
                    format!("{name} is to be told of the end")
                }
                (None, Told::Resolved { at }, AlertStatus::Resolved) => {
                    format!("{name} was told of the end at {}", at.to_rfc3339_millis())
                }
                (None, Told::PerhapsFires | Told::PerhapsResolved, _) => {
                    format!("{name} may or may not know")
                }
                (None, Told::Never | Told::Resolved { .. }, AlertStatus::Firing) => {
                    format!("{name} is told at the next flush")
                }
                (None, Told::Never, AlertStatus::Resolved) => {
                    format!("{name} was never told, and it is over")
                }
            }
        })
        .collect();
    let next = route.group.map_or_else(String::new, |group| {
        let wait = group.next_flush.saturating_since(now).as_secs();
        format!("; next flush in {wait} s")
    });
    format!("{receiver}: {}{next}", states.join("; "))
}
