//! What a machine reports, told to the operator: logs and figures.
use alertmanager_core::{AbandonCause, AttemptEnd, Event, LogKey};
use model::TenantId;
use tracing::{debug, info, warn};

use crate::metrics::AlertmanagerMetrics;

pub(crate) fn tell(tenant: &TenantId, metrics: &AlertmanagerMetrics, event: &Event) {
    match event {
        Event::AlertsReceived {
            firing,
            resolved,
            invalid,
            refused,
        } => {
            metrics.received("firing", *firing);
            metrics.received("resolved", *resolved);
            metrics.invalid(*invalid);
            metrics.alerts_limited.inc_by(*refused as u64);
            if *refused > 0 {
                warn!(%tenant, refused, "alerts refused: a limit is reached");
            }
            debug!(%tenant, firing, resolved, invalid, refused, "alerts received");
        }
        Event::AlertTooLarge { alertname, what } => {
            let (part, bytes, limit) = (what.part.as_str(), what.bytes, what.bytes_max);
            warn!(%tenant, alertname, part, bytes, limit, "alert refused: it is too large, and nobody is told of it");
        }
        Event::AlertsMuted {
            group_key,
            reason,
            count,
        } => {
            metrics.suppressed(*reason, *count);
            let group_key = group_key.as_str();
            debug!(%tenant, group_key, reason = reason.as_str(), count, "alerts muted");
        }
        Event::AttemptStarted {
            key,
            reason,
            attempt,
        } => {
            metrics.request(&key.integration);
            if *attempt == 1 {
                metrics.notification(&key.integration);
            }
            let (integration, receiver) = (integration(key), key.receiver.as_str());
            let (group_key, reason) = (key.group_key.as_str(), reason.as_str());
            debug!(%tenant, receiver, integration, group_key, reason, attempt, "notifying");
        }
        Event::AttemptEnded { key, attempt, end } => tell_end(tenant, metrics, key, *attempt, end),
        Event::Configured { groups } => info!(%tenant, groups, "configuration taken over"),
        Event::DeliveryAbandoned {
            key,
            cause,
            alerts,
            attempts,
            reason,
        } => {
            metrics.abandoned(&key.integration, *cause);
            let (integration, receiver) = (integration(key), key.receiver.as_str());
            let group_key = key.group_key.as_str();
            let said = match cause {
                AbandonCause::AlertsEnded => {
                    "notification abandoned: alerts ended before it arrived, and nobody was told of them"
                }
                AbandonCause::Expired => {
                    "notification abandoned: it is too long ago that these alerts ended, and nobody was told so"
                }
                AbandonCause::Reconfigured => {
                    "notification abandoned: a reload took its receiver or its group away before it arrived"
                }
            };
            warn!(%tenant, receiver, integration, group_key, alerts, attempts, reason, "{said}");
        }
        Event::GroupFlushed {
            group_key,
            at,
            firing,
            muted,
            resolved,
        } => {
            let group_key = group_key.as_str();
            debug!(%tenant, group_key, %at, firing, muted, resolved, "group flushed");
        }
        // The event recorder's affair.
        Event::Recorded(_) => {}
        Event::Restored {
            alerts,
            groups,
            log_entries,
            silences,
        } => {
            if alerts + log_entries + silences > 0 {
                info!(%tenant, alerts, groups, log_entries, silences, "state restored");
            }
        }
        Event::SilenceChanged { id } => info!(%tenant, silence = %id, "silence changed"),
        Event::WasAbsent { since, alerts } => {
            if *alerts > 0 {
                warn!(%tenant, %since, alerts, "the process was suspended, or the clock was set forward: what was left of alerts' time is left of it now");
            }
        }
    }
}

fn tell_end(
    tenant: &TenantId,
    metrics: &AlertmanagerMetrics,
    key: &LogKey,
    attempt: u32,
    end: &AttemptEnd,
) {
    let (integration, receiver) = (integration(key), key.receiver.as_str());
    let kind = key.integration.as_str();
    match end {
        AttemptEnd::Delivered { alerts, .. } => {
            info!(%tenant, receiver, integration, attempt, alerts, "notified");
        }
        AttemptEnd::LeftOpen { reason } => {
            metrics.request_failed(kind);
            metrics.notification_failed(kind, "other");
            warn!(%tenant, receiver, integration, attempt, reason, "no answer to a notification; it is repeated at the group's next flush");
        }
        AttemptEnd::Rejected { reason } => {
            metrics.request_failed(kind);
            metrics.notification_failed(kind, "clientError");
            warn!(%tenant, receiver, integration, attempt, reason, "notification rejected");
        }
        AttemptEnd::Retrying { until, reason } => {
            metrics.request_failed(kind);
            // One line for each distinct outage would need memory of it; the first and every tenth attempt tell it.
            if attempt == 1 || attempt.is_multiple_of(10) {
                warn!(%tenant, receiver, integration, attempt, %until, reason, "notification failed, will be tried again");
            }
        }
    }
    let group_key = key.group_key.as_str();
    debug!(%tenant, receiver, integration, group_key, attempt, ?end, "attempt ended");
}

/// `webhook[0]`
fn integration(key: &LogKey) -> String {
    format!("{}[{}]", key.integration, key.index)
}
