//! The rules of every tenant: those of files and those that were uploaded, loaded together.
//!
//! An upload is stored, then loaded, then answered. What other processes have stored is found by looking: the storage is
//! listed now and then, and objects that are not as they were are read. A storage that does not answer changes nothing of
//! what runs. What was last read of a storage that is elsewhere is kept in a folder here too, and runs where a start
//! finds the storage away.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use config::{GroupRefused, Problems, UploadedGroup};
use futures_util::{StreamExt, stream};
use model::TenantId;
use object_store::path::Path;
use parking_lot::Mutex;
use promql::ParserOptions;
use ruler_core::{
    Group, GroupDefaults, GroupKey, LimitExceeded, UploadLimits, Uploaded, UploadedGroups,
};
use runtime::{Stop, Trouble};
use tokio::sync::Mutex as AsyncMutex;
use tracing::{error, info, warn};

use crate::rule_store::{Found, OBJECTS_MAX, RuleStore, RuleStoreError, StoredGroup, Tag};
use crate::service::RulerService;

/// Objects that are read at once.
const READS_MAX: usize = 16;

#[derive(Clone, Debug)]
pub struct RuleBookSettings {
    pub limits: UploadLimits,
    /// Text of one group.
    pub group_bytes_max: usize,
    pub poll_interval: Duration,
    pub defaults: GroupDefaults,
    pub parser_options: ParserOptions,
}

/// What holds for groups that do not say it themselves, and in what language they are written.
#[derive(Clone, Copy, PartialEq)]
struct Terms {
    defaults: GroupDefaults,
    language: ParserOptions,
}

/// Cheap to copy.
#[derive(Clone)]
pub struct RuleBook {
    inner: Arc<Inner>,
}

struct Inner {
    service: RulerService,
    store: RuleStore,
    /// What was last read of a storage that is elsewhere.
    last_known: Option<RuleStore>,
    settings: RuleBookSettings,
    terms: Mutex<Terms>,
    tenants: Mutex<BTreeMap<TenantId, Arc<TenantBook>>>,
    objects: Mutex<Objects>,
    /// One look at a time.
    looking: AsyncMutex<()>,
    /// Before it nothing is loaded: rules come together at the start, so that no saved alert is taken for one whose rule
    /// is gone.
    has_started: AtomicBool,
    unreachable: Trouble,
    unread: Trouble,
    not_kept: Trouble,
}

#[derive(Default)]
struct TenantBook {
    /// Whoever changes a tenant's rules has it, from the storage to the ruler.
    turn: AsyncMutex<()>,
    rules: Mutex<Rules>,
}

#[derive(Default)]
struct Rules {
    files: Vec<Arc<Group>>,
    uploaded: Arc<UploadedGroups>,
}

#[derive(Default)]
struct Objects {
    known: BTreeMap<Path, Object>,
    /// Changed here since the look that is under way began: what it has seen of them is old.
    touched: BTreeSet<Path>,
    contact: Contact,
    /// There is a copy of it, so it has been read before.
    was_used: bool,
}

struct Object {
    /// None where the storage's own version is not known: of a copy, or of an object that cannot be read.
    tag: Option<Tag>,
    /// The group that runs for it. A damaged object may have one from before.
    group: Option<(TenantId, GroupKey)>,
    is_damaged: bool,
}

/// Where what is known comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Contact {
    #[default]
    None,
    LastKnown,
    Storage,
}

