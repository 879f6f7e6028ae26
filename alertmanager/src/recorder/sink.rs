//! Files and standard output.
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

pub(super) trait Sink: Send + 'static {
    /// Whole lines, each with its end. Answers how many bytes of them were written, whatever went wrong then.
    fn write(&mut self, lines: &[u8]) -> (usize, io::Result<()>);
}

/// A file that others may move away: what comes next goes into a new one.
pub(super) struct FileSink {
    path: PathBuf,
    open: Option<File>,
    /// A line was begun and not ended: what comes next must not become a part of it.
    is_torn: bool,
}

impl FileSink {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            is_torn: false,
        }
    }

    /// Opens the file that stands at the path at this moment, where it is not the one that is open.
    fn follow(&mut self) -> io::Result<()> {
        let still_there = match (&self.open, std::fs::metadata(&self.path)) {
            (Some(open), Ok(there)) => identity(&open.metadata()?) == identity(&there),
            (Some(_) | None, _) => false,
        };
        if !still_there {
            self.open = None;
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(&self.path)?;
            self.is_torn = ends_within_a_line(&file, &self.path);
            self.open = Some(file);
        }
        Ok(())
    }
}

impl Sink for FileSink {
    fn write(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        if let Err(failure) = self.follow() {
            return (0, Err(failure));
        }
        let Some(file) = &mut self.open else {
            return (0, Err(io::ErrorKind::NotFound.into()));
        };
        if self.is_torn {
            if let Err(failure) = file.write_all(b"\n") {
                return (0, Err(failure));
            }
            self.is_torn = false;
        }
        let (written, outcome) = write_on(file, lines);
        self.is_torn = written > 0 && lines[written - 1] != b'\n';
        (written, outcome)
    }
}

pub(super) struct StdoutSink;

impl Sink for StdoutSink {
    fn write(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        let mut stdout = io::stdout().lock();
        let (written, outcome) = write_on(&mut stdout, lines);
        (written, outcome.and_then(|()| stdout.flush()))
    }
}

fn write_on(writer: &mut impl Write, lines: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < lines.len() {
        match writer.write(&lines[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(bytes) => written += bytes,
            Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
            Err(failure) => return (written, Err(failure)),
        }
    }
    (written, Ok(()))
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether a life of the process before was killed in the middle of a line.
fn ends_within_a_line(file: &File, path: &std::path::Path) -> bool {
    let is_file = file
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0);
    if !is_file {
        return false;
    }
    let last = || -> io::Result<u8> {
        let mut reader = File::open(path)?;
        reader.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        reader.read_exact(&mut last)?;
        Ok(last[0])
    };
    last().is_ok_and(|last| last != b'\n')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{FileSink, Sink, write_on};

    #[test]
    fn a_file_that_is_moved_away_or_removed_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("e"), folder.path().join("e.1"));
        let mut sink = FileSink::new(path.clone());
        let mut write = |line: &str| {
            let (written, outcome) = sink.write(line.as_bytes());
            outcome.unwrap();
            assert_eq!(written, line.len());
        };
        let read = |path| fs::read_to_string(path).unwrap();
        write("a\n");
        write("b\n");
        assert_eq!(read(&path), "a\nb\n");
        fs::rename(&path, &moved).unwrap();
        write("c\n");
        assert_eq!((read(&moved), read(&path)), ("a\nb\n".into(), "c\n".into()));
        fs::remove_file(&path).unwrap();
        write("d\n");
        assert_eq!(read(&path), "d\n");
        // Another one stands in its place already.
        fs::rename(&path, &moved).unwrap();
        fs::write(&path, "x\n").unwrap();
        write("d\n");
        assert_eq!((read(&moved), read(&path)), ("d\n".into(), "x\nd\n".into()));
        // Copied and cut short, as some rotate.
        fs::write(&path, "").unwrap();
        write("e\n");
        assert_eq!(read(&path), "e\n");
    }

    #[test]
    fn a_line_that_was_torn_does_not_swallow_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e");
        fs::write(&path, "whole\nhal").unwrap();
        let mut sink = FileSink::new(path.clone());
        assert_eq!(sink.write(b"next\n").0, 5);
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nhal\nnext\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later").join("e");
        let mut sink = FileSink::new(path.clone());
        let (written, outcome) = sink.write(b"a\n");
        assert!(written == 0 && outcome.is_err());
        fs::create_dir(path.parent().unwrap()).unwrap();
        assert!(sink.write(b"b\n").1.is_ok());
        assert_eq!(fs::read_to_string(&path).unwrap(), "b\n");
    }

    #[test]
    fn it_is_known_how_far_a_write_came() {
        let mut room = [0_u8; 5];
        let (written, outcome) = write_on(&mut &mut room[..], b"ab\ncd\n");
        assert_eq!(written, 5);
        assert!(outcome.is_err());
    }
}
