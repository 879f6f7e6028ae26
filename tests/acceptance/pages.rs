//! A real service's alert, from its Prometheus' remote write to a page and back.
use std::time::Duration;

use fakes::{EventAction, IncidentStatus};
use model::Timestamp;

use crate::cadence::assert_cadence;
use crate::process::program;
use crate::prometheus::PROGRAM;
use crate::service::{HEARTBEAT_SECS, Service};
use crate::shared::shared;

/// The rule waits for ten seconds, the group for two, the machine may be busy.
const PAGING: Duration = Duration::from_secs(120);
/// Heartbeats that are counted for their cadence.
const BEATS: u64 = 10;

pub(crate) const BELOW_THRESHOLD: &str = "RE_Observe_AlertManager_Below_Threshold";

#[tokio::test(flavor = "multi_thread")]
async fn a_real_service_is_paged_and_told_of_the_end_and_its_switch_is_held() {
    let (Some(_), Some(real)) = (program(PROGRAM), shared("real/gds")) else {
        return;
    };
    let mut service = Service::start(&real).await;

    service.targets[0].stop().await;
    let key = incident_key();
    let opened = service
        .wait_for_incident(&key, IncidentStatus::Triggered)
        .await;
    assert_eq!(
        opened.key, "00000000000000000000000000000001",
        "the on-call team's own key"
    );
    assert!(
        opened.summary.contains(BELOW_THRESHOLD),
        "{}",
        opened.summary
    );

    service.targets[0].start_again().await;
    let resolved = service
        .wait_for_incident(&key, IncidentStatus::Resolved)
        .await;
    let actions: Vec<EventAction> = resolved.log.iter().map(|entry| entry.action).collect();
    assert_eq!(
        actions,
        [EventAction::Trigger, EventAction::Resolve],
        "told once, and told of the end once"
    );

    let pings = service.heartbeats(BEATS + 2).await;
    assert_cadence(&pings[2..], Duration::from_secs(HEARTBEAT_SECS));
    assert_eq!(service.fakes.strays(), Vec::<String>::new());
}

/// SHA-256 of the aggregation group's key
/// `{}/{product="prometheus",severity="page"}:{alertname="RE_Observe_AlertManager_Below_Threshold", product="prometheus"}`,
/// as `sha256sum` gives it and as the incident must carry it.
pub(crate) fn incident_key() -> String {
    "7c4ca2c667b1e09ff5c4f6fbcd6845390a31ba26f4f7e9e2a6f55ddb6054db7e".to_owned()
}

impl Service {
    pub(crate) async fn wait_for_incident(
        &self,
        key: &str,
        status: IncidentStatus,
    ) -> fakes::Incident {
        let found = self.fakes.pagerduty.wait_for(PAGING, |account, _| {
            account
                .incidents
                .iter()
                .find(|incident| incident.dedup_key == key && incident.status == status)
                .cloned()
        });
        found.await.unwrap_or_else(|_| {
            panic!(
                "no incident {key} became {status:?}; there are {:?}",
                self.fakes.pagerduty.incidents()
            )
        })
    }

    /// The first `count` pings of the constant alert.
    pub(crate) async fn heartbeats(&self, count: u64) -> Vec<Timestamp> {
        let found = self.fakes.cronitor.wait_for(PAGING, |account, _| {
            let pings = &account.monitors.get("observe-prod")?.pings;
            (pings.len() as u64 >= count).then(|| pings.clone())
        });
        found.await.unwrap_or_else(|_| {
            panic!(
                "the switch was not held: {:?}",
                self.fakes.cronitor.pings("observe-prod")
            )
        })
    }
}
