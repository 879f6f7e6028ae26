//! Lists of labels and series over head and blocks, as the API answers them.
use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;
use watchbell_ingest::routes;

use crate::site::{HOUR, Keeping, Site};

async fn data(site: &Site, address: &str) -> serde_json::Value {
    let request = Request::get(address).body(Body::empty()).unwrap();
    let router = routes(&site.engine).into_router();
    let response = router.oneshot(request).await.unwrap();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["status"], "success", "{address}: {json}");
    json["data"].clone()
}

#[tokio::test]
async fn what_only_blocks_hold_is_listed_in_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    // Seven jobs at first, and two of them go on.
    site.run(0..3, 7, 300).await;
    site.run(3..9, 2, 300).await;
    let head = site.engine.stats(&crate::site::tenant());
    assert_eq!(head.series, 2, "the others are in blocks alone");
    let jobs = |count: usize| {
        let jobs: Vec<String> = (0..count).map(|number| format!("job-{number}")).collect();
        serde_json::json!(jobs)
    };
    let late = 8 * HOUR;
    for (window, count) in [
        (String::new(), 7),
        ("start=0&end=3600".to_owned(), 7),
        (format!("start={late}&end={}", 9 * HOUR), 2),
        (format!("start={}&end={}", 100 * HOUR, 101 * HOUR), 0),
    ] {
        let listed = data(&site, &format!("/api/v1/label/job/values?{window}")).await;
        assert_eq!(listed, jobs(count), "{window}");
        let selected = format!("/api/v1/label/job/values?match[]=%7Bjob!=%22%22%7D&{window}");
        assert_eq!(data(&site, &selected).await, jobs(count), "{window}");
        let found = data(
            &site,
            &format!("/api/v1/series?match[]=%7Bjob!=%22%22%7D&{window}"),
        )
        .await;
        assert_eq!(found.as_array().unwrap().len(), count, "{window}");
        let names = data(&site, &format!("/api/v1/labels?{window}")).await;
        assert_eq!(names.as_array().unwrap().is_empty(), count == 0, "{window}");
    }
}

#[tokio::test]
async fn blocks_are_listed_as_their_files_say() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    let none = data(&site, "/api/v1/status/tsdb/blocks").await;
    assert_eq!(none, serde_json::json!({"blocks": []}));
    site.run(0..9, 2, 300).await;
    site.engine.keep_blocks();
    let mut expected = Vec::new();
    for block in site.block_folders() {
        let meta = std::fs::read(block.join("meta.json")).unwrap();
        let mut meta: serde_json::Value = serde_json::from_slice(&meta).unwrap();
        let own = meta.as_object_mut().unwrap().remove("watchbell");
        assert!(own.is_some(), "what is ours alone");
        expected.push(meta);
    }
    expected.sort_by_key(|meta| meta["minTime"].as_i64());
    assert!(expected.len() > 1);
    let listed = data(&site, "/api/v1/status/tsdb/blocks").await;
    assert_eq!(listed, serde_json::json!({ "blocks": expected }));
}
