//! The whole shell: a table for an engine, a real Alertmanager's address on loopback, a log in a folder.
mod bucket;
mod compliance;
pub(crate) mod uploads;

use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use config::{Problems, PrometheusConfig, RelabelConfig, RuleFile, RuleFilesPattern};
use ingest::{Build, Engine, IngestSettings, SharedReads};
use model::histogram::Bucket;
use model::{Histogram, Labels, Sample, SampleValue, TenantId, Timestamp};
use object_store::memory::InMemory;
use parking_lot::Mutex;
use promql::{ParserOptions, Query, VectorSample};
use ruler_core::{
    AppendReport, Group, GroupDefaults, OverLimit, QueryCost, SampleBatch, UploadLimits,
    compile_groups,
};
use runtime::log::{HangingLog, Log, LogSettings, SyncPolicy, shorten};
use runtime::{Clock, Metrics, Server, Stop, Stopper, SystemClock};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::api::routes;
use crate::backend::{Answering, Backend, Queried};
use crate::embedded::Embedded;
use crate::external::{AlertmanagerTarget, Outside};
use crate::files::RuleFiles;
use crate::journal::{SavedTenants, open_journal};
use crate::metrics::RulerMetrics;
use crate::rule_book::{RuleBook, RuleBookSettings};
use crate::rule_store::RuleStore;
use crate::sender::Sender;
use crate::service::{RulerService, ServiceParts, ServiceSettings};
use crate::watch::{Occasion, ReloadRequest, RuleFileWatch};

const RULES: &str = r#"
groups:
- name: web
  interval: 1s
  labels: {team: t}
  rules:
  - record: job:up
    expr: sum(up) by(job)
  - alert: Down
    expr: up==0
    for: 0s
    keep_firing_for: 5m
    labels: {severity: '{{ if eq $value 0.0 }}page{{ end }}', instance: ''}
    annotations:
      summary: '{{ $labels.instance }} of {{ $externalLabels.cluster }} is {{ $value }}'
      others: '{{ with query "up" }}{{ . | first | value }}{{ end }}'
      broken: '{{ query "nonsense" }}'
- name: zzz
  rules:
  - alert: Quiet
    expr: absent(up)
"#;

/// A series and its value.
type TableRow<'a> = (&'a [(&'a str, &'a str)], f64);

/// Answers by the query's text.
#[derive(Default)]
pub(crate) struct Table {
    answers: Mutex<BTreeMap<String, Result<Vec<VectorSample>, String>>>,
    written: Mutex<Vec<SampleBatch>>,
}

impl Table {
    fn set(&self, query: &str, answer: Result<&[TableRow<'_>], &str>) {
        let answer = answer.map_err(str::to_owned).map(|elements| {
            elements
                .iter()
                .map(|(labels, value)| VectorSample {
                    labels: Labels::from_pairs(labels.iter().copied()),
                    at: Timestamp::default(),
                    value: SampleValue::Float(*value),
                })
                .collect()
        });
        self.answers.lock().insert(query.to_owned(), answer);
    }
}

impl Backend for Table {
    fn query<'a>(
        &'a self,
        _tenant: &'a TenantId,
        query: &'a Query,
        _at: Timestamp,
        _shared: Option<&'a SharedReads>,
    ) -> Answering<'a, Result<Queried, String>> {
        let answer = self.answers.lock().get(query.text()).cloned();
        let cost = QueryCost {
            series: 3,
            samples: 30,
        };
        Box::pin(async move {
            let vector = answer.unwrap_or_else(|| Ok(Vec::new()))?;
            Ok(Queried { vector, cost })
        })
    }

    fn append<'a>(
        &'a self,
        _tenant: &'a TenantId,
        batch: &'a SampleBatch,
    ) -> Answering<'a, Result<AppendReport, String>> {
        self.written.lock().push(batch.clone());
        Box::pin(async { Ok(AppendReport::default()) })
    }
}

