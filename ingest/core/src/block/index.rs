//! A block's index: places are held, and what stands there is read when it is wanted.
//!
//! Held are the place of every 32nd symbol, and of every label name the place of every 32nd value with the value.
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::{Labels, MatchOp, Matcher, Timestamp};

use crate::block::file::{BlockError, BlockFault, BlockFile, FileName};
use crate::block::layout::{
    CONTENTS_BYTES, CONTENTS_PLACES, INDEX_HEADER_BYTES, INDEX_MAGIC, INDEX_VERSION,
    SERIES_ALIGNMENT,
};
use crate::block::window::{Numbers, Window};
use crate::postings::{intersect, subtract, unite_disjoint};
use crate::record::SeriesId;

/// Between two entries of a table whose places are held.
const HELD_EVERY: u64 = 32;

type HeldNames = BTreeMap<Box<str>, Vec<HeldValue>>;

#[derive(Debug)]
pub(crate) struct BlockIndex {
    symbols: Symbols,
    /// By label name. The empty name has the postings of all series.
    names: HeldNames,
    /// Where the table of values ends.
    offsets_end: u64,
}

#[derive(Debug)]
struct Symbols {
    len: u64,
    end: u64,
    held: Vec<u64>,
}

#[derive(Debug)]
struct HeldValue {
    value: Box<str>,
    /// Of its entry in the table.
    at: u64,
}

/// A chunk as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkPlace {
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    /// Of the segment, from 0.
    pub(crate) segment: u32,
    pub(crate) at: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IndexedSeries {
    pub(crate) number: u32,
    pub(crate) labels: Labels,
    pub(crate) chunks: Vec<ChunkPlace>,
}

/// One entry of the table of values.
struct Entry {
    name: Box<str>,
    value: Box<str>,
    postings_at: u64,
    next: u64,
}

impl BlockIndex {
    pub(crate) fn open(file: &dyn BlockFile) -> Result<Self, BlockError> {
        let mut window = Window::new(FileName::Index, file);
        if window.u32(0)? != INDEX_MAGIC {
            return Err(window.error(0, BlockFault::Magic));
        }
        let version = window.bytes(4, 1)?[0];
        if version != INDEX_VERSION {
            return Err(window.error(4, BlockFault::Version(version)));
        }
        let contents_at = window.size().checked_sub(CONTENTS_BYTES);
        let Some(contents_at) = contents_at.filter(|at| *at >= INDEX_HEADER_BYTES) else {
            return Err(window.error(window.size(), BlockFault::Cut));
        };
        window.checked(contents_at, CONTENTS_BYTES - 4)?;
        let mut places = [0; CONTENTS_PLACES];
        for (index, place) in places.iter_mut().enumerate() {
            *place = window.u64(contents_at + 8 * index as u64)?;
        }
        let symbols = Symbols::open(&mut window, places[0])?;
        let (names, offsets_end) = read_offsets(&mut window, places[5])?;
        Ok(Self {
            symbols,
            names,
            offsets_end,
        })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.names.keys().map(AsRef::as_ref);
        names.filter(|name| !name.is_empty())
    }
}

impl Symbols {
    fn open(window: &mut Window<'_>, at: u64) -> Result<Self, BlockError> {
        let (start, end) = window.section(at)?;
        let len = u64::from(window.u32(start)?);
        let mut held = Vec::new();
        let mut next = start + 4;
        for place in 0..len {
            if place % HELD_EVERY == 0 {
                held.push(next);
            }
            (_, next) = window.text(next, end)?;
        }
        Ok(Self { len, end, held })
    }
}

/// The table of values: of each name every 32nd.
fn read_offsets(window: &mut Window<'_>, at: u64) -> Result<(HeldNames, u64), BlockError> {
    let (start, end) = window.section(at)?;
    let len = window.u32(start)?;
    let mut names = HeldNames::new();
    let mut last: Option<(Box<str>, Box<str>)> = None;
    let mut of_name = 0;
    let mut next = start + 4;
    for _ in 0..len {
        let at = next;
        let entry = read_entry(window, at, end)?;
        next = entry.next;
        let is_new = match &last {
            Some((name, value)) => match name.cmp(&entry.name) {
                Ordering::Less => true,
                Ordering::Equal if *value < entry.value => false,
                Ordering::Equal | Ordering::Greater => {
                    return Err(window.malformed(at, "values are not in order"));
                }
            },
            None => true,
        };
        of_name = if is_new { 0 } else { of_name + 1 };
        if of_name % HELD_EVERY == 0 {
            let held = HeldValue {
                value: entry.value.clone(),
                at,
            };
            names.entry(entry.name.clone()).or_default().push(held);
        }
        last = Some((entry.name, entry.value));
    }
    // Where the entries end, so that a walk through values does not read what is behind them.
    Ok((names, next))
}

