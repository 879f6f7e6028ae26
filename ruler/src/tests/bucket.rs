//! Uploaded rules in a bucket: a small S3 on loopback, with pages, signatures and failures.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use config::Secret;
use parking_lot::Mutex;
use runtime::{Server, Stop, Stopper};

use crate::rule_store::RuleStore;
use crate::tests::uploads::{GROUP, OF_GO, ask, house, running, upload};

/// As few as make a list of several pages.
const PAGE: usize = 2;

#[derive(Clone, Default)]
struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
    is_away: Arc<AtomicBool>,
}

impl Bucket {
    async fn start(&self, stop: Stop) -> RuleStore {
        let server = Server::bind(&["127.0.0.1:0".to_owned()]).await.unwrap();
        let endpoint = format!("http://{}", server.addresses()[0]);
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(server.serve(router, stop));
        let options = [
            ("aws_endpoint", endpoint.as_str()),
            ("aws_region", "eu-1"),
            ("aws_access_key_id", "key"),
            ("aws_secret_access_key", "secret"),
            ("aws_allow_http", "true"),
        ];
        let options: BTreeMap<String, Secret> = options
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Secret::new(value)))
            .collect();
        RuleStore::at("s3://bucket/some/prefix", &options).unwrap()
    }
}

async fn answer(
    State(bucket): State<Bucket>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if bucket.is_away.load(Ordering::Relaxed) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let signed = headers["authorization"].to_str().unwrap();
    assert!(
        signed.starts_with("AWS4-HMAC-SHA256 Credential=key/"),
        "{signed}"
    );
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let path = uri.path().strip_prefix("/bucket").unwrap();
    let path = path.trim_start_matches('/');
    let unescaped = url::form_urlencoded::parse(path.as_bytes()).next();
    let key = unescaped.map_or_else(String::new, |(key, _)| key.into_owned());
    let mut objects = bucket.objects.lock();
    match (method, key.is_empty()) {
        (Method::GET, true) => list(&objects, &query).into_response(),
        (Method::POST, true) => {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let mut answer = "<DeleteResult>".to_owned();
            for part in text.split("<Key>").skip(1) {
                let (key, _) = part.split_once("</Key>").unwrap();
                objects.remove(key);
                write!(answer, "<Deleted><Key>{key}</Key></Deleted>").unwrap();
            }
            (answer + "</DeleteResult>").into_response()
        }
        (Method::PUT, false) => {
            let tag = tag(&body);
            objects.insert(key, body);
            [("etag", tag)].into_response()
        }
        (Method::DELETE, false) => {
            objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        (Method::GET | Method::HEAD, false) => match objects.get(&key) {
            Some(body) => {
                let modified = "Sat, 28 Nov 2026 00:00:00 GMT".to_owned();
                (
                    [("etag", tag(body)), ("last-modified", modified)],
                    body.clone(),
                )
                    .into_response()
            }
            None => StatusCode::NOT_FOUND.into_response(),
        },
        (method, _) => panic!("nobody asked for {method} {uri}"),
    }
}

fn list(objects: &BTreeMap<String, Bytes>, query: &BTreeMap<String, String>) -> String {
    let prefix = &query["prefix"];
    let after = query.get("continuation-token").cloned().unwrap_or_default();
    let found = objects
        .iter()
        .filter(|(key, _)| key.starts_with(prefix.as_str()) && **key > after);
    let found: Vec<_> = found.take(PAGE + 1).collect();
    let mut xml = "<ListBucketResult>".to_owned();
    for (key, body) in found.iter().take(PAGE) {
        write!(
            xml,
            "<Contents><Key>{key}</Key><LastModified>2026-11-28T00:00:00.000Z</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
            tag(body),
            body.len()
        )
        .unwrap();
    }
    if found.len() > PAGE {
        let last = found[PAGE - 1].0;
        write!(xml, "<NextContinuationToken>{last}</NextContinuationToken>").unwrap();
    }
    xml + "</ListBucketResult>"
}

fn tag(body: &Bytes) -> String {
    use sha2::{Digest, Sha256};
    format!("\"{:x}\"", Sha256::digest(body))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_kept_in_a_bucket_and_shared_by_two_processes() {
    let (_serving, served) = Stopper::new();
    let (first, _stopper) = house();
    let (second, _stop) = house();
    let bucket = Bucket::default();
    let store = bucket.start(served).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = store.copy_in(folder.path()).unwrap();
    let here = first.book_on(store.clone(), Some(copy.clone())).await;
    here.start().await;
    for name in ["web", "two", "three"] {
        let group = GROUP.replace("web", name);
        assert_eq!(upload(&here, "a%2Fb", &group).await.0, 202);
    }
    let keys: Vec<String> = bucket.objects.lock().keys().cloned().collect();
    assert_eq!(
        keys,
        [
            "some/prefix/@watchbell",
            "some/prefix/team-1/YS9i/d2Vi",
            "some/prefix/team-1/YS9i/dGhyZWU",
            "some/prefix/team-1/YS9i/dHdv",
        ]
    );
    let there = second.book_on(store.clone(), None).await;
    there.start().await;
    let all = ["a/b/three", "a/b/two", "a/b/web"];
    assert_eq!(running(&there, "team-1").await, all);
    ask(&there, OF_GO, "DELETE", "/api/v1/rules/a%2Fb/two", "").await;
    here.look().await.unwrap();
    assert_eq!(running(&here, "team-1").await, ["a/b/three", "a/b/web"]);

    bucket.is_away.store(true, Ordering::Relaxed);
    here.look().await.unwrap_err();
    let (status, body) = upload(&here, "a", GROUP).await;
    assert_eq!(status, 500, "{body}");
    assert!(
        body.starts_with("rule storage s3://bucket/some/prefix did not answer: "),
        "{body}"
    );
    assert!(!body.contains("secret"), "{body}");
    assert_eq!(running(&here, "team-1").await, ["a/b/three", "a/b/web"]);
    let (third, _stop) = house();
    let again = third.book_on(store, Some(copy)).await;
    again.start().await;
    assert_eq!(running(&again, "team-1").await, ["a/b/three", "a/b/web"]);
    bucket.is_away.store(false, Ordering::Relaxed);
    assert_eq!(upload(&again, "a", GROUP).await.0, 202);
    here.look().await.unwrap();
    assert_eq!(
        running(&here, "team-1").await,
        ["a/web", "a/b/three", "a/b/web"]
    );
}
