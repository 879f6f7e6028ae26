//! A block's folder on disk: written aside, synced and renamed, so that it is there whole or not at all.
//!
//! ```text
//! blocks/TENANT/ULID/  meta.json  index  tombstones  chunks/000001 …
//! ```
//! A tenant's folder is one that Prometheus takes as its `--storage.tsdb.path`.
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ingest_core::{
    Block, BlockError, BlockFault, BlockFile, BlockMeta, BlockOutput, BlockStats, BlockWriter,
    FileFault, FileName, MetaError, Ulid, WriteBlockError, empty_tombstones,
};
use tracing::warn;

/// As Prometheus names them, so that it clears them away too.
const CREATION: &str = ".tmp-for-creation";
const DELETION: &str = ".tmp-for-deletion";
/// A few hundred bytes in fact, and some more for each block that it came from.
const META_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// 512 MB each.
const SEGMENTS_MAX: usize = 10_000;

/// Why a block's folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadBlockError {
    #[error("{} cannot be read", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error("meta.json names the block {0} and stands in another one's folder")]
    OtherUlid(Ulid),
}

/// One file. It is opened for each stretch that is read, so that blocks take no handles, however many there are.
struct DiskFile {
    path: PathBuf,
    size: u64,
}

impl DiskFile {
    fn new(path: PathBuf) -> Result<Self, ReadBlockError> {
        match fs::metadata(&path) {
            Ok(found) => Ok(Self {
                size: found.len(),
                path,
            }),
            Err(source) => Err(ReadBlockError::Io { path, source }),
        }
    }
}

impl BlockFile for DiskFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> Result<(), FileFault> {
        File::open(&self.path)
            .and_then(|file| file.read_exact_at(bytes, at))
            .map_err(|error| FileFault(error.to_string()))
    }
}

pub(crate) fn read_meta(folder: &Path) -> Result<BlockMeta, ReadBlockError> {
    let path = folder.join("meta.json");
    let size = DiskFile::new(path.clone())?.size;
    if size > META_BYTES_MAX {
        return Err(BlockError {
            file: FileName::Meta,
            at: META_BYTES_MAX,
            fault: BlockFault::Malformed("file is longer than it may be"),
        }
        .into());
    }
    let json = fs::read(&path).map_err(|source| ReadBlockError::Io { path, source })?;
    let meta = BlockMeta::parse(&json)?;
    let name = folder.file_name().and_then(|name| name.to_str());
    if name.and_then(Ulid::parse) != Some(meta.ulid) {
        return Err(ReadBlockError::OtherUlid(meta.ulid));
    }
    Ok(meta)
}

pub(crate) fn open_block(folder: &Path) -> Result<Block, ReadBlockError> {
    let index = DiskFile::new(folder.join("index"))?;
    let mut segments: Vec<Box<dyn BlockFile>> = Vec::new();
    for path in segment_paths(folder)? {
        segments.push(Box::new(DiskFile::new(path)?));
    }
    let path = folder.join("tombstones");
    let tombstones = match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(ReadBlockError::Io { path, source }),
    };
    Ok(Block::open(
        Box::new(index),
        segments,
        tombstones.as_deref(),
    )?)
}

/// What the block takes of the disk.
pub(crate) fn block_bytes(folder: &Path) -> Result<u64, ReadBlockError> {
    let files = ["meta.json", "index", "tombstones"].map(|name| folder.join(name));
    let mut bytes = 0;
    for path in files.into_iter().chain(segment_paths(folder)?) {
        bytes += fs::metadata(path).map_or(0, |found| found.len());
    }
    Ok(bytes)
}

/// Segments count from 1 without gaps; what is behind a gap is not reached by any chunk.
fn segment_paths(folder: &Path) -> Result<Vec<PathBuf>, ReadBlockError> {
    let chunks = folder.join("chunks");
    let found = fs::metadata(&chunks);
    found.map_err(|source| ReadBlockError::Io {
        path: chunks.clone(),
        source,
    })?;
    let paths = (1..=SEGMENTS_MAX).map(|number| chunks.join(format!("{number:06}")));
    Ok(paths.take_while(|path| path.exists()).collect())
}

