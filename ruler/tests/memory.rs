//! What many tenants' rules take of the memory, while nothing fires. A process of its own, so that nothing else counts.
use std::sync::Arc;
use std::time::Duration;

use config::{Problems, RuleFile};
use ingest::SharedReads;
use model::{TenantId, Timestamp};
use promql::{ParserOptions, Query};
use ruler_core::{AppendReport, Group, GroupDefaults, OverLimit, SampleBatch, compile_groups};
use runtime::{Metrics, Stopper, SystemClock};
use watchbell_ruler::{
    Answering, Backend, Outside, Queried, RulerMetrics, RulerService, SavedTenants, Sender,
    ServiceParts, ServiceSettings,
};

const TENANTS: usize = 1000;
const RULES: usize = 10;
/// Measured 82 MB; before templates were parsed for their first alert, and tasks kept in one place, 226 MB.
const BYTES_MAX: usize = 140_000_000;

/// Resident, of this process.
fn bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: usize| pages * 4096)
}

/// Nobody is evaluated in this test.
struct Nothing;

impl Backend for Nothing {
    fn query<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a Query,
        _: Timestamp,
        _: Option<&'a SharedReads>,
    ) -> Answering<'a, Result<Queried, String>> {
        Box::pin(async { Ok(Queried::default()) })
    }

    fn append<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a SampleBatch,
    ) -> Answering<'a, Result<AppendReport, String>> {
        Box::pin(async { Ok(AppendReport::default()) })
    }
}

/// Four alerts with two templates each, and one recording rule, and so on.
fn group() -> Vec<Arc<Group>> {
    let mut text = String::from("groups:\n- name: web\n  interval: 1h\n  rules:\n");
    for rule in 0..RULES {
        text.push_str(&if rule % 5 == 0 {
            format!(
                "  - record: job:requests_{rule}:rate5m\n    \
                 expr: sum by (job) (rate(http_requests_{rule}_total{{job=\"api\",code=~\"5..\"}}[5m]))\n"
            )
        } else {
            format!(
                "  - alert: HighErrors{rule}\n    \
                 expr: sum by (job, instance) (rate(http_errors_{rule}_total{{job=\"api\"}}[5m])) \
                 / sum by (job, instance) (rate(http_requests_{rule}_total[5m])) > 0.05\n    \
                 for: 5m\n    \
                 labels: {{severity: page, team: web}}\n    \
                 annotations:\n      \
                 summary: '{{{{ $labels.instance }}}} of {{{{ $labels.job }}}} has errors'\n      \
                 description: '{{{{ $value | humanizePercentage }}}} of the requests fail, see the runbook'\n"
            )
        });
    }
    let mut problems = Problems::new();
    let file = RuleFile::read("rules.yml", &text, &mut problems);
    let defaults = GroupDefaults {
        interval: Duration::from_secs(60),
        query_offset: Duration::ZERO,
    };
    let groups = compile_groups(&[file], defaults, &ParserOptions::default(), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    groups
}

#[tokio::test]
async fn ten_thousand_rules_of_a_thousand_tenants() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("nobody was first");
    let (stopper, stop) = Stopper::new();
    let settings = ServiceSettings {
        resend_delay: Duration::from_secs(60),
        outage_tolerance: Duration::from_secs(3600),
        concurrency_max: 2,
        group_concurrency_max: 2,
        over_limit: OverLimit::DropAll,
        rule_metrics: false,
        outside: Outside::default(),
    };
    let parts = ServiceParts {
        backend: Arc::new(Nothing),
        sender: Sender::new(reqwest::Client::new()),
        log: None,
        clock: Arc::new(SystemClock::new()),
        metrics: RulerMetrics::new(&Metrics::new()),
        stop,
        stopper: stopper.clone(),
    };
    let service = RulerService::start(settings, parts, SavedTenants::default());
    // What the first one takes is not of each.
    service.load(&TenantId::anonymous(), group()).await;
    let before = bytes();
    for number in 0..TENANTS {
        let tenant = TenantId::parse(&format!("tenant-{number}")).unwrap();
        service.load(&tenant, group()).await;
    }
    let taken = bytes() - before;
    println!(
        "{} rules of {TENANTS} tenants: {} MB",
        TENANTS * RULES,
        taken / 1_000_000
    );
    assert!(taken < BYTES_MAX, "{taken} bytes");
    stopper.stop();
    assert!(service.join(Duration::from_secs(60)).await);
}