/// What an Alertmanager was sent: tenant and alerts. It answers with the status that it is told to.
struct Alertmanager {
    url: String,
    received: mpsc::Receiver<(String, Vec<Value>)>,
    status: Arc<Mutex<StatusCode>>,
}

#[derive(Clone)]
struct Receiving {
    received: mpsc::Sender<(String, Vec<Value>)>,
    status: Arc<Mutex<StatusCode>>,
}

async fn take_alerts(
    State(receiving): State<Receiving>,
    headers: HeaderMap,
    Json(alerts): Json<Vec<Value>>,
) -> StatusCode {
    let tenant = headers["x-scope-orgid"].to_str().unwrap().to_owned();
    // Looked up first: the test changes it as soon as it has heard of the request.
    let status = *receiving.status.lock();
    receiving.received.send((tenant, alerts)).await.unwrap();
    status
}

impl Alertmanager {
    async fn start(stop: Stop) -> Self {
        let (sender, received) = mpsc::channel(1000);
        let status = Arc::new(Mutex::new(StatusCode::OK));
        let receiving = Receiving {
            received: sender,
            status: status.clone(),
        };
        let router = Router::new()
            .route("/api/v2/alerts", post(take_alerts))
            .with_state(receiving);
        let server = Server::bind(&["127.0.0.1:0".to_owned()]).await.unwrap();
        let url = format!("http://{}/api/v2/alerts", server.addresses()[0]);
        tokio::spawn(server.serve(router, stop));
        Self {
            url,
            received,
            status,
        }
    }

    /// The next alert of that name; batches without it are passed over.
    async fn alert(&mut self, name: &str) -> (String, Value) {
        loop {
            let (tenant, alerts) = self.received.recv().await.unwrap();
            let found = alerts
                .into_iter()
                .find(|alert| alert["labels"]["alertname"] == name);
            if let Some(alert) = found {
                return (tenant, alert);
            }
        }
    }
}

pub(crate) struct House<B = Table> {
    service: RulerService,
    backend: Arc<B>,
    metrics: Metrics,
    stopper: Stopper,
}

fn relabelling(step: &str) -> Vec<RelabelConfig> {
    let file = format!("alerting: {{alert_relabel_configs: [{step}]}}");
    let read = PrometheusConfig::read("p.yml", &file, &|_| None);
    read.unwrap_or_else(|problems| panic!("{problems}"))
        .value
        .alert_relabel_configs
}

impl House {
    fn start(
        alertmanagers: Vec<String>,
        journal: Option<(Log, SavedTenants)>,
        stopper: Stopper,
        stop: Stop,
    ) -> Self {
        let table = Arc::new(Table::default());
        Self::start_on(table, alertmanagers, journal, stopper, stop)
    }
}

impl<B: Backend> House<B> {
    fn start_on(
        backend: Arc<B>,
        alertmanagers: Vec<String>,
        journal: Option<(Log, SavedTenants)>,
        stopper: Stopper,
        stop: Stop,
    ) -> Self {
        let clock = Arc::new(SystemClock::new());
        Self::start_by(clock, backend, alertmanagers, journal, stopper, stop)
    }

