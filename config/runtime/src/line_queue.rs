//! Lines on their way to where somebody may not be reading: whoever says one never waits for that.
//!
//! One thread writes them in their order. What waits is bounded in bytes; a line past the bound is dropped and counted,
//! and where it would have stood a line says how many are missing.
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// What goes out in one write: as much as a pipe holds.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// How long a writer that others have made non-blocking is left alone where it takes nothing.
const PAUSE: Duration = Duration::from_millis(20);

/// A handle, cheap to copy.
#[derive(Clone)]
pub(crate) struct LineQueue(Arc<Shared>);

struct Shared {
    bytes_max: usize,
    /// What is written in place of so many lines.
    notice: fn(u64) -> String,
    state: Mutex<State>,
    /// Wakes the writing thread.
    came: Condvar,
    /// Wakes those who wait for an empty queue.
    went: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    /// Of the lines, and of those that are being written.
    bytes: usize,
    is_writing: bool,
    /// Dropped, and no line says so yet.
    untold: u64,
}

struct Line {
    bytes: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Said,
    /// That so many others were dropped, which are counted already.
    Notice(u64),
}

impl LineQueue {
    /// Starts the thread that writes to `writer`. Of the bytes that wait there are at most `bytes_max`.
    pub(crate) fn start(
        writer: impl Write + Send + 'static,
        bytes_max: usize,
        notice: fn(u64) -> String,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            bytes_max,
            notice,
            state: Mutex::default(),
            came: Condvar::new(),
            went: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let writing = Arc::clone(&shared);
        thread::Builder::new()
            .name("log-lines".to_owned())
            .spawn(move || writing.write_to(writer))?;
        Ok(Self(shared))
    }

    /// A whole line with its end. Never waits for the writer.
    pub(crate) fn push(&self, line: &[u8]) {
        let shared = &self.0;
        let mut state = shared.state.lock();
        shared.tell_of_dropped(&mut state);
        if state.untold > 0 || state.bytes + line.len() > shared.bytes_max {
            state.untold += 1;
            shared.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            state.put(line.to_vec(), Kind::Said);
        }
        drop(state);
        shared.came.notify_one();
    }

    /// Waits until all is written, `patience` at most. Says whether it is.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let shared = &self.0;
        let mut state = shared.state.lock();
        shared.tell_of_dropped(&mut state);
        shared.came.notify_one();
        let waits = |state: &mut State| state.is_writing || !state.lines.is_empty();
        let waited = shared.went.wait_while_for(&mut state, waits, patience);
        !waited.timed_out()
    }

    /// Lines that were not written since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl State {
    fn put(&mut self, bytes: Vec<u8>, kind: Kind) {
        self.bytes += bytes.len();
        self.lines.push_back(Line { bytes, kind });
    }
}

impl Shared {
    /// As soon as there is room, and before any line that comes later.
    fn tell_of_dropped(&self, state: &mut State) {
        if state.untold == 0 {
            return;
        }
        let notice = (self.notice)(state.untold).into_bytes();
        if state.bytes + notice.len() <= self.bytes_max {
            let untold = std::mem::take(&mut state.untold);
            state.put(notice, Kind::Notice(untold));
        }
    }

    fn write_to(&self, mut writer: impl Write) {
        let mut block = Vec::with_capacity(WRITE_BYTES_MAX);
        loop {
            let mut lines = Vec::new();
            {
                let mut state = self.state.lock();
                while state.lines.is_empty() {
                    state.is_writing = false;
                    self.went.notify_all();
                    self.came.wait(&mut state);
                }
                state.is_writing = true;
                while let Some(line) = state.lines.pop_front() {
                    block.extend_from_slice(&line.bytes);
                    lines.push((block.len(), line.kind));
                    let next = state.lines.front().map_or(0, |next| next.bytes.len());
                    if block.len() + next > WRITE_BYTES_MAX {
                        break;
                    }
                }
            }
            let written = write_all(&mut writer, &block);
            let mut state = self.state.lock();
            state.bytes -= block.len();
            if written == block.len() {
                self.tell_of_dropped(&mut state);
            }
            // What is lost now is told with the next line: where nothing can be written that would go on for ever.
            for (_, kind) in lines.into_iter().filter(|(end, _)| *end > written) {
                match kind {
                    Kind::Said => {
                        state.untold += 1;
                        self.dropped.fetch_add(1, Ordering::Relaxed);
                    }
                    Kind::Notice(count) => state.untold += count,
                }
            }
            drop(state);
            block.clear();
            block.shrink_to(WRITE_BYTES_MAX);
        }
    }
}

