//! Programs under test: each is ended through its own handle, whatever the test does.
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::wait::wait_for;

/// A running program whose output goes to a file.
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts the program; what it prints is appended to `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        Self::start_with(name, command, Stdio::null(), log)
    }

    /// With an input of its own.
    pub(crate) fn start_with(name: &str, command: &mut Command, input: Stdio, log: &Path) -> Self {
        // The tests' own HTTP client knows no TLS by itself; it fails only where another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("the log file can be opened");
        let child = command
            .stdin(input)
            .stdout(output.try_clone().expect("a file handle can be copied"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self {
            child,
            name: name.to_owned(),
            log: log.to_owned(),
        }
    }

    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_some()
    }

    /// SIGKILL, and gone when this returns.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal)
            .unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// No file may grow past `bytes` from here on: as on a full disk, every write that would fails.
    /// `None` gives the room back.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Some(self.pid()), Resource::Fsize, limit)
            .unwrap_or_else(|error| panic!("cannot limit {}: {error}", self.name));
    }

    /// Files that it may have open: as they are limited now, and as they may be by the process' own will.
    pub(crate) fn open_files_max(&self) -> (String, String) {
        let path = format!("/proc/{}/limits", self.child.id());
        let limits = std::fs::read_to_string(path).expect("a process has limits");
        let row = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))
            .expect("open files are limited");
        let mut words = row.split_whitespace().map(str::to_owned);
        words.next().zip(words.next()).expect("two numbers")
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed()).expect("a child has a positive number")
    }

    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let name = self.name.clone();
        let child = &mut self.child;
        wait_for(&format!("{name} to end"), within, async || {
            child.try_wait().expect("a child can be asked")
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let text = self.log_text();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(60)..].join("\n");
            eprintln!("--- the end of what {} printed ---\n{tail}\n---", self.name);
        }
    }
}

/// A program of Debian's that the test needs. Where it is missing the test says so and is left out,
/// except in continuous integration, where it fails.
pub(crate) fn program(path: &str) -> Option<&str> {
    if Path::new(path).exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{path} is missing, and continuous integration must have it"
    );
    // Past what the test harness keeps to itself.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {path} is not installed; this test needs it"
    );
    None
}
