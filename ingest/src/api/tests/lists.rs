//! Lists of what there is, and federations: how much they may take, how long, and for whom.
use std::slice::from_ref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use fakes::{Message1, Part};
use model::{Matcher, TenantId, Timestamp};
use promql::EvalError;

use super::{NOW, Site, site, site_with};
use crate::look::Look;
use crate::reader::newest_samples;

const SERIES: usize = 20;
const ALL: [&str; 8] = [
    "/api/v1/series?match[]=%7Bjob!=%22%22%7D",
    "/api/v1/labels",
    "/api/v1/labels?match[]=%7Bjob!=%22%22%7D",
    "/api/v1/label/job/values",
    "/api/v1/label/job/values?match[]=%7Bjob!=%22%22%7D",
    "/api/v1/metadata",
    "/api/v1/query_exemplars?query=%7Bjob!=%22%22%7D",
    "/federate?match[]=%7Bjob!=%22%22%7D",
];

/// Each series has a name, a value, a label's name and a help text of some hundred bytes of its own.
async fn fill(site: &Site) {
    let mut message = Message1::default();
    for number in 0..SERIES {
        let long = format!("{number}_{}", "x".repeat(100));
        let (metric, label) = (format!("metric_{long}"), format!("label_{long}"));
        let labels = [
            ("__name__", metric.as_str()),
            ("job", &long),
            (&label, "value"),
        ];
        let at = NOW.as_millis() - 1000;
        let sample = Part::Sample {
            value: 1.0,
            millis: at,
        };
        let exemplar = Part::Exemplar {
            labels: &[("trace_id", &long)],
            value: 1.0,
            millis: at,
        };
        message = message
            .series(&labels, &[sample, exemplar])
            .metadata(&metric, 1, &long, "");
    }
    let (status, text) = site.push(&[], message.body()).await;
    assert_eq!(status, 204, "{text}");
}

#[tokio::test]
async fn lists_hold_so_many_bytes() {
    for (bytes_max, fits) in [(2000, false), (64 * 1024, true)] {
        let site = site_with(|settings| settings.query.bytes_max = bytes_max);
        fill(&site).await;
        for address in ALL {
            let (status, text) = site.get(address).await;
            if fits {
                assert_eq!(status, 200, "{address}: {text}");
                assert!(text.len() > 20 * 100, "{address}: {text}");
            } else {
                let sentence =
                    "query processing would load too many bytes into memory in query execution";
                assert!(
                    status == 422 && text.contains(sentence),
                    "{address}: {status} {text}"
                );
            }
        }
        let counted = format!(
            "watchbell_ingest_stopped_queries_total{{reason=\"bytes\"}} {}",
            ALL.len()
        );
        let metrics = site.metrics.text();
        assert_eq!(!fits, metrics.contains(&counted), "{metrics}");
    }
}

#[tokio::test]
async fn lists_have_the_time_of_a_query() {
    let site = site_with(|settings| settings.query.timeout = Duration::ZERO);
    fill(&site).await;
    for address in ALL {
        let (status, text) = site.get(address).await;
        let sentence = "query timed out in query queue";
        assert!(
            status == 503 && text.contains(sentence),
            "{address}: {status} {text}"
        );
    }
}

/// Each row: after how many questions nobody waits any more. Every series and every selector is a question.
#[tokio::test]
async fn a_look_ends_between_series_and_between_selectors() {
    let site = site();
    fill(&site).await;
    let reader = site.engine.reader(&TenantId::anonymous());
    let window = (Timestamp::MIN, Timestamp::MAX);
    let all = vec![Matcher::equal("nothing", "")];
    let nothing = vec![vec![Matcher::equal("job", "nothing")]; SERIES];
    for until in [0, 1, 5, SERIES - 1] {
        let asked = AtomicUsize::new(0);
        let is_over = || asked.fetch_add(1, Ordering::Relaxed) >= until;
        let look = Look::new(usize::MAX, &is_over);
        let (after, end) = window;
        let looks: [&dyn Fn() -> Option<EvalError>; 5] = [
            &|| reader.label_sets(from_ref(&all), after, end, &look).err(),
            &|| reader.label_sets(&nothing, after, end, &look).err(),
            &|| reader.label_values("job", after, end, &look).err(),
            &|| reader.label_names(after, end, &look).err(),
            &|| newest_samples(&reader, &all, window, usize::MAX, &look).err(),
        ];
        for looked in looks {
            assert_eq!(looked(), Some(EvalError::Cancelled), "{until}");
            assert_eq!(asked.swap(0, Ordering::Relaxed), until + 1);
        }
    }
}

#[tokio::test]
async fn a_look_is_told_that_its_client_has_gone() {
    let site = site();
    let (begun, beginning) = mpsc::channel();
    let (ended, ending) = mpsc::channel();
    let tenant = TenantId::anonymous();
    let mut looking = Box::pin(site.engine.look(&tenant, move |_, look| {
        begun.send(()).unwrap();
        while look.go_on().is_ok() {
            std::thread::yield_now();
        }
        ended.send(()).unwrap();
        look.go_on()
    }));
    let has_begun = tokio::task::spawn_blocking(move || beginning.recv());
    tokio::select! {
        _ = &mut looking => panic!("somebody waits for it"),
        begun = has_begun => begun.unwrap().unwrap(),
    }
    drop(looking);
    tokio::task::spawn_blocking(move || ending.recv())
        .await
        .unwrap()
        .unwrap();
}
