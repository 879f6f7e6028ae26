//! Uploaded groups as objects: one for each group, in a folder or a bucket.
//!
//! ```text
//! PREFIX/@watchbell                  is always there: where it is not, something else is than was
//! PREFIX/TENANT/NAMESPACE/GROUP      names in base64url, or hashes where they are long
//!
//! watchbell-rule-group 1 SHA-256 of what follows
//! {"tenant":…,"namespace":…}
//! the group in YAML
//! ```
//! An object is replaced as a whole, by a rename in a folder and by one request in a bucket, so readers find the one
//! before or the one after. What an object holds counts only under the name that goes with it.
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path as FilePath;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use config::{RawGroup, Secret, UploadedGroup};
use futures_util::StreamExt;
use model::TenantId;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutResult, RetryConfig,
};
use ruler_core::GroupKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

const MAGIC: &str = "watchbell-rule-group";
const VERSION: &str = "1";

/// No tenant has such a name.
const SIGN: &str = "@watchbell";

/// One object's way there or back, retries included: a client waits for it.
const OPERATION_MAX: Duration = Duration::from_secs(10);
/// A listing comes in pages of a thousand.
const LISTING_MAX: Duration = Duration::from_secs(60);
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// Of all tenants. Past it uploads are refused, and what a listing has more is not read.
pub(crate) const OBJECTS_MAX: usize = 200_000;
/// Far more than an upload may have.
const OBJECT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A file's name has at most 255 bytes, and base64 makes four of three.
const NAME_BYTES_MAX: usize = 180;

/// Objects in one place.
#[derive(Clone)]
pub struct RuleStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// For people.
    place: String,
}

/// A group as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredGroup {
    pub(crate) tenant: TenantId,
    pub(crate) namespace: String,
    pub(crate) group: UploadedGroup,
}

/// What tells one version of an object from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    e_tag: Option<String>,
    size: u64,
    /// A store without entity tags has only the time.
    modified: Option<i64>,
}

pub(crate) enum Found {
    Group(Box<(StoredGroup, RawGroup)>),
    Damaged(String),
    Gone,
}

#[derive(Debug, thiserror::Error)]
pub enum RuleStoreError {
    #[error("rules cannot be stored in {url}")]
    Open {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("ruler.storage.options has {name}, which {service} does not know")]
    Option { name: String, service: &'static str },
    #[error("ruler.storage.url {url}: {reason}")]
    Unsupported { url: String, reason: &'static str },
    #[error("rule storage {place} did not answer")]
    Failed {
        place: String,
        #[source]
        source: object_store::Error,
    },
    #[error("rule storage {place} did not answer within {} s", within.as_secs())]
    Late { place: String, within: Duration },
    #[error(
        "rule storage {place} is empty, and holds not even the sign that it was used: is it mounted?"
    )]
    Emptied { place: String },
    #[error("rule storage {place} holds more than {max} objects")]
    TooMany { place: String, max: usize },
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    tenant: std::borrow::Cow<'a, str>,
    namespace: std::borrow::Cow<'a, str>,
}

impl fmt::Debug for RuleStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("RuleStore")
            .field(&self.place)
            .finish()
    }
}

impl RuleStore {
    /// A folder. What was stored is on the disk when that is answered. Where the folder cannot be made now, be it that the
    /// disk is full, it is made when something is stored. Blocks.
    ///
    /// # Errors
    /// A path that no folder can have.
    pub fn in_folder(folder: &FilePath) -> Result<Self, RuleStoreError> {
        let place = folder.display().to_string();
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| RuleStoreError::Open {
            url: place.clone(),
            source,
        };
        let (store, prefix) = if std::fs::create_dir_all(folder).is_ok() {
            let store = LocalFileSystem::new_with_prefix(folder);
            (
                store.map_err(|error| failed(error.into()))?,
                Path::default(),
            )
        } else {
            let absolute = std::path::absolute(folder).map_err(|error| failed(error.into()))?;
            let prefix = Path::from_absolute_path(absolute);
            let prefix = prefix.map_err(|error| failed(error.into()))?;
            (LocalFileSystem::new(), prefix)
        };
        Ok(Self {
            store: Arc::new(store.with_fsync(true)),
            prefix,
            place,
        })
    }

