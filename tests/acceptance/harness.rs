//! What Alertmanager's own acceptance tests expect of the binary that they start: by its name, with their arguments,
//! read and driven as they do it.
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fakes::{Fakes, HttpFault};
use model::Timestamp;
use runtime::{Clock, SystemClock};
use rustix::process::Signal;
use serde_json::{Value as Json, json};
use tokio::task::LocalSet;

use crate::alertmanager::{Alertmanager, DEBIANS};
use crate::files::folder;
use crate::process::{Process, program};
use crate::wait::wait_for;
use crate::watchbell::binary;

/// What they wait for until it listens, and once more until it answers.
const STARTING_MAX: Duration = Duration::from_secs(5);
const ENDING: Duration = Duration::from_secs(60);
const SETTLING: Duration = Duration::from_secs(60);
/// A time that is not one.
const ZERO: &str = "0001-01-01T00:00:00.000Z";
/// They allow half a second; this machine has other work too.
const LATE_MAX: f64 = 1.4;

/// Their command line. What it prints besides its log goes elsewhere: they read the log from where errors go.
fn command(folder: &Path, cluster: &str, arguments: &[&str]) -> Command {
    let programs = folder.join("bin");
    let program = programs.join("alertmanager");
    if !program.exists() {
        fs::create_dir(&programs).expect("a folder can be made");
        symlink(binary(), &program).expect("a link can be made");
    }
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "exec \"$@\" >printed", "sh"])
        .arg(program)
        .arg("--config.file")
        .arg(folder.join("config.yml"))
        .args(["--log.level", "debug"])
        .args(["--web.listen-address", "127.0.0.1:0"])
        .arg("--storage.path")
        .arg(folder)
        .args(["--cluster.listen-address", cluster])
        .args(["--cluster.settle-timeout", "0s"])
        .args(arguments)
        .current_dir(folder);
    command
}

async fn start(folder: &Path, prefix: &str, arguments: &[&str]) -> Alertmanager {
    let mut command = command(folder, "127.0.0.1:0", arguments);
    Alertmanager::start(&mut command, prefix, &folder.join("log")).await
}