#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error(transparent)]
    Refused(#[from] GroupRefused),
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    #[error("rule group {key} stands in a rule file already")]
    InFile { key: GroupKey },
    #[error("no more than {OBJECTS_MAX} rule groups are kept")]
    Full,
    #[error(transparent)]
    Storage(#[from] RuleStoreError),
    #[error("the change ended abnormally")]
    Abnormal,
}

#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error("there is no such group")]
    NotFound,
    #[error(transparent)]
    Storage(#[from] RuleStoreError),
    #[error("the change ended abnormally")]
    Abnormal,
}

/// What is to be deleted of a tenant.
#[derive(Clone, Debug)]
pub(crate) enum Deleted {
    All,
    Group(GroupKey),
    Namespace(String),
}

/// Nothing is known yet of what a tenant has uploaded.
#[derive(Debug, thiserror::Error)]
#[error("rule storage {place} has not been read since the start")]
pub(crate) struct NotRead {
    place: String,
}

/// An object that is not as it was.
enum Change {
    Group(Tag, StoredGroup, Result<Box<Uploaded>, GroupRefused>),
    Damaged(Tag, String),
    /// It is read again at the next look.
    Unread(RuleStoreError),
    Gone,
}

impl RuleBook {
    /// Reads the storage, or what was last known of it where it does not answer. Nothing is loaded before
    /// [`RuleBook::start`].
    pub async fn open(
        service: RulerService,
        store: RuleStore,
        last_known: Option<RuleStore>,
        settings: RuleBookSettings,
    ) -> Self {
        let book = Self {
            inner: Arc::new(Inner {
                service,
                store,
                last_known,
                terms: Mutex::new(Terms {
                    defaults: settings.defaults,
                    language: settings.parser_options,
                }),
                settings,
                tenants: Mutex::default(),
                objects: Mutex::default(),
                looking: AsyncMutex::default(),
                has_started: AtomicBool::new(false),
                unreachable: Trouble::new(),
                unread: Trouble::new(),
                not_kept: Trouble::new(),
            }),
        };
        book.inner.open().await;
        book
    }

    /// Loads the rules of every tenant that has some, or that had alerts when the process ended.
    pub async fn start(&self) {
        self.inner.has_started.store(true, Ordering::Release);
        self.inner.load_all().await;
    }

    /// Looks now and then for what others have changed, until the end.
    pub async fn maintain(self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(self.inner.settings.poll_interval) => {
                    let _ = self.inner.look().await;
                }
            }
        }
    }

    /// The groups of a tenant's files, in place of those before.
    pub async fn set_files(&self, tenant: &TenantId, files: Vec<Arc<Group>>) {
        let inner = &self.inner;
        let book = inner.book_of(tenant);
        let _turn = book.turn.lock().await;
        book.rules.lock().files = files;
        inner.service.load(tenant, book.groups(tenant)).await;
    }

    /// What holds for groups that do not say it themselves, and what is switched on of the language.
    pub async fn set_defaults(&self, defaults: GroupDefaults, language: ParserOptions) {
        let inner = &self.inner;
        let terms = Terms { defaults, language };
        if std::mem::replace(&mut *inner.terms.lock(), terms) == terms {
            return;
        }
        for (tenant, book) in inner.books() {
            let _turn = book.turn.lock().await;
            let before = book.rules.lock().uploaded.clone();
            let (after, outdated) = before.with_defaults(defaults, &language);
            if let Some((group, reason)) = outdated.first() {
                warn!(%tenant, groups = outdated.len(), first = %group, %reason, "uploaded rules need what was switched off of the language: they go on until the next start, which refuses them");
            }
            book.rules.lock().uploaded = Arc::new(after);
            inner.load(&tenant, &book).await;
        }
    }

    /// Goes to its end even where the client does not wait for it. What was passed over is handed back.
    ///
    /// # Errors
    /// Nothing has changed then, except where the storage did not answer: the next look finds out.
    pub(crate) async fn upload(
        &self,
        tenant: &TenantId,
        namespace: &str,
        text: String,
    ) -> Result<Problems, UploadError> {
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        let namespace = namespace.to_owned();
        let uploading = tokio::spawn(async move { inner.upload(tenant, namespace, text).await });
        uploading.await.unwrap_or(Err(UploadError::Abnormal))
    }

    /// As an upload. Where the storage fails midway, what it has deleted is gone.
    ///
    /// # Errors
    /// There is nothing of that name, or the storage fails.
    pub(crate) async fn delete(&self, tenant: &TenantId, what: Deleted) -> Result<(), DeleteError> {
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        let deleting = tokio::spawn(async move { inner.delete(&tenant, what).await });
        deleting.await.unwrap_or(Err(DeleteError::Abnormal))
    }

    /// What a tenant has uploaded.
    pub(crate) fn uploaded(&self, tenant: &TenantId) -> Result<Arc<UploadedGroups>, NotRead> {
        if self.inner.objects.lock().contact == Contact::None {
            let place = self.inner.store.place().to_owned();
            return Err(NotRead { place });
        }
        // A tenant that only asks makes no entry.
        let book = self.inner.tenants.lock().get(tenant).cloned();
        Ok(book
            .map(|book| book.rules.lock().uploaded.clone())
            .unwrap_or_default())
    }

    pub(crate) fn group_bytes_max(&self) -> usize {
        self.inner.settings.group_bytes_max
    }

    pub(crate) fn service(&self) -> &RulerService {
        &self.inner.service
    }

    #[cfg(test)]
    pub(crate) async fn look(&self) -> Result<(), RuleStoreError> {
        self.inner.look().await
    }
}