    /// What `ruler.storage` says. A folder that is not there is an error only when it is read: it may be mounted later.
    ///
    /// # Errors
    /// An address or an option that no store knows.
    pub fn at(url: &str, options: &BTreeMap<String, Secret>) -> Result<Self, RuleStoreError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| RuleStoreError::Open {
            url: url.to_owned(),
            source,
        };
        let parsed = Url::parse(url).map_err(|error| failed(error.into()))?;
        let path = Path::from_url_path(parsed.path()).map_err(|error| failed(error.into()))?;
        let store: Arc<dyn ObjectStore> = match parsed.scheme() {
            "file" => {
                let store = LocalFileSystem::new().with_fsync(true);
                return Ok(Self {
                    store: Arc::new(store),
                    prefix: path,
                    place: url.to_owned(),
                });
            }
            "s3" | "s3a" => {
                let builder = AmazonS3Builder::new()
                    .with_url(url)
                    .with_retry(retries())
                    .with_client_options(client_options());
                let service = Service {
                    name: "S3",
                    environment: "AWS_",
                };
                let set = |builder: AmazonS3Builder, key: AmazonS3ConfigKey, value: &str| {
                    builder.with_config(key, value)
                };
                let builder = service.set(builder, options, set)?;
                Arc::new(builder.build().map_err(|error| failed(error.into()))?)
            }
            #[cfg(feature = "gcs")]
            "gs" => {
                use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
                let builder = GoogleCloudStorageBuilder::new()
                    .with_url(url)
                    .with_retry(retries())
                    .with_client_options(client_options());
                let service = Service {
                    name: "Google Cloud Storage",
                    environment: "GOOGLE_",
                };
                let set =
                    |builder: GoogleCloudStorageBuilder, key: GoogleConfigKey, value: &str| {
                        builder.with_config(key, value)
                    };
                let builder = service.set(builder, options, set)?;
                Arc::new(builder.build().map_err(|error| failed(error.into()))?)
            }
            #[cfg(feature = "azure")]
            "az" | "azure" | "abfs" | "abfss" => {
                use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
                let builder = MicrosoftAzureBuilder::new()
                    .with_url(url)
                    .with_retry(retries())
                    .with_client_options(client_options());
                let service = Service {
                    name: "Azure Blob Storage",
                    environment: "AZURE_",
                };
                let set = |builder: MicrosoftAzureBuilder, key: AzureConfigKey, value: &str| {
                    builder.with_config(key, value)
                };
                let builder = service.set(builder, options, set)?;
                Arc::new(builder.build().map_err(|error| failed(error.into()))?)
            }
            _ => {
                let reason = "this build knows s3:// and file:// (gs:// and az:// need the cargo features gcs and azure)";
                let url = url.to_owned();
                return Err(RuleStoreError::Unsupported { url, reason });
            }
        };
        Ok(Self {
            store,
            prefix: path,
            place: url.to_owned(),
        })
    }

    /// A folder for a copy of this one. Of another storage other rules are known, so each has its own.
    ///
    /// # Errors
    /// As [`RuleStore::in_folder`].
    pub fn copy_in(&self, folder: &FilePath) -> Result<Self, RuleStoreError> {
        let name = hex(&Sha256::digest(&self.place)[..8]);
        Self::in_folder(&folder.join(name))
    }

    #[cfg(test)]
    pub(crate) fn on(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            prefix: Path::from("rules"),
            place: "a test's".to_owned(),
        }
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn path_of(&self, tenant: &TenantId, key: &GroupKey) -> Path {
        self.prefix
            .clone()
            .join(tenant.as_str())
            .join(object_name(&key.file))
            .join(object_name(&key.name))
    }

    pub(crate) async fn put(&self, stored: &StoredGroup) -> Result<Tag, RuleStoreError> {
        let key = GroupKey::new(&stored.namespace, stored.group.name());
        let path = self.path_of(&stored.tenant, &key);
        let bytes = encode(stored);
        let size = bytes.len() as u64;
        let put = self.store.put(&path, bytes.into());
        let PutResult { e_tag, .. } = self.within(OPERATION_MAX, put).await?;
        Ok(Tag {
            e_tag,
            size,
            modified: None,
        })
    }

    /// Whether this is the storage that was read, and not the empty folder that it is mounted on: a change of that would
    /// be lost.
    pub(crate) async fn check(&self) -> Result<(), RuleStoreError> {
        let sign = self.sign();
        match self.within(OPERATION_MAX, self.store.head(&sign)).await {
            Ok(_) => Ok(()),
            Err(RuleStoreError::Failed {
                source: object_store::Error::NotFound { .. },
                place,
            }) => Err(RuleStoreError::Emptied { place }),
            Err(failure) => Err(failure),
        }
    }

    fn sign(&self) -> Path {
        self.prefix.clone().join(SIGN)
    }

    /// An object that is not there is no error: it is gone.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), RuleStoreError> {
        match self.within(OPERATION_MAX, self.store.delete(path)).await {
            Err(RuleStoreError::Failed {
                source: object_store::Error::NotFound { .. },
                ..
            })
            | Ok(()) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Every object's name and version. A store that was never used is marked as used, unless `is_known`: a folder that
    /// is not mounted must not pass for one from which everything was deleted.
    pub(crate) async fn list(&self, is_known: bool) -> Result<BTreeMap<Path, Tag>, RuleStoreError> {
        let sign = self.sign();
        let listing = async {
            let mut listed = BTreeMap::new();
            let mut objects = self.store.list(Some(&self.prefix));
            while let Some(object) = objects.next().await {
                let object = object?;
                if listed.len() >= OBJECTS_MAX {
                    return Ok(None);
                }
                listed.insert(object.location.clone(), Tag::of(&object));
            }
            Ok(Some(listed))
        };
        let listed = self.within(LISTING_MAX, listing).await?;
        let place = || self.place.clone();
        let mut listed = listed.ok_or_else(|| RuleStoreError::TooMany {
            place: place(),
            max: OBJECTS_MAX,
        })?;
        if listed.remove(&sign).is_none() {
            if listed.is_empty() && is_known {
                return Err(RuleStoreError::Emptied { place: place() });
            }
            let text = format!("{MAGIC}s {VERSION}\n");
            let put = self.store.put(&sign, text.into_bytes().into());
            self.within(OPERATION_MAX, put).await?;
        }
        Ok(listed)
    }

    pub(crate) async fn get(&self, path: &Path) -> Result<Found, RuleStoreError> {
        let getting = async {
            let got = self.store.get(path).await?;
            let size = got.meta.size;
            if size > OBJECT_BYTES_MAX {
                return Ok(Err(format!("it has {size} bytes")));
            }
            Ok(Ok(got.bytes().await?))
        };
        let bytes = match self.within(OPERATION_MAX, getting).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(reason)) => return Ok(Found::Damaged(reason)),
            Err(RuleStoreError::Failed {
                source: object_store::Error::NotFound { .. },
                ..
            }) => return Ok(Found::Gone),
            Err(failure) => return Err(failure),
        };
        let decoded = decode(&bytes).and_then(|(stored, resolved)| {
            let key = GroupKey::new(&stored.namespace, stored.group.name());
            if self.path_of(&stored.tenant, &key) == *path {
                Ok((stored, resolved))
            } else {
                Err("it holds a group that belongs under another name".to_owned())
            }
        });
        Ok(match decoded {
            Ok(group) => Found::Group(Box::new(group)),
            Err(reason) => Found::Damaged(reason),
        })
    }

    async fn within<T>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<T, RuleStoreError> {
        let place = || self.place.clone();
        match tokio::time::timeout(within, work).await {
            Ok(outcome) => outcome.map_err(|source| RuleStoreError::Failed {
                place: place(),
                source,
            }),
            Err(_) => Err(RuleStoreError::Late {
                place: place(),
                within,
            }),
        }
    }
}

