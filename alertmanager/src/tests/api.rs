//! Bodies, parameters and errors of API v2.
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use model::Timestamp;
use notifiers_core::{NotificationReason, Outcome};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::tests::bench::{AT_ONCE, Bench, config};

const DOWN: &str = r#"[{"labels":{"alertname":"Down","instance":"a:1","empty":""},"annotations":{"summary":"it <is> down"},
    "startsAt":"2026-01-02T03:04:05Z","generatorURL":"http://p/g?a=1&b=2"}]"#;

#[tokio::test]
async fn an_alert_goes_in_is_told_and_comes_out() {
    let mut bench = Bench::new(AT_ONCE);
    bench.post_alerts(DOWN).await;
    let told = bench.hear().await;
    assert_eq!(
        told.notification.reason,
        NotificationReason::FirstNotification
    );
    assert_eq!(
        told.key.to_string(),
        r#"{}:{alertname="Down"}:team/webhook/0"#
    );
    assert_eq!(told.notification.external_url, "http://localhost:9093");

    let mut alerts = bench.get("/api/v2/alerts").await;
    let alert = alerts[0].as_object_mut().unwrap();
    for time in ["endsAt", "updatedAt"] {
        let text = alert.remove(time).unwrap();
        assert_eq!(
            text.as_str().unwrap().len(),
            "2026-01-02T03:04:05.000Z".len()
        );
    }
    let expected = json!([{
        "annotations": {"summary": "it <is> down"},
        "fingerprint": "cf8049ed2cea6bc0",
        "receivers": [{"name": "team"}],
        "startsAt": "2026-01-02T03:04:05.000Z",
        "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
        "generatorURL": "http://p/g?a=1&b=2",
        "labels": {"alertname": "Down", "instance": "a:1"},
    }]);
    let fingerprint = alerts[0]["fingerprint"].clone();
    assert_eq!(fingerprint.as_str().unwrap().len(), 16);
    let mut expected = expected;
    expected[0]["fingerprint"] = fingerprint;
    assert_eq!(alerts, expected);
    bench.end().await;
}

/// A batch with such a time was refused as a whole before: none of its alerts were told.
#[tokio::test]
async fn times_of_every_year_are_taken_and_shown() {
    let bench = Bench::new(AT_ONCE);
    for (starts_at, ends_at, shown) in [
        (
            "2026-01-02T03:04:05Z",
            "9999-12-31T23:59:59Z",
            ["2026-01-02T03:04:05.000Z", "9999-12-31T23:59:59.000Z"],
        ),
        (
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999-01:00",
            ["0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"],
        ),
        (
            "9999-12-31T00:00:00Z",
            "9999-12-31T23:59:59Z",
            ["9999-12-31T00:00:00.000Z", "9999-12-31T23:59:59.000Z"],
        ),
    ] {
        bench
            .post_alerts(&format!(
                r#"[{{"labels":{{"alertname":"Down","instance":"{starts_at}"}},"startsAt":"{starts_at}","endsAt":"{ends_at}"}}]"#
            ))
            .await;
        let filter = starts_at.replace(':', "%3A");
        let alerts = bench
            .get(&format!("/api/v2/alerts?filter=instance%3D%22{filter}%22"))
            .await;
        let alert = &alerts[0];
        assert_eq!(json!([alert["startsAt"], alert["endsAt"]]), json!(shown));
    }
    // Go's zero time is no time: the alert starts now and lasts the usual five minutes.
    bench
        .post_alerts(
            r#"[{"labels":{"alertname":"Unsaid"},"startsAt":"0001-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00.000Z"}]"#,
        )
        .await;
    let alerts = bench.get("/api/v2/alerts?filter=alertname%3DUnsaid").await;
    let time = |key: &str| Timestamp::parse_rfc3339(alerts[0][key].as_str().unwrap()).unwrap();
    assert_eq!(time("startsAt"), time("updatedAt"));
    assert_eq!(
        time("endsAt").saturating_since(time("startsAt")),
        Duration::from_secs(300)
    );
    let (status, body) = bench
        .ask(
            "POST",
            "/api/v2/silences",
            r#"{"matchers":[{"name":"a","value":"b","isRegex":false}],"startsAt":"0001-01-01T00:00:00Z",
                "endsAt":"9999-12-31T23:59:59Z","createdBy":"me","comment":"for ever"}"#,
        )
        .await;
    assert_eq!(status, 200, "{body}");
    let silence = &bench.get("/api/v2/silences").await[0];
    assert_eq!(silence["endsAt"], "9999-12-31T23:59:59.000Z");
    assert_eq!(silence["status"]["state"], "active");
    bench.end().await;
}

