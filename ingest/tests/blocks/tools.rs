//! Debian's promtool and Prometheus on our blocks, and we on theirs.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use model::{Labels, go_number};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::site::{HOUR, Keeping, Site, Table, assert_same, sample};

const PROMTOOL: &str = "/usr/bin/promtool";
const PROMETHEUS: &str = "/usr/bin/prometheus";
/// Ours may be so much larger than Prometheus' from the same samples.
const SIZE_RATIO_MAX: f64 = 1.05;
const STARTING: Duration = Duration::from_secs(60);

/// `None` where it is not installed, which is an error where everything has to be tested.
fn program(path: &'static str) -> Option<&'static str> {
    if Path::new(path).exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{path} is missing");
    // Past what the test harness keeps to itself.
    let _ = writeln!(
        io::stderr(),
        "SKIPPED: {path} is not installed; this test needs it"
    );
    None
}

pub(crate) fn promtool_is_there() -> bool {
    program(PROMTOOL).is_some()
}

/// All samples of a folder of blocks, as Debian's promtool reads them.
pub(crate) fn promtool_dump(blocks: &Path) -> Table {
    read_dump(&promtool(&["tsdb", "dump", blocks.to_str().unwrap()]))
}

fn promtool(arguments: &[&str]) -> String {
    let done = Command::new(PROMTOOL).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {errors}");
    assert_eq!(errors, "", "{arguments:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// A day in blocks of all sizes, one of which is over another one.
async fn a_day(folder: &Path) -> Site {
    let mut site = Site::open(folder, Keeping::default(), 0);
    site.run(0..25, 30, 60).await;
    site.engine.keep_blocks();
    assert!(site.blocks().iter().any(|(level, _, _)| *level == 3));
    site
}

/// What the blocks hold of it: all that is older than the head.
fn in_blocks(site: &Site) -> Table {
    let end = site.blocks().iter().map(|(_, _, end)| *end).max().unwrap() * HOUR * 1000;
    let mut expected = site.written.clone();
    for samples in expected.values_mut() {
        samples.retain(|at, _| *at < end);
    }
    expected
}

#[tokio::test]
async fn promtool_reads_what_was_written() {
    if program(PROMTOOL).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let site = a_day(folder.path()).await;
    let blocks = site.blocks_folder();
    let blocks = blocks.to_str().unwrap();
    let expected = in_blocks(&site);

    let listed = promtool(&["tsdb", "list", blocks]);
    let mut rows: Vec<Vec<&str>> = listed
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect();
    rows.retain(|row| row.len() > 4);
    assert_eq!(rows.len(), site.blocks().len(), "{listed}");
    let samples: usize = rows
        .iter()
        .map(|row| row[4].parse::<usize>().unwrap())
        .sum();
    assert_eq!(
        samples,
        expected.values().map(BTreeMap::len).sum::<usize>(),
        "{listed}"
    );

    for folder in site.block_folders() {
        let ulid = folder.file_name().unwrap().to_str().unwrap();
        let analysis = promtool(&["tsdb", "analyze", blocks, ulid]);
        assert!(analysis.contains("Series: 30\n"), "{analysis}");
        assert!(analysis.contains("Label names: 3\n"), "{analysis}");
        assert!(
            analysis.contains("Postings (unique label pairs): 38\n"),
            "{analysis}"
        );
    }

    let dumped = promtool(&["tsdb", "dump", blocks]);
    assert_same(&read_dump(&dumped), &expected);
}

/// `{__name__="a", b="c"} value time` a line.
fn read_dump(text: &str) -> Table {
    let names: BTreeMap<String, Labels> = (0..1000)
        .map(|number| sample(number, 0).0)
        .map(|labels| (labels.to_string(), labels))
        .collect();
    let mut table = Table::new();
    for line in text.lines() {
        let (labels, rest) = line.rsplit_once("} ").unwrap();
        let (value, time) = rest.split_once(' ').unwrap();
        let labels = names[&format!("{labels}}}")].clone();
        let value: f64 = value.parse().unwrap();
        let before = table
            .entry(labels)
            .or_default()
            .insert(time.parse().unwrap(), value.to_bits());
        assert_eq!(before, None, "twice: {line}");
    }
    table
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Debian's Prometheus on a site's blocks.
pub(crate) struct RunningPrometheus {
    address: SocketAddr,
    process: Killed,
    log: PathBuf,
}

impl RunningPrometheus {
    /// It answers queries. `None` where there is none.
    pub(crate) async fn on(site: &Site) -> Option<Self> {
        let prometheus = program(PROMETHEUS)?;
        let config = site.folder.join("prometheus.yml");
        fs::write(&config, "").unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let log = site.folder.join("prometheus.log");
        let process = Command::new(prometheus)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                site.blocks_folder().display()
            ))
            // The samples are those of 1970.
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn();
        let running = Self {
            address,
            process: Killed(process.unwrap()),
            log,
        };
        let ready = tokio::time::timeout(STARTING, async {
            loop {
                let answer = running.get("/api/v1/query?query=1").await;
                if answer.is_some_and(|answer| answer["status"] == "success") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        ready.await.unwrap();
        Some(running)
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Json> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        // So that the answer comes in one piece and ends with the connection.
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Ends it; what it said.
    fn said(self) -> String {
        drop(self.process);
        fs::read_to_string(self.log).unwrap()
    }
}

#[tokio::test]
async fn a_prometheus_on_the_folder_serves_the_same_samples() {
    let folder = tempfile::tempdir().unwrap();
    let site = a_day(folder.path()).await;
    let expected = in_blocks(&site);
    let Some(prometheus) = RunningPrometheus::on(&site).await else {
        return;
    };
    let end = 25 * HOUR;
    let path = format!("/api/v1/query?query=requests_total%5B2d%5D&time={end}");
    let answer = prometheus.get(&path).await.unwrap();
    let mut served = Table::new();
    for series in answer["data"]["result"].as_array().unwrap() {
        let labels = series["metric"].as_object().unwrap().iter();
        let labels = labels.map(|(name, value)| (name, value.as_str().unwrap()));
        let samples = series["values"].as_array().unwrap().iter().map(|pair| {
            let value: f64 = pair[1].as_str().unwrap().parse().unwrap();
            (
                (pair[0].as_f64().unwrap() * 1000.0).round() as i64,
                value.to_bits(),
            )
        });
        served.insert(Labels::from_pairs(labels), samples.collect());
    }
    assert_same(&served, &expected);
    let path = "/api/v1/label/job/values?start=0&end=90000";
    let answer = prometheus.get(path).await.unwrap();
    assert_eq!(answer["data"].as_array().unwrap().len(), 7);
    let said = prometheus.said();
    assert!(!said.contains("level=error"), "{said}");
    assert!(said.contains("Found healthy block"), "{said}");
}

/// Every 15 seconds.
fn openmetrics(series: i64, hours: i64) -> (String, Table) {
    let mut text = "# TYPE requests_total unknown\n".to_owned();
    let mut table = Table::new();
    for number in 0..series {
        for secs in (0..hours * HOUR).step_by(15) {
            let (labels, sample) = sample(number, secs);
            let inner = labels.without_metric_name().to_string().replace(", ", ",");
            let value = go_number::format_g(sample.value);
            writeln!(text, "requests_total{inner} {value} {secs}").unwrap();
            let of_series = table.entry(labels).or_default();
            of_series.insert(secs * 1000, sample.value.to_bits());
        }
    }
    text.push_str("# EOF\n");
    (text, table)
}

fn blocks_by_promtool(text: &str, folder: &Path) -> PathBuf {
    let input = folder.join("samples.om");
    fs::write(&input, text).unwrap();
    let output = folder.join("blocks-of-prometheus");
    let (input, output_text) = (input.to_str().unwrap(), output.to_str().unwrap());
    promtool(&[
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        input,
        output_text,
    ]);
    output
}

fn copy_blocks(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_blocks(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn blocks_of_prometheus_are_read() {
    if program(PROMTOOL).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (text, table) = openmetrics(20, 13);
    let theirs = blocks_by_promtool(&text, folder.path());
    let mut site = Site::open(folder.path(), Keeping::default(), 12 * HOUR);
    // Ours, and not in their blocks, though those are newer.
    site.append(vec![sample(77, 11 * HOUR)]).await;
    copy_blocks(&theirs, &site.blocks_folder());
    let mut site = site.open_again(Keeping::default());
    assert_eq!(site.blocks().len(), 7);
    site.written.extend(table);
    site.assert_nothing_is_lost();
    // And merged with one another.
    site.engine.keep_blocks();
    let levels: Vec<u64> = site.blocks().iter().map(|(level, _, _)| *level).collect();
    assert_eq!(levels, [2, 1, 1, 1, 1]);
    site.assert_nothing_is_lost();
}

#[tokio::test]
async fn ours_are_hardly_larger_than_those_of_prometheus() {
    if program(PROMTOOL).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (text, table) = openmetrics(1000, 2);
    let theirs = bytes(&blocks_by_promtool(&text, folder.path()));
    let mut site = Site::open(folder.path(), Keeping::default(), 0);
    for secs in (0..2 * HOUR).step_by(15) {
        site.clock.set(model::Timestamp::from_secs(secs));
        site.append((0..1000).map(|number| sample(number, secs)).collect())
            .await;
    }
    assert_same(&site.written, &table);
    site.clock.set(model::Timestamp::from_secs(4 * HOUR));
    site.append(vec![sample(0, 4 * HOUR)]).await;
    site.engine.keep_blocks();
    assert_eq!(site.blocks(), [(1, 0, 2)]);
    let ours = bytes(&site.block_folders()[0]);
    let ratio = ours as f64 / theirs as f64;
    let samples: usize = table.values().map(BTreeMap::len).sum();
    println!("{samples} samples: ours {ours} bytes, Prometheus' {theirs} bytes, ratio {ratio:.3}");
    assert!(ratio <= SIZE_RATIO_MAX, "{ours} of {theirs} bytes");
}

fn bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => bytes(&path),
            path => fs::metadata(path).unwrap().len(),
        })
        .sum()
}
