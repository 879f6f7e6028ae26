//! Debian's amtool, every command of it, against Debian's Alertmanager and Watchbell in the same state: what it prints,
//! and how it ends, must be the same. Ids, names and the times of this hour are masked.
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::alertmanager::{Alertmanager, DEBIANS};
use crate::files::folder;
use crate::process::program;
use crate::wait::wait_for;
use crate::watchbell::{Watchbell, binary};

const AMTOOL: &str = "/usr/bin/amtool";
const SETTLING: Duration = Duration::from_secs(60);

const ROUTING: &str = "\
route:
  receiver: team
  group_by: [alertname]
  routes:
  - {matchers: ['severity=\"page\"'], receiver: pager, continue: true}
  - matchers: ['severity=~\"page|info\"']
    receiver: chat
    group_by: ['...']
    routes: [{matchers: ['env!=\"prod\"', 'dc!~\"a|b\"'], receiver: mail}]
inhibit_rules:
- {source_matchers: [severity=\"page\"], target_matchers: [severity=\"info\"], equal: [instance]}
receivers: [{name: team}, {name: pager}, {name: chat}, {name: mail}]
";
const AUTHOR: [&str; 2] = ["--author=ops", "--comment=why not"];

/// What it printed, and how it ended.
#[derive(Clone, PartialEq)]
struct Said {
    status: Option<i32>,
    output: String,
    errors: String,
}

/// One of the servers that amtool is pointed at.
struct Side {
    name: &'static str,
    url: String,
    /// By the order in which they were seen.
    ids: Vec<String>,
}

struct Tool {
    program: &'static str,
    home: TempDir,
}

impl Tool {
    /// `{1}` stands for the first id that this side has made, and so on.
    fn run(&self, side: &mut Side, arguments: &[&str]) -> Said {
        let arguments: Vec<String> = arguments
            .iter()
            .map(|argument| with_ids(argument, &side.ids))
            .collect();
        let output = Command::new(self.program)
            .arg(format!("--alertmanager.url={}", side.url))
            .args(&arguments)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("TZ", "UTC")
            .output()
            .expect("amtool can be started");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        Said {
            status: output.status.code(),
            output: mask(&String::from_utf8_lossy(&output.stdout), &mut side.ids),
            errors: mask(&without_the_versions(&errors), &mut side.ids),
        }
    }
}

/// What is older than this release says so, and is right.
fn without_the_versions(errors: &str) -> String {
    let warning = |line: &&str| {
        !(line.starts_with("Warning: amtool version (") && line.ends_with("are different."))
    };
    errors
        .lines()
        .filter(warning)
        .map(|line| format!("{line}\n"))
        .collect()
}

fn with_ids(argument: &str, ids: &[String]) -> String {
    let mut argument = argument.to_owned();
    for (index, id) in ids.iter().enumerate() {
        argument = argument.replace(&format!("{{{}}}", index + 1), id);
    }
    argument
}

/// Every id by its number, and every time that is not one of the test's own (in 2001 or 2099).
fn mask(text: &str, ids: &mut Vec<String>) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let taken = if let Some(length) = like(rest, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh") {
            let id = &rest[..length];
            let number = ids.iter().position(|known| known == id).unwrap_or_else(|| {
                ids.push(id.to_owned());
                ids.len() - 1
            });
            masked.push_str(&format!("{{{}}}", number + 1));
            length
        } else if let Some(length) = like(rest, "0xhhhhhhhhhh") {
            // What this amtool prints in place of the id of a silence that it has changed.
            masked.push_str("<pointer>");
            length
        } else if let Some(length) = like(rest, "dddd-dd-dd?dd:dd:dd")
            && !["2001", "2099", "0001"].contains(&&rest[..4])
        {
            masked.push_str("<time>");
            length + like(&rest[length..], ".ddd").unwrap_or(0)
        } else {
            masked.push(character);
            character.len_utf8()
        };
        rest = &rest[taken..];
    }
    masked
}

