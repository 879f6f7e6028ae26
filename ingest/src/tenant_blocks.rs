//! A tenant's blocks: listed, opened when somebody reads them, and removed when nobody does any more.
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ingest_core::{Block, BlockMeta, StoredBlock, Ulid};
use model::{TenantId, Timestamp};
use parking_lot::{Mutex, RwLock};
use tracing::{error, info, warn};

use crate::block_files::{
    ReadBlockError, block_bytes, list_blocks, open_block, read_meta, remove_block,
};
use crate::start_error::StartError;

/// Of all tenants.
pub(crate) fn blocks_folder(folder: &Path) -> PathBuf {
    folder.join("blocks")
}

/// The tenants that have a folder for blocks.
pub(crate) fn list_tenants(folder: &Path) -> Result<Vec<TenantId>, StartError> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.and_then(|entries| {
            let entries: io::Result<Vec<_>> = entries.collect();
            entries
        }),
    };
    let entries = listed.map_err(|source| StartError::Folder {
        path: folder.to_owned(),
        source,
    })?;
    let names = entries.iter().map(fs::DirEntry::file_name);
    let tenants = names.filter_map(|name| TenantId::parse(name.to_str()?).ok());
    Ok(tenants.collect())
}

pub(crate) struct TenantBlocks {
    folder: PathBuf,
    /// As they are read and merged.
    blocks: RwLock<Vec<Arc<DiskBlock>>>,
}

/// One block. Its folder stays as long as somebody holds this.
pub(crate) struct DiskBlock {
    pub(crate) meta: BlockMeta,
    pub(crate) bytes: u64,
    folder: PathBuf,
    opened: Mutex<Opened>,
    /// Merging it failed in a way that another attempt does not mend.
    pub(crate) cannot_merge: AtomicBool,
    is_gone: AtomicBool,
}

#[derive(Default)]
struct Opened {
    block: Option<Arc<Block>>,
    /// Since somebody looked.
    is_used: bool,
}

impl TenantBlocks {
    /// There is none yet.
    #[cfg(test)]
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            blocks: RwLock::default(),
        }
    }

    /// Reads what the folder holds. A block that cannot be read stays where it is and is left out; each is logged, and
    /// answered is how many there were.
    pub(crate) fn read(folder: &Path, tenant: &TenantId) -> Result<(Self, u64), StartError> {
        let folder = folder.join(tenant.as_str());
        let mut damages = 0;
        let mut blocks = Vec::new();
        let listed = list_blocks(&folder).map_err(|source| StartError::Folder {
            path: folder.clone(),
            source,
        });
        for path in listed? {
            match DiskBlock::read(path.clone()) {
                Ok(block) => blocks.push(Arc::new(block)),
                Err(problem) => {
                    damages += 1;
                    error!(%tenant, block = %path.display(), error = %problem, cause = ?std::error::Error::source(&problem), "a block cannot be read; queries go without it");
                }
            }
        }
        let all = Self {
            folder,
            blocks: RwLock::default(),
        };
        // What a crash left between a merged block and the removal of those that it was made of.
        let gone: Vec<Ulid> = blocks
            .iter()
            .flat_map(|block| &block.meta.parents)
            .map(|parent| parent.ulid)
            .collect();
        all.change(blocks, &[]);
        all.change(Vec::new(), &gone);
        Ok((all, damages))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn all(&self) -> Vec<Arc<DiskBlock>> {
        self.blocks.read().clone()
    }

    /// What their sizes and times decide over.
    pub(crate) fn stored(&self) -> Vec<StoredBlock<Ulid>> {
        self.blocks
            .read()
            .iter()
            .map(|block| block.stored())
            .collect()
    }

    /// The same of those that were cut here, or made of such.
    pub(crate) fn own(&self) -> Vec<StoredBlock<Ulid>> {
        let blocks = self.blocks.read();
        let own = blocks.iter().filter(|block| block.meta.is_own);
        own.map(|block| block.stored()).collect()
    }

    /// Those with room for a sample in the window `(after, until]`.
    pub(crate) fn overlapping(&self, after: Timestamp, until: Timestamp) -> Vec<Arc<DiskBlock>> {
        let blocks = self.blocks.read();
        let overlapping = blocks
            .iter()
            .filter(|block| block.meta.overlaps(after, until));
        overlapping.cloned().collect()
    }

    /// What was cut and is here, by itself or in what it was merged into.
    pub(crate) fn sources(&self) -> HashSet<Ulid> {
        let blocks = self.blocks.read();
        let sources = blocks.iter().flat_map(|block| &block.meta.sources);
        sources.copied().collect()
    }

    /// In one step, so that no query sees both or neither. The folders of `gone` are removed when nobody reads them.
    pub(crate) fn change(&self, come: Vec<Arc<DiskBlock>>, gone: &[Ulid]) {
        let mut left = Vec::new();
        let mut blocks = self.blocks.write();
        blocks.retain(|block| {
            let stays = !gone.contains(&block.meta.ulid);
            if !stays {
                left.push(Arc::clone(block));
            }
            stays
        });
        blocks.extend(come);
        blocks.sort_by_key(|block| block.meta.reading_order());
        drop(blocks);
        for block in left {
            block.is_gone.store(true, Ordering::SeqCst);
        }
    }

    /// Gives back the memory of those that nobody has read since the last time.
    pub(crate) fn close_idle(&self) {
        for block in self.all() {
            let mut opened = block.opened.lock();
            if !std::mem::take(&mut opened.is_used) {
                opened.block = None;
            }
        }
    }
}

impl DiskBlock {
    /// Looks at everything that is held of it once, and holds nothing.
    pub(crate) fn read(folder: PathBuf) -> Result<Self, ReadBlockError> {
        let meta = read_meta(&folder)?;
        open_block(&folder)?;
        Ok(Self {
            meta,
            bytes: block_bytes(&folder)?,
            folder,
            opened: Mutex::default(),
            cannot_merge: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
        })
    }

    fn stored(&self) -> StoredBlock<Ulid> {
        StoredBlock {
            key: self.meta.ulid,
            max_time: self.meta.max_time,
            bytes: self.bytes,
        }
    }

    /// From the disk, where it was not read lately.
    pub(crate) fn open(&self) -> Result<Arc<Block>, ReadBlockError> {
        let mut opened = self.opened.lock();
        opened.is_used = true;
        if let Some(block) = &opened.block {
            return Ok(Arc::clone(block));
        }
        let block = Arc::new(open_block(&self.folder)?);
        opened.block = Some(Arc::clone(&block));
        Ok(block)
    }
}

impl Drop for DiskBlock {
    fn drop(&mut self) {
        if !*self.is_gone.get_mut() {
            return;
        }
        match remove_block(&self.folder) {
            Ok(()) => info!(block = %self.folder.display(), "a block was removed"),
            Err(error) => {
                warn!(block = %self.folder.display(), %error, "a block could not be removed; the next start looks at it again");
            }
        }
    }
}
