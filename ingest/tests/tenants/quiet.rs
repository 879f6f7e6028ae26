//! What the clock alone does to a tenant that nobody uses.
use std::time::Duration;

use model::Timestamp;

use crate::site::{IDLE_MAX, Site, tenant};

const HOUR: Duration = Duration::from_secs(3600);
const NOW: Timestamp = Timestamp::from_secs(1_000_000 * 3600);

fn blocks(site: &Site) -> usize {
    let folder = site.folder.join("ingest/blocks").join(tenant(0).as_str());
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    names.filter(|name| name.len() == 26).count()
}

#[tokio::test]
async fn a_tenant_is_cut_kept_and_forgotten_though_nobody_comes() {
    for is_killed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Site::open(folder.path(), NOW, IDLE_MAX);
        for value in 0..120 {
            site.write(0, "up", f64::from(value)).await;
            site.pass(Duration::from_secs(60));
        }
        let written = site.read(0);
        assert_eq!(written.len(), 120);
        site.pass(IDLE_MAX);
        site.engine.keep_blocks();
        assert_eq!(site.engine.tenants(), (1, 0));
        assert_eq!(site.metric("watchbell_ingest_open_tenants"), 0.0);
        assert_eq!(site.metric("watchbell_ingest_series"), 0.0);
        assert_eq!(blocks(&site), 0, "somebody may still be late");
        if is_killed {
            site = site.open_again();
            assert_eq!(site.engine.tenants(), (1, 0), "only its name is known");
        }
        site.pass(4 * HOUR);
        // After a start it is not known for how long nobody came.
        for _ in 0..2 {
            site.engine.keep_blocks();
            assert_eq!(site.engine.tenants(), (1, 0));
            site.pass(IDLE_MAX);
        }
        site.engine.keep_blocks();
        assert_eq!(blocks(&site), 1, "two hours in one block");
        assert_eq!(site.metric("watchbell_ingest_blocks"), 1.0);
        assert_eq!(site.read(0), written);
        assert_eq!(site.engine.tenants(), (1, 1), "who reads it opens it");
        if is_killed {
            site = site.open_again();
        }
        site.pass(14 * 24 * HOUR);
        site.engine.keep_blocks();
        assert_eq!(site.read(0), written);
        site.pass(24 * HOUR);
        site.engine.keep_blocks();
        assert_eq!(blocks(&site), 0, "past the retention");
        site.pass(IDLE_MAX);
        site.engine.keep_blocks();
        site.engine.checkpoint();
        assert_eq!(site.engine.tenants(), (0, 0), "nothing is left of it");
        let site = site.open_again();
        assert_eq!(site.engine.tenants().1, 0);
        assert_eq!(site.metric("watchbell_ingest_log_damages_total"), 0.0);
        site.write(0, "up", 1.0).await;
        assert_eq!(site.read(0).len(), 1);
    }
}

/// A file that cannot be read is not taken for a tenant without samples.
#[tokio::test]
async fn a_tenant_that_cannot_be_opened_is_refused_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(folder.path(), NOW, IDLE_MAX);
    for number in 0..2 {
        site.write(number, "up", 1.0).await;
    }
    site.pass(IDLE_MAX);
    site.engine.keep_blocks();
    assert_eq!(site.engine.tenants(), (2, 0));
    let snapshot = |name: &str| folder.path().join("ingest/snapshots").join(name);
    let (path, aside) = (snapshot("t0.records"), snapshot("aside"));
    std::fs::rename(&path, &aside).unwrap();
    // What cannot be read, whoever tries.
    std::fs::create_dir(&path).unwrap();
    let refused = site.engine.append(&tenant(0), &[]).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "what is stored of the tenant cannot be opened"
    );
    let selection = promql::Selection {
        matchers: &[],
        after: Timestamp::MIN,
        until: Timestamp::MAX,
        newest_only: false,
    };
    let reader = site.engine.reader(&tenant(0));
    let found = promql::SeriesReader::select(&reader, &selection, 9);
    let problem = found.unwrap_err().to_string();
    assert!(
        problem.starts_with("tenant cannot be opened: "),
        "{problem}"
    );
    site.write(1, "up", 2.0).await;
    assert_eq!(site.read(1).len(), 2);
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&aside, &path).unwrap();
    site.write(0, "up", 2.0).await;
    assert_eq!(site.read(0).len(), 2);
}
