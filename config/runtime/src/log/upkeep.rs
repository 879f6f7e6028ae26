//! Keeping a log short whose records are changes of a state that its owner can write as a whole.
use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tracing::{error, info};

use crate::log::open::Log;
use crate::stop::Stop;

/// Below this a start reads the log in a moment, however little of it counts.
const BYTES_BEFORE_CHECKPOINT: u64 = 16 * 1024 * 1024;
/// How much a log may grow, in times what is left of it after it was shortened.
const GROWTH_MAX: u64 = 4;
const LOOKING_INTERVAL: Duration = Duration::from_secs(10);

/// Shortens the log whenever it has grown enough, until the end. `checkpoint` appends the whole state; what was in the
/// log before counts for nothing once it has answered. Where it fails the log stays as it is.
pub async fn keep_short<Error, Answer>(log: Log, mut stop: Stop, checkpoint: impl Fn() -> Answer)
where
    Error: Display,
    Answer: Future<Output = Result<(), Error>>,
{
    let mut after_checkpoint = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOKING_INTERVAL) => {}
            () = stop.stopped() => return,
        }
        let before = bytes_on_disk(&log).await;
        if before <= BYTES_BEFORE_CHECKPOINT.max(GROWTH_MAX * after_checkpoint) {
            continue;
        }
        match shorten(&log, &checkpoint).await {
            Ok(()) => {
                after_checkpoint = bytes_on_disk(&log).await;
                info!(before, after = after_checkpoint, "log shortened");
            }
            Err(problem) => error!(%problem, "log not shortened"),
        }
    }
}

/// The whole state into new segments, the ones before them away.
pub async fn shorten<Error, Answer>(
    log: &Log,
    checkpoint: impl Fn() -> Answer,
) -> Result<(), String>
where
    Error: Display,
    Answer: Future<Output = Result<(), Error>>,
{
    let keep = log.rotate().await.map_err(|error| error.to_string())?;
    checkpoint().await.map_err(|error| error.to_string())?;
    let log = log.clone();
    let removing = tokio::task::spawn_blocking(move || log.remove_before(keep));
    let removed = removing.await.map_err(|error| error.to_string())?;
    removed.map_err(|error| error.to_string())
}

/// A disk that does not answer must hold none of the threads that everybody needs.
async fn bytes_on_disk(log: &Log) -> u64 {
    let log = log.clone();
    let looking = tokio::task::spawn_blocking(move || log.stats().bytes_on_disk);
    looking.await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use model::TenantId;

    use super::shorten;
    use crate::log::frame::Record;
    use crate::log::open::{Log, LogSettings};
    use crate::log::segment::SegmentNumber;

    async fn append(log: &Log, payload: &[u8]) -> Result<(), String> {
        let tenant = TenantId::anonymous();
        let record = Record {
            tenant: &tenant,
            kind: 1,
            payload,
        };
        log.persist(&[record])
            .await
            .map_err(|error| error.to_string())
    }

    fn payloads(folder: &std::path::Path) -> Vec<Vec<u8>> {
        let log = Log::open(folder, &LogSettings::default()).unwrap();
        log.replay(SegmentNumber::FIRST)
            .map(|record| record.unwrap().payload.to_vec())
            .collect()
    }

    #[tokio::test]
    async fn what_is_left_is_the_state_and_what_came_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), &LogSettings::default()).unwrap();
        append(&log, b"old change").await.unwrap();
        shorten(&log, || append(&log, b"state")).await.unwrap();
        append(&log, b"new change").await.unwrap();
        drop(log);
        assert_eq!(
            payloads(folder.path()),
            [b"state".to_vec(), b"new change".to_vec()]
        );
    }

    #[tokio::test]
    async fn a_state_that_was_not_written_takes_nothing_away() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), &LogSettings::default()).unwrap();
        append(&log, b"old change").await.unwrap();
        let failed = shorten(&log, async || Err::<(), _>("disk full")).await;
        assert_eq!(failed, Err("disk full".to_owned()));
        drop(log);
        assert_eq!(payloads(folder.path()), [b"old change".to_vec()]);
    }
}
