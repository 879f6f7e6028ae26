//! What a machine reports, told to the operator: logs and figures.
use std::borrow::Cow;

use alertmanager_core::{AbandonCause, AttemptEnd, Event, LogKey, SilenceChange};
use model::TenantId;
use tracing::{debug, info, warn};

use crate::metrics::AlertmanagerMetrics;

/// Characters of a group key in a log line: labels that a group is formed by may be long, and its beginning is enough
/// to find it by.
const GROUP_KEY_SHOWN_MAX: usize = 256;

pub(crate) fn tell(
    tenant: &TenantId,
    metrics: &AlertmanagerMetrics,
    event: &Event,
    log_silences: bool,
) {
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
            let all = firing + resolved;
            metrics.taken_in(all.saturating_sub(invalid + refused));
            if *refused > 0 {
                warn!(%tenant, refused, "alerts refused: a limit is reached");
            }
            debug!(%tenant, firing, resolved, invalid, refused, "alerts received");
        }
        Event::AlertsRefused {
            limit,
            alertname,
            count,
        } => {
            metrics.limited(*limit, alertname, *count);
            debug!(%tenant, alertname, count, %limit, "alerts refused");
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
            let group_key = shown(group_key.as_str());
            debug!(%tenant, %group_key, reason = reason.as_str(), count, "alerts muted");
        }
        Event::AttemptStarted {
            key,
            reason,
            attempt,
        } => {
            metrics.request(key);
            if *attempt == 1 {
                metrics.notification(key);
            }
            let (integration, receiver) = (integration(key), key.receiver.as_str());
            let (group_key, reason) = (shown(key.group_key.as_str()), reason.as_str());
            debug!(%tenant, receiver, integration, %group_key, reason, attempt, "notifying");
        }
        Event::AttemptEnded {
            key,
            attempt,
            alerts,
            end,
        } => {
            count_end(metrics, key, end);
            tell_end(tenant, key, *attempt, *alerts, end);
        }
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
            let group_key = shown(key.group_key.as_str());
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
            warn!(%tenant, receiver, integration, %group_key, alerts, attempts, reason, "{said}");
        }
        Event::GroupFlushed {
            group_key,
            at,
            firing,
            muted,
            resolved,
            silences_asked,
            log_asked,
        } => {
            metrics.silences.asked_at_flush(*silences_asked);
            metrics.nflog.asked(*log_asked);
            let group_key = shown(group_key.as_str());
            debug!(%tenant, %group_key, %at, firing, muted, resolved, "group flushed");
        }
        Event::GarbageCollected => debug!(%tenant, "garbage collected"),
        Event::NotificationMissed {
            key,
            failure,
            replaced,
        } => {
            metrics.notification_failed(key, *failure);
            if *replaced {
                metrics.notification(key);
            }
        }
        // The event recorder's affair.
        Event::Recorded(_) => {}
        Event::Restored {
            alerts,
            groups,
            log_entries,
            silences,
            taken_over,
        } => {
            if *taken_over > 0 {
                info!(%tenant, entries = taken_over, "what another Alertmanager told meanwhile is taken over");
            }
            if alerts + log_entries + silences > 0 {
                info!(%tenant, alerts, groups, log_entries, silences, "state restored");
            }
        }
        Event::SilenceChanged { id, change } => {
            let said = match change {
                SilenceChange::Created => "silence created",
                SilenceChange::Updated => "silence updated",
                SilenceChange::Expired => "silence expired",
            };
            if log_silences {
                info!(component = "silences", %tenant, silence = %id, "{said}");
            } else {
                debug!(component = "silences", %tenant, silence = %id, "{said}");
            }
        }
        Event::WasAbsent { since, alerts } => {
            if *alerts > 0 {
                warn!(%tenant, %since, alerts, "the process was suspended, or the clock was set forward: what was left of alerts' time is left of it now");
            }
        }
    }
}

/// A notification that is tried again has failed only when a flush finds it so.
fn count_end(metrics: &AlertmanagerMetrics, key: &LogKey, end: &AttemptEnd) {
    match end {
        AttemptEnd::Delivered { .. } => {}
        AttemptEnd::LeftOpen { failure, .. } | AttemptEnd::Rejected { failure, .. } => {
            metrics.request_failed(key);
            metrics.notification_failed(key, *failure);
        }
        AttemptEnd::Retrying { .. } => metrics.request_failed(key),
    }
}

