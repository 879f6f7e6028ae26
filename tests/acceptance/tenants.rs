//! Tenants are apart: nobody sees or changes what is another's, by any address.
use fakes::SentSample;
use runtime::{Clock, SystemClock};
use serde_json::{Value as Json, json};

use crate::files::folder;
use crate::watchbell::Watchbell;

/// In everything that the one tenant has, and in nothing that others are answered.
const SECRET: &str = "secret_of_team_a";
const OWNER: Option<&str> = Some("team-a");
const OTHERS: [Option<&str>; 3] = [Some("team-b"), Some("team-A"), None];

const READS: [&str; 19] = [
    "/api/v1/query?query=%7B__name__%3D~%22.%2B%22%7D",
    "/api/v1/query?query=secret_of_team_a",
    "/api/v1/query?query=%7B__tenant__%3D%22team-a%22%7D",
    "/api/v1/query_range?query=%7B__name__%3D~%22.%2B%22%7D&start=@START&end=@END&step=60",
    "/api/v1/series?match[]=%7B__name__%3D~%22.%2B%22%7D",
    "/api/v1/labels",
    "/api/v1/label/__name__/values",
    "/api/v1/label/owner/values",
    "/api/v1/metadata",
    "/api/v1/query_exemplars?query=%7B__name__%3D~%22.%2B%22%7D",
    "/api/v1/status/tsdb",
    "/federate?match[]=%7B__name__%3D~%22.%2B%22%7D",
    "/prometheus/api/v1/alerts",
    "/prometheus/api/v1/rules",
    "/api/v1/rules",
    "/prometheus/config/v1/rules",
    "/api/v2/alerts",
    "/api/v2/alerts/groups",
    "/api/v2/silences",
];

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_or_changes_what_is_anothers() {
    let folder = folder(&[("watchbell.yml", "")]);
    let watchbell = Watchbell::start(folder.path()).await;
    let now = SystemClock::new().now();
    let secret = SentSample::new(SECRET, &[("owner", SECRET)], now.as_millis(), 1.0);
    assert_eq!(watchbell.write(OWNER, &[secret]).await.0, 204);
    let path = "/api/v1/rules/secret_of_team_a";
    let group = json!({"name": SECRET, "rules": [{"alert": SECRET, "expr": "vector(1)"}]});
    assert_eq!(watchbell.post(OWNER, path, &group).await.0, 202);
    let alert = json!([{"labels": {"alertname": SECRET}, "annotations": {"summary": SECRET}}]);
    assert_eq!(watchbell.post(OWNER, "/api/v2/alerts", &alert).await.0, 200);
    let silence = json!({
        "matchers": [{"name": "alertname", "value": SECRET, "isRegex": false, "isEqual": true}],
        "startsAt": now.to_rfc3339_millis(),
        "endsAt": "2999-01-01T00:00:00Z",
        "createdBy": SECRET,
        "comment": SECRET,
    });
    let (status, answer) = watchbell.post(OWNER, "/api/v2/silences", &silence).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Json = serde_json::from_str(&answer).expect("an answer in JSON");
    let id = answer["silenceID"].as_str().expect("an id").to_owned();

    let watchbell = {
        assert_apart(&watchbell, &id, &silence).await;
        watchbell.kill_and_restart().await
    };
    assert_apart(&watchbell, &id, &silence).await;
    for name in ["team-a|team-b", "../team-a", "team-a/", ""] {
        let (status, answer) = watchbell.get(Some(name), "/api/v1/labels").await;
        if name.is_empty() {
            assert!(!answer.contains("owner"), "{answer}");
        } else {
            assert_eq!(status, 400, "{name}: {answer}");
        }
    }
}

async fn assert_apart(watchbell: &Watchbell, id: &str, silence: &Json) {
    let seconds = SystemClock::new().now().as_millis() / 1000;
    let mut seen = 0;
    for path in READS {
        let path = path
            .replace("@START", &(seconds - 600).to_string())
            .replace("@END", &(seconds + 60).to_string());
        let (status, own) = watchbell.get(OWNER, &path).await;
        assert_eq!(status, 200, "{path}: {own}");
        seen += usize::from(own.contains(SECRET));
        for other in OTHERS {
            let (status, answer) = watchbell.get(other, &path).await;
            // A query repeats the names that it was asked for only in errors.
            assert!(!answer.contains(SECRET), "{other:?} {path}: {answer}");
            assert_eq!(status, 200, "{other:?} {path}: {answer}");
        }
    }
    assert!(seen >= 12, "the owner sees it by {seen} addresses");

    let path = format!("/api/v2/silence/{id}");
    assert_eq!(watchbell.get(OWNER, &path).await.0, 200);
    let mut taken_over = silence.clone();
    taken_over["id"] = json!(id);
    for other in OTHERS {
        assert_eq!(watchbell.get(other, &path).await.0, 404, "{other:?}");
        assert_eq!(watchbell.delete(other, &path).await.0, 404, "{other:?}");
        let (status, answer) = watchbell.post(other, "/api/v2/silences", &taken_over).await;
        assert_eq!(status, 404, "{other:?}: {answer}");
    }
    let group = format!("/api/v1/rules/{SECRET}/{SECRET}");
    assert_eq!(watchbell.get(OWNER, &group).await.0, 200);
    for other in OTHERS {
        assert_eq!(watchbell.get(other, &group).await.0, 404, "{other:?}");
        assert_eq!(watchbell.delete(other, &group).await.0, 404, "{other:?}");
    }
    let (_, own) = watchbell.get(OWNER, &path).await;
    let own: Json = serde_json::from_str(&own).expect("an answer in JSON");
    assert_eq!(own["status"]["state"], "active", "{own}");
}
