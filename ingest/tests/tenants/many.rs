//! A thousand tenants at once, and what they take.
use std::time::Duration;

use model::{Sample, Timestamp};

use crate::site::{IDLE_MAX, Site, labels, tenant};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const TENANTS: usize = 1000;
const SERIES: usize = 20;

/// Open files, threads, and resident memory in kB, of this process.
fn taken() -> (usize, usize, usize) {
    let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.unwrap().split_whitespace().next().unwrap();
        number.parse().unwrap()
    };
    (files, number("Threads:"), number("VmRSS:"))
}

#[tokio::test]
async fn a_thousand_active_tenants_take_memory_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(folder.path(), NOW, IDLE_MAX);
    site.write(0, "first", 1.0).await;
    let before = taken();
    let turn = async |value: f64| {
        for number in 0..TENANTS {
            let sample = Sample {
                timestamp: runtime::Clock::now(site.clock.as_ref()),
                value,
            };
            let samples: Vec<_> = (0..SERIES)
                .map(|series| (labels(&format!("series_{series}")), sample))
                .collect();
            let report = site.engine.append(&tenant(number), &samples).await;
            assert_eq!(report.unwrap().accepted, SERIES);
        }
    };
    for value in 0..10 {
        turn(f64::from(value)).await;
        site.pass(Duration::from_secs(15));
    }
    let active = taken();
    assert_eq!(site.engine.tenants(), (TENANTS, TENANTS));
    site.pass(IDLE_MAX);
    site.engine.keep_blocks();
    let closed = taken();
    assert_eq!(site.engine.tenants(), (TENANTS, 0));
    for (name, (files, threads, kilobytes)) in [
        ("one tenant", before),
        ("1,000 active tenants of 20 series", active),
        ("the same, closed", closed),
    ] {
        println!("{name}: {files} open files, {threads} threads, {kilobytes} kB resident");
    }
    // Other tests run in this process.
    assert!(active.0 < before.0 + 50, "{before:?} {active:?}");
    assert!(active.1 < before.1 + 50, "{before:?} {active:?}");
    turn(10.0).await;
    for number in [0, 1, TENANTS - 1] {
        let own = 11 * SERIES + usize::from(number == 0);
        assert_eq!(site.read(number).len(), own);
    }
}