/// The blocks of a tenant's folder by their names. What a crash left half made or half removed is cleared away.
pub(crate) fn list_blocks(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if let Some(begun) = name
            .strip_suffix(CREATION)
            .or_else(|| name.strip_suffix(DELETION))
            && Ulid::parse(begun).is_some()
        {
            // A disk that takes nothing is no reason not to start: it does no harm.
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                warn!(path = %entry.path().display(), %error, "what is left of a block could not be removed");
            }
        } else if Ulid::parse(&name).is_some() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// At no moment does a folder with a block's name lack a part of it.
pub(crate) fn remove_block(folder: &Path) -> io::Result<()> {
    let mut name = folder.as_os_str().to_owned();
    name.push(DELETION);
    fs::rename(folder, &name)?;
    fs::remove_dir_all(&name)
}

/// Why a block was not written; nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError<E> {
    #[error("block could not be written")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Format(WriteBlockError<io::Error>),
    #[error(transparent)]
    Content(E),
}

/// Writes a block into the tenant's folder, with what `fill` says. A block without series is none. Blocks.
pub(crate) fn write_block<E>(
    tenant_folder: &Path,
    ulid: Ulid,
    symbols: Vec<Box<str>>,
    fill: impl FnOnce(&mut BlockWriter<FolderOutput>) -> Result<(), WriteError<E>>,
    meta: impl FnOnce(BlockStats) -> BlockMeta,
) -> Result<Option<PathBuf>, WriteError<E>> {
    // Without an empty one Prometheus' tools do not look at the blocks.
    fs::create_dir_all(tenant_folder.join("wal"))?;
    let folder = tenant_folder.join(ulid.to_string());
    let aside = tenant_folder.join(format!("{ulid}{CREATION}"));
    let written = write_aside(&aside, symbols, fill, meta);
    if !matches!(written, Ok(true)) {
        // Where that fails too, the next start clears it away.
        let _ = fs::remove_dir_all(&aside);
    }
    if !written? {
        return Ok(None);
    }
    fs::rename(&aside, &folder)?;
    sync(tenant_folder)?;
    Ok(Some(folder))
}

/// Whether there is anything in it.
fn write_aside<E>(
    aside: &Path,
    symbols: Vec<Box<str>>,
    fill: impl FnOnce(&mut BlockWriter<FolderOutput>) -> Result<(), WriteError<E>>,
    meta: impl FnOnce(BlockStats) -> BlockMeta,
) -> Result<bool, WriteError<E>> {
    let output = FolderOutput::begin(aside)?;
    let mut writer = BlockWriter::begin(output, symbols).map_err(WriteError::Format)?;
    fill(&mut writer)?;
    let (output, stats) = writer.finish().map_err(WriteError::Format)?;
    if stats.num_series == 0 {
        return Ok(false);
    }
    output.finish()?;
    for (name, bytes) in [
        ("tombstones", empty_tombstones()),
        ("meta.json", meta(stats).to_json()),
    ] {
        let mut file = File::create(aside.join(name))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
    }
    sync(aside)?;
    Ok(true)
}

pub(crate) struct FolderOutput {
    chunks_folder: PathBuf,
    index: File,
    segment: Option<File>,
    segments: u32,
}

impl FolderOutput {
    fn begin(folder: &Path) -> io::Result<Self> {
        let chunks_folder = folder.join("chunks");
        fs::create_dir_all(&chunks_folder)?;
        Ok(Self {
            index: File::create(folder.join("index"))?,
            chunks_folder,
            segment: None,
            segments: 0,
        })
    }

    fn finish(self) -> io::Result<()> {
        self.index.sync_all()?;
        if let Some(segment) = self.segment {
            segment.sync_all()?;
        }
        sync(&self.chunks_folder)
    }
}

impl BlockOutput for FolderOutput {
    type Error = io::Error;

    fn index(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.index.write_all(bytes)
    }

    fn chunks(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.segment {
            Some(segment) => segment.write_all(bytes),
            None => Err(io::Error::other("chunk has no segment")),
        }
    }

    fn next_segment(&mut self) -> io::Result<()> {
        self.segments += 1;
        let path = self.chunks_folder.join(format!("{:06}", self.segments));
        if let Some(full) = self.segment.replace(File::create(path)?) {
            full.sync_all()?;
        }
        Ok(())
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