impl Inner {
    async fn open(&self) {
        if let Some(last_known) = &self.last_known {
            let was_used = last_known.check().await.is_ok();
            self.objects.lock().was_used = was_used;
        }
        if self.look().await.is_ok() {
            return;
        }
        let Some(last_known) = &self.last_known else {
            return;
        };
        match self.read_last_known(last_known).await {
            Ok(groups) => {
                self.objects.lock().contact = Contact::LastKnown;
                warn!(
                    groups,
                    "uploaded rules are those that were last known: their storage does not answer"
                );
            }
            Err(failure) => {
                let failure = chain(&failure);
                error!(%failure, "uploaded rules are not known: neither their storage nor what was last known of it can be read");
            }
        }
    }

    async fn read_last_known(&self, last_known: &RuleStore) -> Result<usize, RuleStoreError> {
        let listed = last_known.list(true).await?;
        let found = fetch(last_known, listed).await;
        let mut groups = 0;
        for (path, change) in self.compile(found).await {
            let (stored, compiled) = match change {
                Change::Group(_, stored, Ok(compiled)) => (stored, compiled),
                Change::Group(_, _, Err(refused)) => {
                    error!(object = %path, %refused, "a stored rule group does not run");
                    continue;
                }
                Change::Damaged(_, reason) => {
                    error!(object = %path, reason, "a copy of a stored rule group is damaged");
                    continue;
                }
                Change::Unread(failure) => {
                    let failure = chain(&failure);
                    error!(object = %path, %failure, "a copy of a stored rule group cannot be read");
                    continue;
                }
                Change::Gone => continue,
            };
            groups += 1;
            let key = compiled.group.key.clone();
            let book = self.book_of(&stored.tenant);
            book.change(|uploaded| uploaded.insert(Arc::new(*compiled)));
            let object = Object {
                tag: None,
                group: Some((stored.tenant.clone(), key.clone())),
                is_damaged: false,
            };
            let path = self.store.path_of(&stored.tenant, &key);
            self.objects.lock().known.insert(path, object);
        }
        Ok(groups)
    }

    /// Takes over what has changed in the storage, and says so where it cannot be read.
    async fn look(&self) -> Result<(), RuleStoreError> {
        let outcome = self.take_over().await;
        let metrics = self.service.metrics();
        metrics
            .rule_storage_reachable
            .set(i64::from(outcome.is_ok()));
        let (groups, damaged) = {
            let objects = self.objects.lock();
            let known = objects.known.values();
            let damaged = known.filter(|object| object.is_damaged).count();
            (objects.known.len() - damaged, damaged)
        };
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.rule_storage_groups.set(gauge(groups));
        metrics.rule_storage_damaged.set(gauge(damaged));
        match &outcome {
            Ok(()) => {
                if let Some(left_out) = self.unreachable.is_over() {
                    info!(left_out, "rule storage can be read again");
                }
            }
            Err(failure) => {
                metrics.rule_storage_failures.inc();
                if let Some(left_out) = self.unreachable.happened() {
                    let failure = chain(failure);
                    warn!(%failure, left_out, "rule storage cannot be read: the rules that run go on");
                }
            }
        }
        outcome
    }

