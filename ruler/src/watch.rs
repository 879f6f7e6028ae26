//! Keeps one tenant's rules as its files say.
use std::sync::Arc;
use std::time::Duration;

use config::{Problem, Problems};
use model::TenantId;
use runtime::Stop;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{info, warn};

use crate::files::{FileContents, RuleFiles};
use crate::rule_book::RuleBook;

/// How often files are looked at (`--config.auto-reload-interval`).
pub const WATCH_INTERVAL: Duration = Duration::from_secs(30);

/// The rule files of one tenant and what was last seen of them.
#[derive(Debug)]
pub struct RuleFileWatch {
    tenant: TenantId,
    files: RuleFiles,
    seen: Seen,
}

/// What looks at the files have found.
#[derive(Debug, Default)]
struct Seen {
    /// At the last look, whether good or bad: the same change is said once.
    last: FileContents,
    /// What the rules in force were read from.
    in_force: FileContents,
    /// Whether it was said that files are gone.
    told_of_emptied: bool,
}

/// What one look comes to.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Changed,
    /// As at the look before, and not what the rules in force were read from: it was not taken over, be it that
    /// another file had a mistake then.
    StillChanged,
    /// All files of these patterns are gone.
    Emptied(Vec<String>),
    StillEmptied,
    Unchanged,
}

impl Seen {
    /// A folder may be empty for a moment only, while something fills it anew. Taking that over would end every alert
    /// of its rules, so as long as it lasts nothing is taken over that nobody has asked for.
    fn look(&mut self, found: FileContents) -> Look {
        let emptied = found.emptied_since(&self.in_force);
        if !emptied.is_empty() {
            if std::mem::replace(&mut self.told_of_emptied, true) {
                return Look::StillEmptied;
            }
            return Look::Emptied(emptied.into_iter().map(str::to_owned).collect());
        }
        self.told_of_emptied = false;
        if found == self.in_force {
            self.last = found;
            return Look::Unchanged;
        }
        if found == self.last {
            return Look::StillChanged;
        }
        self.last = found;
        Look::Changed
    }

    /// Before `found` is loaded: whether it may be, which is not so for what [`Seen::look`] keeps out.
    fn load(&mut self, found: FileContents, occasion: Occasion) -> Result<(), Problems> {
        self.last = found;
        let emptied = self.last.emptied_since(&self.in_force);
        if occasion == Occasion::Asked || emptied.is_empty() {
            return Ok(());
        }
        self.told_of_emptied = true;
        let problems = emptied.iter().map(|pattern| {
            Problem::new(pattern, None, "", "all rule files of this pattern are gone: rules stay in force until files are back, or a reload is asked for")
        });
        Err(problems.collect())
    }

    fn taken_over(&mut self) {
        self.in_force.clone_from(&self.last);
        self.told_of_emptied = false;
    }
}

impl RuleFileWatch {
    /// Loads the files for the first time.
    ///
    /// # Errors
    /// All mistakes of all files; the ruler has no rules of this tenant then.
    pub async fn start(
        tenant: TenantId,
        files: RuleFiles,
        book: &RuleBook,
    ) -> Result<Self, Problems> {
        let mut watch = Self {
            tenant,
            files,
            seen: Seen::default(),
        };
        watch.reload(Occasion::Asked, book).await?;
        Ok(watch)
    }

    /// Reads everything anew, and takes it over if it is without a mistake.
    async fn reload(&mut self, occasion: Occasion, book: &RuleBook) -> Result<(), Problems> {
        let files = self.files.clone();
        let loading = tokio::task::spawn_blocking(move || {
            let read = files.read();
            (read.contents(), files.compile(&read))
        });
        let (contents, loaded) = loading
            .await
            .expect("reading rule files does not panic, and a runtime that ends asks for nothing");
        self.seen.load(contents, occasion)?;
        let loaded = loaded?;
        self.seen.taken_over();
        info!(tenant = %self.tenant, files = loaded.files, groups = loaded.groups.len(), "rule files loaded");
        book.set_files(&self.tenant, loaded.groups).await;
        Ok(())
    }

    /// What has become of the files since the last look.
    async fn look(&mut self) -> Look {
        let files = self.files.clone();
        let looking = tokio::task::spawn_blocking(move || files.read().contents());
        let contents = looking.await.expect(
            "looking at rule files does not panic, and a runtime that ends asks for nothing",
        );
        self.seen.look(contents)
    }

    /// Other patterns and defaults from here on; if their files have a mistake, those of before.
    async fn replace(
        &mut self,
        files: RuleFiles,
        occasion: Occasion,
        book: &RuleBook,
    ) -> Result<(), Problems> {
        let before = std::mem::replace(&mut self.files, files);
        let outcome = self.reload(occasion, book).await;
        if outcome.is_err() {
            self.files = before;
        }
        outcome
    }