impl Tag {
    fn of(object: &ObjectMeta) -> Self {
        let modified = object.last_modified.timestamp_millis();
        Self {
            modified: object.e_tag.is_none().then_some(modified),
            e_tag: object.e_tag.clone(),
            size: object.size,
        }
    }
}

struct Service {
    name: &'static str,
    /// What its variables begin with.
    environment: &'static str,
}

impl Service {
    /// What the environment says, and over it what was written.
    fn set<Builder, Key: FromStr>(
        &self,
        builder: Builder,
        options: &BTreeMap<String, Secret>,
        set: impl Fn(Builder, Key, &str) -> Builder,
    ) -> Result<Builder, RuleStoreError> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let is_its = name.starts_with(self.environment);
            // There are variables of other programs too.
            let key = name.to_ascii_lowercase().parse::<Key>().ok()?;
            Some((key, value.into_string().ok()?)).filter(|_| is_its)
        });
        let mut builder =
            variables.fold(builder, |builder, (key, value)| set(builder, key, &value));
        for (name, value) in options {
            let key = name.parse::<Key>().map_err(|_| RuleStoreError::Option {
                name: name.clone(),
                service: self.name,
            })?;
            builder = set(builder, key, value.reveal());
        }
        Ok(builder)
    }
}

/// Whoever waits for an answer waits for all of them.
fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: 2,
        retry_timeout: OPERATION_MAX,
        ..RetryConfig::default()
    }
}

fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_timeout(REQUEST_MAX)
        .with_connect_timeout(REQUEST_MAX)
}

fn object_name(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        URL_SAFE_NO_PAD.encode(name)
    } else {
        format!("sha256-{}", hex(&Sha256::digest(name)))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(stored: &StoredGroup) -> Vec<u8> {
    let header = Header {
        tenant: stored.tenant.as_str().into(),
        namespace: stored.namespace.as_str().into(),
    };
    let header = serde_json::to_string(&header).expect("two texts become JSON");
    let body = format!("{header}\n{}", stored.group.yaml());
    let digest = hex(&Sha256::digest(&body));
    format!("{MAGIC} {VERSION} {digest}\n{body}").into_bytes()
}

fn decode(bytes: &[u8]) -> Result<(StoredGroup, RawGroup), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    let (first, body) = text.split_once('\n').ok_or("it has no first line")?;
    let mut words = first.split(' ');
    if words.next() != Some(MAGIC) {
        return Err("it is no rule group of Watchbell".to_owned());
    }
    match words.next() {
        Some(VERSION) => {}
        version => {
            let version = version.unwrap_or_default();
            return Err(format!(
                "a newer release has written it (version {version}, this one knows {VERSION})"
            ));
        }
    }
    if words.next() != Some(hex(&Sha256::digest(body)).as_str()) {
        return Err("its checksum is wrong".to_owned());
    }
    let (header, group) = body.split_once('\n').ok_or("it has no group")?;
    let header: Header<'_> = serde_json::from_str(header).map_err(|error| error.to_string())?;
    let tenant = TenantId::parse(&header.tenant).map_err(|error| error.to_string())?;
    let read = UploadedGroup::read(group).map_err(|refused| refused.to_string())?;
    let stored = StoredGroup {
        tenant,
        namespace: header.namespace.into_owned(),
        group: read.group,
    };
    Ok((stored, read.resolved))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use config::{Secret, UploadedGroup};
    use model::TenantId;
    use ruler_core::GroupKey;

    use super::{Found, RuleStore, StoredGroup, decode, encode};

    fn stored(tenant: &str, namespace: &str, name: &str) -> StoredGroup {
        let name = serde_json::to_string(name).unwrap();
        let text =
            format!("{{\"name\": {name}, \"rules\": [{{\"record\": \"a\", \"expr\": \"1\"}}]}}");
        StoredGroup {
            tenant: TenantId::parse(tenant).unwrap(),
            namespace: namespace.to_owned(),
            group: UploadedGroup::read(&text).unwrap().group,
        }
    }

    #[tokio::test]
    async fn groups_of_any_name_are_kept_apart_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = RuleStore::in_folder(folder.path()).unwrap();
        let long = "ü".repeat(2000);
        let all = [
            stored("a", "n", "g"),
            stored("a*'()!.", "n", "g"),
            stored("a", "n/g", "x"),
            stored("a", "n", "g/x"),
            stored("a", "..", "."),
            stored("a", " ", "a b%2Fc?d#1"),
            stored("a", &long, &long),
            stored("a", &format!("{long}x"), &long),
        ];
        let mut tags = Vec::new();
        for group in &all {
            tags.push(store.put(group).await.unwrap());
        }
        let listed = store.list(false).await.unwrap();
        assert_eq!(listed.len(), all.len());
        for (group, tag) in all.iter().zip(tags) {
            let key = GroupKey::new(&group.namespace, group.group.name());
            let path = store.path_of(&group.tenant, &key);
            assert_eq!(listed.get(&path), Some(&tag), "{path}");
            let Found::Group(found) = store.get(&path).await.unwrap() else {
                panic!("{path} is not found");
            };
            assert_eq!(found.0, *group);
            store.delete(&path).await.unwrap();
            store.delete(&path).await.unwrap();
            assert!(matches!(store.get(&path).await.unwrap(), Found::Gone));
        }
        assert!(store.list(false).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_object_under_anothers_name_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let store = RuleStore::in_folder(folder.path()).unwrap();
        let (mine, theirs) = (stored("a", "n", "g"), stored("b", "n", "g"));
        store.put(&mine).await.unwrap();
        store.put(&theirs).await.unwrap();
        let path = |group: &StoredGroup| store.path_of(&group.tenant, &GroupKey::new("n", "g"));
        let file = |group: &StoredGroup| folder.path().join(path(group).to_string());
        std::fs::copy(file(&theirs), file(&mine)).unwrap();
        let found = store.get(&path(&mine)).await.unwrap();
        assert!(matches!(found, Found::Damaged(_)));
    }

    #[test]
    fn damage_is_noticed_and_a_newer_version_refused() {
        let bytes = encode(&stored("a", "n", "g"));
        assert!(decode(&bytes).is_ok());
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1;
            assert!(decode(&damaged).is_err(), "byte {index}");
            assert!(decode(&bytes[..index]).is_err(), "cut at {index}");
        }
        let text = String::from_utf8(bytes).unwrap();
        let newer = text.replacen(" 1 ", " 2 ", 1);
        let said = decode(newer.as_bytes()).unwrap_err();
        assert!(said.starts_with("a newer release has written it"), "{said}");
    }

    /// As on a full disk.
    #[tokio::test]
    async fn a_folder_that_cannot_be_made_yet_is_made_when_something_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("data");
        std::fs::write(&in_the_way, "").unwrap();
        let store = RuleStore::in_folder(&in_the_way.join("rules")).unwrap();
        let group = stored("a", "n", "g");
        assert!(store.list(false).await.is_err());
        assert!(store.put(&group).await.is_err());
        std::fs::remove_file(&in_the_way).unwrap();
        store.list(false).await.unwrap();
        store.put(&group).await.unwrap();
        let again = RuleStore::in_folder(&in_the_way.join("rules")).unwrap();
        let path = again.path_of(&group.tenant, &GroupKey::new("n", "g"));
        let found = again.get(&path).await.unwrap();
        assert!(matches!(found, Found::Group(_)));
    }

    #[test]
    fn addresses_and_options_that_nobody_knows_are_refused() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let refused = |url: &str, options: &[(&str, &str)]| {
            let options: BTreeMap<String, Secret> = options
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
                .collect();
            RuleStore::at(url, &options)
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(
            refused("s3://bucket/some/prefix", &[("aws_region", "eu-1")]),
            None
        );
        assert_eq!(refused("file:///not/there", &[]), None);
        for (url, options, said) in [
            ("bucket", &[][..], "rules cannot be stored in bucket"),
            (
                "ftp://bucket",
                &[],
                "ruler.storage.url ftp://bucket: this build knows s3://",
            ),
            (
                "s3://bucket",
                &[("aws_regoin", "x")],
                "ruler.storage.options has aws_regoin, which S3 does not know",
            ),
        ] {
            let found = refused(url, options).unwrap_or_default();
            assert!(found.starts_with(said), "{found}");
        }
    }
}