    async fn take_over(&self) -> Result<(), RuleStoreError> {
        let _looking = self.looking.lock().await;
        let has_known = {
            let mut objects = self.objects.lock();
            objects.touched.clear();
            !objects.known.is_empty() || objects.was_used
        };
        let listed = self.store.list(has_known).await?;
        let (changed, gone) = {
            let objects = self.objects.lock();
            let known = |path: &Path| objects.known.get(path).and_then(|it| it.tag.as_ref());
            let gone = objects.known.keys();
            let gone = gone.filter(|path| !listed.contains_key(*path));
            let gone: Vec<Path> = gone.cloned().collect();
            let changed = listed.into_iter();
            let changed = changed.filter(|(path, tag)| known(path) != Some(tag));
            (changed.collect(), gone)
        };
        let mut found = fetch(&self.store, changed).await;
        if !found.is_empty() && found.iter().all(|(_, _, found)| found.is_err()) {
            // It is the storage then, and not an object.
            if let Some((_, _, Err(failure))) = found.pop() {
                return Err(failure);
            }
        }
        let mut changes = self.compile(found).await;
        changes.extend(gone.into_iter().map(|path| (path, Change::Gone)));
        self.apply(changes).await;
        let before = {
            let mut objects = self.objects.lock();
            std::mem::replace(&mut objects.contact, Contact::Storage)
        };
        if before != Contact::Storage {
            self.mark_last_known().await;
            // Alerts of tenants that are without rules wait until it is known that they are.
            self.load_all().await;
        }
        Ok(())
    }

    async fn compile(&self, found: Vec<Fetched>) -> Vec<(Path, Change)> {
        let Terms { defaults, language } = *self.terms.lock();
        let compiling = tokio::task::spawn_blocking(move || {
            let compile = |(path, tag, found)| {
                let change = match found {
                    Ok(Found::Group(stored)) => {
                        let (stored, resolved) = *stored;
                        let (namespace, group) = (&stored.namespace, stored.group.clone());
                        let compiled =
                            Uploaded::compile(namespace, group, resolved, defaults, &language);
                        Change::Group(tag, stored, compiled.map(Box::new))
                    }
                    Ok(Found::Damaged(reason)) => Change::Damaged(tag, reason),
                    Ok(Found::Gone) => Change::Gone,
                    Err(failure) => Change::Unread(failure),
                };
                (path, change)
            };
            found.into_iter().map(compile).collect::<Vec<_>>()
        });
        compiling
            .await
            .expect("compiling rules does not panic, and a runtime that ends asks for nothing")
    }

    /// Tenant by tenant, each of them all at once.
    async fn apply(&self, changes: Vec<(Path, Change)>) {
        let mut of_tenants: BTreeMap<Option<TenantId>, Vec<(Path, Change)>> = BTreeMap::new();
        for (path, change) in changes {
            let tenant = match &change {
                Change::Group(_, stored, _) => Some(stored.tenant.clone()),
                Change::Damaged(..) | Change::Unread(_) | Change::Gone => {
                    let objects = self.objects.lock();
                    let object = objects.known.get(&path);
                    object
                        .and_then(|object| object.group.as_ref())
                        .map(|(tenant, _)| tenant.clone())
                }
            };
            of_tenants.entry(tenant).or_default().push((path, change));
        }
        for (tenant, changes) in of_tenants {
            match tenant {
                Some(tenant) => self.apply_to(&tenant, changes).await,
                // Nothing runs for these.
                None => {
                    for (path, change) in changes {
                        if !self.objects.lock().touched.contains(&path) {
                            self.note(&path, &change);
                        }
                    }
                }
            }
        }
    }