fn configuration(fakes: &Fakes) -> String {
    format!(
        "route: {{receiver: hook, group_by: [], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers: [{{name: hook, webhook_configs: [{{url: '{}'}}]}}]\n",
        fakes.webhook_url("hook")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_what_the_harness_of_alertmanager_expects() {
    let fakes = Fakes::start().await;
    let folder = folder(&[("config.yml", &configuration(&fakes))]);
    let clock = SystemClock::new();
    let begun = clock.now();
    let member = start(folder.path(), "", &[]).await;
    let took = clock.now().saturating_since(begun);
    assert!(took < STARTING_MAX, "{took:?}");
    let status = member.json("/api/v2/status").await;
    let took = clock.now().saturating_since(begun);
    assert!(took < 2 * STARTING_MAX, "{took:?}");

    // Alone it knows itself, by the address that it has really bound.
    let cluster = &status["cluster"];
    let [this] = &cluster["peers"].as_array().expect("a list")[..] else {
        panic!("one member: {cluster}");
    };
    assert_eq!(cluster["status"], "ready");
    assert_eq!(cluster["name"], this["name"]);
    let name = this["name"].as_str().expect("a name");
    assert_eq!(name.len(), 26, "a ULID where no name is given: {name}");
    let gossip: SocketAddr = this["address"]
        .as_str()
        .and_then(|address| address.parse().ok())
        .expect("an address");
    assert_ne!(gossip.port(), 0);
    UdpSocket::bind(gossip).expect_err("its packets' port is taken");
    let mut caller = TcpStream::connect(gossip).expect("its port is open");
    let mut nothing = Vec::new();
    // Closed, or reset: nothing is said, and nobody is left waiting.
    caller
        .set_read_timeout(Some(ENDING))
        .expect("a socket takes a timeout");
    match caller.read_to_end(&mut nothing) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }

    // Alerts as they post them: times that are zero are none.
    let alert = json!([{
        "labels": {"alertname": "First", "instance": "a"},
        "annotations": {"summary": "s"},
        "startsAt": ZERO,
        "endsAt": ZERO,
        "generatorURL": "http://g",
    }]);
    let sent = clock.now();
    assert_eq!(member.post("/api/v2/alerts", &alert).await.0, 200);
    let told = body_of(&fakes, 0).await;
    assert_eq!(told["status"], "firing");
    let alert = &told["alerts"][0];
    assert_eq!(
        alert["labels"],
        json!({"alertname": "First", "instance": "a"})
    );
    assert_eq!(alert["annotations"], json!({"summary": "s"}));
    assert_eq!(alert["generatorURL"], "http://g");
    assert_eq!(alert["endsAt"], "0001-01-01T00:00:00Z");
    let starts_at = alert["startsAt"].as_str().expect("a time");
    let starts_at = Timestamp::parse_rfc3339(starts_at).expect("a time");
    assert!(starts_at.saturating_since(sent) < STARTING_MAX, "{alert}");

    // A silence as they post it, without `isEqual`.
    let silence = json!({
        "matchers": [{"name": "alertname", "value": "Fir.*", "isRegex": true}],
        "startsAt": sent.to_rfc3339_millis(),
        "endsAt": (sent + Duration::from_secs(3600)).to_rfc3339_millis(),
        "createdBy": "test",
        "comment": "test",
    });
    let (code, text) = member.post("/api/v2/silences", &silence).await;
    assert_eq!(code, 200, "{text}");
    let made: Json = serde_json::from_str(&text).expect("an answer in JSON");
    let id = made["silenceID"].as_str().expect("an id");
    let silences = member.json("/api/v2/silences").await;
    assert_eq!(silences[0]["id"], id);
    assert_eq!(silences[0]["matchers"][0]["isEqual"], true);
    shapes(&member).await;
    let (code, text) = member.delete(&format!("/api/v2/silence/{id}")).await;
    assert_eq!((code, text.as_str()), (200, ""));

    // A signal reads the configuration again, and a bad one changes nothing.
    let config = folder.path().join("config.yml");
    let good = configuration(&fakes);
    let taken = "Completed loading of configuration file";
    let refused = "Loading configuration file failed";
    let renamed = good
        .replace("hook,", "new,")
        .replace("name: hook", "name: new");
    for (text, said, receiver) in [
        (renamed.as_str(), taken, "new"),
        ("route: {}\n", refused, "new"),
        (&good, taken, "hook"),
    ] {
        let before = member.process.log_text().matches(said).count();
        fs::write(&config, text).expect("a file can be written");
        member.process.signal(Signal::HUP);
        wait_for("it to be read again", SETTLING, async || {
            let log = member.process.log_text();
            (log.matches(said).count() > before).then_some(())
        })
        .await;
        wait_for("the receiver", SETTLING, async || {
            let receivers = member.json("/api/v2/receivers").await;
            (receivers[0]["name"] == receiver).then_some(())
        })
        .await;
    }
    member.end_within(ENDING).await;
    let printed = fs::read_to_string(folder.path().join("printed")).expect("a file");
    assert_eq!(printed, "", "the log goes where errors go");
}

/// The webhook's body of that number, when it is there.
async fn body_of(fakes: &Fakes, number: usize) -> Json {
    let found = fakes.webhook.wait_for(SETTLING, |receiver, _| {
        receiver.bodies.get(number).map(|(_, body)| body.clone())
    });
    found.await.expect("the webhook is told")
}

/// What a generated client insists on: JSON by its type, and every member that must be there.
async fn shapes(member: &Alertmanager) {
    let document = member.json("/api/watchbell/v1/openapi.json").await;
    for path in [
        "/api/v2/status",
        "/api/v2/receivers",
        "/api/v2/alerts",
        "/api/v2/alerts/groups",
        "/api/v2/silences",
    ] {
        let answer = reqwest::get(format!("{}{path}", member.base))
            .await
            .expect("it answers");
        assert_eq!(
            answer.headers()["content-type"],
            "application/json",
            "{path}"
        );
        let body = member.json(path).await;
        let content = "application/json";
        let schema = json!({
            "allOf": [document["paths"][path]["get"]["responses"]["200"]["content"][content]["schema"]],
            "components": document["components"],
        });
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let wrong: Vec<String> = validator
            .iter_errors(&body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{path}: {wrong:?}: {body}");
        let first = body.as_array().map_or(&body, |list| &list[0]);
        let wanted: &[&str] = match path {
            "/api/v2/status" => &["cluster", "config", "uptime", "versionInfo"],
            "/api/v2/receivers" => &["name", "labels"],
            "/api/v2/alerts" => &[
                "annotations",
                "receivers",
                "fingerprint",
                "startsAt",
                "updatedAt",
                "endsAt",
                "status",
                "labels",
                "generatorURL",
            ],
            "/api/v2/silences" => &[
                "id",
                "status",
                "updatedAt",
                "comment",
                "createdBy",
                "startsAt",
                "endsAt",
                "matchers",
            ],
            _ => &["alerts", "labels", "receiver", "routeLabels"],
        };
        for name in wanted {
            assert!(!first[name].is_null(), "{path}: {name}: {first}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gossip_port_that_is_taken_ends_it_with_one_sentence() {
    let streams = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let packets = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    for taken in [streams.local_addr(), packets.local_addr()] {
        let taken = taken.expect("it is bound").to_string();
        let folder = folder(&[(
            "config.yml",
            "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n",
        )]);
        let log = folder.path().join("log");
        let mut command = command(folder.path(), &taken, &[]);
        let mut process = Process::start("alertmanager", &mut command, &log);
        assert_eq!(process.ended(ENDING).await.code(), Some(1));
        let log = process.log_text();
        let errors: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("level=ERROR"))
            .collect();
        let said = format!("err=\"unable to initialize gossip mesh: cannot listen on {taken}: ");
        assert!(errors.len() == 1 && errors[0].contains(&said), "{log}");
        assert!(!log.contains("Listening on"), "{log}");
    }
}

/// A member with a name and an address of its own is told by them, and without clustering nobody is.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_the_name_and_the_address_that_were_given() {
    let folder = folder(&[(
        "config.yml",
        "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n",
    )]);
    for (listen, arguments, cluster) in [
        (
            "127.0.0.1:0",
            &[
                "--cluster.peer-name=one",
                "--cluster.advertise-address=192.0.2.7:99",
            ][..],
            json!({
                "name": "one",
                "peers": [{"address": "192.0.2.7:99", "name": "one"}],
                "status": "ready",
            }),
        ),
        ("", &[], json!({"peers": [], "status": "disabled"})),
    ] {
        let mut command = command(folder.path(), listen, arguments);
        let member = Alertmanager::start(&mut command, "", &folder.path().join("log")).await;
        assert_eq!(member.json("/api/v2/status").await["cluster"], cluster);
        member.end_within(ENDING).await;
    }
}

/// One story that a member of its own goes through, told in seconds since it listened.
struct Story {
    name: &'static str,
    arguments: &'static [&'static str],
    prefix: &'static str,
    /// `@a` is the address of the webhook `a`.
    configuration: &'static str,
    steps: &'static [(f64, &'static str)],
    /// From when on it may come, the webhook, and what it is told.
    told: &'static [(f64, &'static str)],
    lasts: f64,
}