#[tokio::test]
async fn a_resolved_alert_is_told_and_no_longer_listed() {
    let quick = AT_ONCE.replace("group_interval: 1h", "group_interval: 100ms");
    let mut bench = Bench::new(&quick);
    bench.post_alerts(DOWN).await;
    bench.hear().await;
    let resolved = DOWN.replace("startsAt", "endsAt\":\"2026-01-02T04:00:00Z\",\"startsAt");
    bench.post_alerts(&resolved).await;
    let told = bench.hear().await;
    assert_eq!(
        told.notification.reason,
        NotificationReason::AllAlertsResolved
    );
    assert_eq!(bench.get("/api/v2/alerts").await, json!([]));
    bench.end().await;
}

#[tokio::test]
async fn parameters_choose_what_is_listed() {
    let bench = Bench::new(AT_ONCE);
    bench
        .post_alerts(
            r#"[{"labels":{"alertname":"Down","instance":"a"}},{"labels":{"alertname":"Down","instance":"b"}},
                {"labels":{"alertname":"Full","instance":"a"}}]"#,
        )
        .await;
    for (query, instances) in [
        ("", "a a b"),
        ("?filter=alertname%3D%22Down%22", "a b"),
        (
            "?filter=alertname%3DDown&filter=instance%3D~%22b%7Cc%22",
            "b",
        ),
        ("?filter=team%3D%22%22", "a a b"),
        ("?filter=team%21%3D%22%22", ""),
        ("?active=false", ""),
        ("?silenced=false&inhibited=false&unprocessed=false", "a a b"),
        ("?receiver=te.m", "a a b"),
        ("?receiver=tea", ""),
        ("?receiver_matchers=name%3D%22team%22", "a a b"),
        ("?receiver_matchers=name%3D%22unused%22", ""),
    ] {
        let alerts = bench.get(&format!("/api/v2/alerts{query}")).await;
        let mut listed: Vec<&str> = alerts
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| alert["labels"]["instance"].as_str().unwrap())
            .collect();
        listed.sort_unstable();
        assert_eq!(listed.join(" "), instances, "{query}");
    }
    bench.end().await;
}