fn read_entry(window: &mut Window<'_>, at: u64, end: u64) -> Result<Entry, BlockError> {
    let (parts, next) = window.varint(at)?;
    if parts != 2 {
        return Err(window.malformed(at, "no label stands here"));
    }
    let (name, next) = window.text(next, end)?;
    let name = Box::from(name);
    let (value, next) = window.text(next, end)?;
    let value = Box::from(value);
    let (postings_at, next) = window.varint(next)?;
    if next > end {
        return Err(window.malformed(at, "label is longer than the table"));
    }
    Ok(Entry {
        name,
        value,
        postings_at,
        next,
    })
}

/// Reads through an index; what one query needs twice is read once.
pub(crate) struct IndexReader<'b> {
    index: &'b BlockIndex,
    symbols: Window<'b>,
    known_symbols: HashMap<u32, Arc<str>>,
    values: Window<'b>,
    postings: Window<'b>,
    series: Window<'b>,
}

/// A query that reads more symbols than this forgets them all and begins anew.
const KNOWN_SYMBOLS_MAX: usize = 1_000_000;

impl<'b> IndexReader<'b> {
    pub(crate) fn new(index: &'b BlockIndex, file: &'b dyn BlockFile) -> Self {
        let window = || Window::new(FileName::Index, file);
        Self {
            index,
            symbols: window(),
            known_symbols: HashMap::new(),
            values: window(),
            postings: window(),
            series: window(),
        }
    }

    /// All symbols, ascending.
    pub(crate) fn all_symbols(&mut self) -> Result<Vec<Box<str>>, BlockError> {
        let symbols = &self.index.symbols;
        let mut all = Vec::new();
        let Some(mut next) = symbols.held.first().copied() else {
            return Ok(all);
        };
        for _ in 0..symbols.len {
            let (text, after) = self.symbols.text(next, symbols.end)?;
            all.push(Box::from(text));
            next = after;
        }
        Ok(all)
    }

    /// The numbers of the series that fulfil every matcher, ascending.
    pub(crate) fn select(&mut self, matchers: &[Matcher]) -> Result<Vec<SeriesId>, BlockError> {
        let mut found: Option<Vec<SeriesId>> = None;
        // What names its values first, so that the others are asked less often where nothing is left.
        let (direct, others): (Vec<&Matcher>, Vec<&Matcher>) = matchers
            .iter()
            .partition(|matcher| matcher.op() == MatchOp::Equal && !matcher.matches_empty());
        let (narrow, wide): (Vec<&Matcher>, Vec<&Matcher>) = others
            .into_iter()
            .partition(|matcher| !matcher.matches_empty());
        for matcher in direct.into_iter().chain(narrow) {
            if found.as_ref().is_some_and(Vec::is_empty) {
                return Ok(Vec::new());
            }
            let list = self.matching(matcher)?;
            found = Some(match found {
                Some(found) => intersect(&found, &list),
                None => list,
            });
        }
        let mut found = match found {
            Some(found) => found,
            None => self.all()?,
        };
        for matcher in wide {
            let without = self.with_values(matcher.name(), |value| !matcher.matches(value))?;
            found = subtract(&found, &without);
        }
        Ok(found)
    }

    pub(crate) fn all(&mut self) -> Result<Vec<SeriesId>, BlockError> {
        self.with_values("", |_| true)
    }

    /// The values of a label, ascending.
    pub(crate) fn values(&mut self, name: &str) -> Result<Vec<String>, BlockError> {
        let mut values = Vec::new();
        self.each_value(name, 0, |value, _| {
            values.push(value.to_owned());
            true
        })?;
        Ok(values)
    }

    /// Labels and chunks of a series.
    pub(crate) fn series(&mut self, id: SeriesId) -> Result<IndexedSeries, BlockError> {
        let at = u64::from(id.0) * SERIES_ALIGNMENT;
        let (length, start) = self.series.varint(at)?;
        let entry = self.series.checked(start, length)?.to_vec();
        let mut numbers = Numbers::new(&entry);
        let malformed = || BlockError {
            file: FileName::Index,
            at,
            fault: BlockFault::Malformed("series is malformed"),
        };
        let labels_len = numbers.unsigned().ok_or_else(malformed)?;
        let mut pairs = Vec::new();
        for _ in 0..labels_len {
            let name = numbers.u32().ok_or_else(malformed)?;
            let value = numbers.u32().ok_or_else(malformed)?;
            pairs.push((self.symbol(name)?, self.symbol(value)?));
        }
        let chunks = read_places(&mut numbers).ok_or_else(malformed)?;
        Ok(IndexedSeries {
            number: id.0,
            labels: Labels::from_pairs(pairs),
            chunks,
        })
    }

