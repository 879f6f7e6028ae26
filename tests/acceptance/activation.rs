//! Sockets that systemd has opened, and addresses of kinds that are not there.
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::files::folder;
use crate::process::Process;
use crate::wait::wait_for;
use crate::watchbell::{STARTING, binary};

const CONFIGURATION: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
const ENDING: Duration = Duration::from_secs(60);
/// Its input as numbers 3 and 4, for the process that it becomes.
const TWO: &str = "exec 3<&0 4<&0; export LISTEN_FDS=2 LISTEN_PID=$$; exec \"$@\"";
const OF_ANOTHER: &str = "exec 3<&0; export LISTEN_FDS=1 LISTEN_PID=1; exec \"$@\"";
const OF_NOBODY: &str = "exec 3<&0; export LISTEN_FDS=1; exec \"$@\"";
const NONE: &str = "exec \"$@\"";

/// What `script` makes of `input` before it becomes an Alertmanager.
fn start(folder: &Path, script: &str, input: Stdio, arguments: &[&str]) -> Process {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script, "sh", binary(), "alertmanager"])
        .arg("--config.file")
        .arg(folder.join("alertmanager.yml"))
        .arg("--storage.path")
        .arg(folder.join("data"))
        .arg("--cluster.listen-address=")
        .args(arguments);
    Process::start_with("watchbell", &mut command, input, &folder.join("log"))
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_systemd_opened_are_served() {
    let folder = folder(&[("alertmanager.yml", CONFIGURATION)]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let input = Stdio::from(OwnedFd::from(listener));
    // The address is one that nobody could listen on: it is not looked at.
    let arguments = ["--web.systemd-socket", "--web.listen-address=192.0.2.1:1"];
    let mut process = start(folder.path(), TWO, input, &arguments);
    let line = format!("msg=\"Listening on\" address={address}");
    wait_for("both sockets to be served", STARTING, async || {
        let text = process.log_text();
        assert!(!process.has_ended(), "it ended:\n{text}");
        (text.matches(&line).count() == 2).then_some(())
    })
    .await;
    let answer = reqwest::get(format!("http://{address}/-/ready")).await;
    assert_eq!(answer.expect("it answers").status(), 200);
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.ended(ENDING).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_socket_that_can_be_served_it_says_why_and_ends() {
    let listener = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        Stdio::from(OwnedFd::from(listener))
    };
    let none = "err=\"no socket activation file descriptors found\"";
    let activated = "--web.systemd-socket";
    for (script, input, argument, said) in [
        (NONE, listener(), activated, none),
        (OF_ANOTHER, listener(), activated, none),
        (OF_NOBODY, listener(), activated, none),
        (
            TWO,
            Stdio::null(),
            activated,
            "err=\"a socket that systemd passed cannot be used: fd 3 is not a socket\"",
        ),
        (
            NONE,
            Stdio::null(),
            "--web.listen-address=vsock://:9093",
            "err=\"cannot listen on vsock://:9093: vsock addresses are not supported\"",
        ),
    ] {
        let folder = folder(&[("alertmanager.yml", CONFIGURATION)]);
        let mut process = start(folder.path(), script, input, &[argument]);
        let status = process.ended(ENDING).await;
        let log = process.log_text();
        assert_eq!(status.code(), Some(1), "{script} {argument}: {log}");
        let errors: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("level=ERROR"))
            .collect();
        assert_eq!(errors.len(), 1, "{script} {argument}: {log}");
        assert!(errors[0].contains(said), "{script} {argument}: {log}");
    }
}
