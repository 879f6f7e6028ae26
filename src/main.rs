//! One binary: all of Watchbell, or any part of it.
mod check;
mod cli;
mod configuration;
#[cfg(feature = "demo")]
mod demo;
mod pages;
mod parts;
mod reload;
mod serve;
mod shared_turn;
mod targets;
mod telling;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // It fails only where a provider was installed before, and this is the first line that could.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ended = match cli.command {
        Command::Check(arguments) => return check::run(&arguments),
        Command::Serve(arguments) => in_runtime(serve::run(arguments)),
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

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// One line, with the whole chain of reasons.
#[expect(clippy::print_stderr, reason = "a command's answer")]
fn complain(error: &anyhow::Error) {
    eprintln!("watchbell: {error:#}");
}