/// How many of the bytes were written: fewer where the writer fails.
fn write_all(writer: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match writer.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(_) => break,
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::LineQueue;

    /// Far longer than anything takes.
    const FAR: Duration = Duration::from_secs(60);

    /// Every write waits for its leave: how many bytes of it are taken, or none where it fails.
    struct Gate {
        entered: Sender<()>,
        leave: Receiver<Option<usize>>,
        paper: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.entered.send(());
            let taken = match self.leave.recv() {
                Ok(Some(taken)) => taken.min(bytes.len()),
                Ok(None) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(_) => bytes.len(),
            };
            self.paper.lock().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        queue: LineQueue,
        entered: Receiver<()>,
        leave: Sender<Option<usize>>,
        paper: Arc<Mutex<Vec<u8>>>,
    }

    impl Bench {
        fn new(bytes_max: usize) -> Self {
            let (entering, entered) = channel();
            let (leave, leaving) = channel();
            let paper = Arc::new(Mutex::default());
            let gate = Gate {
                entered: entering,
                leave: leaving,
                paper: Arc::clone(&paper),
            };
            let notice = |count| format!("-{count}\n");
            Self {
                queue: LineQueue::start(gate, bytes_max, notice).unwrap(),
                entered,
                leave,
                paper,
            }
        }

        fn push(&self, lines: &[&str]) {
            for line in lines {
                self.queue.push(format!("{line}\n").as_bytes());
            }
        }

        /// What is written once everybody reads again.
        fn rest(self) -> String {
            drop(self.leave);
            assert!(self.queue.flush(FAR));
            String::from_utf8(self.paper.lock().clone()).unwrap()
        }
    }

    #[test]
    fn a_line_stands_where_others_were_dropped_and_order_is_kept() {
        let bench = Bench::new(12);
        bench.push(&["aaa"]);
        bench.entered.recv().unwrap();
        // Four bytes are being written, and eight may wait.
        bench.push(&["bbb", "ccc", "ddd", "e", "f"]);
        assert_eq!(
            bench.queue.dropped(),
            3,
            "also a short one behind a dropped one"
        );
        assert!(!bench.queue.flush(Duration::from_millis(1)));
        bench.leave.send(Some(2)).unwrap();
        bench.entered.recv().unwrap();
        bench.leave.send(Some(2)).unwrap();
        // The next write has begun: the notice is in line behind what waits.
        bench.entered.recv().unwrap();
        bench.push(&["g"]);
        assert_eq!(bench.queue.dropped(), 4, "eight bytes, a notice of three");
        assert_eq!(bench.rest(), "aaa\nbbb\nccc\n-3\n-1\n");
    }

    #[test]
    fn what_a_broken_writer_took_is_counted_once_and_told_with_the_next_line() {
        let bench = Bench::new(100);
        bench.push(&["a"]);
        bench.entered.recv().unwrap();
        bench.push(&["b", "c"]);
        bench.leave.send(None).unwrap();
        bench.entered.recv().unwrap();
        bench.leave.send(Some(2)).unwrap();
        bench.entered.recv().unwrap();
        bench.leave.send(None).unwrap();
        // a and c; b was written.
        while bench.queue.dropped() < 2 {
            std::thread::yield_now();
        }
        bench.push(&["d"]);
        assert_eq!(bench.rest(), "b\n-2\nd\n");
    }

    #[test]
    fn a_line_beyond_the_bound_is_dropped_and_told_at_once_by_a_flush() {
        let bench = Bench::new(10);
        bench.push(&["far too long"]);
        assert_eq!(bench.queue.dropped(), 1);
        assert_eq!(bench.rest(), "-1\n");
    }
}
