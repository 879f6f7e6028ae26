//! `GET /api/v1/rules`, `/api/v1/alerts` and `/api/v1/alertmanagers`, as Prometheus 3.14 answers them.
mod filter;
mod wire;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
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
use crate::service::RulerService;

/// Prometheus' own addresses, and the same below `/prometheus` as Cortex and Mimir serve them.
#[must_use]
pub fn routes(service: &RulerService) -> Routes {
    ["/api/v1", "/prometheus/api/v1"]
        .into_iter()
        .fold(Routes::new(), |routes, prefix| {
            let service = || service.clone();
            routes
                .route(
                    Right::Read,
                    &format!("{prefix}/rules"),
                    get(rules).with_state(service()),
                )
                .route(
                    Right::Read,
                    &format!("{prefix}/alerts"),
                    get(alerts).with_state(service()),
                )
                .route(
                    Right::Read,
                    &format!("{prefix}/alertmanagers"),
                    get(alertmanagers).with_state(service()),
                )
        })
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
            .map(|(rule, view)| WireRule::new(rule, view, filter.exclude_alerts))
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
    let views = service.views_of(&tenant);
    let alerts = views
        .iter()
        .flat_map(|view| &view.rules)
        .flat_map(|rule| &rule.alerts)
        .map(WireAlert::new)
        .collect();
    success(&Alerts { alerts })
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
