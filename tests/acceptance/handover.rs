//! An Alertmanager's data folder goes to Watchbell and back: what was told is not told again, silences stay.
use std::process::Command;

use fakes::Fakes;
use serde_json::json;

use crate::alertmanager::{Alertmanager, DEBIANS, ours};
use crate::files::folder;
use crate::process::program;
use crate::small::{SETTLING, alertmanager, told, wait_until_told};
use crate::wait::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_is_taken_over_and_can_be_handed_back() {
    let Some(program) = program(DEBIANS) else {
        return;
    };
    let fakes = Fakes::start().await;
    let folder = folder(&[("alertmanager.yml", &alertmanager(&fakes))]);
    let there = || Command::new(program);

    let first = Alertmanager::start_in(folder.path(), &mut there(), &[]).await;
    first.fire("Down").await;
    wait_until_told(&fakes, "firing", "Down").await;
    let old = first.silence("Quiet", "2020-01-01T00:00:00Z").await;
    first.end().await;

    // Nothing but the folder tells that Down was told and Quiet is to be.
    let second = Alertmanager::start_in(folder.path(), &mut ours(), &[]).await;
    second.fire("Down").await;
    second.fire("Quiet").await;
    second.fire("Loud").await;
    wait_until_told(&fakes, "firing", "Loud").await;
    let new = second.silence("Calm", "2020-01-01T00:00:00Z").await;
    expect_silences(&second, &[&old, &new]).await;
    second.end().await;

    let debug = &["--log.level=debug"];
    let third = Alertmanager::start_in(folder.path(), &mut there(), debug).await;
    expect_silences(&third, &[&old, &new]).await;
    for name in ["Down", "Quiet", "Calm"] {
        third.fire(name).await;
    }
    third.fire("Last").await;
    let over = json!({"labels": {"alertname": "Loud"}, "endsAt": "2020-01-01T00:00:00Z"});
    third.post_alert(over).await;
    wait_until_told(&fakes, "firing", "Last").await;
    wait_until_told(&fakes, "resolved", "Loud").await;
    // It writes down what it told only when it has the answer.
    wait_for("it to know that it told", SETTLING, async || {
        let log = third.log_text();
        (log.matches("Notify success").count() >= 2).then_some(())
    })
    .await;
    third.end().await;

    // Back again: the folder's files know better than our log of then.
    let fourth = Alertmanager::start_in(folder.path(), &mut ours(), &[]).await;
    let (_, alerts) = fourth.get("/api/v2/alerts").await;
    assert!(alerts.contains("Down"), "it fires still: {alerts}");
    assert!(!alerts.contains("Loud"), "it was told as over: {alerts}");
    fourth.fire("Last").await;
    fourth.fire("End").await;
    wait_until_told(&fakes, "firing", "End").await;
    fourth.end().await;
    let firing: Vec<String> = told(&fakes)
        .into_iter()
        .filter(|(status, _)| status == "firing")
        .map(|(_, name)| name)
        .collect();
    assert_eq!(
        firing,
        ["Down", "Loud", "Last", "End"],
        "each was told once"
    );
}

async fn expect_silences(alertmanager: &Alertmanager, ids: &[&str]) {
    let (_, text) = alertmanager.get("/api/v2/silences").await;
    for id in ids {
        assert!(text.contains(id), "{id} is missing: {text}");
    }
}
