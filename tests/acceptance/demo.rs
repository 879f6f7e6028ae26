//! `watchbell demo` tells its story within a minute and cleans up.
use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::watchbell::binary;

/// The story must be told within a minute; a busy machine may need a little more to start and to end.
const TELLING: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_a_page_its_resolution_and_a_heartbeat() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let log = folder.path().join("demo.log");
    let mut command = Command::new(binary());
    command
        .args(["demo", "--once"])
        .env("TMPDIR", folder.path());
    let mut demo = Process::start("watchbell demo", &mut command, &log);
    let status = demo.ended(TELLING).await;
    let story = demo.log_text();
    assert!(status.success(), "{story}");
    for line in [
        "  sample     checkout",
        "is pending",
        "is firing",
        "  page       PagerDuty",
        "  resolved   PagerDuty",
        "  heartbeat  Cronitor",
    ] {
        assert!(story.contains(line), "{line:?} is missing:\n{story}");
    }
    let mut resolved = story
        .lines()
        .filter(|line| line.contains("  resolved   PagerDuty"));
    assert!(resolved.all(|line| line.contains("[RESOLVED]")), "{story}");
    assert!(!story.contains("refused"), "{story}");
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("the folder is there")
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().starts_with("watchbell-demo-"))
        .collect();
    assert!(left.is_empty(), "the demo left {left:?} behind");
}
