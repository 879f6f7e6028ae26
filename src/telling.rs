//! Between the Alertmanagers, which order a notification, and the integrations, which tell it.
use std::collections::BTreeSet;
use std::sync::Arc;

use alertmanager::{Deliver, Notified, Notifier};
use arc_swap::ArcSwap;
use config::{AlertmanagerFiles, Receiver};
use model::TenantId;
use notifiers::{PrepareError, Tellers};
use notifiers_core::{Attempted, FailureReason, Outcome};
use runtime::Clock;

/// The integrations of the configuration that was read last. While a reload is under way the Alertmanagers may still
/// order by the one before, and orders of before may come late: what was ordered for an integration is told by that
/// integration or not at all, for another one of the same name may be somebody else.
pub(crate) struct Telling {
    tellers: ArcSwap<Tellers>,
    clock: Arc<dyn Clock>,
}

impl Telling {
    pub(crate) fn new(tellers: Tellers, clock: Arc<dyn Clock>) -> Self {
        Self {
            tellers: ArcSwap::from_pointee(tellers),
            clock,
        }
    }

    /// Attempts from here on are told by these.
    pub(crate) fn replace(&self, tellers: Tellers) {
        self.tellers.store(Arc::new(tellers));
    }
}

/// The integrations that routes name, with the files that they need of the disk looked at. As for Alertmanager, a
/// receiver that no route names may lack its files: nobody is told by it.
pub(crate) async fn prepare(files: &AlertmanagerFiles) -> Result<Tellers, PrepareError> {
    let config = &files.config;
    let routes = config.routes.routes().iter();
    let named: BTreeSet<&str> = routes.map(|route| route.receiver.as_str()).collect();
    let receivers: Vec<Receiver> = config
        .receivers
        .iter()
        .filter(|receiver| named.contains(receiver.name.as_str()))
        .cloned()
        .collect();
    let tellers = Tellers::prepare(&receivers, &files.templates)?;
    tellers.rehearse().await?;
    Ok(tellers)
}