/// Enough to find the notification by: receiver, integration, group.
fn tell_end(tenant: &TenantId, key: &LogKey, attempt: u32, alerts: usize, end: &AttemptEnd) {
    let (integration, receiver) = (integration(key), key.receiver.as_str());
    let group_key = shown(key.group_key.as_str());
    match end {
        AttemptEnd::Delivered { .. } => {
            info!(%tenant, receiver, integration, %group_key, attempt, alerts, "notified");
        }
        AttemptEnd::LeftOpen { reason, .. } => {
            warn!(%tenant, receiver, integration, %group_key, attempt, alerts, reason, "no answer to a notification; it is repeated at the group's next flush");
        }
        AttemptEnd::Rejected { reason, .. } => {
            warn!(%tenant, receiver, integration, %group_key, attempt, alerts, reason, "notification rejected");
        }
        AttemptEnd::Retrying { until, reason } => {
            // One line for each distinct outage would need memory of it; the first and every tenth attempt tell it.
            if attempt == 1 || attempt.is_multiple_of(10) {
                let next_attempt = until;
                warn!(%tenant, receiver, integration, %group_key, attempt, alerts, %next_attempt, reason, "notification failed, will be tried again");
            }
        }
    }
    debug!(%tenant, receiver, integration, %group_key, attempt, ?end, "attempt ended");
}

/// `webhook[0]`
fn integration(key: &LogKey) -> String {
    format!("{}[{}]", key.integration, key.index)
}

/// Its beginning, where it is long.
fn shown(group_key: &str) -> Cow<'_, str> {
    match group_key.char_indices().nth(GROUP_KEY_SHOWN_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", &group_key[..end])),
        None => Cow::Borrowed(group_key),
    }
}

#[cfg(test)]
mod tests {
    use alertmanager_core::{AttemptEnd, Event, LogKey};
    use model::{TenantId, Timestamp};
    use notifiers_core::{FailureReason, GroupKey};
    use runtime::{HeardLog, Metrics};

    use super::{GROUP_KEY_SHOWN_MAX, tell};
    use crate::metrics::{AlertmanagerMetrics, MetricSettings};

    #[test]
    fn every_end_of_an_attempt_names_its_notification() {
        let metrics = AlertmanagerMetrics::register(&Metrics::new(), MetricSettings::default());
        let long = format!("{{}}:{{a=\"{}\"}}", "ä".repeat(1000));
        let beginning: String = long.chars().take(GROUP_KEY_SHOWN_MAX).collect();
        let reason = || "503".to_owned();
        let failure = FailureReason::ServerError;
        for (group_key, shown) in [
            (
                "{}:{alertname=\"Down\"}",
                "{}:{alertname=\"Down\"}".to_owned(),
            ),
            (long.as_str(), format!("{beginning}…")),
        ] {
            for (end, said) in [
                (AttemptEnd::Delivered { id: None }, "INFO notified"),
                (
                    AttemptEnd::LeftOpen {
                        reason: reason(),
                        failure,
                    },
                    "WARN no answer to a notification; it is repeated at the group's next flush",
                ),
                (
                    AttemptEnd::Rejected {
                        reason: reason(),
                        failure,
                    },
                    "WARN notification rejected",
                ),
                (
                    AttemptEnd::Retrying {
                        until: Timestamp::from_secs(0),
                        reason: reason(),
                    },
                    "WARN notification failed, will be tried again",
                ),
            ] {
                let is_tried_again = matches!(end, AttemptEnd::Retrying { .. });
                let event = Event::AttemptEnded {
                    key: LogKey {
                        group_key: GroupKey::from_text(group_key.to_owned()),
                        receiver: "team".to_owned(),
                        integration: "webhook".to_owned(),
                        index: 1,
                    },
                    attempt: 1,
                    alerts: 3,
                    end,
                };
                let heard = HeardLog::start();
                tell(&TenantId::anonymous(), &metrics, &event, false);
                let line = format!(
                    "{said} tenant=anonymous receiver=team integration=webhook[1] group_key={shown} attempt=1 alerts=3"
                );
                assert!(
                    heard.lines()[0].starts_with(&line),
                    "{:?}\n{line}",
                    heard.lines()
                );
                let next_attempt = "next_attempt=1970-01-01T00:00:00";
                assert_eq!(heard.lines()[0].contains(next_attempt), is_tried_again);
            }
        }
    }
}
