//! Blocks that are written and read back, whole, damaged, and several as one.
use std::collections::BTreeMap;
use std::convert::Infallible;

use model::{Labels, MatchOp, Matcher, MatcherDialect, Sample, Timestamp, match_all};
use proptest::prelude::*;

use crate::block::castagnoli::castagnoli;
use crate::block::file::{BlockFault, BlockFile, FileName};
use crate::block::layout::Encoding;
use crate::block::merge::{MergeError, MergedSeries};
use crate::block::meta::BlockStats;
use crate::block::reader::{Block, SelectError};
use crate::block::tombstones::empty_tombstones;
use crate::block::writer::{BlockOutput, BlockWriter, ChunkToWrite, WriteBlockError};
use crate::chunk::OpenChunk;

#[derive(Clone, Debug, Default)]
struct Files {
    index: Vec<u8>,
    segments: Vec<Vec<u8>>,
    tombstones: Option<Vec<u8>>,
}

impl BlockOutput for Files {
    type Error = Infallible;

    fn index(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.index.extend_from_slice(bytes);
        Ok(())
    }

    fn chunks(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.segments.last_mut().unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn next_segment(&mut self) -> Result<(), Infallible> {
        self.segments.push(Vec::new());
        Ok(())
    }
}

impl Files {
    fn open(&self) -> Result<Block, super::BlockError> {
        let segments = self.segments.iter().cloned();
        let segments = segments.map(|bytes| Box::new(bytes) as Box<dyn BlockFile>);
        Block::open(
            Box::new(self.index.clone()),
            segments.collect(),
            self.tombstones.as_deref(),
        )
    }
}

type Table = BTreeMap<Labels, Vec<(i64, f64)>>;

fn sample((time, value): (i64, f64)) -> Sample {
    Sample {
        timestamp: Timestamp::from_millis(time),
        value,
    }
}

/// Chunks of `chunk_len` samples.
fn encoded(samples: &[(i64, f64)], chunk_len: usize) -> Vec<(Timestamp, Timestamp, Vec<u8>)> {
    let chunks = samples.chunks(chunk_len).map(|samples| {
        let mut open = OpenChunk::new(sample(samples[0]));
        for next in &samples[1..] {
            open.push(sample(*next));
        }
        (
            open.min_time(),
            open.last().timestamp,
            open.bytes().to_vec(),
        )
    });
    chunks.collect()
}

fn write(table: &Table, chunk_len: usize, segment_bytes_max: u64) -> (Files, BlockStats) {
    let symbols = table.keys().flatten();
    let symbols = symbols.flat_map(|(name, value)| [name.into(), value.into()]);
    let mut writer =
        BlockWriter::with_segments(Files::default(), symbols.collect(), segment_bytes_max).unwrap();
    for (labels, samples) in table {
        let chunks = encoded(samples, chunk_len);
        let chunks = chunks
            .iter()
            .map(|(min_time, max_time, bytes)| ChunkToWrite {
                min_time: *min_time,
                max_time: *max_time,
                encoding: Encoding::XOR,
                bytes,
            });
        writer.series(labels, chunks).unwrap();
    }
    writer.finish().unwrap()
}

fn read(block: &Block) -> Table {
    let found = block
        .select(&[], Timestamp::MIN, Timestamp::MAX, usize::MAX)
        .unwrap();
    let samples = |samples: Vec<Sample>| {
        let pairs = samples
            .iter()
            .map(|sample| (sample.timestamp.as_millis(), sample.value));
        pairs.collect()
    };
    let series = found.series.into_iter();
    series
        .map(|series| (series.labels, samples(series.points.samples)))
        .collect()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

fn table(series: usize, samples: i64) -> Table {
    (0..series)
        .map(|number| {
            let text = number.to_string();
            let labels = labels(&[("__name__", "up"), ("instance", &text), ("job", &text[..1])]);
            let samples = (0..samples).map(|at| (at * 15_000, (at * number as i64) as f64));
            (labels, samples.collect())
        })
        .collect()
}

#[test]
fn what_was_written_is_read() {
    for (series, samples, chunk_len, segment_bytes_max, segments) in [
        (0, 0, 120, 1 << 20, 1),
        (1, 1, 120, 1 << 20, 1),
        (100, 300, 120, 1 << 20, 1),
        (100, 300, 7, 4096, 31),
        // Every chunk is longer than a segment should be.
        (3, 50, 25, 16, 6),
    ] {
        let table = table(series, samples);
        let (files, stats) = write(&table, chunk_len, segment_bytes_max);
        assert_eq!(read(&files.open().unwrap()), table);
        let chunks = (samples as usize).div_ceil(chunk_len) * series;
        let expected = (
            series as u64,
            chunks as u64,
            (series as i64 * samples) as u64,
        );
        assert_eq!(
            (stats.num_series, stats.num_chunks, stats.num_samples),
            expected
        );
        if segments != 31 {
            assert_eq!(files.segments.len(), segments);
        } else {
            assert!(files.segments.len() > 10);
            assert!(files.segments.iter().all(|segment| segment.len() <= 4096));
        }
    }
}

/// Worked out by hand from the layout.
#[test]
fn the_bytes_are_those_of_prometheus() {
    let table = Table::from([(labels(&[("a", "b")]), vec![(1000, 1.0), (2000, 1.0)])]);
    let (files, _) = write(&table, 120, 1 << 20);
    let sum = |bytes: &[u8]| castagnoli(bytes).to_be_bytes();
    // Two samples; 1000 zigzag; 1.0; the delta 1000; a bit: the same value.
    let chunk = [
        &[1, 0, 2, 0xd0, 0x0f][..],
        &1.0_f64.to_be_bytes(),
        &[0xe8, 0x07, 0],
    ]
    .concat();
    let segment = [
        &[0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0, chunk.len() as u8 - 1][..],
        &chunk,
        &sum(&chunk),
    ]
    .concat();
    assert_eq!(files.segments, [segment]);
    let section = |content: &[u8]| {
        [
            &(content.len() as u32).to_be_bytes()[..],
            content,
            &sum(content),
        ]
        .concat()
    };
    let mut index = vec![0xba, 0xaa, 0xd7, 0x00, 2];
    index.extend(section(&[0, 0, 0, 2, 1, b'a', 1, b'b']));
    index.resize(32, 0);
    // One label: symbols 0 and 1; one chunk from 1000, 1000 long, at 8.
    let series = [1, 0, 1, 1, 0xd0, 0x0f, 0xe8, 0x07, 8];
    index.extend([&[series.len() as u8][..], &series, &sum(&series)].concat());
    index.resize(48, 0);
    // Series 2 (at 32), as one of all and as one with the label.
    for _ in 0..2 {
        index.extend(section(&[0, 0, 0, 1, 0, 0, 0, 2]));
    }
    index.extend(section(&[0, 0, 0, 0]));
    index.extend(section(&[0, 0, 0, 2, 2, 0, 0, 48, 2, 1, b'a', 1, b'b', 64]));
    let places: Vec<u8> = [5_u64, 32, 48, 80, 48, 92]
        .iter()
        .flat_map(|at| at.to_be_bytes())
        .collect();
    index.extend(&places);
    index.extend(sum(&places));
    assert_eq!(files.index, index);
}

#[test]
fn series_come_in_order_and_with_known_symbols() {
    let chunks = encoded(&[(0, 0.0)], 1);
    let chunk = || ChunkToWrite {
        min_time: chunks[0].0,
        max_time: chunks[0].1,
        encoding: Encoding::XOR,
        bytes: &chunks[0].2,
    };
    let mut writer = BlockWriter::begin(Files::default(), vec!["a".into(), "b".into()]).unwrap();
    writer.series(&labels(&[("a", "b")]), [chunk()]).unwrap();
    for (pairs, is_order) in [
        (&[("a", "b")][..], true),
        (&[("a", "a")], true),
        (&[("b", "c")], false),
    ] {
        let refused = writer.series(&labels(pairs), [chunk()]).unwrap_err();
        assert_eq!(
            matches!(refused, WriteBlockError::Order(_)),
            is_order,
            "{pairs:?}"
        );
        assert_eq!(
            matches!(refused, WriteBlockError::Symbol(_)),
            !is_order,
            "{pairs:?}"
        );
    }
}

#[test]
fn a_window_and_a_bound_of_samples() {
    let table = table(3, 100);
    let (files, _) = write(&table, 10, 1 << 20);
    let block = files.open().unwrap();
    for (after, until, expected) in [
        (i64::MIN, i64::MAX, 300),
        (0, 15_000, 3),
        (-1, 0, 3),
        (149_999, 300_000, 33),
        (1_485_000, i64::MAX, 0),
        (15_000, 29_999, 0),
    ] {
        let window = |samples_max| {
            let (after, until) = (Timestamp::from_millis(after), Timestamp::from_millis(until));
            block.select(&[], after, until, samples_max)
        };
        let found = window(expected).unwrap().series;
        let samples: usize = found.iter().map(|series| series.points.samples.len()).sum();
        assert_eq!(samples, expected, "({after}, {until}]");
        assert!(found.iter().all(|series| !series.points.samples.is_empty()));
        if expected > 0 {
            assert!(matches!(
                window(expected - 1),
                Err(SelectError::TooManySamples)
            ));
        }
    }
}

#[test]
fn names_values_and_label_sets() {
    let (files, _) = write(&table(100, 3), 120, 1 << 20);
    let block = files.open().unwrap();
    assert_eq!(block.label_names(), ["__name__", "instance", "job"]);
    assert_eq!(
        block.label_values("job").unwrap(),
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
    );
    assert_eq!(block.label_values("instance").unwrap().len(), 100);
    assert_eq!(block.label_values("").unwrap(), [""; 0]);
    assert_eq!(block.label_values("nowhere").unwrap(), [""; 0]);
    let job = [Matcher::equal("job", "7")];
    let sets = |after, until| {
        let (after, until) = (Timestamp::from_millis(after), Timestamp::from_millis(until));
        block.label_sets(&job, after, until).unwrap().count()
    };
    assert_eq!((sets(0, 10_000_000), sets(30_000, 40_000)), (11, 0));
}

#[test]
fn deleted_samples_are_not_seen_and_do_not_come_along() {
    let table = table(2, 100);
    let (mut files, _) = write(&table, 10, 1 << 20);
    let numbers = series_numbers(&files);
    let mut content = Vec::new();
    for (series, first, last) in [
        (numbers[0], 100_000, 200_000),
        (numbers[1], i64::MIN, i64::MAX),
    ] {
        model::protobuf::push_varint(&mut content, series);
        model::protobuf::push_varint(&mut content, model::protobuf::zigzag(first));
        model::protobuf::push_varint(&mut content, model::protobuf::zigzag(last));
    }
    let mut stones = empty_tombstones()[..5].to_vec();
    stones.extend_from_slice(&content);
    stones.extend_from_slice(&castagnoli(&content).to_be_bytes());
    files.tombstones = Some(stones);
    let block = files.open().unwrap();
    let mut expected = table.clone();
    expected.pop_last();
    for samples in expected.values_mut() {
        samples.retain(|(time, _)| !(100_000..=200_000).contains(time));
    }
    assert_eq!(read(&block), expected);
    let all = block
        .label_sets(&[], Timestamp::MIN, Timestamp::MAX)
        .unwrap();
    assert_eq!(all.count(), 1);
    assert_eq!(merged(&[&block]).unwrap(), expected);
}

/// From the postings of all series.
fn series_numbers(files: &Files) -> Vec<u64> {
    let contents = files.index.len() - 52;
    let place = |number: usize| {
        let at = contents + 8 * number;
        u64::from_be_bytes(files.index[at..at + 8].try_into().unwrap()) as usize
    };
    let postings = &files.index[place(4)..];
    let len = u32::from_be_bytes(postings[4..8].try_into().unwrap()) as usize;
    let numbers = postings[8..8 + 4 * len].chunks(4);
    numbers
        .map(|number| u64::from(u32::from_be_bytes(number.try_into().unwrap())))
        .collect()
}

fn merged(blocks: &[&Block]) -> Result<Table, MergeError> {
    let walks = blocks.iter().map(|block| block.walk().unwrap()).collect();
    let mut symbols = Vec::new();
    for block in blocks {
        symbols.extend(block.symbols().unwrap());
    }
    let mut writer = BlockWriter::begin(Files::default(), symbols).unwrap();
    for series in MergedSeries::new(walks) {
        let (labels, chunks) = series?;
        let chunks = chunks.iter().map(|chunk| ChunkToWrite {
            min_time: chunk.min_time,
            max_time: chunk.max_time,
            encoding: chunk.encoding,
            bytes: &chunk.bytes,
        });
        writer.series(&labels, chunks).unwrap();
    }
    Ok(read(&writer.finish().unwrap().0.open().unwrap()))
}

/// Chunks that nobody can read yet: they are passed over and counted, and comes along into larger blocks.
#[test]
fn chunks_of_another_encoding_are_passed_over() {
    let file = |times: &[(i64, i64)]| {
        let symbols = vec!["a".into(), "b".into()];
        let mut writer = BlockWriter::begin(Files::default(), symbols).unwrap();
        let chunks = times.iter().map(|(min, max)| ChunkToWrite {
            min_time: Timestamp::from_millis(*min),
            max_time: Timestamp::from_millis(*max),
            encoding: Encoding(9),
            bytes: &[0, 9, 1, 2, 3],
        });
        writer.series(&labels(&[("a", "b")]), chunks).unwrap();
        writer.finish().unwrap()
    };
    let (files, stats) = file(&[(0, 10), (20, 30)]);
    assert_eq!(stats.num_samples, 0, "nobody knows");
    let block = files.open().unwrap();
    let found = block
        .select(&[], Timestamp::MIN, Timestamp::MAX, 100)
        .unwrap();
    assert_eq!(found.series, []);
    assert_eq!(found.unknown_chunks, BTreeMap::from([(Encoding(9), 2)]));
    let walk = |files: &Files, other: &Files| {
        let (one, other) = (files.open().unwrap(), other.open().unwrap());
        let walks = vec![one.walk().unwrap(), other.walk().unwrap()];
        let series: Vec<_> = MergedSeries::new(walks).collect();
        assert_eq!(series.len(), 1);
        series
            .into_iter()
            .next()
            .unwrap()
            .map(|(_, chunks)| chunks.len())
    };
    assert_eq!(walk(&files, &file(&[(40, 50)]).0).unwrap(), 3);
    assert_eq!(walk(&files, &files).unwrap(), 2, "the same chunks");
    let refused = walk(&files, &file(&[(5, 6)]).0);
    assert!(matches!(refused, Err(MergeError::UnknownEncoding(_))));
}

#[test]
fn any_changed_byte_is_noticed_or_does_no_harm() {
    let table = table(5, 30);
    let (files, _) = write(&table, 10, 1 << 20);
    let look = |files: &Files| -> Result<Table, String> {
        let block = files.open().map_err(|error| error.to_string())?;
        for name in block.label_names() {
            block
                .label_values(&name)
                .map_err(|error| error.to_string())?;
        }
        let found = block.select(&[], Timestamp::MIN, Timestamp::MAX, usize::MAX);
        found.map_err(|error| error.to_string())?;
        Ok(read(&block))
    };
    for at in 0..files.index.len() {
        let mut files = files.clone();
        files.index[at] ^= 0x11;
        if let Ok(found) = look(&files) {
            assert_eq!(found, table, "byte {at} of the index");
        }
        files.index.truncate(at);
        assert!(look(&files).is_err(), "an index of {at} bytes");
    }
    for at in 0..files.segments[0].len() {
        let mut files = files.clone();
        files.segments[0][at] ^= 0x11;
        if let Ok(found) = look(&files) {
            assert_eq!(found, table, "byte {at} of the chunks");
        }
        files.segments[0].truncate(at);
        assert!(look(&files).is_err(), "chunks of {at} bytes");
    }
    let mut harmed = files.clone();
    harmed.segments[0][40] ^= 1;
    let error = harmed
        .open()
        .unwrap()
        .select(&[], Timestamp::MIN, Timestamp::MAX, 999);
    let Err(SelectError::Block(error)) = error else {
        panic!("it is damaged");
    };
    assert_eq!(
        error.to_string(),
        "chunks/000001 at byte 31: checksum differs"
    );
    let mut missing = files;
    missing.segments.clear();
    let error = missing
        .open()
        .unwrap()
        .select(&[], Timestamp::MIN, Timestamp::MAX, 999);
    let Err(SelectError::Block(error)) = error else {
        panic!("its chunks are missing");
    };
    assert_eq!(error.file, FileName::Chunks(1));
    assert_eq!(error.fault, BlockFault::Malformed("segment is missing"));
}

proptest! {
    /// Against the definition: every series is asked.
    #[test]
    fn selects_what_matches(
        sets in prop::collection::btree_set(prop::collection::btree_map("[abc]", "[xyz]{1,2}", 1..4), 0..90),
        wanted in prop::collection::vec((0..4_usize, "[abcd]", "([xyz]{0,2}(\\|[xyz]{0,2})?|\\.\\*|\\.\\+|x\\.\\*)"), 0..4),
    ) {
        let table: Table = sets
            .into_iter()
            .map(|set| (Labels::from_pairs(set), vec![(0, 1.0)]))
            .collect();
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        let matchers: Vec<Matcher> = wanted
            .iter()
            .map(|(op, name, value)| Matcher::new(ops[*op], name, value, MatcherDialect::PromQl).unwrap())
            .collect();
        let expected: Vec<&Labels> = table.keys().filter(|labels| match_all(&matchers, labels)).collect();
        let (files, _) = write(&table, 120, 1 << 20);
        let block = files.open().unwrap();
        let found = block.label_sets(&matchers, Timestamp::MIN, Timestamp::MAX).unwrap();
        let found = found.collect::<Result<Vec<_>, _>>().unwrap();
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    }

    /// Of two that have a sample of one time the first one counts.
    #[test]
    fn several_blocks_become_one(
        blocks in prop::collection::vec(
            prop::collection::btree_map(0..3_usize, prop::collection::btree_map(0..60_i64, 0..5_u8, 1..40), 0..3),
            1..4,
        ),
        chunk_len in 1..20_usize,
    ) {
        let tables: Vec<Table> = blocks
            .into_iter()
            .map(|series| {
                let series = series.into_iter().map(|(number, samples)| {
                    let samples = samples.into_iter().map(|(time, value)| (time, f64::from(value)));
                    (labels(&[("n", &number.to_string())]), samples.collect())
                });
                series.collect()
            })
            .collect();
        let mut expected: BTreeMap<Labels, BTreeMap<i64, f64>> = BTreeMap::new();
        for (labels, samples) in tables.iter().flatten() {
            let of_series = expected.entry(labels.clone()).or_default();
            for (time, value) in samples {
                of_series.entry(*time).or_insert(*value);
            }
        }
        let expected: Table = expected
            .into_iter()
            .map(|(labels, samples)| (labels, samples.into_iter().collect()))
            .collect();
        let opened: Vec<Block> = tables
            .iter()
            .map(|table| write(table, chunk_len, 1 << 20).0.open().unwrap())
            .collect();
        let found = merged(&opened.iter().collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_crash_it(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        sums_are_right: bool,
    ) {
        let (mut files, _) = write(&table(3, 5), 2, 1 << 20);
        for (at, byte) in changes {
            let at = at.index(files.index.len());
            files.index[at] = byte;
        }
        if sums_are_right {
            // The table of contents, so that its places are hostile.
            let contents = files.index.len() - 52;
            let sum = castagnoli(&files.index[contents..contents + 48]).to_be_bytes();
            files.index[contents + 48..].copy_from_slice(&sum);
        }
        if let Ok(block) = files.open() {
            let _ = block.select(&[], Timestamp::MIN, Timestamp::MAX, 1000);
            let _ = block.symbols();
            let _ = block.walk().map(|walk| walk.count());
        }
    }
}
