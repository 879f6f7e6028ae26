//! `/api/v2/alerts`.
use std::fmt;
use std::future::poll_fn;

use alertmanager_core::{AlertDraft, Answer, Input, View};
use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use model::wire::PostableAlert;
use runtime::Tenant;
use serde::Deserializer;
use serde::de::{SeqAccess, Visitor};

use crate::api::error::{ApiError, CODE_REQUIRED, CODE_TYPE, json_of, malformed};
use crate::api::filter::AlertFilter;
use crate::api::go_json::read_alerts;
use crate::api::query::Query;
use crate::api::rendered;
use crate::api::wire::{ALERT_BYTES, GettableAlert, PostedAlert};
use crate::room::{Place, Room, TENANT_LARGE_BYTES_MAX, alert_bytes};
use crate::service::AlertmanagerService;
use crate::tenant::AskError;

pub(crate) async fn list(
    State(service): State<AlertmanagerService>,
    Tenant(tenant): Tenant,
    uri: Uri,
) -> Result<Response, ApiError> {
    let view = service.view(&tenant).await?;
    let mode = service.inner.settings.parser_mode;
    let filter = AlertFilter::read(&Query::of(&uri), mode, &view.receivers)?;
    rendered(move || listed(&view, &filter)).await
}

fn listed(view: &View, filter: &AlertFilter) -> Response {
    let body: Vec<GettableAlert<'_>> = view
        .alerts
        .iter()
        .filter(|alert| {
            filter.wants(alert)
                && alert
                    .receivers
                    .iter()
                    .any(|receiver| filter.wants_receiver(receiver))
        })
        .map(|alert| GettableAlert::new(alert, alert.receivers.iter().map(AsRef::as_ref), &[]))
        .collect();
    json_of(StatusCode::OK, &body, body.len() * ALERT_BYTES)
}

pub(crate) async fn post(
    State(service): State<AlertmanagerService>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes_max = service.inner.settings.body_bytes_max;
    let (body, read_at) = read_body(&service, &headers, body, bytes_max).await?;
    let (alerts, place) = parse(&body, &service.inner.room)?;
    drop((body, read_at));
    let handle = service.handle_of(&tenant)?;
    let answer = handle
        .ask_with(place, |ticket| Input::AlertsPosted { ticket, alerts })
        .await?;
    let Answer::Alerts(answer) = answer else {
        return Err(AskError::Stopped.into());
    };
    if !answer.invalid.is_empty() {
        let lines: Vec<String> = answer.invalid.iter().map(ToString::to_string).collect();
        return Err(ApiError::bad_request(lines.join("\n")));
    }
    match answer.refused {
        Some(refused) => Err(ApiError::Handler {
            status: StatusCode::TOO_MANY_REQUESTS,
            text: format!("{} alerts refused: {}", refused.count, refused.limit),
        }),
        None => Ok(StatusCode::OK.into_response()),
    }
}

/// A JSON body of so many bytes at most, and the room that it takes: each piece has its own before the next one is read, so
/// that many large bodies that come slowly do not fill the memory before the first of them is there.
pub(crate) async fn read_body(
    service: &AlertmanagerService,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<(Vec<u8>, Place), ApiError> {
    let media = headers
        .get(axum::http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or("").trim().to_lowercase());
    if let Some(media) = media.filter(|media| media != "application/json") {
        return Err(ApiError::Framework {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code: 415,
            message: format!(
                "unsupported media type {media:?}, only [application/json] are allowed"
            ),
        });
    }
    let too_large = || ApiError::Framework {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: 413,
        message: format!("body is larger than {bytes_max} bytes, or was cut off"),
    };
    let mut place = service.inner.room.enter();
    let mut read = Vec::new();
    let mut body = std::pin::pin!(body);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        // What is no data are trailers, and they say nothing here.
        let Ok(piece) = frame.map_err(|_| too_large())?.into_data() else {
            continue;
        };
        if read.len() + piece.len() > bytes_max {
            return Err(too_large());
        }
        place.grow(piece.len()).map_err(|_| AskError::Busy)?;
        read.extend_from_slice(&piece);
    }
    Ok((read, place))
}