    async fn apply_to(&self, tenant: &TenantId, changes: Vec<(Path, Change)>) {
        let book = self.book_of(tenant);
        let _turn = book.turn.lock().await;
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        let mut has_changed = false;
        for (path, change) in changes {
            if self.objects.lock().touched.contains(&path) {
                continue;
            }
            let group = self.note(&path, &change);
            match change {
                Change::Group(_, stored, Ok(compiled)) => {
                    let key = compiled.group.key.clone();
                    let written = compiled.written.clone();
                    has_changed |= book.change(|uploaded| {
                        let before = uploaded.get(&key).map(|before| before.written.clone());
                        uploaded.insert(Arc::new(*compiled));
                        before != Some(written)
                    });
                    kept.push(stored);
                }
                Change::Gone => {
                    if let Some((_, key)) = group {
                        has_changed |= book.change(|uploaded| uploaded.remove(&key).is_some());
                        dropped.push(key);
                    }
                }
                // What runs for them goes on.
                Change::Group(_, _, Err(_)) | Change::Damaged(..) | Change::Unread(_) => {}
            }
        }
        if has_changed {
            info!(%tenant, groups = book.rules.lock().uploaded.len(), "uploaded rules taken over");
            self.load(tenant, &book).await;
        }
        self.keep(&kept).await;
        self.drop_kept(tenant, &dropped).await;
    }

    /// Notes which version of an object was seen, and says where it is of no use. What ran for it before is handed back.
    fn note(&self, path: &Path, change: &Change) -> Option<(TenantId, GroupKey)> {
        let mut objects = self.objects.lock();
        let before = objects.known.remove(path).and_then(|object| object.group);
        let (tag, group, is_damaged) = match change {
            Change::Gone => return before,
            Change::Group(tag, stored, Ok(compiled)) => {
                let group = (stored.tenant.clone(), compiled.group.key.clone());
                (Some(tag.clone()), Some(group), false)
            }
            Change::Group(tag, _, Err(refused)) => {
                error!(object = %path, %refused, runs_as_before = before.is_some(), "a stored rule group does not run");
                (Some(tag.clone()), before.clone(), true)
            }
            Change::Damaged(tag, reason) => {
                error!(object = %path, reason, runs_as_before = before.is_some(), "a stored rule group is damaged");
                (Some(tag.clone()), before.clone(), true)
            }
            Change::Unread(failure) => {
                if let Some(left_out) = self.unread.happened() {
                    let failure = chain(failure);
                    error!(object = %path, %failure, left_out, runs_as_before = before.is_some(), "a stored rule group cannot be read");
                }
                (None, before.clone(), true)
            }
        };
        let object = Object {
            tag,
            group,
            is_damaged,
        };
        objects.known.insert(path.clone(), object);
        before
    }

    async fn upload(
        &self,
        tenant: TenantId,
        namespace: String,
        text: String,
    ) -> Result<Problems, UploadError> {
        self.has_been_read().await?;
        let Terms { defaults, language } = *self.terms.lock();
        let reading = {
            let namespace = namespace.clone();
            tokio::task::spawn_blocking(move || {
                let read = UploadedGroup::read(&text)?;
                let (group, resolved) = (read.group, read.resolved);
                let compiled = Uploaded::compile(&namespace, group, resolved, defaults, &language)?;
                Ok::<_, GroupRefused>((compiled, read.warnings))
            })
        };
        let (compiled, warnings) = reading.await.map_err(|_| UploadError::Abnormal)??;
        let key = compiled.group.key.clone();
        let path = self.store.path_of(&tenant, &key);
        let book = self.book_of(&tenant);
        let _turn = book.turn.lock().await;
        {
            let rules = book.rules.lock();
            rules.uploaded.check(&compiled, self.settings.limits)?;
            if rules.files.iter().any(|group| group.key == key) {
                return Err(UploadError::InFile { key });
            }
            let objects = self.objects.lock();
            if objects.known.len() >= OBJECTS_MAX && !objects.known.contains_key(&path) {
                return Err(UploadError::Full);
            }
        }
        let stored = StoredGroup {
            tenant: tenant.clone(),
            namespace,
            group: compiled.written.clone(),
        };
        let putting = async {
            self.store.check().await?;
            self.store.put(&stored).await
        };
        let tag = self.noted(putting.await)?;
        {
            let mut objects = self.objects.lock();
            let object = Object {
                tag: Some(tag),
                group: Some((tenant.clone(), key.clone())),
                is_damaged: false,
            };
            objects.known.insert(path.clone(), object);
            objects.touched.insert(path);
        }
        book.change(|uploaded| uploaded.insert(Arc::new(compiled)));
        info!(%tenant, group = %key, "rule group uploaded");
        self.load(&tenant, &book).await;
        self.keep(&[stored]).await;
        Ok(warnings)
    }

