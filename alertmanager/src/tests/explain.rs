//! "Why was I not told?": an answer for each cause.
use alertmanager_core::Deliver;
use model::{Fingerprint, Labels};
use notifiers_core::Outcome;
use serde_json::{Value, json};

use crate::tests::bench::Bench;

const CONFIG: &str = r#"
route:
  receiver: team
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1h
  routes:
  - {matchers: ['kind="nobody"'], receiver: nobody}
  - {matchers: ['kind="muted"'], receiver: team, mute_time_intervals: [always]}
  - {matchers: ['kind="inactive"'], receiver: team, active_time_intervals: [never]}
  - {matchers: ['kind="waiting"'], receiver: team, group_wait: 1h}
  - {matchers: ['kind="both"'], receiver: team, continue: true}
  - {matchers: ['kind=~"both|refused"'], receiver: refuser}
inhibit_rules:
- {name: page-over-info, source_matchers: ['severity="page"'], target_matchers: ['severity="info"'], equal: [rack]}
time_intervals:
- {name: always, time_intervals: [{times: [{start_time: '00:00', end_time: '24:00'}]}]}
- {name: never, time_intervals: [{years: ['1999']}]}
receivers:
- {name: team, webhook_configs: [{url: 'http://x'}]}
- {name: refuser, webhook_configs: [{url: 'http://y'}]}
- {name: nobody}
"#;

fn answer(order: &Deliver) -> Outcome {
    if order.key.receiver == "refuser" {
        Outcome::Rejected {
            reason: "400: no such room".to_owned(),
        }
    } else {
        Outcome::Delivered { id: None }
    }
}

async fn explain(bench: &Bench, labels: &[(&str, &str)], query: &str) -> Value {
    let fingerprint: Fingerprint = Labels::from_pairs(labels.iter().copied()).fingerprint();
    let path = format!("/api/watchbell/v1/alerts/{fingerprint}/explain{query}");
    bench.get(&path).await
}

/// Until what was told has been told.
async fn verdict(bench: &mut Bench, labels: &[(&str, &str)], told: usize) -> Value {
    let alert =
        json!([{"labels": labels.iter().copied().collect::<std::collections::BTreeMap<_, _>>()}]);
    bench.post_alerts(&alert.to_string()).await;
    for _ in 0..told {
        bench.hear().await;
    }
    loop {
        let explanation = explain(bench, labels, "").await;
        let text = explanation.to_string();
        if !text.contains("under way") && (told == 0 || text.contains("lastAttempt\":{")) {
            return explanation;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_cause_is_named() {
    let mut bench = Bench::with(CONFIG, None, answer);
    bench
        .post_alerts(r#"[{"labels":{"alertname":"Source","severity":"page","rack":"1"}}]"#)
        .await;
    bench.hear().await;
    let now = bench.service.inner.parts.clock.now().to_rfc3339_millis();
    let silence = json!({
        "matchers": [{"name": "kind", "value": "silenced", "isRegex": false}],
        "startsAt": now, "endsAt": "2999-01-01T00:00:00Z", "createdBy": "ann", "comment": "",
    });
    let answer = bench
        .ask("POST", "/api/v2/silences", &silence.to_string())
        .await;
    let silence: Value = serde_json::from_str(&answer.1).unwrap();
    let id = silence["silenceID"].as_str().unwrap().to_owned();

    for (kind, told, said) in [
        ("nobody", 0, "nobody has no integrations: nobody is told"),
        ("muted", 0, "team is not told now: muted by always"),
        (
            "inactive",
            0,
            "team is not told now: none of never is active",
        ),
        (
            "silenced",
            0,
            &*format!("team is not told: silenced by {id} of ann until 2999-01-01T00:00:00.000Z"),
        ),
        (
            "waiting",
            0,
            "team: webhook[0] is told at the next flush; next flush in 3",
        ),
        (
            "refused",
            1,
            "refuser: webhook[0] rejected it: 400: no such room; next flush in 3",
        ),
        ("plain", 1, "team: webhook[0] was told at 2"),
    ] {
        let labels = [("alertname", kind), ("kind", kind)];
        let explanation = verdict(&mut bench, &labels, told).await;
        let verdict = explanation["verdict"][0].as_str().unwrap();
        assert!(verdict.starts_with(said), "{kind}: {verdict}");
    }

    let target = [("alertname", "Target"), ("rack", "1"), ("severity", "info")];
    let inhibited = verdict(&mut bench, &target, 0).await;
    let verdicts = inhibited["verdict"][0].as_str().unwrap();
    assert!(
        verdicts.starts_with("team is not told: inhibited by alert "),
        "{verdicts}"
    );
    assert_eq!(inhibited["mutedBy"]["inhibition"]["rule"], "page-over-info");

    let both = verdict(&mut bench, &[("alertname", "Both"), ("kind", "both")], 2).await;
    let path = &both["routes"][1]["path"];
    assert_eq!(path[1]["route"], r#"{}/{kind=~"both|refused"}/5"#);
    assert_eq!(
        path[1]["matchers"],
        json!([r#"kind=~"both|refused" matches "both""#])
    );
    assert_eq!(both["routes"][0]["path"][1]["continue"], true);
    assert_eq!(both["routes"][0]["integrations"][0]["knows"], "fires");
    bench.end().await;
}

#[tokio::test]
async fn another_instant_can_be_asked_for_and_wrong_questions_are_refused() {
    let mut bench = Bench::with(CONFIG, None, answer);
    let labels = [("alertname", "inactive"), ("kind", "inactive")];
    verdict(&mut bench, &labels, 0).await;
    let then = explain(&bench, &labels, "?at=1999-06-01T12:00:00Z").await;
    assert_eq!(then["routes"][0]["timeIntervals"], Value::Null);
    assert_eq!(then["at"], "1999-06-01T12:00:00.000Z");
    for (path, status) in [
        ("0123456789abcdef", 404),
        ("0123456789ABCDEF", 422),
        ("x", 422),
    ] {
        let path = format!("/api/watchbell/v1/alerts/{path}/explain");
        assert_eq!(bench.ask("GET", &path, "").await.0, status, "{path}");
    }
    let fingerprint = Labels::from_pairs(labels.iter().copied()).fingerprint();
    let path = format!("/api/watchbell/v1/alerts/{fingerprint}/explain?at=soon");
    assert_eq!(bench.ask("GET", &path, "").await.0, 400);
    bench.end().await;
}
