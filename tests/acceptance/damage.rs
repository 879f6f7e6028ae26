//! Logs as crashes and bad disks leave them: a torn end costs nothing, damage costs what it hit and is said aloud.
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fakes::{Fakes, SentSample};
use runtime::{Clock, SystemClock};

use crate::files::folder;
use crate::small::{RULES, SETTLING, alertmanager, told, up, wait_until_told};
use crate::wait::wait_for;
use crate::watchbell::Watchbell;

const CONFIGURATION: &str = "evaluation: {interval: 1s, resend_delay: 2s}\nrule_files: [rules.yml]\nalertmanager: {config_file: alertmanager.yml}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_costs_nothing_and_damage_is_said() {
    let fakes = Fakes::start().await;
    let routes = alertmanager(&fakes);
    let folder = folder(&[
        ("alertmanager.yml", &routes),
        ("rules.yml", RULES),
        ("watchbell.yml", CONFIGURATION),
    ]);
    let mut watchbell = Watchbell::start(folder.path()).await;
    assert_eq!(watchbell.write(None, &[up(0.0)]).await.0, 204);
    for number in 0..50 {
        assert_eq!(watchbell.write(None, &[mark(number)]).await.0, 204);
    }
    wait_until_told(&fakes, "firing", "Down").await;
    // The receiver knows of it before the log does.
    wait_for("the page to count as told", SETTLING, async || {
        let log = watchbell.process().log_text();
        log.contains("msg=notified").then_some(())
    })
    .await;
    let now = SystemClock::new().now();
    let silence = serde_json::json!({
        "matchers": [{"name": "alertname", "value": "Other", "isRegex": false}],
        "startsAt": now.to_string(), "endsAt": (now + Duration::from_secs(60)).to_string(),
        "createdBy": "test", "comment": "answered when all that was before it is stored",
    });
    let (status, answer) = watchbell.post(None, "/api/v2/silences", &silence).await;
    assert_eq!(status, 200, "{answer}");
    let state = watchbell.json("/api/v1/alerts").await["data"]["alerts"][0]["activeAt"].clone();

    // The beginning of a record that was never finished.
    watchbell.process().kill();
    let mut torn = 0;
    for segment in newest_segments(&folder.path().join("data")) {
        let mut bytes = fs::read(&segment).expect("a segment can be read");
        bytes.extend([0x57, 0x01, 0x00, 0x00, 0x7f, 0x12, 0x34]);
        fs::write(&segment, bytes).expect("a segment can be written");
        torn += 1;
    }
    assert_eq!(torn, 3, "the samples', the rules' and the alerts' log");
    let mut watchbell = watchbell.start_again().await;
    assert_eq!(marks(&watchbell).await, 50);
    let state_now = watchbell.json("/api/v1/alerts").await["data"]["alerts"][0]["activeAt"].clone();
    assert_eq!(state_now, state);
    assert_eq!(told(&fakes).len(), 1, "nothing is told again");
    let log = watchbell.process().log_text();
    assert_eq!(
        log.matches("the log's torn end was cut off").count(),
        3,
        "{log}"
    );

    // One byte of an old record is another: that record is lost, said, and the rest is there.
    watchbell.process().kill();
    let segment = oldest_with(&folder.path().join("data"), b"mark_20");
    let mut bytes = fs::read(&segment).expect("a segment can be read");
    let at = position(&bytes, b"mark_20").expect("the record is in it");
    bytes[at] ^= 0x20;
    fs::write(&segment, bytes).expect("a segment can be written");
    let mut watchbell = watchbell.start_again().await;
    assert_eq!(marks(&watchbell).await, 49);
    let log = watchbell.process().log_text();
    let name = segment.file_name().expect("a file").to_string_lossy();
    assert!(
        log.lines()
            .any(|line| line.contains("level=ERROR") && line.contains(&*name)),
        "{name} is named:\n{log}"
    );
}

fn mark(number: u32) -> SentSample {
    let now = SystemClock::new().now().as_millis();
    SentSample::new(&format!("mark_{number:02}"), &[("mark", "yes")], now, 1.0)
}

async fn marks(watchbell: &Watchbell) -> u64 {
    let answer = watchbell
        .json("/api/v1/query?query=count(%7Bmark%3D%22yes%22%7D)")
        .await;
    let count = answer["data"]["result"][0]["value"][1].as_str();
    count.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// All segments below `folder`, oldest first.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.extend(segments(&path));
        } else if path.extension().is_some_and(|ending| ending == "log") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The newest segment of each log.
fn newest_segments(folder: &Path) -> Vec<PathBuf> {
    let all = segments(folder);
    let is_last = |segment: &PathBuf| {
        !all.iter()
            .any(|other| other.parent() == segment.parent() && other > segment)
    };
    all.iter()
        .filter(|segment| is_last(segment))
        .cloned()
        .collect()
}

fn oldest_with(folder: &Path, text: &[u8]) -> PathBuf {
    segments(folder)
        .into_iter()
        .find(|segment| {
            position(&fs::read(segment).expect("a segment can be read"), text).is_some()
        })
        .expect("some segment has it")
}

fn position(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}
