//! Any order of writing, reading, closing, checkpoints and kills; and many writers at the moment of closing.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::Timestamp;

use crate::site::{IDLE_MAX, Site};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const TENANTS: usize = 3;

/// Numbers that look like chance and are the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

#[tokio::test]
async fn no_order_of_events_loses_or_doubles_a_sample() {
    let (mut closed, mut opened, mut cut) = (0.0, 0.0, 0.0);
    for seed in 0..12 {
        let mut chance = Chance(seed);
        let folder = tempfile::tempdir().unwrap();
        let mut site = Site::open(folder.path(), NOW, IDLE_MAX);
        let mut written = vec![BTreeMap::new(); TENANTS];
        let mut story = String::new();
        for event in 0..80 {
            let number = chance.below(TENANTS);
            site.pass(Duration::from_secs(1 + chance.below(1500) as u64));
            match chance.below(12) {
                0..5 => {
                    let series = format!("s{}", chance.below(3));
                    let at = site.write(number, &series, f64::from(event)).await;
                    written[number].insert((series, at.as_millis()), f64::from(event));
                    story.push_str(&format!(" write{number}"));
                }
                5 => {
                    assert_eq!(site.read(number), written[number], "{seed}:{story}");
                    story.push_str(&format!(" read{number}"));
                }
                6 => {
                    site.engine.checkpoint();
                    story.push_str(" checkpoint");
                }
                7 => {
                    site.pass(IDLE_MAX);
                    site.engine.keep_blocks();
                    story.push_str(" close");
                }
                8 => {
                    closed += site.metric("watchbell_ingest_closed_tenants_total");
                    opened += site.metric("watchbell_ingest_opened_tenants_total");
                    cut += site.metric("watchbell_ingest_cuts_total");
                    assert_eq!(site.metric("watchbell_ingest_log_damages_total"), 0.0);
                    site = site.open_again();
                    story.push_str(" kill");
                }
                _ => {
                    site.engine.keep_blocks();
                    story.push_str(" keep");
                }
            }
        }
        for (number, written) in written.iter().enumerate() {
            assert_eq!(&site.read(number), written, "{seed}:{story}");
        }
    }
    // All of it happened.
    assert!(
        closed > 20.0 && opened > 20.0 && cut > 20.0,
        "{closed} {opened} {cut}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_at_the_moment_of_closing_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let site = Arc::new(Site::open(folder.path(), NOW, Duration::from_millis(1)));
    let is_over = Arc::new(AtomicBool::new(false));
    let closing = std::thread::spawn({
        let (site, is_over) = (site.clone(), is_over.clone());
        move || {
            while !is_over.load(Ordering::Relaxed) {
                site.pass(Duration::from_millis(2));
                site.engine.keep_blocks();
                if (closings(&site) as u64).is_multiple_of(7) {
                    site.engine.checkpoint();
                }
            }
        }
    });
    let writers: Vec<_> = (0..4_usize)
        .map(|writer| {
            let site = site.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0..100_000 {
                    if closings(&site) > 40.0 {
                        break;
                    }
                    // Each series in a time of its own, since the clock goes on meanwhile.
                    let series = format!("w{writer}_{number}");
                    // Each tenant rests now and then, and they come back to it together.
                    let tenant = (number / 10 + writer % 2) % 6;
                    let at = site.write(tenant, &series, 1.0).await;
                    acknowledged.push((tenant, (series, at.as_millis())));
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    is_over.store(true, Ordering::Relaxed);
    closing.join().unwrap();
    assert!(closings(&site) > 40.0);
    acknowledged.sort();
    let found = |site: &Site| -> Vec<_> {
        let tenants = 0..6;
        let found =
            tenants.flat_map(|number| site.read(number).into_keys().map(move |key| (number, key)));
        found.collect()
    };
    let site = Arc::into_inner(site).unwrap();
    assert_eq!(found(&site), acknowledged);
    assert_eq!(found(&site.open_again()), acknowledged);
}

fn closings(site: &Site) -> f64 {
    site.metric("watchbell_ingest_closed_tenants_total")
}