    fn symbol(&mut self, place: u32) -> Result<Arc<str>, BlockError> {
        if let Some(known) = self.known_symbols.get(&place) {
            return Ok(Arc::clone(known));
        }
        let symbols = &self.index.symbols;
        let held = symbols.held.get((u64::from(place) / HELD_EVERY) as usize);
        let Some(mut next) = held.copied().filter(|_| u64::from(place) < symbols.len) else {
            let what = "series names a symbol that is not there";
            return Err(self.symbols.malformed(symbols.end, what));
        };
        for _ in 0..u64::from(place) % HELD_EVERY {
            (_, next) = self.symbols.text(next, symbols.end)?;
        }
        let symbol: Arc<str> = self.symbols.text(next, symbols.end)?.0.into();
        if self.known_symbols.len() >= KNOWN_SYMBOLS_MAX {
            self.known_symbols.clear();
        }
        self.known_symbols.insert(place, Arc::clone(&symbol));
        Ok(symbol)
    }

    /// The series that have a value of the label which matches.
    fn matching(&mut self, matcher: &Matcher) -> Result<Vec<SeriesId>, BlockError> {
        if matcher.op() == MatchOp::Equal {
            return self.with_value(matcher.name(), matcher.value());
        }
        let alternatives = matcher
            .regex()
            .filter(|_| matcher.op() == MatchOp::Regex)
            .and_then(|regex| regex.alternatives());
        let Some(alternatives) = alternatives else {
            return self.with_values(matcher.name(), |value| matcher.matches(value));
        };
        let mut alternatives: Vec<&String> = alternatives.iter().collect();
        alternatives.sort_unstable();
        alternatives.dedup();
        let mut lists = Vec::new();
        for value in alternatives {
            lists.push(self.with_value(matcher.name(), value)?);
        }
        Ok(unite_disjoint(lists.iter().map(Vec::as_slice)))
    }

    fn with_value(&mut self, name: &str, wanted: &str) -> Result<Vec<SeriesId>, BlockError> {
        let held = self.index.names.get(name).map_or(&[][..], Vec::as_slice);
        let after = held.partition_point(|held| *held.value <= *wanted);
        let Some(from) = after.checked_sub(1) else {
            return Ok(Vec::new());
        };
        let mut place = None;
        self.each_value(name, from, |value, at| {
            if value == wanted {
                place = Some(at);
            }
            value < wanted
        })?;
        match place {
            Some(at) => self.postings(at),
            None => Ok(Vec::new()),
        }
    }

    fn with_values(
        &mut self,
        name: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<SeriesId>, BlockError> {
        let mut places = Vec::new();
        self.each_value(name, 0, |value, at| {
            if wanted(value) {
                places.push(at);
            }
            true
        })?;
        let mut lists = Vec::with_capacity(places.len());
        for at in places {
            lists.push(self.postings(at)?);
        }
        Ok(unite_disjoint(lists.iter().map(Vec::as_slice)))
    }

    /// Walks through a label's values from the held one of that number on, with their postings' places, as long as
    /// `each` says so.
    fn each_value(
        &mut self,
        name: &str,
        from: usize,
        mut each: impl FnMut(&str, u64) -> bool,
    ) -> Result<(), BlockError> {
        let held = self.index.names.get(name).and_then(|held| held.get(from));
        let Some(mut next) = held.map(|held| held.at) else {
            return Ok(());
        };
        while next < self.index.offsets_end {
            let entry = read_entry(&mut self.values, next, self.index.offsets_end)?;
            if *entry.name != *name || !each(&entry.value, entry.postings_at) {
                break;
            }
            next = entry.next;
        }
        Ok(())
    }

    fn postings(&mut self, at: u64) -> Result<Vec<SeriesId>, BlockError> {
        let length = u64::from(self.postings.u32(at)?);
        let section = self.postings.checked(at.saturating_add(4), length)?;
        let (numbers, rest) = section.as_chunks::<4>();
        let whole = rest.is_empty()
            && numbers
                .first()
                .is_some_and(|len| u32::from_be_bytes(*len) as usize == numbers.len() - 1);
        let ascending = numbers
            .get(1..)
            .is_some_and(|numbers| numbers.is_sorted_by(|left, right| left < right));
        if !whole || !ascending {
            return Err(self.postings.malformed(at, "postings are malformed"));
        }
        let list = numbers[1..].iter();
        Ok(list
            .map(|number| SeriesId(u32::from_be_bytes(*number)))
            .collect())
    }
}

fn read_places(numbers: &mut Numbers<'_>) -> Option<Vec<ChunkPlace>> {
    let len = numbers.unsigned()?;
    let mut places = Vec::new();
    let (mut time, mut reference) = (0_i64, 0_u64);
    for index in 0..len {
        let min = match index {
            0 => numbers.signed()?,
            _ => time.wrapping_add(numbers.unsigned()? as i64),
        };
        let max = min.wrapping_add(numbers.unsigned()? as i64);
        reference = match index {
            0 => numbers.unsigned()?,
            _ => reference.wrapping_add(numbers.signed()? as u64),
        };
        time = max;
        places.push(ChunkPlace {
            min_time: Timestamp::from_millis(min),
            max_time: Timestamp::from_millis(max),
            segment: (reference >> 32) as u32,
            at: reference as u32,
        });
    }
    Some(places)
}
