//! What this program says that it is: to people, to tools that parse Alertmanager's words, and among the figures.
use alertmanager::Version;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use runtime::Metrics;

pub(crate) const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("WATCHBELL_COMMIT"),
    ", ",
    env!("WATCHBELL_DATE"),
    ")"
);

/// The release of Alertmanager whose behaviour this is, and what tells it. By the rules of semantic versioning what
/// follows a plus is no part of the order, so that whoever compares versions (amtool: major and minor) finds this
/// release, and whoever reads them finds Watchbell.
const AS_ALERTMANAGER: &str = concat!("0.34.0+watchbell.", env!("CARGO_PKG_VERSION"));
/// Whose line of development it is: tools expect a word here.
const BRANCH: &str = "watchbell";
const REVISION: &str = env!("WATCHBELL_COMMIT");
const DATE: &str = env!("WATCHBELL_DATE");

/// What follows `alertmanager, version `.
pub(crate) const ALERTMANAGER_VERSION: &str = concat!(
    "0.34.0+watchbell.",
    env!("CARGO_PKG_VERSION"),
    " (branch: watchbell, revision: ",
    env!("WATCHBELL_COMMIT"),
    ")\n  build user:       \n  build date:       ",
    env!("WATCHBELL_DATE"),
    "\n  rust version:     ",
    env!("CARGO_PKG_RUST_VERSION"),
    "\n  platform:         ",
    env!("WATCHBELL_PLATFORM"),
    "\n  tags:             "
);

/// As `GET /api/v2/status` tells it.
pub(crate) fn of_alertmanager() -> Version {
    Version {
        version: AS_ALERTMANAGER.to_owned(),
        revision: REVISION.to_owned(),
        branch: BRANCH.to_owned(),
        build_date: DATE.to_owned(),
    }
}

/// `(version=…, branch=…, revision=…)`, as Alertmanager logs it at its start.
pub(crate) fn in_brief() -> String {
    format!("(version={AS_ALERTMANAGER}, branch={BRANCH}, revision={REVISION})")
}

pub(crate) fn build_context() -> String {
    format!(
        "(rust={}, platform={}, user=, date={DATE}, tags=)",
        env!("CARGO_PKG_RUST_VERSION"),
        env!("WATCHBELL_PLATFORM")
    )
}

/// `alertmanager_build_info`, with the labels that dashboards know; no Go was at work.
pub(crate) fn register(metrics: &Metrics) {
    let build: Family<Vec<(String, String)>, Gauge> = Family::default();
    let labels = [
        ("version", AS_ALERTMANAGER),
        ("revision", REVISION),
        ("branch", BRANCH),
        ("goversion", ""),
        ("goos", std::env::consts::OS),
        ("goarch", go_architecture(std::env::consts::ARCH)),
        ("tags", ""),
    ];
    let labels = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    build.get_or_create(&labels).set(1);
    let help = "A metric with a constant '1' value labeled by what Alertmanager was built from";
    metrics.register("alertmanager_build_info", help, build);
}

/// Go's name of a kind of processor.
fn go_architecture(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}