    async fn delete(&self, tenant: &TenantId, what: Deleted) -> Result<(), DeleteError> {
        self.has_been_read().await?;
        let book = self.tenants.lock().get(tenant).cloned();
        // A tenant that has nothing makes no entry.
        let book = book.unwrap_or_default();
        let _turn = book.turn.lock().await;
        let uploaded = book.rules.lock().uploaded.clone();
        let keys: Vec<GroupKey> = match &what {
            Deleted::All => {
                let groups = uploaded.iter();
                groups.map(|group| group.group.key.clone()).collect()
            }
            Deleted::Group(key) => {
                // One that is damaged runs not, and yet is there.
                let path = self.store.path_of(tenant, key);
                let is_there =
                    uploaded.get(key).is_some() || self.objects.lock().known.contains_key(&path);
                is_there.then(|| key.clone()).into_iter().collect()
            }
            Deleted::Namespace(namespace) => uploaded.keys_of(namespace),
        };
        if keys.is_empty() && !matches!(what, Deleted::All) {
            return Err(DeleteError::NotFound);
        }
        let checked = self.store.check().await;
        self.noted(checked)?;
        let mut deleted = Vec::new();
        let mut outcome = Ok(());
        for key in keys {
            let path = self.store.path_of(tenant, &key);
            let gone = self.store.delete(&path).await;
            if let Err(failure) = self.noted(gone) {
                outcome = Err(failure.into());
                break;
            }
            let mut objects = self.objects.lock();
            objects.known.remove(&path);
            objects.touched.insert(path);
            drop(objects);
            book.change(|uploaded| uploaded.remove(&key));
            info!(%tenant, group = %key, "uploaded rule group deleted");
            deleted.push(key);
        }
        if !deleted.is_empty() {
            self.load(tenant, &book).await;
            self.drop_kept(tenant, &deleted).await;
        }
        outcome
    }

    /// Before anything is changed it is known what there is: a limit counts it, and a deletion looks for it.
    async fn has_been_read(&self) -> Result<(), RuleStoreError> {
        if self.objects.lock().contact == Contact::Storage {
            return Ok(());
        }
        self.look().await
    }

    fn noted<T>(&self, outcome: Result<T, RuleStoreError>) -> Result<T, RuleStoreError> {
        if let Err(failure) = &outcome {
            self.service.metrics().rule_storage_failures.inc();
            if let Some(left_out) = self.unreachable.happened() {
                let failure = chain(failure);
                warn!(%failure, left_out, "a change of uploaded rules could not be stored");
            }
        }
        outcome
    }

    async fn load(&self, tenant: &TenantId, book: &TenantBook) {
        if self.has_started.load(Ordering::Acquire) {
            self.service.load(tenant, book.groups(tenant)).await;
        }
    }

    async fn load_all(&self) {
        if !self.has_started.load(Ordering::Acquire) {
            return;
        }
        for (tenant, book) in self.books() {
            let _turn = book.turn.lock().await;
            self.load(&tenant, &book).await;
        }
        let without_rules: Vec<TenantId> = {
            let known = self.tenants.lock();
            let all = self.service.tenants().into_iter();
            all.filter(|tenant| !known.contains_key(tenant)).collect()
        };
        if without_rules.is_empty() {
            return;
        }
        if self.objects.lock().contact != Contact::Storage {
            let tenants = without_rules.len();
            warn!(
                tenants,
                "alerts of tenants whose rules are not known wait for the rule storage"
            );
            return;
        }
        // Their rules are gone while alerts of theirs were saved: those alerts end.
        for tenant in without_rules {
            self.service.load(&tenant, Vec::new()).await;
        }
    }

