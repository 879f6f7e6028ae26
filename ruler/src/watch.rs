//! Keeps one tenant's rules as its files say.
use std::time::Duration;

use config::Problems;
use model::TenantId;
use runtime::Stop;
use tracing::{error, info};

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
    ///
    /// # Errors
    /// All mistakes; the rules of before stay.
    pub async fn reload(&mut self, service: &RulerService) -> Result<(), Problems> {
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

    /// Other patterns or defaults from here on.
    ///
    /// # Errors
    /// As [`RuleFileWatch::reload`]; then the patterns of before stay too.
    pub async fn replace(
        &mut self,
        files: RuleFiles,
        service: &RulerService,
    ) -> Result<(), Problems> {
        let before = std::mem::replace(&mut self.files, files);
        let outcome = self.reload(service).await;
        if outcome.is_err() {
            self.files = before;
        }
        outcome
    }

    /// Reloads where a file has changed since the last look.
    ///
    /// # Errors
    /// As [`RuleFileWatch::reload`].
    pub async fn look(&mut self, service: &RulerService) -> Result<(), Problems> {
        let files = self.files.clone();
        let looking = tokio::task::spawn_blocking(move || files.contents());
        match looking.await {
            Ok(contents) if contents != self.seen => self.reload(service).await,
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Looks at the files now and then until the end.
    pub async fn run(mut self, service: RulerService, mut stop: Stop) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(WATCH_INTERVAL) => {}
                () = stop.stopped() => return,
            }
            if let Err(problems) = self.look(&service).await {
                for problem in &problems {
                    error!(tenant = %self.tenant, %problem, "rule file not loaded, previous rules stay");
                }
            }
        }
    }
}
