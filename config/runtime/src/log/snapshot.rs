//! A file that is either the old one or the new one, whole, whenever the power goes.
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::log::segment::sync_folder;

const BUFFER_BYTES: usize = 256 * 1024;

/// Writes aside (`NAME.tmp`), syncs, renames over `path` and syncs the folder. When this fails the old file is
/// untouched; what was written aside is overwritten by the next attempt. Blocks; two writers of one path would disturb each other.
pub fn write_snapshot(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path names no file"))?
        .to_owned();
    name.push(".tmp");
    let aside = path.with_file_name(name);
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, File::create(&aside)?);
    write(&mut file)?;
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    fs::rename(&aside, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => sync_folder(folder),
        _ => sync_folder(Path::new(".")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;

    use super::write_snapshot;

    #[test]
    fn a_failed_snapshot_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        write_snapshot(&path, |file| file.write_all(b"old")).unwrap();
        let failed = write_snapshot(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(io::Error::other("no space left"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no space left");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_snapshot(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