    /// The copy of a storage that is elsewhere may lag behind: it is better than nothing, and holds nobody up.
    async fn keep(&self, groups: &[StoredGroup]) {
        let Some(last_known) = &self.last_known else {
            return;
        };
        for group in groups {
            let kept = last_known.put(group).await.map(|_| ());
            self.note_kept(kept);
        }
    }

    async fn drop_kept(&self, tenant: &TenantId, keys: &[GroupKey]) {
        let Some(last_known) = &self.last_known else {
            return;
        };
        for key in keys {
            let path = last_known.path_of(tenant, key);
            self.note_kept(last_known.delete(&path).await);
        }
    }

    async fn mark_last_known(&self) {
        if let Some(last_known) = &self.last_known {
            self.note_kept(last_known.list(false).await.map(|_| ()));
        }
    }

    fn note_kept(&self, outcome: Result<(), RuleStoreError>) {
        if let Err(failure) = outcome
            && let Some(left_out) = self.not_kept.happened()
        {
            let failure = chain(&failure);
            warn!(%failure, left_out, "uploaded rules are not kept for a start without their storage");
        }
    }

    fn books(&self) -> Vec<(TenantId, Arc<TenantBook>)> {
        let tenants = self.tenants.lock();
        tenants
            .iter()
            .map(|(tenant, book)| (tenant.clone(), book.clone()))
            .collect()
    }

    fn book_of(&self, tenant: &TenantId) -> Arc<TenantBook> {
        let mut tenants = self.tenants.lock();
        tenants.entry(tenant.clone()).or_default().clone()
    }
}

impl TenantBook {
    fn change<T>(&self, change: impl FnOnce(&mut UploadedGroups) -> T) -> T {
        change(Arc::make_mut(&mut self.rules.lock().uploaded))
    }

    fn groups(&self, tenant: &TenantId) -> Vec<Arc<Group>> {
        let rules = self.rules.lock();
        let (groups, left_out) = rules.uploaded.beside(&rules.files);
        if left_out > 0 {
            warn!(%tenant, left_out, "uploaded rule groups do not run: rule files have groups of the same names");
        }
        groups
    }
}

type Fetched = (Path, Tag, Result<Found, RuleStoreError>);

/// Reads objects, some at once.
async fn fetch(store: &RuleStore, wanted: BTreeMap<Path, Tag>) -> Vec<Fetched> {
    let reads = wanted.into_iter().map(async |(path, tag)| {
        let found = store.get(&path).await;
        (path, tag, found)
    });
    let reads = stream::iter(reads).buffer_unordered(READS_MAX);
    reads.collect().await
}

/// An error and its reasons, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        let reason_text = reason.to_string();
        // Some say their reason themselves.
        if !text.contains(&reason_text) {
            text += &format!(": {reason_text}");
        }
        source = reason.source();
    }
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use ruler_core::GroupKey;

    use super::Change;
    use crate::tests::team;
    use crate::tests::uploads::{GROUP, house, upload};

    /// A look that has listed the storage before an upload finds nothing of it.
    #[tokio::test]
    async fn what_a_look_has_seen_of_an_object_that_was_changed_since_is_old() {
        let (house, _stopper) = house();
        let book = house.book().await;
        book.start().await;
        assert_eq!(upload(&book, "ns", GROUP).await.0, 202);
        let path = book
            .inner
            .store
            .path_of(&team(), &GroupKey::new("ns", "web"));
        let look = || vec![(path.clone(), Change::Gone)];
        book.inner.apply(look()).await;
        assert_eq!(book.uploaded(&team()).unwrap().len(), 1);
        book.inner.objects.lock().touched.clear();
        book.inner.apply(look()).await;
        assert_eq!(book.uploaded(&team()).unwrap().len(), 0);
    }
}
