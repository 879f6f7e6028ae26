//! Three processes, one for each part: each may be killed, and the pipeline goes on.
use std::fs;

use fakes::Fakes;

use crate::files::folder;
use crate::small::{RULES, SETTLING, alertmanager, told, up, wait_until_told};
use crate::wait::wait_for;
use crate::watchbell::Watchbell;

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_are_one_pipeline_and_outlive_each_others_death() {
    let fakes = Fakes::start().await;
    let routes = alertmanager(&fakes);
    let (store, rules, routing) = (
        folder(&[("watchbell.yml", "")]),
        folder(&[("rules.yml", RULES)]),
        folder(&[
            ("alertmanager.yml", &routes),
            (
                "watchbell.yml",
                "alertmanager: {config_file: alertmanager.yml}\n",
            ),
        ]),
    );
    let ingest = Watchbell::start_target(store.path(), "ingest").await;
    let alertmanager = Watchbell::start_target(routing.path(), "alertmanager").await;
    let settings = format!(
        "evaluation: {{interval: 1s, resend_delay: 2s}}\nrule_files: [rules.yml]\n\
         ruler: {{query_url: '{}', write_url: '{}'}}\nalertmanager: {{urls: ['{}']}}\n",
        ingest.url(""),
        ingest.url("/api/v1/write"),
        alertmanager.url(""),
    );
    fs::write(rules.path().join("watchbell.yml"), settings).expect("a file can be written");
    let ruler = Watchbell::start_target(rules.path(), "ruler").await;

    // No process serves what is another's.
    for (process, path) in [
        (&ingest, "/api/v1/rules"),
        (&ingest, "/api/v2/alerts"),
        (&alertmanager, "/api/v1/query?query=1"),
        (&ruler, "/api/v2/alerts"),
        (&ruler, "/api/v1/query?query=1"),
    ] {
        assert_eq!(process.get(None, path).await.0, 404, "{path}");
    }

    assert_eq!(ingest.write(None, &[up(0.0)]).await.0, 204);
    wait_until_told(&fakes, "firing", "Down").await;
    let state = ruler.json("/api/v1/alerts").await["data"]["alerts"][0].clone();

    let ingest = ingest.kill_and_restart().await;
    let alertmanager = alertmanager.kill_and_restart().await;
    let ruler = ruler.kill_and_restart().await;
    let state_now = ruler.json("/api/v1/alerts").await["data"]["alerts"][0].clone();
    assert_eq!(state_now["activeAt"], state["activeAt"], "{state_now}");
    assert_eq!(state_now["state"], "firing");
    let shown = alertmanager.json("/api/v2/alerts").await;
    assert_eq!(shown[0]["labels"]["alertname"], "Down", "{shown}");

    // What the rule writes reaches the store through its public address, in both lives.
    wait_for("samples of the alert's state", SETTLING, async || {
        let query = "/api/v1/query?query=ALERTS%7Balertstate%3D%22firing%22%7D";
        let answer = ingest.json(query).await;
        (answer["data"]["result"][0]["value"][1] == "1").then_some(())
    })
    .await;
    assert_eq!(ingest.write(None, &[up(1.0)]).await.0, 204);
    wait_until_told(&fakes, "resolved", "Down").await;
    let expected = ["firing", "resolved"].map(|status| (status.to_owned(), "Down".to_owned()));
    assert_eq!(told(&fakes), expected, "told once, and its end once");
}
