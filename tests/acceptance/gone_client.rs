//! A client that goes away does not leave its query behind.
use std::time::Duration;

use crate::files::folder;
use crate::wait::wait_for;
use crate::watchbell::Watchbell;

/// For every of 10,000 steps the middle of 86,400 values: more than a minute, if nobody stops it.
const LONG: &str = "/api/v1/query_range?query=quantile_over_time(0.5,vector(time())%5B10d:10s%5D)&start=1700000000&end=1700010000&step=1";
/// Far below what the query takes.
const PROMPTLY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_with_its_client() {
    let folder = folder(&[("watchbell.yml", "")]);
    let watchbell = Watchbell::start(folder.path()).await;
    let metric = async |line: &str| {
        let (_, text) = watchbell.get(None, "/metrics").await;
        text.lines().any(|found| found == line)
    };
    let url = watchbell.url(LONG);
    let client = tokio::spawn(async move { reqwest::get(url).await });
    wait_for("the query to begin", PROMPTLY, async || {
        metric("watchbell_ingest_queries_total 1")
            .await
            .then_some(())
    })
    .await;
    assert!(!client.is_finished());
    client.abort();
    wait_for("the query to end", PROMPTLY, async || {
        let stopped = r#"watchbell_ingest_stopped_queries_total{reason="cancelled"} 1"#;
        metric(stopped).await.then_some(())
    })
    .await;
}
