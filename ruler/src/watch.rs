//! Keeps one tenant's rules as its files say.
use std::sync::Arc;
use std::time::Duration;

use config::Problems;
use model::TenantId;
use runtime::Stop;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::info;

use crate::files::{FileContents, RuleFiles};
use crate::service::RulerService;

/// How often files are looked at (`--config.auto-reload-interval`).
pub const WATCH_INTERVAL: Duration = Duration::from_secs(30);

/// The rule files of one tenant and what was last seen of them.
#[derive(Debug)]
pub struct RuleFileWatch {
    tenant: TenantId,
    files: RuleFiles,
    seen: FileContents,
}

impl RuleFileWatch {
    /// Loads the files for the first time.
    ///
    /// # Errors
    /// All mistakes of all files; the ruler has no rules of this tenant then.
    pub async fn start(
        tenant: TenantId,
        files: RuleFiles,
        service: &RulerService,
    ) -> Result<Self, Problems> {
        let mut watch = Self {
            tenant,
            files,
            seen: FileContents::default(),
        };
        watch.reload(service).await?;
        Ok(watch)
    }

    /// Reads everything anew, and takes it over if it is without a mistake.
    async fn reload(&mut self, service: &RulerService) -> Result<(), Problems> {
        let files = self.files.clone();
        let loading = tokio::task::spawn_blocking(move || (files.contents(), files.load()));
        let (contents, loaded) = loading
            .await
            .expect("reading rule files does not panic, and a runtime that ends asks for nothing");
        // Seen, whether good or bad: the same mistake is told once.
        self.seen = contents;
        let loaded = loaded?;
        info!(tenant = %self.tenant, files = loaded.files, groups = loaded.groups.len(), "rule files loaded");
        service.load(&self.tenant, loaded.groups).await;
        Ok(())
    }

    /// Whether a file has changed since the last look.
    async fn has_changed(&mut self) -> bool {
        let files = self.files.clone();
        let looking = tokio::task::spawn_blocking(move || files.contents());
        let contents = looking.await.expect(
            "looking at rule files does not panic, and a runtime that ends asks for nothing",
        );
        let changed = contents != self.seen;
        self.seen = contents;
        changed
    }

    /// Other patterns and defaults from here on; if their files have a mistake, those of before.
    async fn replace(&mut self, files: RuleFiles, service: &RulerService) -> Result<(), Problems> {
        let before = std::mem::replace(&mut self.files, files);
        let outcome = self.reload(service).await;
        if outcome.is_err() {
            self.files = before;
        }
        outcome
    }

    /// Reads the files whenever it is asked to. Looks at them now and then meanwhile, and tells of a change once: whoever
    /// hears of it reads the whole configuration, because rules and routes are taken over together or not at all.
    pub async fn run(
        mut self,
        service: RulerService,
        mut reloads: mpsc::Receiver<ReloadRequest>,
        changed: Arc<Notify>,
        mut stop: Stop,
    ) {
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                Some(request) = reloads.recv() => {
                    let outcome = match request.files {
                        Some(files) => self.replace(files, &service).await,
                        None => self.reload(&service).await,
                    };
                    // Whoever asked may have gone.
                    let _ = request.answer.send(outcome);
                }
                () = tokio::time::sleep(WATCH_INTERVAL) => {
                    if self.has_changed().await {
                        info!(tenant = %self.tenant, "rule files have changed");
                        changed.notify_one();
                    }
                }
            }
        }
    }
}

/// Asks for everything to be read anew (`POST /-/reload`, SIGHUP).
#[derive(Debug)]
pub struct ReloadRequest {
    /// In place of the patterns and defaults so far, where the configuration has changed.
    pub files: Option<RuleFiles>,
    /// Hears of all mistakes; then the rules of before stay.
    pub answer: oneshot::Sender<Result<(), Problems>>,
}
