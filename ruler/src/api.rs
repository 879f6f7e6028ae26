//! `GET /api/v1/rules`, `/api/v1/alerts` and `/api/v1/alertmanagers`, as Prometheus 3.14 answers them; and the groups that
//! tenants upload.
mod configuration;
mod filter;
mod wire;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::go_json;
use ruler_core::{GroupKey, GroupView};
use runtime::{Right, Routes, Tenant};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::api::filter::RulesFilter;
use crate::api::wire::{
    Alertmanager, Alertmanagers, Alerts, Envelope, ErrorEnvelope, RuleGroup, RuleGroups, WireAlert,
    WireRule,
};
use crate::rule_book::RuleBook;
use crate::service::RulerService;

/// Prometheus' own addresses, the same below those that Cortex and Mimir serve them at, and those of uploaded groups. Of
/// two APIs that share an address the caller means one: see [`configuration::is_meant`].
#[must_use]
pub fn routes(book: &RuleBook) -> Routes {
    let with = || book.clone();
    let shared = Routes::new()
        .route(
            Right::Read,
            "/api/v1/rules",
            get(rules_or_uploaded).with_state(with()),
        )
        .route(
            Right::Read,
            "/api/v1/alerts",
            get(alerts_or_configuration).with_state(with()),
        );
    let prefixed = ["/prometheus/api/v1", "/api/prom/api/v1"];
    let own = prefixed.into_iter().fold(shared, |routes, prefix| {
        let service = || book.service().clone();
        let at = |path: &str| format!("{prefix}/{path}");
        routes
            .route(Right::Read, &at("rules"), get(rules).with_state(service()))
            .route(
                Right::Read,
                &at("alerts"),
                get(alerts).with_state(service()),
            )
    });
    let all = ["/api/v1", "/prometheus/api/v1", "/api/prom/api/v1"];
    let all = all.into_iter().fold(own, |routes, prefix| {
        let service = book.service().clone();
        let path = format!("{prefix}/alertmanagers");
        routes.route(Right::Read, &path, get(alertmanagers).with_state(service))
    });
    all.merge(configuration::routes(book))
}

async fn rules_or_uploaded(
    State(book): State<RuleBook>,
    headers: HeaderMap,
    tenant: Result<Tenant, (StatusCode, String)>,
    query: RawQuery,
) -> Response {
    if configuration::is_meant(&headers) {
        return configuration::list(State(book), tenant)
            .await
            .into_response();
    }
    match tenant {
        Ok(tenant) => rules(State(book.service().clone()), tenant, query).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// The configuration that is meant is an Alertmanager's. Tenants have none of their own here, and are told so.
async fn alerts_or_configuration(
    State(book): State<RuleBook>,
    headers: HeaderMap,
    tenant: Tenant,
) -> Response {
    if configuration::is_meant(&headers) {
        let reason = "alertmanager storage object not found";
        return configuration::text(StatusCode::NOT_FOUND, reason);
    }
    alerts(State(book.service().clone()), tenant).await
}

async fn rules(
    State(service): State<RulerService>,
    Tenant(tenant): Tenant,
    RawQuery(query): RawQuery,
) -> Response {
    let filter = match RulesFilter::parse(query.as_deref().unwrap_or("")) {
        Ok(filter) => filter,
        Err(error) => return bad_data(&error),
    };
    let views = service.views_of(&tenant);
    match rule_groups(&views, &filter) {
        Ok(groups) => success(&groups),
        Err(error) => bad_data(&error),
    }
}

/// The page that the filter asks for. Groups of which no rule is left are left out.
fn rule_groups<'a>(
    views: &'a [Arc<GroupView>],
    filter: &RulesFilter,
) -> Result<RuleGroups<'a>, String> {
    let mut page = RuleGroups {
        groups: Vec::new(),
        group_next_token: None,
    };
    let limit = filter
        .page
        .as_ref()
        .map_or(usize::MAX, |page| page.group_limit);
    let mut awaited = filter.page.as_ref().and_then(|page| page.token.as_ref());
    for view in views {
        let token = || next_token(&view.group.key);
        match awaited {
            Some(wanted) if *wanted != token() => continue,
            Some(_) | None => awaited = None,
        }
        if !filter.wants_group(view) {
            continue;
        }
        let rules: Vec<WireRule<'_>> = view
            .iter()
            .filter(|(rule, _)| filter.wants_rule(rule))
            .map(|(rule, view)| WireRule::new(rule, view, filter))
            .collect();
        if rules.is_empty() {
            continue;
        }
        if page.groups.len() == limit {
            page.group_next_token = Some(token());
            break;
        }
        page.groups.push(RuleGroup::new(view, rules));
    }
    match awaited {
        Some(token) => Err(format!(
            "invalid parameter \"group_next_token\": invalid group_next_token '{token}'. were rule groups changed?"
        )),
        None => Ok(page),
    }
}

async fn alerts(State(service): State<RulerService>, Tenant(tenant): Tenant) -> Response {
    success(&alerts_of(&service.views_of(&tenant)))
}

pub(crate) fn alerts_of(views: &[Arc<GroupView>]) -> Alerts<'_> {
    let rules = views.iter().flat_map(|view| &view.rules);
    let alerts = rules.flat_map(|rule| rule.alerts.iter().map(|alert| WireAlert::new(rule, alert)));
    Alerts {
        alerts: alerts.collect(),
    }
}

/// The whole list, as nobody's filter leaves it.
#[cfg(test)]
pub(crate) fn rules_of(views: &[Arc<GroupView>]) -> RuleGroups<'_> {
    rule_groups(views, &RulesFilter::default()).expect("the first page is always there")
}

async fn alertmanagers(State(service): State<RulerService>, Tenant(_): Tenant) -> Response {
    let urls = service.alertmanagers();
    success(&Alertmanagers {
        active_alertmanagers: urls.iter().map(|url| Alertmanager { url }).collect(),
        dropped_alertmanagers: Vec::new(),
    })
}

/// Where a page begins: a name for its first group that gives nothing away.
fn next_token(group: &GroupKey) -> String {
    let digest = Sha256::digest(format!("{};{}", group.file, group.name));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn success(data: &impl Serialize) -> Response {
    json(StatusCode::OK, &Envelope::success(data))
}

fn bad_data(error: &str) -> Response {
    json(StatusCode::BAD_REQUEST, &ErrorEnvelope::bad_data(error))
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match go_json::to_string(body) {
        Ok(text) => (status, [(CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
