//! Waiting for what other processes do: asked again and again until a generous deadline.
use std::time::Duration;

/// How often a condition of another process is looked at.
const EVERY: Duration = Duration::from_millis(50);

/// Returns what `condition` found; fails the test after `within`.
pub(crate) async fn wait_for<Found>(
    what: &str,
    within: Duration,
    mut condition: impl AsyncFnMut() -> Option<Found>,
) -> Found {
    let asking = async {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            if let Some(found) = condition().await {
                return found;
            }
        }
    };
    match tokio::time::timeout(within, asking).await {
        Ok(found) => found,
        Err(_) => panic!("waited {within:?} in vain for {what}"),
    }
}
