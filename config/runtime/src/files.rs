//! Reading what an operator wrote.
use std::fs::{FileType, Metadata};
use std::io::Read;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

use config::Files;

/// What people write is a hundredth of this; what is larger is something else that a name or a pattern caught.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The real disk. Errors are the operating system's own sentences, where it is what refuses.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

impl Files for DiskFiles {
    fn read(&self, path: &Path) -> Result<String, String> {
        // Before it is opened: opening a pipe waits for a writer.
        let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
        regular(&found)?;
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|error| error.to_string())?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(format!(
                "has more than the {FILE_BYTES_MAX} bytes that a file may have"
            ));
        }
        String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            not_text(&String::from_utf8_lossy(&error.as_bytes()[..good]))
        })
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let paths = glob::glob(pattern).map_err(|error| error.to_string())?;
        way_to(pattern)?;
        paths
            .map(|path| {
                path.map_err(|error| format!("open {}: {}", error.path().display(), error.error()))
            })
            .collect()
    }
}

fn regular(found: &Metadata) -> Result<(), String> {
    if found.is_file() {
        return Ok(());
    }
    let kind = kind(found.file_type());
    Err(format!("is a {kind}, and not a regular file"))
}

fn kind(found: FileType) -> &'static str {
    if found.is_dir() {
        "directory"
    } else if found.is_fifo() {
        "named pipe"
    } else if found.is_socket() {
        "socket"
    } else {
        "device"
    }
}

/// Where the text ends that is one.
fn not_text(good: &str) -> String {
    let line = good.matches('\n').count() + 1;
    let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("is not UTF-8 at line {line}, column {column}")
}

/// The folders that a pattern spells out. One that is missing holds nothing, which is no mistake; one that cannot be
/// followed or searched would be passed over by the search as if it were missing.
fn way_to(pattern: &str) -> Result<(), String> {
    let mut way = PathBuf::new();
    let mut components = Path::new(pattern).components().peekable();
    while let Some(component) = components.next() {
        if let Component::Normal(name) = component
            && name.to_string_lossy().contains(['*', '?', '['])
        {
            break;
        }
        way.push(component);
        let found = match std::fs::symlink_metadata(&way) {
            Err(error) if missing(&error) => break,
            // What a link at the end leads to is told by whoever reads it.
            found if components.peek().is_none() => found,
            _ => std::fs::metadata(&way),
        };
        if let Err(error) = found {
            return Err(format!("open {}: {error}", way.display()));
        }
    }
    Ok(())
}

fn missing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};

    matches!(error.kind(), NotADirectory | NotFound)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use config::Files as _;

    use super::{DiskFiles, FILE_BYTES_MAX};

    fn glob(folder: &Path, pattern: &str) -> Result<Vec<String>, String> {
        let paths = DiskFiles.glob(&folder.join(pattern).to_string_lossy())?;
        let names = paths.iter().map(|path| path.strip_prefix(folder).unwrap());
        Ok(names.map(|name| name.display().to_string()).collect())
    }

    fn pipe(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn a_pattern_finds_also_what_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("b.yml"), "").unwrap();
        fs::write(at("b.txt"), "").unwrap();
        fs::create_dir(at("c.yml")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("a.yml")).unwrap();
        pipe(&at("d.yml"));
        let found = glob(folder.path(), "*.yml").unwrap();
        assert_eq!(found, ["a.yml", "b.yml", "c.yml", "d.yml"]);
        for (pattern, found) in [
            ("a.yml", vec!["a.yml"]),
            ("z.yml", vec![]),
            ("z/*.yml", vec![]),
            ("b.yml/*.yml", vec![]),
        ] {
            let names = glob(folder.path(), pattern).unwrap();
            assert_eq!(names, found, "{pattern}");
        }
    }

    #[test]
    fn a_folder_on_the_way_that_cannot_be_followed_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("nowhere", at("gone")).unwrap();
        std::os::unix::fs::symlink("round", at("round")).unwrap();
        for (pattern, said) in [
            ("gone/*.yml", "gone: No such file or directory"),
            ("gone/a.yml", "gone: No such file or directory"),
            ("round/*.yml", "round: Too many levels of symbolic links"),
        ] {
            let reason = glob(folder.path(), pattern).unwrap_err();
            assert!(reason.contains(said), "{pattern}: {reason}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_told() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("a.yml"), "").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
        if fs::read_dir(&closed).is_ok() {
            eprintln!("the superuser reads every folder: nothing to see");
            return;
        }
        for pattern in ["closed/*.yml", "*/*.yml", "closed/a.yml"] {
            let reason = glob(folder.path(), pattern).unwrap_err();
            assert!(reason.contains("Permission denied"), "{pattern}: {reason}");
        }
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn only_regular_files_of_text_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        pipe(&at("pipe"));
        fs::write(at("latin"), b"a: 1\n\xc3\xa9: \xe9\n").unwrap();
        let large = fs::File::create(at("large")).unwrap();
        large.set_len(FILE_BYTES_MAX + 1).unwrap();
        for (path, said) in [
            (at("pipe"), "is a named pipe, and not a regular file"),
            (at(""), "is a directory, and not a regular file"),
            ("/dev/zero".into(), "is a device, and not a regular file"),
            (at("latin"), "is not UTF-8 at line 2, column 4"),
            (
                at("large"),
                "has more than the 67108864 bytes that a file may have",
            ),
        ] {
            assert_eq!(DiskFiles.read(&path), Err(said.to_owned()));
        }
        large.set_len(2).unwrap();
        assert_eq!(DiskFiles.read(&at("large")), Ok("\0\0".to_owned()));
    }
}
