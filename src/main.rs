//! One binary: all of Watchbell, or any part of it.
mod activation;
mod alertmanager_flags;
mod alertmanager_process;
mod check;
mod cli;
mod cluster_port;
mod configuration;
#[cfg(feature = "demo")]
mod demo;
mod descriptors;
mod junit;
mod pages;
mod parts;
mod reload;
mod serve;
mod shared_turn;
mod targets;
mod telling;
mod test_rules;
mod version;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use config::Problems;

use crate::alertmanager_flags::{AlertmanagerFlags, AlertmanagerLine, complaint};
use crate::cli::{Cli, Command};

/// Series grow by small steps, all at the same pace. The options are chosen for that when the allocator is built, see
/// `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// As much as the main thread has: reading a file that is nested as deep as one may be takes more than a thread's usual
/// 2 MiB where code is not optimised.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// What still runs at the end on a thread of its own waits for a disk: one that does not answer must not keep the process
/// from being started again.
const THREADS_END_MAX: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let _log = WrittenLog;
    run()
}

/// However the process ends, a panic of its main thread included, what waits for whoever reads the log is written.
struct WrittenLog;

impl Drop for WrittenLog {
    fn drop(&mut self) {
        runtime::flush_log();
    }
}

fn run() -> ExitCode {
    // It fails only where a provider was installed before, and this is the first line that could.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if is_called_alertmanager() {
        return match AlertmanagerLine::try_parse() {
            Ok(line) => run_alertmanager(line.flags),
            Err(error) => refuse_alertmanager(&error),
        };
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error)
            if std::env::args_os()
                .nth(1)
                .is_some_and(|word| word == "alertmanager") =>
        {
            return refuse_alertmanager(&error);
        }
        Err(error) => error.exit(),
    };
    let ended = match cli.command {
        Command::Check(arguments) => return check::run(&arguments),
        Command::Test(arguments) => return test_rules::run(&arguments),
        Command::Serve(arguments) => in_runtime(serve::run(arguments)),
        Command::Alertmanager(flags) => return run_alertmanager(*flags),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => in_runtime(demo::run(arguments)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Under this name the binary takes Alertmanager's place without a change to the command line.
fn is_called_alertmanager() -> bool {
    std::env::args_os().next().is_some_and(|path| {
        Path::new(&path)
            .file_name()
            .is_some_and(|name| name == "alertmanager")
    })
}

/// A command line that is wrong, or that asks for help or the version.
#[expect(clippy::print_stderr, reason = "a command's answer")]
fn refuse_alertmanager(error: &clap::Error) -> ExitCode {
    if error.exit_code() == 0 {
        error.exit();
    }
    eprintln!("{}", complaint(error));
    ExitCode::FAILURE
}

/// It says by itself, in its log, why it fails.
fn run_alertmanager(flags: AlertmanagerFlags) -> ExitCode {
    // Here there is one thread still.
    let sockets = flags.systemd_socket.then(activation::take_listeners);
    match in_runtime(alertmanager_process::run(flags, sockets)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(err = format!("{error:#}"), "alertmanager exited with error");
            ExitCode::FAILURE
        }
    }
}

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()?;
    let ended = runtime.block_on(work);
    runtime.shutdown_timeout(THREADS_END_MAX);
    ended
}

/// One line, with the whole chain of reasons; mistakes of files as they are.
fn complain(error: &anyhow::Error) {
    match error.downcast_ref::<Problems>() {
        Some(problems) => runtime::say_last(&problems.to_string()),
        None => runtime::say_last(&format!("watchbell: {error:#}")),
    }
}
