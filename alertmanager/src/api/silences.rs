//! `/api/v2/silences` and `/api/v2/silence/{id}`.
use std::cmp::Reverse;

use alertmanager_core::{
    Answer, Input, MatcherDraft, Silence, SilenceDraft, SilenceError, SilenceId, SilenceState,
};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use model::{Labels, MatchOp, TenantId, Timestamp};
use runtime::{BudgetSpent, Tenant};
use serde::Deserialize;
use tokio::time::Instant;

use crate::api::alerts::read_body;
use crate::api::error::{ApiError, CODE_FEW_ITEMS, CODE_REQUIRED, CODE_TYPE, json, malformed};
use crate::api::filter::matchers;
use crate::api::go_json::read_silence;
use crate::api::query::Query;
use crate::api::wire::{GettableSilence, PostedMatcher, PostedSilence, SilenceCreated};
use crate::room::silence_bytes;
use crate::service::{AlertmanagerService, ServiceSettings, fresh_silence_id};
use crate::tenant::AskError;

pub(crate) async fn list(
    State(service): State<AlertmanagerService>,
    Tenant(tenant): Tenant,
    uri: Uri,
) -> Result<Response, ApiError> {
    let begun = Instant::now();
    let listed = listed(&service, &tenant, &uri).await;
    let kept = &service.inner.parts.metrics.silences.kept;
    kept.asked_by_request(begun.elapsed(), listed.is_ok());
    listed
}

async fn listed(
    service: &AlertmanagerService,
    tenant: &TenantId,
    uri: &Uri,
) -> Result<Response, ApiError> {
    let view = service.view(tenant).await?;
    let query = Query::of(uri);
    let wanted = matchers(&query, "filter", service.inner.settings.parser_mode)
        .map_err(ApiError::bad_request)?;
    let now = service.inner.parts.clock.now();
    let shown = |state: SilenceState| query.flag(state.as_str(), true);
    let mut silences: Vec<&Silence> = view
        .silences
        .iter()
        .map(AsRef::as_ref)
        .filter(|silence: &&Silence| shown(silence.state(now)))
        // A filter asks for matchers as they are written, not for what they would match.
        .filter(|silence| {
            wanted.iter().all(|matcher| {
                silence
                    .matcher_sets
                    .iter()
                    .flatten()
                    .any(|own| own == matcher)
            })
        })
        .collect();
    silences.sort_by_key(|silence| rank(silence, now));
    let body: Vec<GettableSilence<'_>> = silences
        .into_iter()
        .map(|silence| GettableSilence::new(silence, now))
        .collect();
    Ok(json(StatusCode::OK, &body))
}

pub(crate) async fn get(
    State(service): State<AlertmanagerService>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = uuid(&id)?;
    let begun = Instant::now();
    let found = found(&service, &tenant, &id).await;
    let kept = &service.inner.parts.metrics.silences.kept;
    kept.asked_by_request(begun.elapsed(), found.is_ok());
    found
}

async fn found(
    service: &AlertmanagerService,
    tenant: &TenantId,
    id: &SilenceId,
) -> Result<Response, ApiError> {
    let view = service.view(tenant).await?;
    let silence = view
        .silences
        .iter()
        .find(|silence| silence.id == *id)
        .ok_or(ApiError::Bare(StatusCode::NOT_FOUND))?;
    let body = GettableSilence::new(silence, service.inner.parts.clock.now());
    Ok(json(StatusCode::OK, &body))
}

pub(crate) async fn expire(
    State(service): State<AlertmanagerService>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = uuid(&id)?;
    let handle = service.handle_of(&tenant)?;
    let answer = handle
        .ask(|ticket| Input::SilenceExpired { ticket, id })
        .await?;
    match answer {
        Answer::SilenceExpired(Ok(())) => Ok(StatusCode::OK.into_response()),
        Answer::SilenceExpired(Err(SilenceError::NotFound)) => {
            Err(ApiError::Bare(StatusCode::NOT_FOUND))
        }
        Answer::SilenceExpired(Err(error)) => Err(error.into()),
        Answer::Alerts(_)
        | Answer::Configured
        | Answer::Explained(_)
        | Answer::Exported(_)
        | Answer::SilenceSet(_)
        | Answer::Snapshot(_)
        | Answer::Tally(_)
        | Answer::View(_) => Err(AskError::Stopped.into()),
    }
}