const PLAIN: Story = Story {
    name: "",
    arguments: &[],
    prefix: "",
    configuration: "\
route: {receiver: a, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: a, webhook_configs: [{url: '@a'}]}]
",
    steps: &[],
    told: &[],
    lasts: 5.0,
};

const STORIES: &[Story] = &[
    Story {
        name: "what fails is tried again, and each webhook is told once",
        configuration: "\
route: {receiver: a, group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 1h}
receivers: [{name: a, webhook_configs: [{url: '@a'}, {url: '@b'}]}]
",
        steps: &[(0.0, "fail 2"), (0.0, "fire instance=x")],
        told: &[(1.0, "a firing +x"), (1.0, "b firing +x")],
        ..PLAIN
    },
    Story {
        name: "a webhook that is too slow is given up and tried again",
        configuration: "\
route: {receiver: a, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: a, webhook_configs: [{url: '@a', timeout: 500ms}]}]
",
        steps: &[(0.0, "slow 1"), (0.0, "fire instance=x")],
        // It took the first in, and was too late to say so.
        told: &[(1.0, "a firing +x"), (1.5, "a firing +x")],
        ..PLAIN
    },
    Story {
        name: "after a cold start alerts wait, and are told together",
        arguments: &["--dispatch.start-delay", "5s"],
        configuration: "\
route: {receiver: a, group_by: [], group_wait: 1s, group_interval: 6s, repeat_interval: 10m}
receivers: [{name: a, webhook_configs: [{url: '@a'}]}]
",
        steps: &[(1.0, "old instance=x"), (2.0, "fire instance=y")],
        // Five seconds after it has begun, and it listens a moment later.
        told: &[(3.8, "a firing +x +y")],
        lasts: 8.0,
        ..PLAIN
    },
    Story {
        name: "a reload repeats nothing, and group timers go on",
        configuration: "\
route: {receiver: a, group_by: [], group_wait: 1s, group_interval: 4s, repeat_interval: 10m}
receivers: [{name: a, webhook_configs: [{url: '@a'}]}]
",
        steps: &[
            (0.0, "fire instance=x"),
            (2.0, "reload"),
            (3.0, "fire instance=y"),
        ],
        told: &[(1.0, "a firing +x"), (5.0, "a firing +x +y")],
        lasts: 8.0,
        ..PLAIN
    },
    Story {
        name: "what a reload adds is told",
        configuration: "\
route: {receiver: a, group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 1h}
receivers: [{name: a, webhook_configs: [{url: '@a'}]}]
",
        steps: &[
            (0.0, "fire instance=x"),
            (2.0, "rename @a @b"),
            (2.2, "fire instance=y"),
        ],
        // The new receiver was told nothing yet.
        told: &[
            (1.0, "a firing +x"),
            (2.0, "b firing +x"),
            (4.0, "b firing +x +y"),
        ],
        lasts: 6.0,
        ..PLAIN
    },
    Story {
        name: "an inhibition rule without a word inhibits nothing",
        configuration: "\
route: {receiver: a, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
inhibit_rules:
-
receivers: [{name: a, webhook_configs: [{url: '@a'}]}]
",
        steps: &[(0.0, "fire instance=x; instance=y")],
        told: &[(1.0, "a firing +x +y")],
        ..PLAIN
    },
    Story {
        name: "an alert that is repeated is told again, with its end",
        configuration: "\
route: {receiver: a, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 2s}
receivers: [{name: a, webhook_configs: [{url: '@a'}]}]
",
        steps: &[(0.0, "fire instance=x"), (3.4, "resolve instance=x")],
        told: &[
            (1.0, "a firing +x"),
            (3.0, "a firing +x"),
            (4.0, "a resolved -x"),
        ],
        lasts: 6.5,
        ..PLAIN
    },
    Story {
        name: "a silence goes before the first notification, and its end brings it",
        steps: &[
            (0.0, "silence instance=x"),
            (0.2, "fire instance=x; instance=y"),
            (2.6, "expire"),
        ],
        told: &[(1.2, "a firing +y"), (3.2, "a firing +x +y")],
        lasts: 6.0,
        ..PLAIN
    },
    Story {
        name: "below a prefix",
        arguments: &["--web.route-prefix", "/foo"],
        prefix: "/foo",
        steps: &[(0.0, "fire instance=x"), (0.1, "elsewhere")],
        told: &[(1.0, "a firing +x")],
        ..PLAIN
    },
    Story {
        name: "names in any letters are routed, grouped and silenced",
        configuration: "\
route:
  {receiver: a, group_by: ['größe🙂'], group_wait: 1s, group_interval: 1s, repeat_interval: 1h,
   routes: [{matchers: ['{\"größe🙂\"=\"groß\"}'], receiver: b}]}
receivers: [{name: a, webhook_configs: [{url: '@a'}]}, {name: b, webhook_configs: [{url: '@b'}]}]
",
        steps: &[
            (0.0, "silence größe🙂=still"),
            (
                0.2,
                "fire instance=x größe🙂=groß; instance=y größe🙂=still; instance=z",
            ),
        ],
        told: &[(1.2, "a firing +z"), (1.2, "b firing +x")],
        ..PLAIN
    },
    Story {
        name: "in classic mode names in other letters are refused",
        arguments: &["--enable-feature", "classic-mode"],
        steps: &[
            (0.0, "refused größe🙂=groß"),
            (0.0, "unsilenced größe🙂=groß"),
            (0.0, "fire instance=x"),
        ],
        told: &[(1.0, "a firing +x")],
        ..PLAIN
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn members_go_through_the_stories_of_alertmanagers_own_tests() {
    let all = LocalSet::new();
    let playing: Vec<_> = STORIES
        .iter()
        .map(|story| all.spawn_local(play(story)))
        .collect();
    let mut report = String::new();
    all.await;
    for (story, played) in STORIES.iter().zip(playing) {
        let told = played.await.expect("a story comes to its end");
        let fits = told.len() == story.told.len()
            && told
                .iter()
                .zip(story.told)
                .all(|((at, line), (from, expected))| {
                    line == expected && (*from - 0.1..*from + LATE_MAX).contains(at)
                });
        if !fits {
            report.push_str(&format!(
                "{}\n  expected {:?}\n  told {told:?}\n",
                story.name, story.told
            ));
        }
    }
    assert!(report.is_empty(), "{report}");
}

async fn play(story: &'static Story) -> Vec<(f64, String)> {
    let fakes = Fakes::start().await;
    let configuration = ["a", "b"]
        .iter()
        .fold(story.configuration.to_owned(), |text, name| {
            text.replace(
                &format!("'@{name}'"),
                &format!("'{}'", fakes.webhook_url(name)),
            )
        });
    let folder = folder(&[("config.yml", &configuration)]);
    let member = start(folder.path(), story.prefix, story.arguments).await;
    let clock = SystemClock::new();
    let begun = clock.now();
    let mut silence = String::new();
    for (seconds, step) in story.steps {
        at(begun, *seconds).await;
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        let now = clock.now();
        let times = match verb {
            "old" => json!({"startsAt": (now - Duration::from_secs(3600)).to_rfc3339_millis()}),
            "resolve" => json!({"endsAt": now.to_rfc3339_millis()}),
            _ => json!({"startsAt": ZERO, "endsAt": ZERO}),
        };
        match verb {
            "fire" | "old" | "resolve" => {
                let answer = member.post("/api/v2/alerts", &alerts(rest, &times)).await;
                assert_eq!(answer.0, 200, "{}: {}", story.name, answer.1);
            }
            "refused" => {
                let answer = member.post("/api/v2/alerts", &alerts(rest, &times)).await;
                assert_eq!(answer.0, 400, "{}: {}", story.name, answer.1);
            }
            "fail" => {
                let count = rest.parse().expect("a number");
                let answer = HttpFault::Answer(fakes::Answer::text(503, "not now"));
                fakes.webhook.fail_next(count, answer);
            }
            "slow" => {
                let count = rest.parse().expect("a number");
                fakes
                    .webhook
                    .fail_next(count, HttpFault::Delay(Duration::from_secs(2)));
            }
            "silence" | "unsilenced" => {
                let (name, value) = rest.split_once('=').expect("name=value");
                let body = json!({
                    "matchers": [{"name": name, "value": value, "isRegex": false}],
                    "startsAt": now.to_rfc3339_millis(),
                    "endsAt": (now + Duration::from_secs(3600)).to_rfc3339_millis(),
                    "createdBy": "test",
                    "comment": "test",
                });
                let (status, text) = member.post("/api/v2/silences", &body).await;
                if verb == "unsilenced" {
                    assert_eq!(status, 400, "{}: {text}", story.name);
                    continue;
                }
                assert_eq!(status, 200, "{}: {text}", story.name);
                let made: Json = serde_json::from_str(&text).expect("an answer in JSON");
                silence = made["silenceID"].as_str().expect("an id").to_owned();
            }
            "expire" => {
                let path = format!("/api/v2/silence/{silence}");
                assert_eq!(member.delete(&path).await.0, 200, "{}", story.name);
            }
            "reload" => member.process.signal(Signal::HUP),
            "rename" => {
                let file = folder.path().join("config.yml");
                let text = fs::read_to_string(&file).expect("a file");
                let text = text.replace(&fakes.webhook_url("a"), &fakes.webhook_url("b"));
                let text = text
                    .replace("receiver: a", "receiver: b")
                    .replace("name: a", "name: b");
                fs::write(&file, text).expect("a file can be written");
                member.process.signal(Signal::HUP);
            }
            "elsewhere" => {
                let outside = member.base.trim_end_matches(story.prefix);
                let answer = reqwest::get(format!("{outside}/api/v2/status")).await;
                assert_eq!(answer.expect("it answers").status(), 404);
            }
            _ => panic!("{}: nobody knows how to {step:?}", story.name),
        }
    }
    at(begun, story.lasts).await;
    let mut told: Vec<(f64, String)> = fakes
        .webhook
        .requests()
        .iter()
        .filter(|request| request.accepted())
        .map(|request| {
            let body = request.request.json().expect("a body in JSON");
            let name = request.request.path.rsplit('/').next().unwrap_or_default();
            let after = request.arrived_at.saturating_since(begun).as_secs_f64();
            (after, line(name, &body))
        })
        .collect();
    // Two webhooks of one flush are told in any order.
    told.sort_by_key(|(after, line)| (after.floor() as u64, line.clone()));
    member.end_within(ENDING).await;
    told
}

/// `a firing +x -y`: the webhook, the status, and the alerts by their instance.
fn line(name: &str, body: &Json) -> String {
    let alerts = body["alerts"].as_array().expect("a list of alerts");
    let mut line = format!("{name} {}", body["status"].as_str().unwrap_or("?"));
    for alert in alerts {
        let is_firing = alert["status"] == "firing";
        let has_no_end = alert["endsAt"] == "0001-01-01T00:00:00Z";
        assert_eq!(is_firing, has_no_end, "{alert}");
        let sign = if is_firing { '+' } else { '-' };
        let instance = alert["labels"]["instance"].as_str().unwrap_or("?");
        line.push_str(&format!(" {sign}{instance}"));
    }
    line
}

/// Alerts are separated by `;`.
fn alerts(text: &str, times: &Json) -> Json {
    let alerts = text.split(';').map(|alert| {
        let mut labels: BTreeMap<&str, &str> = BTreeMap::from([("alertname", "A")]);
        labels.extend(
            alert
                .split_whitespace()
                .filter_map(|word| word.split_once('=')),
        );
        let mut alert = times.clone();
        alert["labels"] = json!(labels);
        alert
    });
    Json::Array(alerts.collect())
}

/// Returns that long after `begun`. Real programs run on real time.
async fn at(begun: Timestamp, seconds: f64) {
    let due = begun + Duration::from_secs_f64(seconds);
    let left = due.saturating_since(SystemClock::new().now());
    let start = tokio::time::Instant::now() + left;
    let mut due = tokio::time::interval_at(start, Duration::from_secs(3600));
    due.tick().await;
}

/// What probers and browsers try: the same methods are answered in the same way as by Debian's.
#[tokio::test(flavor = "multi_thread")]
async fn methods_are_answered_as_debians_alertmanager_does() {
    let Some(debians) = program(DEBIANS) else {
        return;
    };
    let config = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
    let (theirs, ours) = (
        folder(&[("config.yml", config)]),
        folder(&[("config.yml", config)]),
    );
    let mut upstream = Command::new(debians);
    upstream
        .arg(format!(
            "--config.file={}",
            theirs.path().join("config.yml").display()
        ))
        .arg(format!(
            "--storage.path={}",
            theirs.path().join("data").display()
        ))
        .args([
            "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=",
        ]);
    let log = theirs.path().join("log");
    let upstream = Alertmanager::start(&mut upstream, "", &log).await;
    let member = start(ours.path(), "", &[]).await;
    for path in [
        "/-/healthy",
        "/-/ready",
        "/-/reload",
        "/metrics",
        "/nowhere",
        "/api/v2/status",
        "/api/v2/receivers",
        "/api/v2/alerts",
        "/api/v2/alerts/groups",
        "/api/v2/silences",
        "/api/v2/silence/11111111-2222-3333-4444-555555555555",
        "/api/v2/nowhere",
        "/api/v2/",
    ] {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"] {
            let is_read = ["GET", "HEAD", "OPTIONS"].contains(&method);
            // Newer releases answer an unknown silence with 404; texts of broken JSON are each reader's own; and
            // here HEAD has the figures too.
            if (method == "DELETE" && path.contains("/silence/"))
                || (method == "POST" && ["/api/v2/alerts", "/api/v2/silences"].contains(&path))
                || (is_read && path == "/metrics")
            {
                continue;
            }
            let there = answer_to(&upstream.base, method, path).await;
            let here = answer_to(&member.base, method, path).await;
            assert_eq!(here.0, there.0, "{method} {path}");
            if here.0 >= 400 {
                assert_eq!(here.2, there.2, "{method} {path}");
            }
            if path != "/metrics" {
                assert_eq!(here.1, there.1, "{method} {path}");
            }
        }
    }
    for method in ["HEAD", "GET"] {
        for path in ["/metrics", "/"] {
            assert_eq!(
                answer_to(&member.base, method, path).await.0,
                200,
                "{method} {path}"
            );
        }
    }
    member.end_within(ENDING).await;
    upstream.end_within(ENDING).await;
}

/// Status, `Allow` and body; methods are in order, which they are not always there.
async fn answer_to(base: &str, method: &str, path: &str) -> (u16, Option<String>, String) {
    let method = method.parse().expect("a method");
    let answer = reqwest::Client::new()
        .request(method, format!("{base}{path}"))
        .header("content-type", "application/json")
        .send()
        .await
        .expect("it answers");
    let sorted = |text: &str| {
        let mut words: Vec<&str> = text.split(',').map(str::trim).collect();
        words.sort_unstable();
        words.join(",")
    };
    let allow = answer.headers().get("allow");
    let allow = allow.map(|value| sorted(value.to_str().expect("a header in text")));
    let status = answer.status().as_u16();
    let mut body = answer.text().await.expect("an answer in text");
    if let Some((before, rest)) = body.split_once(", but [")
        && let Some((methods, after)) = rest.split_once(']')
    {
        body = format!("{before}, but [{}]{after}", sorted(methods));
    }
    (status, allow, body)
}