impl Notifier for Telling {
    fn notify(&self, _tenant: TenantId, order: Arc<Deliver>) -> Notified {
        let index = usize::try_from(order.key.index).unwrap_or(usize::MAX);
        let teller = self
            .tellers
            .load()
            .get(&order.key.receiver, &order.key.integration, index)
            .filter(|teller| *teller.integration() == order.integration);
        let clock = self.clock.clone();
        Box::pin(async move {
            match teller {
                Some(teller) => {
                    teller
                        .attempt(
                            &order.notification,
                            &order.memory,
                            order.deadline,
                            clock.as_ref(),
                        )
                        .await
                }
                // The next attempt is ordered by the configuration that is in force then; where it has no such
                // integration any more, there is none.
                None => {
                    let outcome = Outcome::Retry {
                        not_before: None,
                        reason: "the integration is configured anew".to_owned(),
                    };
                    Attempted {
                        outcome,
                        memory: order.memory.clone(),
                        failure: FailureReason::ContextCanceled,
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use alertmanager::{Deliver, Notifier};
    use alertmanager_core::{DeliveryId, LogKey};
    use axum::Router;
    use axum::extract::State;
    use axum::http::Uri;
    use config::{
        AlertmanagerConfig, AlertmanagerFiles, AlertmanagerOptions, Integration, MemoryFiles,
    };
    use model::{Alert, Labels, TenantId, Timestamp};
    use notifiers::Tellers;
    use notifiers_core::{GroupKey, Memory, Notification, NotificationReason, Outcome};
    use runtime::{Clock, SystemClock};
    use template::TemplateSet;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::{Telling, prepare};

    /// Receivers, each with one webhook.
    fn configured(receivers: &[(&str, &str)]) -> (Tellers, Vec<Integration>) {
        let lines: String = receivers
            .iter()
            .map(|(name, url)| format!("- {{name: {name}, webhook_configs: [{{url: '{url}'}}]}}\n"))
            .collect();
        let yaml = format!(
            "route: {{receiver: {}}}\nreceivers:\n{lines}",
            receivers[0].0
        );
        let options = AlertmanagerOptions::default();
        let config = AlertmanagerConfig::read("am.yml", &yaml, &options).unwrap();
        let receivers = config.value.receivers;
        let tellers = Tellers::prepare(&receivers, &TemplateSet::alertmanager()).unwrap();
        let integrations = receivers
            .into_iter()
            .flat_map(|receiver| receiver.integrations)
            .collect();
        (tellers, integrations)
    }

    fn order(receiver: &str, integration: &Integration, now: Timestamp) -> Arc<Deliver> {
        let labels = Labels::from_pairs([("alertname", "Down")]);
        let group_key = GroupKey::new("{}", &labels);
        Arc::new(Deliver {
            id: DeliveryId(1),
            key: LogKey {
                group_key: group_key.clone(),
                receiver: receiver.to_owned(),
                integration: "webhook".to_owned(),
                index: 0,
            },
            integration: integration.clone(),
            notification: Notification {
                receiver: receiver.to_owned(),
                group_key,
                group_labels: labels.clone(),
                route_labels: Labels::default(),
                alerts: vec![Alert {
                    labels,
                    annotations: Labels::default(),
                    starts_at: now,
                    ends_at: Timestamp::MAX,
                    updated_at: now,
                    generator_url: String::new(),
                    timeout: false,
                }],
                reason: NotificationReason::FirstNotification,
                at: now,
                external_url: "http://am".to_owned(),
            },
            memory: Memory::default(),
            deadline: now + Duration::from_secs(60),
            attempt: 1,
            turns_missed: 0,
        })
    }

    /// Says on which path it was asked.
    async fn vendor() -> (String, mpsc::UnboundedReceiver<String>) {
        let (asked, paths) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listen = |State(asked): State<mpsc::UnboundedSender<String>>, uri: Uri| async move {
            asked.send(uri.path().to_owned()).unwrap();
        };
        let router = Router::new().fallback(listen).with_state(asked);
        tokio::spawn(async move { axum::serve(listener, router).await });
        (format!("http://{address}"), paths)
    }

    /// What a real Alertmanager starts with, and what it does not.
    #[tokio::test]
    async fn only_receivers_that_a_route_names_need_their_files() {
        for (routes, needs) in [
            ("receiver: a", false),
            ("receiver: b", true),
            ("receiver: a, routes: [{receiver: b}]", true),
        ] {
            let text = format!(
                "route: {{{routes}}}\nreceivers: [{{name: a}}, {{name: b, webhook_configs: [{{url: 'http://w', http_config: {{tls_config: {{ca_file: /nowhere}}}}}}]}}]\n"
            );
            let files: MemoryFiles = [("am.yml", text.as_str())].into_iter().collect();
            let options = AlertmanagerOptions::default();
            let loaded = AlertmanagerFiles::load("am.yml", &options, &files).unwrap();
            let prepared = prepare(&loaded.value).await;
            assert_eq!(prepared.is_err(), needs, "{routes}");
        }
    }

    /// Both windows of a reload: an order of before that meets the integrations of afterwards, and the other way round.
    #[tokio::test]
    async fn nobody_is_told_what_was_ordered_for_somebody_else() {
        let (vendor, mut asked) = vendor().await;
        let (red, blue) = (format!("{vendor}/red"), format!("{vendor}/blue"));
        let before = || configured(&[("team", &red)]);
        let swapped = || configured(&[("team", &blue)]);
        let renamed = || configured(&[("crew", &red)]);
        let more = || configured(&[("team", &red), ("crew", &blue)]);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let telling = Telling::new(before().0, Arc::clone(&clock));
        for (what, receiver, ordered_by, told_by, told) in [
            ("unchanged", "team", before(), before(), Some("/red")),
            ("another one came", "team", before(), more(), Some("/red")),
            ("ordered before", "team", before(), swapped(), None),
            ("ordered after", "team", swapped(), before(), None),
            ("gone", "team", before(), renamed(), None),
            ("not there yet", "crew", renamed(), before(), None),
        ] {
            telling.replace(told_by.0);
            let order = order(receiver, &ordered_by.1[0], clock.now());
            let outcome = telling.notify(TenantId::anonymous(), order).await.outcome;
            assert_eq!(asked.try_recv().ok().as_deref(), told, "{what}");
            match told {
                Some(_) => assert_eq!(outcome, Outcome::Delivered { id: None }, "{what}"),
                None => assert!(
                    matches!(
                        outcome,
                        Outcome::Retry {
                            not_before: None,
                            ..
                        }
                    ),
                    "{what}: {outcome:?}"
                ),
            }
        }
    }
}