pub(crate) async fn post(
    State(service): State<AlertmanagerService>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes_max = body_bytes_max(&service.inner.settings);
    let (body, read_at) = read_body(&service, &headers, body, bytes_max).await?;
    let draft = parse(&body)?;
    drop((body, read_at));
    let mut place = service.inner.room.enter();
    place
        .grow(silence_bytes(&draft))
        .map_err(|BudgetSpent| AskError::Busy)?;
    let handle = service.handle_of(&tenant)?;
    let fresh = fresh_silence_id();
    let answer = handle
        .ask_with(place, |ticket| Input::SilenceSet {
            ticket,
            draft,
            fresh,
        })
        .await?;
    match answer {
        Answer::SilenceSet(Ok(id)) => Ok(json(
            StatusCode::OK,
            &SilenceCreated {
                silence_id: id.as_str(),
            },
        )),
        Answer::SilenceSet(Err(error)) => Err(error.into()),
        Answer::Alerts(_)
        | Answer::Configured
        | Answer::Explained(_)
        | Answer::Exported(_)
        | Answer::SilenceExpired(_)
        | Answer::Snapshot(_)
        | Answer::Tally(_)
        | Answer::View(_) => Err(AskError::Stopped.into()),
    }
}

/// A silence is small: as large as one may be, each character written as `\u0000`, and a megabyte for its form. A megabyte of
/// nothing but empty matchers takes some 25 in memory.
fn body_bytes_max(settings: &ServiceSettings) -> usize {
    let longest = settings.machine.silence.bytes_max.saturating_mul(6);
    longest
        .saturating_add(1024 * 1024)
        .min(settings.body_bytes_max)
}

/// Active ones by their end, pending ones by their start, expired ones by their end, latest first.
fn rank(silence: &Silence, now: Timestamp) -> (u8, Timestamp, Reverse<Timestamp>, &str) {
    let first = Reverse(Timestamp::MIN);
    let id = silence.id.as_str();
    match silence.state(now) {
        SilenceState::Active => (0, silence.ends_at, first, id),
        SilenceState::Pending => (1, silence.starts_at, first, id),
        SilenceState::Expired => (2, Timestamp::MIN, Reverse(silence.ends_at), id),
    }
}

/// Eight, four, four, four and twelve hexadecimal digits.
fn uuid(id: &str) -> Result<SilenceId, ApiError> {
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    let digits = id
        .chars()
        .all(|character| character == '-' || character.is_ascii_hexdigit());
    if digits && lengths == [8, 4, 4, 4, 12] {
        Ok(SilenceId::new(id))
    } else {
        Err(ApiError::invalid(
            CODE_TYPE,
            format!("silenceID in path must be of type uuid: {id:?}"),
        ))
    }
}

fn parse(body: &[u8]) -> Result<SilenceDraft, ApiError> {
    if body.trim_ascii().is_empty() {
        return Err(required("silence"));
    }
    let strict = PostedSilence::deserialize(&mut serde_json::Deserializer::from_slice(body));
    let posted = strict.or_else(|strict| {
        read_silence(body).map_err(|lenient| malformed("silence", &strict, &lenient))
    })?;
    let comment = posted.comment.ok_or_else(|| required("comment"))?;
    let created_by = posted.created_by.ok_or_else(|| required("createdBy"))?;
    let ends_at = time(posted.ends_at, "endsAt")?;
    let matchers = posted.matchers.ok_or_else(|| required("matchers"))?;
    if matchers.is_empty() {
        return Err(ApiError::invalid(
            CODE_FEW_ITEMS,
            "matchers in body should have at least 1 items",
        ));
    }
    let starts_at = time(posted.starts_at, "startsAt")?;
    Ok(SilenceDraft {
        id: posted.id.filter(|id| !id.is_empty()).map(SilenceId::new),
        matcher_sets: vec![
            matchers
                .into_iter()
                .enumerate()
                .map(|(index, matcher)| matcher_draft(index, matcher))
                .collect::<Result<_, _>>()?,
        ],
        starts_at,
        ends_at,
        created_by,
        comment,
        annotations: Labels::from_pairs(posted.annotations.unwrap_or_default()),
    })
}

fn required(name: &str) -> ApiError {
    ApiError::invalid(CODE_REQUIRED, format!("{name} in body is required"))
}

fn time(text: Option<String>, name: &str) -> Result<Timestamp, ApiError> {
    let text = text.ok_or_else(|| required(name))?;
    Timestamp::parse_date_time(&text).map_err(|error| ApiError::malformed("silence", error))
}

fn matcher_draft(index: usize, matcher: PostedMatcher) -> Result<MatcherDraft, ApiError> {
    let missing = |name: &str| required(&format!("matchers.{index}.{name}"));
    let is_regex = matcher.is_regex.ok_or_else(|| missing("isRegex"))?;
    let op = match (is_regex, matcher.is_equal.unwrap_or(true)) {
        (false, true) => MatchOp::Equal,
        (false, false) => MatchOp::NotEqual,
        (true, true) => MatchOp::Regex,
        (true, false) => MatchOp::NotRegex,
    };
    Ok(MatcherDraft {
        op,
        name: matcher.name.ok_or_else(|| missing("name"))?,
        value: matcher.value.ok_or_else(|| missing("value"))?,
    })
}
