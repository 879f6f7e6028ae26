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

use crate::cli::DemoArguments;
use crate::demo::pipeline::Pipeline;
use crate::demo::services::Services;
use crate::demo::story::Story;

/// How often samples are sent and the pipeline is looked at: as often as the demo's rules are evaluated.
const TICK: Duration = Duration::from_millis(500);

pub(crate) async fn run(arguments: DemoArguments) -> anyhow::Result<()> {
    let fakes = Fakes::start().await;
    let mut happened = fakes.subscribe();
    let mut pipeline = Pipeline::start(&fakes)
        .await
        .context("the pipeline did not start")?;
    let mut services = Services::new(pipeline.url("/api/v1/write"));
    let mut story = Story::begin();
    story.introduce(&pipeline, &fakes);
    let mut ticks = tokio::time::interval(TICK);
    let ended = loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break Ok(()),
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