/// Its length, where the text begins with the form: `d` a digit, `h` a hexadecimal one, `?` anything.
fn like(text: &str, form: &str) -> Option<usize> {
    let bytes = text.as_bytes().get(..form.len())?;
    let fits = |(byte, form): (&u8, u8)| match form {
        b'd' => byte.is_ascii_digit(),
        b'h' => byte.is_ascii_hexdigit(),
        b'?' => byte.is_ascii(),
        exactly => *byte == exactly,
    };
    bytes
        .iter()
        .zip(form.bytes())
        .all(fits)
        .then_some(form.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_amtool_says_the_same_of_both() {
    let (Some(program), Some(debians)) = (program(AMTOOL), program(DEBIANS)) else {
        return;
    };
    let theirs = folder(&[("alertmanager.yml", ROUTING)]);
    let ours = folder(&[("alertmanager.yml", ROUTING)]);
    let served = folder(&[
        ("alertmanager.yml", ROUTING),
        (
            "watchbell.yml",
            "alertmanager: {config_file: alertmanager.yml}\n",
        ),
    ]);
    let upstream = start(Command::new(debians), theirs.path(), "", &[]).await;
    let alone = start(watchbell(), ours.path(), "", &[]).await;
    let whole = Watchbell::start(served.path()).await;
    let side = |name, url: &str| Side {
        name,
        url: url.to_owned(),
        ids: Vec::new(),
    };
    let mut sides = [
        side("Debian's", &upstream.base),
        side("watchbell alertmanager", &alone.base),
        side("watchbell serve", &whole.url("")),
    ];
    let tool = Tool {
        program,
        home: tempfile::tempdir().expect("a temporary folder can be made"),
    };
    let mut report = String::new();

    alerts(&tool, &mut sides, &mut report);
    for base in sides.iter().map(|side| side.url.clone()) {
        wait_for("the inhibition", SETTLING, async || {
            let url = format!("{base}/api/v2/alerts?filter=severity%3Dinfo");
            let text = reqwest::get(url).await.ok()?.text().await.ok()?;
            text.contains(r#""state":"suppressed""#).then_some(())
        })
        .await;
    }
    alert_queries(&tool, &mut sides, &mut report);
    silences(&tool, &mut sides, &mut report);
    silence_imports(&tool, &mut sides, &mut report);
    routes_and_files(&tool, &mut sides, &mut report);
    assert!(report.is_empty(), "{report}");
    upstream.end_within(SETTLING).await;
    alone.end_within(SETTLING).await;
}

/// With a cluster of one, on ports that the system chooses.
async fn start(
    mut command: Command,
    folder: &Path,
    prefix: &str,
    arguments: &[&str],
) -> Alertmanager {
    command
        .arg("--config.file")
        .arg(folder.join("alertmanager.yml"))
        .arg("--storage.path")
        .arg(folder.join("data"))
        .args(["--web.listen-address", "127.0.0.1:0"])
        .args(["--cluster.listen-address", "127.0.0.1:0"])
        .args(["--cluster.settle-timeout", "0s"])
        .args(arguments);
    Alertmanager::start(&mut command, prefix, &folder.join("log")).await
}

fn watchbell() -> Command {
    let mut command = Command::new(binary());
    command.arg("alertmanager");
    command
}

/// Runs it against all, and writes down where they differ. What Debian's makes it say is returned.
fn same(tool: &Tool, sides: &mut [Side], report: &mut String, arguments: &[&str]) -> Said {
    compare(tool, sides, report, arguments, Said::clone)
}

/// In any order.
fn same_lines(tool: &Tool, sides: &mut [Side], report: &mut String, arguments: &[&str]) -> Said {
    compare(tool, sides, report, arguments, |said| {
        let mut lines: Vec<&str> = said.output.lines().collect();
        lines.sort_unstable();
        Said {
            output: lines.join("\n"),
            ..said.clone()
        }
    })
}

fn compare(
    tool: &Tool,
    sides: &mut [Side],
    report: &mut String,
    arguments: &[&str],
    prepared: fn(&Said) -> Said,
) -> Said {
    let mut said = sides
        .iter_mut()
        .map(|side| (side.name, prepared(&tool.run(side, arguments))));
    let (_, first) = said.next().expect("there are sides");
    for (name, other) in said {
        if other != first {
            report.push_str(&format!(
                "amtool {arguments:?}\n  Debian's {:?}\n{}{}\n  {name} {:?}\n{}{}\n",
                first.status, first.output, first.errors, other.status, other.output, other.errors
            ));
        }
    }
    first
}

fn alerts(tool: &Tool, sides: &mut [Side], report: &mut String) {
    let mut add = |arguments: &[&str], status: i32| {
        let arguments = [&["alert", "add"], arguments].concat();
        let said = same(tool, sides, report, &arguments);
        assert_eq!(said.status, Some(status), "{arguments:?}: {}", said.errors);
    };
    add(
        &[
            "alertname=Down",
            "instance=a",
            "severity=page",
            "--annotation=summary=it is down",
            "--annotation=runbook=http://r",
            "--generator-url=http://g/x?y=1",
            "--start=2001-02-03T04:05:06Z",
            "--end=2099-02-03T04:05:06Z",
        ],
        0,
    );
    add(&["Down", "instance=a", "severity=info"], 0);
    add(&["Quiet", "node=b", "env=prod"], 0);
    add(&["Old", "--start=2001-02-03T04:05:07Z"], 0);
    // An end alone is the start too, and it is over.
    add(&["Over", "--end=2001-02-03T04:05:06Z"], 0);
    add(
        &[
            "Wrong",
            "--start=2099-01-01T00:00:00Z",
            "--end=2001-01-01T00:00:00Z",
        ],
        1,
    );
    add(&["Wrong", "--start=yesterday"], 1);
    add(&["Wrong", "--generator-url=::"], 1);
    add(&[], 1);
    add(&["name="], 1);
    // Without an operator it is a name, whatever is in it.
    add(&["a b=c"], 0);
    add(&["Old", "--annotation=a b=c"], 1);
}

fn alert_queries(tool: &Tool, sides: &mut [Side], report: &mut String) {
    for output in ["simple", "extended", "json"] {
        let said = same(tool, sides, report, &["alert", "-o", output]);
        assert!(said.output.contains("it is down"), "{}", said.output);
    }
    for (arguments, shown) in [
        (&["-i"][..], &["Down"][..]),
        (&["-s"], &[]),
        (&["-a"], &["Down", "Old", "Quiet"]),
        (&["-u"], &[]),
        (&["-i", "-s", "-a", "-u"], &["Down", "Old", "Quiet"]),
        (&["-a", "-r", "pa.*"], &["Down"]),
        (&["-r", "pa"], &[]),
        (&["Quiet"], &["Quiet"]),
        (&["alertname=Quiet", "node=b"], &["Quiet"]),
        (&["alertname=~Q.*", "node!=c"], &["Quiet"]),
        (&["node!~b|c"], &["Down", "Old"]),
        (&["alertname=Nobody"], &[]),
        (&["node="], &["Down", "Old"]),
        (&["node=~.+"], &["Quiet"]),
    ] {
        let line = [&["alert", "query"], arguments].concat();
        let said = same(tool, sides, report, &line);
        assert_eq!(said.status, Some(0), "{arguments:?}: {}", said.errors);
        for name in ["Down", "Old", "Quiet"] {
            let is_shown = said.output.contains(name);
            assert_eq!(
                is_shown,
                shown.contains(&name),
                "{arguments:?}: {}",
                said.output
            );
        }
    }
    for arguments in [&["-r", "("][..], &["Quiet", "x"], &["foo=~("], &["node=~("]] {
        let line = [&["alert", "query"], arguments].concat();
        same(tool, sides, report, &line);
    }
    for date in ["2006-01-02", "Mon Jan"] {
        let line = ["alert", "query", "Old", "--date.format", date];
        same(tool, sides, report, &line);
    }
}

fn silences(tool: &Tool, sides: &mut [Side], report: &mut String) {
    let add = |sides: &mut [Side], report: &mut String, arguments: &[&str]| {
        let line = [&["silence", "add"], arguments, &AUTHOR].concat();
        same(tool, sides, report, &line)
    };
    let made = add(sides, report, &["Quiet", "node=b"]);
    assert_eq!(made.output, "{1}\n", "an id and nothing else");
    add(
        sides,
        report,
        &["alertname=~D.*", "instance!=b", "env!~x|y", "-d", "30m"],
    );
    add(
        sides,
        report,
        &[
            "later",
            "--start=2099-01-01T00:00:00Z",
            "--end=2099-01-02T00:00:00Z",
        ],
    );
    let missing = same(tool, sides, report, &["silence", "add", "a=b"]);
    assert_eq!(missing.status, Some(1), "a comment is wanted");
    for (arguments, status) in [
        // What cannot be read as a matcher is a name.
        (&["a=~("][..], 0),
        (&["a b=c"], 0),
        (&["a=b", "c=~("], 1),
        (&["a=b", "--end=2001-01-01T00:00:00Z"], 1),
        (
            &[
                "a=b",
                "--start=2099-01-02T00:00:00Z",
                "--end=2099-01-01T00:00:00Z",
            ],
            1,
        ),
        (&["a=b", "-d", "soon"], 1),
        (&[], 1),
    ] {
        let said = add(sides, report, arguments);
        let why = format!("{arguments:?}: {}{}", said.output, said.errors);
        assert_eq!(said.status, Some(status), "{why}");
    }
    // Newer releases say which set of matchers it is.
    for matcher in ["a=", "a=~.*"] {
        for (index, side) in sides.iter_mut().enumerate() {
            let line = [&["silence", "add", matcher][..], &AUTHOR].concat();
            let said = tool.run(side, &line);
            let set = if index == 0 {
                "silence invalid:"
            } else {
                "invalid silence: matcher set 0:"
            };
            let expected = format!(
                "amtool: error: [POST /silences][400] postSilencesBadRequest  {set} at least one matcher must not match the empty string\n\n"
            );
            assert_eq!(
                (said.status, said.errors),
                (Some(1), expected),
                "{}",
                side.name
            );
        }
    }
    for query in [
        &[][..],
        &["-o", "extended"],
        &["-o", "json"],
        &["-q"],
        &["-q", "-o", "json"],
        &["--created-by=ops"],
        &["--created-by=nobody"],
        &["--within=45m"],
        &["--within=2h"],
        &["Quiet"],
        &["alertname=Quiet", "node=b"],
        &["alertname=~D.*"],
        &["env!~x|y"],
        &["node!=b"],
        &["--expired"],
    ] {
        let line = [&["silence", "query"], query].concat();
        let said = same(tool, sides, report, &line);
        assert_eq!(said.status, Some(0), "{query:?}: {}", said.errors);
    }
    same(tool, sides, report, &["silence"]);
    let silenced = same(tool, sides, report, &["alert", "query", "-s", "-o", "json"]);
    assert!(
        silenced.output.contains(r#""silencedBy":["{1}"]"#),
        "{}",
        silenced.output
    );

    for update in [
        &["{1}", "-d", "2h"][..],
        &["{1}", "-c", "another word", "-o", "extended"],
        &["{3}", "--end=2099-01-03T00:00:00Z", "-q"],
        &["{3}", "--start=2099-01-01T06:00:00Z", "-o", "json"],
        &["{1}", "{2}", "-d", "3h", "-q"],
        // Active ones keep their start: this becomes another.
        &[
            "{2}",
            "--start=2099-01-01T00:00:00Z",
            "--end=2099-01-04T00:00:00Z",
            "-q",
        ],
        &["{1}", "--end=2001-01-01T00:00:00Z"],
        &["{1}", "-d", "soon"],
        &["11111111-2222-3333-4444-555555555555", "-d", "1h"],
        &["x", "-d", "1h"],
        &[],
    ] {
        let line = [&["silence", "update"], update].concat();
        same(tool, sides, report, &line);
    }
    same(tool, sides, report, &["silence", "query", "-o", "json"]);
    let expired = same(tool, sides, report, &["silence", "expire", "{1}", "{3}"]);
    assert_eq!((expired.status, expired.output.as_str()), (Some(0), ""));
    for expire in [&["{1}"][..], &["x"], &[]] {
        let line = [&["silence", "expire"], expire].concat();
        same(tool, sides, report, &line);
    }
    // Newer releases answer 404, which this amtool has no word for.
    let (debians, ours) = sides.split_at_mut(1);
    for (side, status) in debians
        .iter_mut()
        .zip([500])
        .chain(ours.iter_mut().zip([404, 404]))
    {
        let unknown = "11111111-2222-3333-4444-555555555555";
        let said = tool.run(side, &["silence", "expire", unknown]);
        assert_eq!(said.status, Some(1), "{}", side.name);
        assert!(
            said.errors.contains(&status.to_string()),
            "{}: {}",
            side.name,
            said.errors
        );
    }
    // Two that ended together are told in any order.
    for query in [
        &[][..],
        &["--expired", "-q"],
        &["--expired", "Quiet", "-o", "json"],
        &["--expired", "--within=1h", "-o", "extended"],
    ] {
        let line = [&["silence", "query"], query].concat();
        same_lines(tool, sides, report, &line);
    }
}

fn silence_imports(tool: &Tool, sides: &mut [Side], report: &mut String) {
    let silence = |id: &str, name: &str, ends_at: &str| {
        format!(
            r#"{{"id": "{id}", "matchers": [{{"name": "imported", "value": "{name}", "isRegex": false, "isEqual": false}}],
            "startsAt": "2099-01-01T00:00:00Z", "endsAt": "{ends_at}", "createdBy": "ops", "comment": "by file"}}"#
        )
    };
    let later = "2099-01-05T00:00:00Z";
    let unknown = [
        "aaaaaaaa-0000-4000-8000-000000000001",
        "aaaaaaaa-0000-4000-8000-000000000002",
    ];
    for (name, silences) in [
        ("one.json", vec![silence("", "one", later)]),
        ("unknown.json", vec![silence(unknown[0], "two", later)]),
        (
            "partly.json",
            vec![
                silence(unknown[1], "three", later),
                silence("", "four", "2001-01-01T00:00:00Z"),
                silence("", "five", later),
            ],
        ),
        ("none.json", vec![]),
    ] {
        let text = format!("[{}]", silences.join(", "));
        fs::write(tool.home.path().join(name), text).expect("a file can be written");
    }
    fs::write(tool.home.path().join("broken.json"), "{").expect("a file can be written");
    for (import, status) in [
        (&["one.json"][..], 0),
        (&["unknown.json"], 0),
        (&["unknown.json", "-f", "-w", "1"], 0),
        // One after the other, so that what is printed has an order.
        (&["partly.json", "-w", "1"], 1),
        (&["none.json"], 0),
        (&["broken.json"], 0),
        (&["absent.json"], 1),
        (&[], 1),
    ] {
        let line = [&["silence", "import"], import].concat();
        let said = same(tool, sides, report, &line);
        assert_eq!(
            said.status,
            Some(status),
            "{import:?}: {}{}",
            said.output,
            said.errors
        );
    }
    let partly = same(
        tool,
        sides,
        report,
        &["silence", "import", "partly.json", "-w", "1"],
    );
    let complaint = "couldn't import 1 out of 3 silences";
    assert!(partly.errors.contains(complaint), "{}", partly.errors);
    // What was exported can be taken in again.
    for side in sides.iter_mut() {
        let output = Command::new(tool.program)
            .arg(format!("--alertmanager.url={}", side.url))
            .args(["--no-version-check", "silence", "query", "-o", "json"])
            .output()
            .expect("amtool can be started");
        let file = tool.home.path().join(format!("{}.json", side.name));
        fs::write(&file, &output.stdout).expect("a file can be written");
        let file = file.to_string_lossy().into_owned();
        let said = tool.run(side, &["silence", "import", "-w", "1", &file]);
        assert_eq!(said.status, Some(0), "{}: {}", side.name, said.errors);
    }
    same(tool, sides, report, &["silence", "query", "imported=one"]);
    same_lines(
        tool,
        sides,
        report,
        &["silence", "query", "imported!=two", "-o", "extended"],
    );
}

fn routes_and_files(tool: &Tool, sides: &mut [Side], report: &mut String) {
    let home = tool.home.path();
    fs::write(home.join("good.yml"), ROUTING).expect("a file can be written");
    fs::write(home.join("bad.yml"), "route: {}\n").expect("a file can be written");
    fs::write(
        home.join("t.tmpl"),
        r#"{{ define "x" }}{{ .Status }}{{ end }}"#,
    )
    .expect("a file can be written");
    for line in [
        &["check-config", "good.yml"][..],
        &["check-config", "good.yml", "bad.yml"],
        &["config", "routes", "--config.file=good.yml"],
        &["config", "routes", "show", "--config.file=good.yml"],
        &[
            "config",
            "routes",
            "test",
            "--config.file=good.yml",
            "severity=page",
        ],
        &[
            "template",
            "render",
            "--template.glob=t.tmpl",
            r#"--template.text={{ template "x" . }}"#,
        ],
    ] {
        same(tool, sides, report, line);
    }
    // The configuration as each tells it, without the keys that are younger than this amtool.
    let mut told = sides.iter_mut().map(|side| {
        let said = tool.run(side, &["config", "show"]);
        assert_eq!(said.status, Some(0), "{}", said.errors);
        (side.name, without_younger_keys(&said.output))
    });
    let (_, theirs) = told.next().expect("there are sides");
    let others: Vec<_> = told.collect();
    for (name, ours) in others {
        if ours != theirs {
            report.push_str(&format!("config show\n{theirs}\n  {name}\n{ours}\n"));
        }
        let yaml = ours.split_once("global:").map_or("", |(_, rest)| rest);
        fs::write(home.join("told.yml"), format!("global:{yaml}")).expect("a file can be written");
        let (debians, ours) = sides.split_at_mut(1);
        for arguments in [
            &["show"][..],
            &["test"],
            &["test", "severity=page"],
            &["test", "severity=info", "env=prod"],
            &["test", "--tree", "severity=page", "env=prod"],
            &["test", "--tree", "severity=info", "dc=c"],
            &["test", "--verify.receivers=pager,mail", "severity=page"],
            &["test", "--verify.receivers=pager", "severity=page"],
            &["test", "--tree", "--verify.receivers=team", "a=b"],
            &["test", "nonsense"],
        ] {
            let line = [&["config", "routes"], arguments].concat();
            let theirs = tool.run(&mut debians[0], &line);
            let from_file = [&line[..], &["--config.file=told.yml"]].concat();
            let from_told = tool.run(&mut ours[0], &from_file);
            assert_eq!(from_told.output, theirs.output, "{name}: {arguments:?}");
            let of_the_file = "Warning: --config.file flag overrides the --alertmanager.url.\n";
            let errors = from_told.errors.replacen(of_the_file, "", 1);
            assert_eq!(errors, theirs.errors, "{name}: {arguments:?}");
            assert_eq!(from_told.status, theirs.status, "{name}: {arguments:?}");
        }
        // This amtool does not know what is younger; one of the same release does.
        let said = tool.run(&mut ours[0], &["config", "routes"]);
        let unknown: Vec<&str> = said
            .errors
            .lines()
            .filter_map(|line| line.trim().split_once(": field "))
            .filter_map(|(_, rest)| rest.split(' ').next())
            .collect();
        assert!(!unknown.is_empty(), "{}", said.errors);
        for key in unknown {
            assert!(YOUNGER_KEYS.contains(&key), "{key}: {}", said.errors);
        }
    }

    let (watchbell_serve, members) = sides.split_last_mut().expect("there are sides");
    for line in [
        &["cluster"][..],
        &["cluster", "show"],
        &["cluster", "show", "-o", "extended"],
        &["cluster", "show", "-o", "json"],
    ] {
        let mut said = members.iter_mut().map(|side| {
            let said = tool.run(side, line);
            (said.status, without_the_member(&said.output), said.errors)
        });
        let theirs = said.next();
        assert_eq!(theirs, said.next(), "{line:?}");
    }
    let alone = tool.run(watchbell_serve, &["cluster", "show"]);
    assert!(alone.output.contains("disabled"), "{}", alone.output);
}

/// Keys that the configuration of an Alertmanager 0.25 does not have.
const YOUNGER_KEYS: [&str; 6] = [
    "smtp_tls_config",
    "slack_app_url",
    "telegram_api_url",
    "webex_api_url",
    "rocketchat_api_url",
    "labels",
];

/// A key goes with what is below it.
fn without_younger_keys(text: &str) -> String {
    let mut kept = String::new();
    let mut left_out = None;
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        if left_out.is_some_and(|above| depth > above) {
            continue;
        }
        let key = line.trim_start().split(':').next().unwrap_or_default();
        left_out = YOUNGER_KEYS.contains(&key).then_some(depth);
        if left_out.is_none() {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Names of members are random, and their ports too.
fn without_the_member(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let ulid = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            .count();
        let taken = if ulid == 26 {
            masked.push_str("<member>");
            ulid
        } else if let Some(after) = rest.strip_prefix("127.0.0.1:") {
            masked.push_str("<address>");
            let port = after.bytes().take_while(u8::is_ascii_digit).count();
            "127.0.0.1:".len() + port
        } else {
            masked.push(character);
            character.len_utf8()
        };
        rest = &rest[taken..];
    }
    masked
}

/// With a route prefix, users, and both.
#[tokio::test(flavor = "multi_thread")]
async fn amtool_finds_its_way_below_a_prefix_and_past_the_door() {
    let (Some(program), Some(debians)) = (program(AMTOOL), program(DEBIANS)) else {
        return;
    };
    // `open sesame`, at the lowest cost.
    let web =
        "basic_auth_users: {ops: '$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy'}\n";
    let files = [("alertmanager.yml", ROUTING), ("web.yml", web)];
    let (theirs, ours) = (folder(&files), folder(&files));
    let web = |folder: &TempDir| folder.path().join("web.yml").to_string_lossy().into_owned();
    let arguments = |folder| {
        vec![
            "--web.route-prefix=/am/x/".to_owned(),
            format!("--web.config.file={}", web(folder)),
        ]
    };
    let words = |arguments: &[String]| -> Vec<String> { arguments.to_vec() };
    let (their_words, our_words) = (words(&arguments(&theirs)), words(&arguments(&ours)));
    let their_words: Vec<&str> = their_words.iter().map(String::as_str).collect();
    let our_words: Vec<&str> = our_words.iter().map(String::as_str).collect();
    let upstream = start(Command::new(debians), theirs.path(), "", &their_words).await;
    let watchbell = start(watchbell(), ours.path(), "", &our_words).await;
    let tool = Tool {
        program,
        home: tempfile::tempdir().expect("a temporary folder can be made"),
    };
    let mut report = String::new();
    for (user, path, status) in [
        ("ops:open%20sesame@", "/am/x", 0),
        ("ops:open%20sesame@", "/am/x/", 0),
        ("ops:open%20sesame@", "/am", 1),
        ("ops:shut@", "/am/x", 1),
        ("", "/am/x", 1),
    ] {
        let mut sides =
            [("Debian's", &upstream), ("Watchbell", &watchbell)].map(|(name, running)| {
                let address = running.base.trim_start_matches("http://");
                Side {
                    name,
                    url: format!("http://{user}{address}{path}"),
                    ids: Vec::new(),
                }
            });
        for line in [
            &["alert", "add", "Down", "--start=2001-02-03T04:05:06Z"][..],
            &["alert"],
            &["silence", "add", "Quiet", "--author=ops", "--comment=c"],
            &["silence", "query", "-q"],
        ] {
            let said = same(&tool, &mut sides, &mut report, line);
            assert_eq!(
                said.status,
                Some(status),
                "{user}{path} {line:?}: {}",
                said.errors
            );
        }
        for side in &mut sides {
            tool.run(side, &["silence", "expire", "{1}"]);
        }
    }
    assert!(report.is_empty(), "{report}");

    // Who is of another release is told so, unless it is not asked.
    for (flag, is_told) in [("--version-check", true), ("--no-version-check", false)] {
        let address = watchbell.base.trim_start_matches("http://");
        let output = Command::new(program)
            .arg(format!(
                "--alertmanager.url=http://ops:open%20sesame@{address}/am/x"
            ))
            .args([flag, "alert"])
            .env("HOME", tool.home.path())
            .output()
            .expect("amtool can be started");
        let errors = String::from_utf8_lossy(&output.stderr);
        let warning = "and alertmanager version (0.34.0+watchbell.";
        assert!(output.status.success(), "{errors}");
        assert_eq!(errors.contains(warning), is_told, "{flag}: {errors}");
    }
}