    /// Reads the files whenever it is asked to. Looks at them now and then meanwhile, and tells of a change until it is
    /// taken over: whoever hears of it reads the whole configuration, because rules and routes are taken over together
    /// or not at all.
    pub async fn run(
        mut self,
        book: RuleBook,
        mut reloads: mpsc::Receiver<ReloadRequest>,
        changed: Arc<Changes>,
        mut stop: Stop,
    ) {
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                Some(request) = reloads.recv() => {
                    let outcome = match request.files {
                        Some(files) => self.replace(files, request.occasion, &book).await,
                        None => self.reload(request.occasion, &book).await,
                    };
                    // Whoever asked may have gone.
                    let _ = request.answer.send(outcome);
                }
                () = tokio::time::sleep(WATCH_INTERVAL) => {
                    match self.look().await {
                        Look::Changed => {
                            info!(tenant = %self.tenant, "rule files have changed");
                            changed.new.notify_one();
                        }
                        Look::Emptied(patterns) => warn!(
                            tenant = %self.tenant,
                            patterns = patterns.join(" "),
                            "all rule files of a pattern are gone: rules stay in force until files are back, or a reload is asked for"
                        ),
                        Look::StillChanged => changed.still.notify_one(),
                        Look::StillEmptied | Look::Unchanged => {}
                    }
                }
            }
        }
    }
}

/// Why files are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Somebody wants it (`POST /-/reload`, SIGHUP), whatever the files hold.
    Asked,
    /// A look has found a change. What is there by now may be less than what was seen: a folder may be empty for the
    /// moment in which something fills it anew.
    Noticed,
    /// As [`Occasion::Noticed`], of a change that was noticed before and not taken over.
    StillNoticed,
}

/// Where looks at the files tell what they have found.
#[derive(Debug, Default)]
pub struct Changes {
    pub new: Notify,
    /// Not taken over since.
    pub still: Notify,
}

/// Asks for everything to be read anew.
#[derive(Debug)]
pub struct ReloadRequest {
    /// In place of the patterns and defaults so far, where the configuration has changed.
    pub files: Option<RuleFiles>,
    pub occasion: Occasion,
    /// Hears of all mistakes; then the rules of before stay.
    pub answer: oneshot::Sender<Result<(), Problems>>,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use config::RuleFilesPattern;
    use promql::ParserOptions;
    use ruler_core::GroupDefaults;

    use super::{Look, Occasion, Seen};
    use crate::files::RuleFiles;

    fn files(base: &Path) -> RuleFiles {
        let pattern = |pattern: &str| RuleFilesPattern {
            pattern: pattern.to_owned(),
            file: String::new(),
            place: None,
            path: String::new(),
        };
        RuleFiles {
            patterns: vec![pattern("synced/*.yml"), pattern("own.yml")],
            base: base.to_owned(),
            defaults: GroupDefaults {
                interval: Duration::from_secs(60),
                query_offset: Duration::ZERO,
            },
            parser_options: ParserOptions::default(),
        }
    }

    #[test]
    fn a_folder_that_is_emptied_is_not_taken_over_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        fs::create_dir(folder.path().join("synced")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let remove = |name: &str| fs::remove_file(folder.path().join(name)).unwrap();
        let emptied = || Look::Emptied(vec!["synced/*.yml".to_owned()]);
        let mut seen = Seen::default();
        let mut look = |asked: bool| {
            if asked {
                let contents = files.read().contents();
                seen.load(contents, Occasion::Asked).unwrap();
                seen.taken_over();
            }
            seen.look(files.read().contents())
        };
        for name in ["synced/a.yml", "synced/b.yml", "own.yml"] {
            write(name, "one");
        }
        assert_eq!(look(true), Look::Unchanged);
        remove("synced/b.yml");
        assert_eq!(look(false), Look::Changed, "one of two is removed");
        remove("synced/a.yml");
        assert_eq!(look(false), emptied(), "the last is removed");
        write("own.yml", "two");
        assert_eq!(look(false), Look::StillEmptied, "another changes meanwhile");
        write("synced/a.yml", "one");
        assert_eq!(
            look(false),
            Look::Changed,
            "it is back, and the other is new"
        );
        assert_eq!(look(false), Look::StillChanged, "nobody has taken it over");
        remove("synced/a.yml");
        assert_eq!(look(false), emptied(), "it is gone again");
        write("synced/a.yml", "one");
        assert_eq!(look(false), Look::StillChanged, "it is back as it was");
        write("synced/b.yml", "one");
        write("own.yml", "one");
        assert_eq!(look(false), Look::Unchanged, "all is as in force");
        remove("synced/a.yml");
        assert_eq!(look(true), Look::Unchanged, "a reload is asked for");
        write("synced/a.yml", "one");
        assert_eq!(look(false), Look::Changed);
    }
    #[test]
    fn what_was_refused_as_emptied_is_a_change_once_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let write = |text: &str| fs::write(folder.path().join("own.yml"), text).unwrap();
        let mut seen = Seen::default();
        write("one");
        seen.load(files.read().contents(), Occasion::Asked).unwrap();
        seen.taken_over();
        write("two");
        assert_eq!(seen.look(files.read().contents()), Look::Changed);
        fs::remove_file(folder.path().join("own.yml")).unwrap();
        let refused = seen.load(files.read().contents(), Occasion::Noticed);
        assert_eq!(refused.unwrap_err().len(), 1);
        let again = seen.look(files.read().contents());
        assert_eq!(again, Look::StillEmptied, "it was said once");
        write("two");
        assert_eq!(seen.look(files.read().contents()), Look::Changed);
    }
}