    fn start_by(
        clock: Arc<dyn Clock>,
        backend: Arc<B>,
        alertmanagers: Vec<String>,
        journal: Option<(Log, SavedTenants)>,
        stopper: Stopper,
        stop: Stop,
    ) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // It fails only where another test was first.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let external_labels = Labels::from_pairs([("cluster", "eu"), ("severity", "none")]);
        let external_url = "http://watchbell.example";
        let settings = ServiceSettings {
            resend_delay: Duration::from_secs(60),
            outage_tolerance: Duration::from_secs(3600),
            concurrency_max: 2,
            group_concurrency_max: 2,
            over_limit: OverLimit::DropAll,
            rule_metrics: true,
            outside: Outside {
                language: ParserOptions::default(),
                external_labels,
                external_url: external_url.into(),
                alert_relabel_configs: relabelling(
                    "{source_labels: [cluster], target_label: region}",
                ),
                alertmanagers: alertmanagers
                    .into_iter()
                    .map(AlertmanagerTarget::new)
                    .collect(),
            },
        };
        let metrics = Metrics::new();
        let (log, saved) = journal.map_or((None, SavedTenants::default()), |(log, saved)| {
            (Some(log), saved)
        });
        let parts = ServiceParts {
            backend: backend.clone(),
            sender: Sender::new(reqwest::Client::new()),
            log,
            clock,
            metrics: RulerMetrics::new(&metrics),
            stop,
            stopper: stopper.clone(),
        };
        Self {
            service: RulerService::start(settings, parts, saved),
            backend,
            metrics,
            stopper,
        }
    }

    /// Uploaded rules in memory.
    pub(crate) async fn book(&self) -> RuleBook {
        let store = RuleStore::on(Arc::new(InMemory::new()));
        self.book_on(store, None).await
    }

    async fn book_on(&self, store: RuleStore, last_known: Option<RuleStore>) -> RuleBook {
        RuleBook::open(self.service.clone(), store, last_known, book_settings()).await
    }

    async fn get(&self, tenant: &str, path: &str) -> (u16, Value) {
        use tower::ServiceExt;
        let request = Request::get(path)
            .header("X-Scope-OrgID", tenant)
            .header("Accept", "application/json")
            .body(Body::empty())
            .unwrap();
        let router = routes(&self.book().await).into_router();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// Asks until the answer is as wanted: what was evaluated is published a moment later.
    async fn get_until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..2000 {
            let (status, body) = self.get("team-1", path).await;
            assert_eq!(status, 200, "{body}");
            if wanted(&body["data"]) {
                return body["data"].clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{path} never became what was wanted");
    }
}

fn book_settings() -> RuleBookSettings {
    RuleBookSettings {
        limits: UploadLimits {
            groups_max: 3,
            rules_per_group_max: 3,
        },
        group_bytes_max: 1000,
        poll_interval: Duration::from_secs(3600),
        defaults: GroupDefaults {
            interval: Duration::from_secs(3600),
            query_offset: Duration::ZERO,
        },
        parser_options: ParserOptions::default(),
    }
}

fn groups(rules: &str) -> Vec<Arc<Group>> {
    let mut problems = Problems::new();
    let file = RuleFile::read("rules.yml", rules, &mut problems);
    let defaults = GroupDefaults {
        interval: Duration::from_secs(3600),
        query_offset: Duration::ZERO,
    };
    let groups = compile_groups(&[file], defaults, &ParserOptions::default(), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    groups
}

pub(crate) fn team() -> TenantId {
    TenantId::parse("team-1").unwrap()
}

fn down(backend: &Table) {
    let series: &[(&str, &str)] = &[("__name__", "up"), ("instance", "a:1"), ("job", "web")];
    backend.set("up==0", Ok(&[(series, 0.0)]));
    backend.set("up", Ok(&[(series, 0.0)]));
    backend.set("sum(up) by(job)", Ok(&[(&[("job", "web")], 1.5)]));
    backend.set("nonsense", Err("no such thing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_goes_from_the_query_to_the_alertmanager_and_shows_in_the_api() {
    let (stopper, stop) = Stopper::new();
    let mut alertmanager = Alertmanager::start(stop.clone()).await;
    let house = House::start(vec![alertmanager.url.clone()], None, stopper, stop);
    down(&house.backend);
    house.service.load(&team(), groups(RULES)).await;

    let (tenant, alert) = alertmanager.alert("Down").await;
    assert_eq!(tenant, "team-1");
    assert_eq!(
        alert["labels"],
        json!({"alertname": "Down", "cluster": "eu", "job": "web", "region": "eu", "severity": "page", "team": "t"})
    );
    assert_eq!(alert["annotations"]["summary"], "a:1 of eu is 0");
    assert_eq!(alert["annotations"]["others"], "0");
    assert_eq!(
        alert["annotations"]["broken"],
        "<error expanding template: error executing template __alert_Down: template: __alert_Down:1:115: executing \
         \"__alert_Down\" at <query \"nonsense\">: error calling query: no such thing>"
    );
    assert_eq!(
        alert["generatorURL"],
        "http://watchbell.example/graph?g0.expr=up+%3D%3D+0&g0.tab=1"
    );
    let time = |name: &str| Timestamp::parse_rfc3339(alert[name].as_str().unwrap()).unwrap();
    assert_eq!(time("endsAt"), time("startsAt") + Duration::from_secs(240));
    assert!(alert["startsAt"].as_str().unwrap().ends_with('Z'));

    let data = house
        .get_until("/api/v1/rules", |data| {
            data["groups"][0]["rules"][1]["state"] == "firing"
        })
        .await;
    let group = &data["groups"][0];
    assert_eq!(
        (
            &group["name"],
            &group["file"],
            &group["interval"],
            &group["limit"]
        ),
        (&json!("web"), &json!("rules.yml"), &json!(1), &json!(0))
    );
    let recorded = &group["rules"][0];
    assert_eq!(recorded["query"], "sum by (job) (up)");
    assert_eq!(recorded["type"], "recording");
    assert_eq!(recorded["health"], "ok");
    let rule = &group["rules"][1];
    assert_eq!(
        rule["labels"]["severity"],
        "{{ if eq $value 0.0 }}page{{ end }}"
    );
    assert_eq!(
        (&rule["duration"], &rule["keepFiringFor"]),
        (&json!(0), &json!(300))
    );
    assert_eq!(rule["alerts"][0]["value"], "0e+00");
    assert_eq!(rule["alerts"][0]["labels"]["team"], "t");
    assert!(rule["alerts"][0].get("keepFiringSince").is_none());
    let quiet = &data["groups"][1]["rules"][0];
    assert_eq!(
        (
            &quiet["state"],
            &quiet["health"],
            &quiet["alerts"],
            &quiet["lastEvaluation"]
        ),
        (
            &json!("unknown"),
            &json!("unknown"),
            &json!([]),
            &json!("0001-01-01T00:00:00Z")
        )
    );
    let written = house.backend.written.lock().clone();
    let names: Vec<&str> = written
        .iter()
        .take(2)
        .flat_map(|batch| &batch.samples)
        .filter_map(|sample| sample.labels.metric_name())
        .collect();
    assert_eq!(names, ["job:up", "ALERTS", "ALERTS_FOR_STATE"]);

    let (_, body) = house.get("team-1", "/prometheus/api/v1/alerts").await;
    assert_eq!(body["data"]["alerts"][0]["state"], "firing");
    let (_, body) = house.get("other", "/api/v1/rules").await;
    assert_eq!(body, json!({"status": "success", "data": {"groups": []}}));
    let (_, body) = house.get("team-1", "/api/v1/alertmanagers").await;
    assert_eq!(
        body["data"],
        json!({"activeAlertmanagers": [{"url": alertmanager.url}], "droppedAlertmanagers": []})
    );

    house.backend.set("up==0", Ok(&[]));
    let data = house
        .get_until("/api/v1/alerts", |data| {
            data["alerts"][0].get("keepFiringSince").is_some()
        })
        .await;
    assert_eq!(data["alerts"][0]["state"], "firing");
    house.service.load(&team(), groups("")).await;
    let (_, resolved) = alertmanager.alert("Down").await;
    assert!(resolved["endsAt"].as_str().unwrap() < alert["endsAt"].as_str().unwrap());
    let text = house.metrics.text();
    for line in [
        "prometheus_notifications_alertmanagers_discovered 1",
        "prometheus_notifications_queue_capacity 10000",
        "prometheus_template_text_expansion_failures_total",
        "prometheus_rule_evaluation_duration_histogram_seconds_count",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    house.stopper.stop();
    assert!(house.service.join(Duration::from_secs(5)).await);
}

/// Whoever asks right after the start, or after a reload, must not be told that there are no rules and no alerts. On one
/// thread nothing happens meanwhile that is not waited for.
#[tokio::test]
async fn rules_that_are_loaded_are_shown_at_once() {
    let (stopper, stop) = Stopper::new();
    let house = House::start(Vec::new(), None, stopper, stop);
    for (rules, count) in [(RULES, 2), ("", 0), (RULES, 2)] {
        house.service.load(&team(), groups(rules)).await;
        let (_, body) = house.get("team-1", "/api/v1/rules").await;
        let shown = body["data"]["groups"].as_array().unwrap().len();
        assert_eq!(shown, count, "{body}");
    }
    house.stopper.stop();
    assert!(house.service.join(Duration::from_secs(5)).await);
    house.service.load(&team(), groups(RULES)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_and_pages() {
    let (stopper, stop) = Stopper::new();
    let house = House::start(Vec::new(), None, stopper, stop);
    house.service.load(&team(), groups(RULES)).await;
    house
        .get_until("/api/v1/rules", |data| data["groups"][1].is_object())
        .await;
    let names = |data: &Value| -> Vec<String> {
        let groups = data["groups"].as_array().unwrap().iter();
        groups
            .flat_map(|group| group["rules"].as_array().unwrap())
            .map(|rule| rule["name"].as_str().unwrap().to_owned())
            .collect()
    };
    for (query, expected) in [
        ("type=alert", &["Down", "Quiet"][..]),
        ("type=record", &["job:up"]),
        ("rule_name[]=Quiet&rule_name[]=job:up", &["job:up", "Quiet"]),
        ("rule_group[]=zzz", &["Quiet"]),
        ("rule_group[]=zzz&type=record", &[]),
        ("file[]=other.yml", &[]),
        ("match[]={team=\"t\"}", &["job:up", "Down"]),
        ("group_limit=1", &["job:up", "Down"]),
    ] {
        let (_, body) = house
            .get(
                "team-1",
                &format!(
                    "/api/v1/rules?{}",
                    query
                        .replace('"', "%22")
                        .replace('{', "%7B")
                        .replace('}', "%7D")
                ),
            )
            .await;
        assert_eq!(names(&body["data"]), expected, "{query}");
    }
    let (_, first) = house.get("team-1", "/api/v1/rules?group_limit=1").await;
    let token = first["data"]["groupNextToken"].as_str().unwrap();
    assert_eq!(token.len(), 64);
    let path = format!("/api/v1/rules?group_limit=1&group_next_token={token}");
    let (_, second) = house.get("team-1", &path).await;
    assert_eq!(names(&second["data"]), ["Quiet"]);
    assert!(second["data"].get("groupNextToken").is_none());
    let (status, body) = house
        .get("team-1", "/api/v1/rules?group_limit=1&group_next_token=x")
        .await;
    assert_eq!(status, 400);
    assert_eq!(body["errorType"], "bad_data");
    assert_eq!(
        body["error"],
        "invalid parameter \"group_next_token\": invalid group_next_token 'x'. were rule groups changed?"
    );
    let (_, body) = house
        .get("team-1", "/api/v1/rules?exclude_alerts=true&type=alert")
        .await;
    assert_eq!(body["data"]["groups"][0]["rules"][0]["alerts"], Value::Null);
    house.stopper.stop();
    assert!(house.service.join(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_with_the_same_start_and_a_checkpoint_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (stopper, stop) = Stopper::new();
    let mut alertmanager = Alertmanager::start(stop.clone()).await;
    let urls = vec![alertmanager.url.clone()];
    let mut starts = Vec::new();
    for life in 0..3 {
        let (life_stopper, life_stop) = Stopper::new();
        let (log, saved) = open_journal(folder.path(), SyncPolicy::default()).unwrap();
        let journal = Some((log.clone(), saved));
        let house = House::start(urls.clone(), journal, life_stopper, life_stop);
        down(&house.backend);
        house.service.load(&team(), groups(RULES)).await;
        let (_, alert) = alertmanager.alert("Down").await;
        starts.push(alert["startsAt"].clone());
        house
            .get_until("/api/v1/alerts", |data| data["alerts"][0].is_object())
            .await;
        if life == 1 {
            let before = log.stats();
            shorten(&log, || house.service.checkpoint()).await.unwrap();
            assert!(log.stats().bytes_on_disk < before.bytes_on_disk);
            assert_eq!(log.stats().segments, 1);
        }
        house.stopper.stop();
        assert!(house.service.join(Duration::from_secs(5)).await);
    }
    assert_eq!(starts[0], starts[1]);
    assert_eq!(starts[0], starts[2]);
    stopper.stop();
}

/// Rules are evaluated, and their alerts sent, whether or not their state can be stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_answer_holds_no_alert_back() {
    let folder = tempfile::tempdir().unwrap();
    let settings = LogSettings {
        write_max: Duration::from_millis(20),
        ..LogSettings::default()
    };
    let log = Log::open(folder.path(), &settings).unwrap();
    let disk = HangingLog::begin(folder.path(), &log).await;
    let (stopper, stop) = Stopper::new();
    let mut alertmanager = Alertmanager::start(stop.clone()).await;
    let urls = vec![alertmanager.url.clone()];
    let journal = Some((log, SavedTenants::default()));
    let house = House::start(urls, journal, stopper, stop);
    down(&house.backend);
    let far = Duration::from_secs(60);
    let told = async {
        house.service.load(&team(), groups(RULES)).await;
        alertmanager.alert("Down").await
    };
    tokio::time::timeout(far, told).await.expect("it is told");
    let failures = "watchbell_ruler_persist_failures_total ";
    let counted = async {
        let is_counted = || {
            let text = house.metrics.text();
            let (_, failed) = text.split_once(&format!("\n{failures}")).unwrap();
            !failed.starts_with('0')
        };
        while !is_counted() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // The alert may go out before the disk was found hanging.
    tokio::time::timeout(far, counted)
        .await
        .expect("nothing was stored");

    disk.end();
    let stored = async {
        let segment = folder.path().join("00000001.log");
        while !String::from_utf8_lossy(&std::fs::read(&segment).unwrap()).contains("Down") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(far, stored)
        .await
        .expect("all of it is stored");
    house.stopper.stop();
    assert!(house.service.join(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alertmanager_that_refuses_for_a_while_hears_it_in_the_end_and_disturbs_no_other() {
    let (stopper, stop) = Stopper::new();
    let mut good = Alertmanager::start(stop.clone()).await;
    let mut bad = Alertmanager::start(stop.clone()).await;
    *bad.status.lock() = StatusCode::SERVICE_UNAVAILABLE;
    let urls = vec![good.url.clone(), bad.url.clone()];
    let house = House::start(urls, None, stopper, stop);
    down(&house.backend);
    house.service.load(&team(), groups(RULES)).await;
    let (_, told) = good.alert("Down").await;
    let (_, first) = bad.alert("Down").await;
    *bad.status.lock() = StatusCode::OK;
    let (_, second) = bad.alert("Down").await;
    assert_eq!((&told, &first), (&first, &second));
    house.stopper.stop();
    assert!(house.service.join(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_embedded_engine_a_later_rule_sees_what_the_earlier_one_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let (stopper, stop) = Stopper::new();
    let clock = Arc::new(SystemClock::new());
    let mut config = config::WatchbellConfig::default();
    config.storage.path = folder.path().to_owned();
    let engine = Engine::open(
        IngestSettings::new(&config, Build::default()),
        clock.clone(),
        &Metrics::new(),
    )
    .unwrap();
    let now = clock.now();
    let up = |instance: &str| {
        let labels = Labels::from_pairs([("__name__", "up"), ("instance", instance)]);
        let sample = Sample {
            timestamp: now,
            value: 0.0,
        };
        (labels, sample)
    };
    engine.append(&team(), &[up("a"), up("b")]).await.unwrap();
    let latency = Histogram {
        count: 2.0,
        positive: vec![Bucket {
            index: 1,
            count: 2.0,
        }],
        ..Histogram::default()
    };
    let latency = (
        Labels::from_pairs([("__name__", "latency")]),
        now,
        SampleValue::Histogram(Arc::new(latency)),
    );
    engine.append_values(&team(), &[latency]).await.unwrap();
    let embedded = Embedded::new(engine.clone(), Duration::from_secs(10));
    let house = House::start_on(Arc::new(embedded), Vec::new(), None, stopper, stop);
    let rules = r#"
groups:
- name: web
  interval: 1s
  rules:
  - alert: Down
    expr: up == 0
  - alert: BothDown
    expr: sum(ALERTS{alertname="Down", alertstate="firing"}) == 2
    annotations: {summary: '{{ $value }} at {{ (query "time()" | first | value) }} of {{ now }}'}
  - record: latency:doubled
    expr: latency * 2
  - alert: Slow
    expr: histogram_count(latency:doubled) == 4
  - alert: DownToo
    expr: count(up == 0) == 2
"#;
    house.service.load(&team(), groups(rules)).await;
    let path = "/prometheus/api/v1/rules?stats=all";
    let data = house
        .get_until(path, |data| {
            let rules = &data["groups"][0]["rules"];
            [0, 1, 3, 4].map(|rule| &rules[rule]["state"]) == ["firing"; 4]
        })
        .await;
    let alert = |rule: usize| &data["groups"][0]["rules"][rule]["alerts"][0];
    assert_eq!(alert(0)["activeAt"], alert(1)["activeAt"]);
    let summary = alert(1)["annotations"]["summary"].as_str().unwrap();
    let (asked, told) = summary
        .strip_prefix("2 at ")
        .and_then(|times| times.split_once(" of "))
        .unwrap();
    assert_eq!(asked, told);
    // What two rules select is read once, and counts for both.
    for (rule, series) in [(0, 2), (2, 1), (4, 2)] {
        let stats = &data["groups"][0]["rules"][rule]["stats"];
        assert_eq!(
            (&stats["lastSeries"], &stats["lastSamples"]),
            (&json!(series), &json!(series))
        );
    }
    let text = house.metrics.text();
    let spared = text
        .lines()
        .find_map(|line| line.strip_prefix("watchbell_ruler_selections_shared_total "))
        .unwrap();
    assert!(spared.parse::<u64>().unwrap() > 0, "{spared}");
    house.stopper.stop();
    assert!(house.service.join(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn what_a_rule_takes_and_what_it_cannot_confirm_is_shown() {
    let (stopper, stop) = Stopper::new();
    let mut alertmanager = Alertmanager::start(stop.clone()).await;
    let house = House::start(vec![alertmanager.url.clone()], None, stopper, stop);
    down(&house.backend);
    house.service.load(&team(), groups(RULES)).await;
    alertmanager.alert("Down").await;
    house.backend.set("up==0", Err("no answer"));
    let path = "/prometheus/api/v1/rules?stats=all&rule_name[]=Down";
    let data = house
        .get_until(path, |data| {
            data["groups"][0]["rules"][0]["health"] == "err"
        })
        .await;
    let rule = &data["groups"][0]["rules"][0];
    assert_eq!(rule["lastError"], "no answer");
    assert_eq!(rule["state"], "firing");
    let since = rule["alerts"][0]["unconfirmedSince"].as_str().unwrap();
    assert!(Timestamp::parse_rfc3339(since).is_ok(), "{since}");
    let stats = &rule["stats"];
    let figure = |name: &str| stats[name].as_u64().unwrap();
    let good = figure("evaluations") - figure("failures");
    assert!(good > 0 && figure("failures") > 0, "{stats}");
    // Its own query, and two of its templates' three, of which one is none.
    assert_eq!((figure("series"), figure("samples")), (6 * good, 60 * good));
    assert_eq!(figure("missed"), 0);
    let plain = house.get("team-1", "/prometheus/api/v1/rules").await.1;
    assert!(!plain.to_string().contains("\"stats\""), "{plain}");
    assert!(!plain.to_string().contains("leftOut"), "{plain}");
    let text = house.metrics.text();
    for name in [
        "evaluations",
        "failures",
        "missed",
        "seconds",
        "series_read",
        "samples_read",
    ] {
        let line = format!(
            "watchbell_rule_{name}_total{{rule_group=\"rules.yml;web\",user=\"team-1\",rule=\"Down\",rule_number=\"2\"}} "
        );
        assert!(text.contains(&line), "{line} in {text}");
    }
    house.stopper.stop();
    assert!(house.service.join(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_takes_over_all_files_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let (stopper, stop) = Stopper::new();
    let house = House::start(Vec::new(), None, stopper, stop.clone());
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let rule = |name: &str| {
        format!("groups:\n- name: {name}\n  rules:\n  - alert: Down\n    expr: up == 0\n")
    };
    write("a.yml", &rule("one"));
    let files = RuleFiles {
        patterns: vec![RuleFilesPattern {
            pattern: "*.yml".into(),
            file: String::new(),
            place: None,
            path: String::new(),
        }],
        base: folder.path().to_owned(),
        defaults: GroupDefaults {
            interval: Duration::from_secs(3600),
            query_offset: Duration::ZERO,
        },
        parser_options: ParserOptions::default(),
    };
    let book = house.book().await;
    let watch = RuleFileWatch::start(team(), files, &book).await.unwrap();
    let (requests, reloads) = mpsc::channel(1);
    let watching = tokio::spawn(watch.run(book, reloads, Arc::default(), stop));
    let reload = |occasion: Occasion| {
        let requests = requests.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            let request = ReloadRequest {
                files: None,
                occasion,
                answer,
            };
            requests.send(request).await.unwrap();
            answered.await.unwrap()
        }
    };
    let groups = |data: &Value| -> Vec<String> {
        let groups = data["groups"].as_array().unwrap().iter();
        groups
            .map(|group| group["name"].as_str().unwrap().to_owned())
            .collect()
    };
    house
        .get_until("/api/v1/rules", |data| groups(data) == ["one"])
        .await;
    write("a.yml", &rule("two"));
    write("b.yml", "groups: 7");
    let problems = reload(Occasion::Noticed).await.unwrap_err();
    assert_eq!(problems.len(), 1, "{problems}");
    write("b.yml", &rule("three"));
    reload(Occasion::Noticed).await.unwrap();
    // Never a moment with the first file's new rules alone.
    house
        .get_until("/api/v1/rules", |data| {
            let now = groups(data);
            assert!(now == ["one"] || now == ["two", "three"], "{now:?}");
            now.len() == 2
        })
        .await;
    // What a look has seen is gone by the time in which it is read.
    for name in ["a.yml", "b.yml"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let problems = reload(Occasion::Noticed).await.unwrap_err();
    let said = "*.yml: all rule files of this pattern are gone: rules stay in force until files are back, or a reload is asked for";
    assert_eq!(problems.to_string(), said);
    house
        .get_until("/api/v1/rules", |data| {
            assert_eq!(groups(data), ["two", "three"]);
            true
        })
        .await;
    reload(Occasion::Asked).await.unwrap();
    house
        .get_until("/api/v1/rules", |data| groups(data).is_empty())
        .await;
    house.stopper.stop();
    watching.await.unwrap();
    assert!(house.service.join(Duration::from_secs(5)).await);
}

/// Two hours ahead of the system's clock, which was set back.
struct SetBack;

impl Clock for SetBack {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_700_000_000)
    }

    fn standstill(&self) -> Duration {
        Duration::from_secs(7200)
    }
}

#[tokio::test]
async fn a_process_in_which_time_stands_still_ends_as_a_failure() {
    let (stopper, stop) = Stopper::new();
    let table = Arc::new(Table::default());
    let clock = Arc::new(SetBack);
    let house = House::start_by(clock, table, Vec::new(), None, stopper, stop.clone());
    stop.clone().stopped().await;
    house.service.clone().maintain(stop).await;
    assert!(!house.service.join(Duration::from_secs(60)).await);
}
