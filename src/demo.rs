//! `watchbell demo`: the whole pipeline on loopback, told as it happens.
//!
//! Everything here is outside of the pipeline: sample services that misbehave on a timetable, fake vendors, and a
//! narrator that watches public APIs. The pipeline itself is `watchbell serve` in a process of its own, started with
//! files and a port and ended by a signal, as anybody would run it.
mod pipeline;
mod services;
mod story;

use std::time::Duration;

use anyhow::Context;
use fakes::Fakes;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::DemoArguments;
use crate::demo::pipeline::Pipeline;
use crate::demo::services::Services;
use crate::demo::story::Story;

/// How often samples are sent and the pipeline is looked at: as often as the demo's rules are evaluated.
const TICK: Duration = Duration::from_millis(500);

pub(crate) async fn run(arguments: DemoArguments) -> anyhow::Result<()> {
    let mut interrupted = Interrupted::listen()?;
    let fakes = Fakes::start().await;
    let mut happened = fakes.subscribe();
    let mut pipeline = tokio::select! {
        // Given up half-way, the process and its folder go away with the future that makes them.
        () = interrupted.wait() => return Ok(()),
        started = Pipeline::start(&fakes) => started.context("the pipeline did not start")?,
    };
    let mut services = Services::new(pipeline.url("/api/v1/write"))?;
    let mut story = Story::begin();
    story.introduce(&pipeline);
    let mut ticks = tokio::time::interval(TICK);
    let ended = loop {
        tokio::select! {
            () = interrupted.wait() => break Ok(()),
            event = happened.recv() => {
                if let Ok(event) = event {
                    story.vendor(&event);
                }
            }
            ended = pipeline.ended() => break Err(ended),
            _ = ticks.tick() => {
                for change in services.tick(story.elapsed()).await {
                    story.service(&change);
                }
                if let Ok(alerts) = pipeline.alerts().await {
                    story.rules(&alerts);
                }
            }
        }
        if arguments.once && story.is_told() {
            break Ok(());
        }
    };
    story.end();
    pipeline.stop().await?;
    fakes.stop().await;
    ended
}

/// Ctrl-C, a closed terminal, or a service manager: each ends the demo in good order.
struct Interrupted {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupted {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
