//! `/api/v2/alerts/groups` and `/api/v2/receivers`.
use std::collections::BTreeMap;

use alertmanager_core::View;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::{Fingerprint, ListPlace};
use runtime::Tenant;

use crate::api::error::{ApiError, json, json_of};
use crate::api::filter::{AlertFilter, wanted_receivers};
use crate::api::query::Query;
use crate::api::rendered;
use crate::api::wire::{
    ALERT_BYTES, AlertGroup, GettableAlert, LabelMap, ReceiverBody, ReceiverName,
};
use crate::service::AlertmanagerService;

pub(crate) async fn list(
    State(service): State<AlertmanagerService>,
    Tenant(tenant): Tenant,
    uri: Uri,
) -> Result<Response, ApiError> {
    let view = service.view(&tenant).await?;
    let query = Query::of(&uri);
    let mode = service.inner.settings.parser_mode;
    let filter = AlertFilter::read(&query, mode, &view.receivers)?;
    let muted = query.flag("muted", true);
    rendered(move || listed(&view, &filter, muted)).await
}

fn listed(view: &View, filter: &AlertFilter, muted: bool) -> Response {
    let mut groups: Vec<_> = view
        .groups
        .iter()
        .filter(|group| filter.wants_receiver(&group.receiver))
        .filter(|group| muted || group.muted_by.is_empty())
        .map(|group| {
            let mut alerts: Vec<_> = view
                .members(group)
                .filter(|alert| filter.wants(alert))
                .collect();
            alerts.sort_by_cached_key(|alert| ListPlace::of(&alert.alert.labels));
            (group, alerts)
        })
        .filter(|(_, alerts)| !alerts.is_empty())
        .collect();
    groups.sort_by(|(left, _), (right, _)| left.list_order(right));
    // An alert names every receiver in whose groups it is shown.
    let mut receivers: BTreeMap<Fingerprint, Vec<&str>> = BTreeMap::new();
    for (group, alerts) in &groups {
        for alert in alerts {
            receivers
                .entry(alert.fingerprint)
                .or_default()
                .push(&group.receiver);
        }
    }
    for names in receivers.values_mut() {
        names.sort_unstable();
    }
    let body: Vec<AlertGroup<'_>> = groups
        .iter()
        .map(|(group, alerts)| AlertGroup {
            alerts: alerts
                .iter()
                .map(|alert| {
                    let names = receivers.get(&alert.fingerprint).into_iter().flatten();
                    GettableAlert::new(alert, names.copied(), &group.muted_by)
                })
                .collect(),
            labels: LabelMap(&group.labels),
            receiver: ReceiverName {
                name: &group.receiver,
            },
            route_labels: LabelMap(&group.route_labels),
        })
        .collect();
    let shown: usize = body.iter().map(|group| group.alerts.len()).sum();
    json_of(StatusCode::OK, &body, shown * ALERT_BYTES)
}

pub(crate) async fn receivers(
    State(service): State<AlertmanagerService>,
    Tenant(tenant): Tenant,
    uri: Uri,
) -> Result<Response, ApiError> {
    let view = service.view(&tenant).await?;
    let mode = service.inner.settings.parser_mode;
    let wanted = wanted_receivers(&Query::of(&uri), mode, &view.receivers)?;
    let body: Vec<ReceiverBody<'_>> = view
        .receivers
        .iter()
        .filter(|receiver| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&receiver.name))
        })
        .map(|receiver| ReceiverBody {
            labels: &receiver.labels,
            name: &receiver.name,
        })
        .collect();
    Ok(json(StatusCode::OK, &body))
}