/// Read strictly, and only where that fails as Go reads it: a good body costs nothing more.
fn parse(body: &[u8], room: &Room) -> Result<(Vec<AlertDraft>, Place), ApiError> {
    if body.trim_ascii().is_empty() {
        return Err(ApiError::invalid(
            CODE_REQUIRED,
            "alerts in body is required",
        ));
    }
    let mut drafts = Drafts::new(room);
    let strict = serde_json::Deserializer::from_slice(body).deserialize_option(&mut drafts);
    if let Err(strict) = strict {
        drafts = Drafts::new(room);
        let lenient = read_alerts(body, |alert| drafts.take(alert));
        lenient.map_err(|lenient| malformed("alerts", &strict, &lenient))?;
    }
    drafts.finish()
}

/// What has been read of a batch. One whose first mistake is known is read on, because a body that is no JSON is a mistake
/// that comes before all others.
struct Drafts {
    drafts: Vec<AlertDraft>,
    place: Place,
    index: usize,
    refused: Option<ApiError>,
}

impl Drafts {
    fn new(room: &Room) -> Self {
        Self {
            drafts: Vec::new(),
            place: room.enter(),
            index: 0,
            refused: None,
        }
    }

    fn take(&mut self, alert: PostedAlert) {
        if self.refused.is_none() {
            let draft = draft(self.index, alert);
            if let Err(refused) = draft.and_then(|draft| self.keep(draft)) {
                self.drafts = Vec::new();
                self.refused = Some(refused);
            }
        }
        self.index += 1;
    }

    fn keep(&mut self, draft: AlertDraft) -> Result<(), ApiError> {
        let bytes = alert_bytes(&draft);
        // No later moment has more room for it.
        if self.place.bytes() + bytes > TENANT_LARGE_BYTES_MAX {
            return Err(ApiError::Framework {
                status: StatusCode::PAYLOAD_TOO_LARGE,
                code: 413,
                message: format!(
                    "alerts in body take more than {TENANT_LARGE_BYTES_MAX} bytes of memory, send fewer at once"
                ),
            });
        }
        self.place.grow(bytes).map_err(|_| AskError::Busy)?;
        self.drafts.push(draft);
        Ok(())
    }

    fn finish(self) -> Result<(Vec<AlertDraft>, Place), ApiError> {
        match self.refused {
            Some(refused) => Err(refused),
            None => Ok((self.drafts, self.place)),
        }
    }
}

impl<'de> Visitor<'de> for &mut Drafts {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of alerts")
    }

    /// Alertmanager takes `null` for an empty list.
    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut alerts: A) -> Result<(), A::Error> {
        while let Some(alert) = alerts.next_element()? {
            self.take(alert);
        }
        Ok(())
    }
}

fn draft(index: usize, alert: PostedAlert) -> Result<AlertDraft, ApiError> {
    let labels = alert.labels.ok_or_else(|| {
        ApiError::invalid(CODE_REQUIRED, format!("{index}.labels in body is required"))
    })?;
    let generator_url = alert.generator_url.unwrap_or_default();
    if !is_request_uri(&generator_url) {
        return Err(ApiError::invalid(
            CODE_TYPE,
            format!("{index}.generatorURL in body must be of type uri: {generator_url:?}"),
        ));
    }
    let posted = PostableAlert {
        labels,
        annotations: alert.annotations.unwrap_or_default(),
        starts_at: alert.starts_at,
        ends_at: alert.ends_at,
        generator_url,
    };
    AlertDraft::parse(posted).map_err(|error| ApiError::malformed("alerts", error))
}

/// Empty, an absolute path, or something with a scheme.
fn is_request_uri(text: &str) -> bool {
    let scheme = |text: &str| {
        text.split_once(':').is_some_and(|(scheme, _)| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
        })
    };
    text.is_empty()
        || !text.contains(|character: char| character.is_ascii_control())
            && (text.starts_with('/') || scheme(text))
}
