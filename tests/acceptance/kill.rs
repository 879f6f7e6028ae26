//! `kill -9` at a random moment of a real service's run: nothing acknowledged is lost, nothing told is told again.
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::Duration;

use fakes::{EventAction, IncidentStatus, ReceivedRequest};
use model::Timestamp;
use runtime::{Clock, SystemClock};
use serde_json::Value as Json;

use crate::pages::{BELOW_THRESHOLD, incident_key};
use crate::probe::Probe;
use crate::process::program;
use crate::prometheus::PROGRAM;
use crate::service::Service;
use crate::shared::shared;
use crate::wait::wait_for;

/// Runs in every change's tests; the long tests ask for more.
const KILLS_DEFAULT: u64 = 5;
/// A run from the target's end to the page takes some fifteen seconds: the kill falls somewhere into it, or after it.
const PAGE_WITHIN: Duration = Duration::from_secs(16);
/// And one from the target's return to the resolution as long: the other half of the kills falls into that.
const MOMENT_MAX: Duration = Duration::from_secs(32);
/// A vendor's answer that left this shortly before the kill may not have reached the log any more: telling it again
/// is right, because nobody could know that it had been told.
const IN_FLIGHT: Duration = Duration::from_secs(1);
const SETTLING: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_loses_and_repeats_nothing() {
    let (Some(_), Some(real)) = (program(PROGRAM), shared("real/gds")) else {
        return;
    };
    let kills = std::env::var("WATCHBELL_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KILLS_DEFAULT);
    for number in 0..kills {
        let moment = random_moment();
        match moment.checked_sub(PAGE_WITHIN) {
            None => eprintln!("kill {number} of {kills} comes {moment:?} after the target's end"),
            Some(later) => {
                eprintln!("kill {number} of {kills} comes {later:?} after the target's return");
            }
        }
        run(&real, moment).await;
    }
}

async fn run(real: &Path, moment: Duration) {
    let mut service = Service::start(real).await;
    let probe = Probe::start(service.watchbell.url(""));
    wait_for(
        "everything to be up and samples to be acknowledged",
        SETTLING,
        async || {
            let up = service
                .watchbell
                .json("/api/v1/query?query=count(up==1)")
                .await;
            let all_up = up["data"]["result"][0]["value"][1] == "4";
            let told = !service.fakes.cronitor.pings("observe-prod").is_empty();
            let quiet = alerts(&service).await.keys().all(|labels| {
                !labels.contains("_Prometheus_Below_Threshold") && !labels.contains("_Target_Down")
            });
            (all_up && told && quiet && probe.acknowledged() > 20).then_some(())
        },
    )
    .await;

    let key = incident_key();
    service.targets[0].stop().await;
    let (service, killed_at) = match moment.checked_sub(PAGE_WITHIN) {
        None => {
            let (mut service, killed_at, before) = kill_after(service, &probe, moment).await;
            assert_alerts_go_on(&before, &alerts(&service).await);
            let triggered = service.wait_for_incident(&key, IncidentStatus::Triggered);
            triggered.await;
            assert_alerts_go_on(&before, &alerts(&service).await);
            service.targets[0].start_again().await;
            (service, killed_at)
        }
        Some(later) => {
            let triggered = service.wait_for_incident(&key, IncidentStatus::Triggered);
            triggered.await;
            service.targets[0].start_again().await;
            let (service, killed_at, _) = kill_after(service, &probe, later).await;
            (service, killed_at)
        }
    };
    let resolved = service.wait_for_incident(&key, IncidentStatus::Resolved);
    resolved.await;

    probe.assert_nothing_is_lost(&service.watchbell).await;
    assert_told_once(&service.fakes.pagerduty.requests(), &key, killed_at);
    // The switch is held again.
    let beats = service.fakes.cronitor.pings("observe-prod").len();
    let held = service.heartbeats(beats as u64 + 2);
    held.await;
}

/// Kills and restarts after `wait`; answers when that was, and the alerts of just before.
async fn kill_after(
    service: Service,
    probe: &Probe,
    wait: Duration,
) -> (Service, Timestamp, Alerts) {
    tokio::time::timeout(wait, std::future::pending::<()>())
        .await
        .expect_err("it never ends by itself");
    let before = alerts(&service).await;
    let killed_at = SystemClock::new().now();
    let service = service.kill_and_restart_watchbell().await;
    probe.assert_nothing_is_lost(&service.watchbell).await;
    (service, killed_at, before)
}

/// When each alert became active and its state, by its labels.
type Alerts = BTreeMap<String, (String, String)>;

async fn alerts(service: &Service) -> Alerts {
    let answer = service.watchbell.json("/api/v1/alerts").await;
    let text = |alert: &Json, name: &str| alert[name].as_str().unwrap_or_default().to_owned();
    let alerts = answer["data"]["alerts"]
        .as_array()
        .expect("a list of alerts");
    alerts
        .iter()
        .map(|alert| {
            (
                alert["labels"].to_string(),
                (text(alert, "activeAt"), text(alert, "state")),
            )
        })
        .collect()
}

/// What was pending or firing is so since the same instant; it may have gone from pending to firing.
fn assert_alerts_go_on(before: &Alerts, after: &Alerts) {
    for (labels, (active_at, state)) in before {
        let Some((active_at_now, state_now)) = after.get(labels) else {
            panic!("{labels} was {state} since {active_at} and is gone: {after:?}");
        };
        assert_eq!(active_at_now, active_at, "{labels} became active anew");
        assert!(
            state_now == state || state_now == "firing",
            "{labels} was {state} and is {state_now}"
        );
    }
    assert!(
        before.keys().any(|labels| labels.contains("AlwaysAlert")),
        "the constant alert fires: {before:?}"
    );
}

/// One trigger and one resolve; one more of either only where the kill hit its answer.
fn assert_told_once(requests: &[ReceivedRequest], key: &str, killed_at: Timestamp) {
    for action in [EventAction::Trigger, EventAction::Resolve] {
        let told: Vec<&ReceivedRequest> = requests
            .iter()
            .filter(|request| says(request, key, action))
            .collect();
        let in_flight = told.iter().filter(|request| {
            request.arrived_at <= killed_at
                && request
                    .answered_at
                    .is_none_or(|at| killed_at.saturating_since(at) < IN_FLIGHT)
        });
        let allowed = 1 + in_flight.count();
        assert!(
            (1..=allowed).contains(&told.len()),
            "{action:?} was told {} times, killed at {killed_at}: {}",
            told.len(),
            list(&told)
        );
    }
}

fn says(request: &ReceivedRequest, key: &str, action: EventAction) -> bool {
    let word = match action {
        EventAction::Trigger => "trigger",
        EventAction::Acknowledge => "acknowledge",
        EventAction::Resolve => "resolve",
    };
    request.accepted()
        && request.request.json().is_some_and(|event| {
            event["incident_key"] == key
                && event["event_type"] == word
                && event.to_string().contains(BELOW_THRESHOLD)
        })
}

fn list(requests: &[&ReceivedRequest]) -> String {
    requests
        .iter()
        .map(|request| format!("\n{request}"))
        .collect()
}

/// Any moment of the run; which one is printed, because a failure must be told apart by it.
fn random_moment() -> Duration {
    let random = RandomState::new().hash_one(0_u8);
    Duration::from_millis(random % u64::try_from(MOMENT_MAX.as_millis()).expect("a short time"))
}