#[tokio::test]
async fn groups_are_ordered_and_name_their_receivers() {
    let twice = "
route: {receiver: team, group_by: [alertname], routes: [{receiver: b, continue: true}, {receiver: a, group_by: [alertname, job]}]}
receivers: [{name: team}, {name: a}, {name: b}]
";
    let bench = Bench::new(twice);
    bench
        .post_alerts(
            r#"[{"labels":{"alertname":"Full","job":"y"}},{"labels":{"alertname":"Down","job":"x","instance":"2"}},
                {"labels":{"alertname":"Down","job":"x","instance":"1"}}]"#,
        )
        .await;
    let groups = bench.get("/api/v2/alerts/groups").await;
    let lines: Vec<String> = groups
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            let alerts: Vec<String> = group["alerts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|alert| format!("{} {}", alert["labels"]["instance"], alert["receivers"]))
                .collect();
            format!(
                "{} {} {}",
                group["receiver"]["name"].as_str().unwrap(),
                group["labels"],
                alerts.join(" ")
            )
        })
        .collect();
    let both = r#"[{"name":"a"},{"name":"b"}]"#;
    assert_eq!(
        lines,
        [
            format!(r#"b {{"alertname":"Down"}} "1" {both} "2" {both}"#),
            format!(r#"b {{"alertname":"Full"}} null {both}"#),
            format!(r#"a {{"alertname":"Down","job":"x"}} "1" {both} "2" {both}"#),
            format!(r#"a {{"alertname":"Full","job":"y"}} null {both}"#),
        ]
    );
    assert_eq!(groups[0]["routeLabels"], json!({}));
    let only_a = bench.get("/api/v2/alerts/groups?receiver=a").await;
    assert_eq!(only_a.as_array().unwrap().len(), 2);
    assert_eq!(only_a[0]["alerts"][0]["receivers"], json!([{"name": "a"}]));
    bench.end().await;
}

#[tokio::test]
async fn matchers_stay_in_their_order_and_are_the_same_in_any() {
    let bench = Bench::new(AT_ONCE);
    let matcher =
        |name: &str| json!({"name": name, "value": "x", "isRegex": false, "isEqual": true});
    let set = async |id: &str, names: &[&str]| {
        let matchers: Vec<Value> = names.iter().map(|name| matcher(name)).collect();
        let silence = json!({
            "id": id, "matchers": matchers, "createdBy": "me", "comment": "c",
            "startsAt": "2998-01-01T00:00:00Z", "endsAt": "2999-01-01T00:00:00Z",
        });
        let silence = silence.to_string();
        let (status, body) = bench.ask("POST", "/api/v2/silences", &silence).await;
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["silenceID"].as_str().unwrap().to_owned()
    };
    let first = set("", &["b", "a"]).await;
    let shown = bench.get(&format!("/api/v2/silence/{first}")).await;
    assert_eq!(shown["matchers"], json!([matcher("b"), matcher("a")]));
    assert_eq!(set(&first, &["a", "b"]).await, first);
    assert_ne!(set(&first, &["a", "c"]).await, first);
    bench.end().await;
}

#[tokio::test]
async fn silences_are_set_shown_changed_and_expired() {
    let bench = Bench::new(AT_ONCE);
    let silence = |id: &str, comment: &str, ends_at: &str| {
        format!(
            r#"{{"id":"{id}","matchers":[{{"name":"alertname","value":"Down","isRegex":false}}],
            "startsAt":"2026-01-01T00:00:00Z","endsAt":"{ends_at}","createdBy":"me","comment":"{comment}"}}"#
        )
    };
    let (status, body) = bench
        .ask(
            "POST",
            "/api/v2/silences",
            &silence("", "c", "2999-01-01T00:00:00Z"),
        )
        .await;
    assert_eq!(status, 200, "{body}");
    let created: Value = serde_json::from_str(&body).unwrap();
    let id = created["silenceID"].as_str().unwrap();
    bench.post_alerts(DOWN).await;
    let alerts = bench.get("/api/v2/alerts").await;
    assert_eq!(alerts[0]["status"]["state"], "suppressed");
    assert_eq!(alerts[0]["status"]["silencedBy"], json!([id]));
    assert_eq!(bench.get("/api/v2/alerts?silenced=false").await, json!([]));

    let path = format!("/api/v2/silence/{id}");
    let shown = bench.get(&path).await;
    assert_eq!(shown["status"]["state"], "active");
    assert_eq!(
        shown["matchers"],
        json!([{"isEqual": true, "isRegex": false, "name": "alertname", "value": "Down"}])
    );
    assert_eq!(shown.get("annotations"), None);
    assert_eq!(
        bench.get("/api/v2/silences?filter=alertname%3DDown").await[0]["id"],
        id
    );
    assert_eq!(
        bench.get("/api/v2/silences?filter=alertname%3D~Down").await,
        json!([])
    );
    assert_eq!(bench.get("/api/v2/silences?active=false").await, json!([]));

    assert_eq!(bench.ask("DELETE", &path, "").await, (200, String::new()));
    assert_eq!(bench.ask("DELETE", &path, "").await, (200, String::new()));
    assert_eq!(bench.get(&path).await["status"]["state"], "expired");
    assert_eq!(
        bench.get("/api/v2/alerts").await[0]["status"]["state"],
        "active"
    );

    let unknown = "00000000-0000-4000-8000-000000000000";
    for (method, path, body, status, text) in [
        (
            "GET",
            format!("/api/v2/silence/{unknown}"),
            String::new(),
            404,
            "",
        ),
        (
            "DELETE",
            format!("/api/v2/silence/{unknown}"),
            String::new(),
            404,
            "",
        ),
        (
            "GET",
            "/api/v2/silence/not-uuid".to_owned(),
            String::new(),
            422,
            r#"{"code":601,"message":"silenceID in path must be of type uuid: \"not-uuid\""}"#,
        ),
        (
            "POST",
            "/api/v2/silences".to_owned(),
            silence(unknown, "c", "2999-01-01T00:00:00Z"),
            404,
            "\"silence not found\"\n",
        ),
        (
            "POST",
            "/api/v2/silences".to_owned(),
            silence("", &"c".repeat(70_000), "2999-01-01T00:00:00Z"),
            400,
            "\"silence exceeded maximum size: 70015 bytes (limit: 65536 bytes)\"\n",
        ),
        (
            "POST",
            "/api/v2/silences".to_owned(),
            silence("", "c", "2026-01-01T00:00:00Z"),
            400,
            "\"Failed to create silence: start time must be before end time\"\n",
        ),
        (
            "POST",
            "/api/v2/silences".to_owned(),
            silence("", "c", "2026-01-01T00:00:01Z"),
            400,
            "\"Failed to create silence: end time can't be in the past\"\n",
        ),
        (
            "POST",
            "/api/v2/silences".to_owned(),
            silence("", "c", "2999-01-01T00:00:00Z").replace("\"Down\"", "\"\""),
            400,
            "\"invalid silence: matcher set 0: at least one matcher must not match the empty string\"\n",
        ),
        (
            "POST",
            "/api/v2/silences".to_owned(),
            silence("", "c", "2999-01-01T00:00:00Z").replace(",\"isRegex\":false", ""),
            422,
            r#"{"code":602,"message":"matchers.0.isRegex in body is required"}"#,
        ),
        (
            "POST",
            "/api/v2/silences".to_owned(),
            silence("", "c", "2999-01-01T00:00:00Z").replace(",\"comment\":\"c\"", ""),
            422,
            r#"{"code":602,"message":"comment in body is required"}"#,
        ),
    ] {
        assert_eq!(
            bench.ask(method, &path, &body).await,
            (status, text.to_owned()),
            "{method} {path} {body}"
        );
    }
    bench.end().await;
}

#[tokio::test]
async fn wrong_requests_are_answered_in_alertmanagers_words() {
    let bench = Bench::new(AT_ONCE);
    for (method, path, body, status, text) in [
        (
            "POST",
            "/api/v2/alerts",
            "",
            422,
            r#"{"code":602,"message":"alerts in body is required"}"#,
        ),
        (
            "POST",
            "/api/v2/alerts",
            "[{}]",
            422,
            r#"{"code":602,"message":"0.labels in body is required"}"#,
        ),
        (
            "POST",
            "/api/v2/alerts",
            r#"[{"labels":{"a":"x"},"generatorURL":"not a url"}]"#,
            422,
            r#"{"code":601,"message":"0.generatorURL in body must be of type uri: \"not a url\""}"#,
        ),
        (
            "POST",
            "/api/v2/alerts",
            r#"[{"labels":{}}]"#,
            400,
            "\"at least one label pair required\"\n",
        ),
        (
            "POST",
            "/api/v2/alerts",
            r#"[{"labels":{"a":"x"},"startsAt":"2026-01-02T00:00:00Z","endsAt":"2026-01-01T00:00:00Z"},{"labels":{"":"x"}}]"#,
            400,
            "\"start time must be before end time\\ninvalid label set: invalid name \\\"\\\"\"\n",
        ),
        ("POST", "/api/v2/alerts", "[]", 200, ""),
        (
            "PUT",
            "/api/v2/alerts",
            "",
            405,
            r#"{"code":405,"message":"method PUT is not allowed, but [GET,POST] are"}"#,
        ),
        ("HEAD", "/api/v2/alerts", "", 405, ""),
        (
            "OPTIONS",
            "/api/v2/status",
            "",
            405,
            r#"{"code":405,"message":"method OPTIONS is not allowed, but [GET] are"}"#,
        ),
        (
            "GET",
            "/api/v2/alerts?filter=%3D",
            "",
            400,
            "\"bad matcher format: =\"\n",
        ),
    ] {
        assert_eq!(
            bench.ask(method, path, body).await,
            (status, text.to_owned()),
            "{method} {path} {body}"
        );
    }
    for body in ["x", r#"[{"labels":{"a":"x"},"startsAt":"yesterday"}]"#] {
        let (status, text) = bench.ask("POST", "/api/v2/alerts", body).await;
        assert_eq!(status, 400, "{text}");
        assert!(
            text.starts_with(
                r#"{"code":400,"message":"parsing alerts body from \"\" failed, because "#
            ),
            "{text}"
        );
    }
    let plain = Request::post("/api/v2/alerts")
        .header("content-type", "text/plain")
        .body(Body::from("[]"))
        .unwrap();
    assert_eq!(
        bench.send(plain).await,
        (
            415,
            r#"{"code":415,"message":"unsupported media type \"text/plain\", only [application/json] are allowed"}"#
                .to_owned()
        )
    );
    let large = format!("[{}]", " ".repeat(17 * 1024 * 1024));
    assert_eq!(bench.ask("POST", "/api/v2/alerts", &large).await.0, 413);
    bench.end().await;
}

/// Each of these was refused once, with every other alert of its batch.
#[tokio::test]
async fn one_odd_alert_does_not_lose_its_batch() {
    let bench = Bench::new(AT_ONCE);
    for (number, (odd, expected)) in [
        (r#"{"labels":{"n":"N","a":null}}"#, json!({})),
        (
            r#"{"labels":{"n":"N","a":"\ud800"}}"#,
            json!({"a": "\u{fffd}"}),
        ),
        (
            r#"{"labels":{"n":"N"},"Labels":{"a":"b"}}"#,
            json!({"a": "b"}),
        ),
        (
            r#"{"labels":{"n":"N"},"startsAt":"2026-01-02 03:04:05"}"#,
            json!({}),
        ),
        // As soon as it ends it would be told to nobody.
        (
            r#"{"labels":{"n":"N"},"startsAt":"","endsAt":""}"#,
            json!({}),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("odd{number}");
        let odd = odd.replace(r#""N""#, &format!("{name:?}"));
        let body = format!(r#"[{{"labels":{{"n":"before{number}"}}}},{odd}] and more"#);
        // Not by the bench's own way, which holds requests to the API's document.
        assert_eq!(bench.send(posted(&body)).await, (200, String::new()));
        let mut alerts = bench
            .get(&format!("/api/v2/alerts?filter=n%3D{name}"))
            .await;
        let labels = alerts[0]["labels"].as_object_mut().unwrap();
        labels.remove("n");
        assert_eq!(json!(labels), expected, "{odd}");
    }
    // An address was left out without a word where its name had another case.
    let body = r#"[{"labels":{"n":"address"},"generatorUrl":"http://g/x"}]"#;
    assert_eq!(bench.send(posted(body)).await.0, 200);
    let alerts = bench.get("/api/v2/alerts?filter=n%3Daddress").await;
    assert_eq!(alerts[0]["generatorURL"], "http://g/x");
    bench.end().await;
}

fn posted(body: &str) -> Request<Body> {
    Request::post("/api/v2/alerts")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

#[tokio::test]
async fn a_valid_alert_of_a_batch_is_kept_although_others_are_not() {
    let bench = Bench::new(AT_ONCE);
    let (status, _) = bench
        .ask(
            "POST",
            "/api/v2/alerts",
            r#"[{"labels":{}},{"labels":{"alertname":"Kept"}}]"#,
        )
        .await;
    assert_eq!(status, 400);
    let alerts = bench.get("/api/v2/alerts").await;
    assert_eq!(alerts[0]["labels"], json!({"alertname": "Kept"}));
    bench.end().await;
}

#[tokio::test]
async fn an_alert_that_is_too_large_is_refused_and_the_others_of_its_batch_are_told() {
    let mut bench = Bench::new(AT_ONCE);
    let (large, kept) = (
        "x".repeat(3_000_000),
        r#"{"labels":{"alertname":"Kept"},"annotations":{"summary":"of some kB"}}"#
            .replace("of some kB", &"x".repeat(100_000)),
    );
    let (status, body) = bench
        .ask(
            "POST",
            "/api/v2/alerts",
            &format!(
                r#"[{{"labels":{{"alertname":"{large}"}}}},{kept},{{"labels":{{"alertname":"Wide"}},"annotations":{{"summary":"{large}"}}}},
                {{"labels":{{"alertname":"Linked"}},"generatorURL":"http://p/{large}"}}]"#
            ),
        )
        .await;
    let lines = [
        "0.labels in body exceeded maximum size: 3000009 bytes (limit: 65536 bytes)",
        "2.annotations in body exceeded maximum size: 3000007 bytes (limit: 262144 bytes)",
        "3.generatorURL in body exceeded maximum size: 3000009 bytes (limit: 65536 bytes)",
    ];
    assert_eq!(
        (status, body),
        (400, format!("\"{}\"\n", lines.join("\\n")))
    );
    let told = bench.hear().await;
    assert_eq!(told.notification.group_labels.value("alertname"), "Kept");
    assert_eq!(
        bench.get("/api/v2/alerts").await.as_array().unwrap().len(),
        1
    );
    let text = bench.metrics.text();
    assert!(
        text.contains(r#"alertmanager_alerts_invalid_total{version="v2"} 3"#),
        "{text}"
    );
    bench.end().await;
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let mut bench = Bench::new(AT_ONCE);
    let post = Request::post("/api/v2/alerts")
        .header("content-type", "application/json")
        .header("x-scope-orgid", "blue")
        .body(Body::from(DOWN))
        .unwrap();
    assert_eq!(bench.send(post).await.0, 200);
    let (tenant, _) = bench.heard.recv().await.unwrap();
    assert_eq!(tenant.as_str(), "blue");
    assert_eq!(bench.get("/api/v2/alerts").await, json!([]));
    let get = Request::get("/api/v2/alerts")
        .header("x-scope-orgid", "blue")
        .body(Body::empty())
        .unwrap();
    assert!(bench.send(get).await.1.contains("Down"));
    bench.end().await;
}

#[tokio::test]
async fn status_and_receivers_tell_the_configuration_without_secrets() {
    let secret = "
route: {receiver: team, routes: [{matchers: ['team=\"x\"'], receiver: ops}]}
receivers: [{name: team, webhook_configs: [{url: 'http://token@host/secret'}]}, {name: ops}]
";
    let bench = Bench::new(secret);
    let status = bench.get("/api/v2/status").await;
    assert_eq!(
        status["cluster"],
        json!({"peers": [], "status": "disabled"})
    );
    assert_eq!(status["versionInfo"]["version"], "0.34.0");
    let original = status["config"]["original"].as_str().unwrap();
    assert!(!original.contains("token@host"), "{original}");
    assert!(original.contains("url: <secret>"), "{original}");
    // What is told can be read again.
    assert_eq!(config(original).routes.routes()[1].receiver, "ops");
    let receivers = bench.get("/api/v2/receivers").await;
    assert_eq!(
        receivers,
        json!([{"labels": {"name": "team"}, "name": "team"}, {"labels": {"name": "ops"}, "name": "ops"}])
    );
    let ops = bench
        .get("/api/v2/receivers?receiver_matchers=name%3Dops")
        .await;
    assert_eq!(ops.as_array().unwrap().len(), 1);
    bench.end().await;
}

#[tokio::test]
async fn receivers_are_found_by_their_labels() {
    let bench = Bench::new(
        "route: {receiver: a}\nreceivers: [{name: a, labels: {team: x}}, {name: b, labels: {team: y}}, {name: c}]\n",
    );
    for (query, found) in [
        ("", json!(["a", "b", "c"])),
        ("?receiver_matchers=team%3Dx", json!(["a"])),
        ("?receiver_matchers=team%3D~%22x%7Cy%22", json!(["a", "b"])),
        ("?receiver_matchers=team%3D%22%22", json!(["c"])),
        ("?receiver_matchers=name%3Db", json!(["b"])),
    ] {
        let receivers = bench.get(&format!("/api/v2/receivers{query}")).await;
        let names: Vec<&Value> = receivers
            .as_array()
            .unwrap()
            .iter()
            .map(|receiver| &receiver["name"])
            .collect();
        assert_eq!(json!(names), found, "{query}");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_reload_moves_alerts_to_their_new_receivers() {
    let mut bench = Bench::new(AT_ONCE);
    bench.post_alerts(DOWN).await;
    bench.hear().await;
    let renamed = AT_ONCE.replace("team", "crew");
    bench.service.reload(config(&renamed)).await;
    let told = bench.hear().await;
    assert_eq!(told.key.receiver, "crew");
    assert_eq!(
        bench.get("/api/v2/alerts").await[0]["receivers"],
        json!([{"name": "crew"}])
    );
    bench.end().await;
}

#[tokio::test]
async fn whoever_reloads_is_answered_when_his_configuration_or_a_newer_one_is_in_force() {
    let bench = Bench::new(AT_ONCE);
    bench.post_alerts(DOWN).await;
    let mut reloads = JoinSet::new();
    for number in 0..50 {
        let (service, router) = (bench.service.clone(), bench.router.clone());
        reloads.spawn(async move {
            let renamed = AT_ONCE.replace("team", &format!("crew-{number}"));
            service.reload(config(&renamed)).await;
            let request = Request::get("/api/v2/receivers")
                .body(Body::empty())
                .unwrap();
            let response = router.oneshot(request).await.unwrap();
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let receivers: Value = serde_json::from_slice(&body).unwrap();
            let name = receivers[0]["name"].as_str().unwrap().to_owned();
            let in_force: usize = name.strip_prefix("crew-").unwrap().parse().unwrap();
            assert!(
                in_force >= number,
                "{number} was answered, {name} is in force"
            );
        });
    }
    while let Some(ended) = reloads.join_next().await {
        ended.unwrap();
    }
    let receivers = bench.get("/api/v2/receivers").await;
    assert_eq!(receivers[0]["name"], "crew-49");
    bench.end().await;
}

#[tokio::test]
async fn a_reload_of_a_service_that_has_ended_is_answered() {
    let bench = Bench::new(AT_ONCE);
    bench.post_alerts(DOWN).await;
    let service = bench.service.clone();
    bench.end().await;
    service.reload(config(AT_ONCE)).await;
}

#[tokio::test]
async fn figures_have_the_names_that_dashboards_know() {
    let mut bench = Bench::with(AT_ONCE, None, |_| Outcome::Rejected {
        reason: "400".to_owned(),
    });
    let before = bench.metrics.text();
    assert!(before.contains(
        r#"alertmanager_notifications_failed_total{integration="webhook",reason="clientError"} 0"#
    ));
    bench.post_alerts(DOWN).await;
    bench.hear().await;
    // The machine takes the outcome in before it answers this.
    while !bench.metrics.text().contains(
        r#"alertmanager_notifications_failed_total{integration="webhook",reason="clientError"} 1"#,
    ) {
        bench.get("/api/v2/alerts").await;
    }
    bench.service.count().await;
    let text = bench.metrics.text();
    for line in [
        r#"alertmanager_alerts_received_total{status="firing",version="v2"} 1"#,
        r#"alertmanager_alerts_invalid_total{version="v2"} 0"#,
        r#"alertmanager_notifications_total{integration="webhook"} 1"#,
        r#"alertmanager_notification_requests_total{integration="webhook"} 1"#,
        r#"alertmanager_notification_requests_failed_total{integration="webhook"} 1"#,
        r#"alertmanager_notifications_suppressed_total{reason="silence"} 0"#,
        r#"alertmanager_config_last_reload_successful 1"#,
        r#"alertmanager_integrations 1"#,
        r#"alertmanager_alerts{state="active"} 1"#,
        r#"alertmanager_dispatcher_aggregation_groups 1"#,
        r#"alertmanager_alerts_subscriber_channel_writes_total{subscriber="inhibitor"} 1"#,
        r#"alertmanager_dispatcher_alert_processing_duration_seconds_count 1"#,
        r#"alertmanager_nflog_queries_total 1"#,
        r#"alertmanager_silences_queries_total 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_page_that_nobody_heard_of_is_counted() {
    let quick = AT_ONCE.replace("group_interval: 1h", "group_interval: 100ms");
    let mut bench = Bench::with(&quick, None, |_| Outcome::Retry {
        not_before: None,
        reason: "503".to_owned(),
    });
    let line = |count: usize| {
        format!(
            r#"watchbell_notifications_abandoned_total{{integration="webhook",reason="alerts_ended"}} {count}"#
        )
    };
    assert!(bench.metrics.text().contains(&line(0)));
    bench.post_alerts(DOWN).await;
    bench.hear().await;
    let resolved = DOWN.replace("startsAt", "endsAt\":\"2026-01-02T04:00:00Z\",\"startsAt");
    bench.post_alerts(&resolved).await;
    let counted = async {
        // At the group's next flush.
        while !bench.metrics.text().contains(&line(1)) {
            bench.get("/api/v2/alerts").await;
        }
    };
    timeout(Duration::from_secs(30), counted).await.unwrap();
    // Nor did it arrive by its flush.
    let failed =
        r#"alertmanager_notifications_failed_total{integration="webhook",reason="serverError"} 1"#;
    assert!(
        bench.metrics.text().contains(failed),
        "{}",
        bench.metrics.text()
    );
    bench.end().await;
}
