//! `meta.json`: what a block covers and what it came from.
use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::block::ulid::Ulid;

const VERSION: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMeta {
    pub ulid: Ulid,
    /// Of the first sample, or the begin of the range.
    pub min_time: Timestamp,
    /// Samples are before this.
    pub max_time: Timestamp,
    pub stats: BlockStats,
    pub level: u32,
    /// The blocks of level 1 that it came from.
    pub sources: Vec<Ulid>,
    /// The blocks that it takes the place of.
    pub parents: Vec<BlockParent>,
    /// An earlier attempt to compact it failed.
    pub failed: bool,
    /// All of it came out of order: of a time that another block has too the other one's sample stays.
    pub is_late: bool,
    /// Watchbell cut it out of memory, or made it of such blocks, so that its age is that of its samples.
    pub is_own: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockStats {
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockParent {
    pub ulid: Ulid,
    pub min_time: Timestamp,
    pub max_time: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    #[error("meta.json cannot be read: {0}")]
    Malformed(String),
    #[error("meta.json has version {0}, and only {VERSION} is known")]
    Version(u8),
    #[error("meta.json names a block {0:?}, which is no ULID")]
    Ulid(String),
    #[error("meta.json names a time that ends before it begins")]
    Times,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMeta {
    ulid: String,
    min_time: i64,
    max_time: i64,
    #[serde(default)]
    stats: BlockStats,
    compaction: RawCompaction,
    version: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    watchbell: Option<RawOwn>,
}

/// What no other reader of a block needs.
#[derive(Serialize, Deserialize)]
struct RawOwn {
    #[serde(default)]
    cut: bool,
}

#[derive(Serialize, Deserialize)]
struct RawCompaction {
    level: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parents: Vec<RawParent>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    failed: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

/// Prometheus' word.
const LATE_HINT: &str = "from-out-of-order";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawParent {
    ulid: String,
    min_time: i64,
    max_time: i64,
}

impl BlockMeta {
    pub fn parse(json: &[u8]) -> Result<Self, MetaError> {
        let raw: RawMeta = serde_json::from_slice(json)
            .map_err(|error| MetaError::Malformed(error.to_string()))?;
        if raw.version != VERSION {
            return Err(MetaError::Version(raw.version));
        }
        if raw.min_time > raw.max_time {
            return Err(MetaError::Times);
        }
        let sources = raw.compaction.sources.into_iter().map(ulid);
        let parents = raw.compaction.parents.into_iter().map(|parent| {
            Ok(BlockParent {
                ulid: ulid(parent.ulid)?,
                min_time: Timestamp::from_millis(parent.min_time),
                max_time: Timestamp::from_millis(parent.max_time),
            })
        });
        Ok(Self {
            ulid: ulid(raw.ulid)?,
            min_time: Timestamp::from_millis(raw.min_time),
            max_time: Timestamp::from_millis(raw.max_time),
            stats: raw.stats,
            level: raw.compaction.level,
            sources: sources.collect::<Result<_, _>>()?,
            parents: parents.collect::<Result<_, _>>()?,
            failed: raw.compaction.failed,
            is_late: raw.compaction.hints.iter().any(|hint| hint == LATE_HINT),
            is_own: raw.watchbell.is_some_and(|own| own.cut),
        })
    }

    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.to_raw()).expect("numbers and texts are always JSON")
    }

    /// In one line, with what Prometheus says of a block and no more.
    #[must_use]
    pub fn to_api_json(&self) -> String {
        let raw = RawMeta {
            watchbell: None,
            ..self.to_raw()
        };
        serde_json::to_string(&raw).expect("numbers and texts are always JSON")
    }

    fn to_raw(&self) -> RawMeta {
        let parents = self.parents.iter().map(|parent| RawParent {
            ulid: parent.ulid.to_string(),
            min_time: parent.min_time.as_millis(),
            max_time: parent.max_time.as_millis(),
        });
        RawMeta {
            ulid: self.ulid.to_string(),
            min_time: self.min_time.as_millis(),
            max_time: self.max_time.as_millis(),
            stats: self.stats,
            compaction: RawCompaction {
                level: self.level,
                sources: self.sources.iter().map(Ulid::to_string).collect(),
                parents: parents.collect(),
                failed: self.failed,
                hints: self
                    .is_late
                    .then(|| LATE_HINT.to_owned())
                    .into_iter()
                    .collect(),
            },
            version: VERSION,
            watchbell: self.is_own.then_some(RawOwn { cut: true }),
        }
    }

    /// Whether it has room for a sample in the window `(after, until]`.
    #[must_use]
    pub fn overlaps(&self, after: Timestamp, until: Timestamp) -> bool {
        self.min_time <= until && self.max_time.as_millis() > after.as_millis().saturating_add(1)
    }

    /// In this order blocks are read and merged, and of two samples of one time the first one stays: what came in order
    /// by its time, and behind it what came late in the order in which it came.
    #[must_use]
    pub fn reading_order(&self) -> (bool, Timestamp, Ulid) {
        if self.is_late {
            let first = self.sources.iter().min().copied();
            (true, Timestamp::MIN, first.unwrap_or(self.ulid))
        } else {
            (false, self.min_time, self.ulid)
        }
    }

    #[must_use]
    pub fn as_parent(&self) -> BlockParent {
        BlockParent {
            ulid: self.ulid,
            min_time: self.min_time,
            max_time: self.max_time,
        }
    }
}

fn ulid(text: String) -> Result<Ulid, MetaError> {
    Ulid::parse(&text).ok_or(MetaError::Ulid(text))
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::{BlockMeta, MetaError};
    use crate::block::ulid::Ulid;

    const JSON: &str = r#"{
        "ulid": "01ARYZ6S41ZZZZZZZZZZZZZZZZ", "minTime": 10, "maxTime": 20, "version": 1,
        "stats": {"numSamples": 5, "numSeries": 2, "numChunks": 3},
        "compaction": {"level": 2, "sources": ["01ARYZ6S41ZZZZZZZZZZZZZZZZ"],
            "parents": [{"ulid": "01ARYZ6S41ZZZZZZZZZZZZZZZZ", "minTime": 10, "maxTime": 15}], "hints": ["x"]},
        "thanos": {"labels": {}}
    }"#;

    #[test]
    fn it_reads_back() {
        let meta = BlockMeta::parse(JSON.as_bytes()).unwrap();
        assert_eq!((meta.level, meta.stats.num_chunks), (2, 3));
        assert_eq!(meta.parents[0].max_time, Timestamp::from_millis(15));
        assert!(!meta.is_late);
        assert!(!meta.is_own);
        for is_late in [false, true] {
            let meta = BlockMeta {
                is_late,
                is_own: is_late,
                ..meta.clone()
            };
            let json = String::from_utf8(meta.to_json()).unwrap();
            assert_eq!(json.contains("\"from-out-of-order\""), is_late);
            assert_eq!(BlockMeta::parse(&meta.to_json()), Ok(meta));
        }
    }

    #[test]
    fn what_came_late_is_read_behind_the_rest_in_the_order_in_which_it_came() {
        let ulid = |number| Ulid::new(Timestamp::from_millis(number), 0);
        let meta = |number, begin, is_late| BlockMeta {
            ulid: ulid(number),
            min_time: Timestamp::from_millis(begin),
            sources: vec![ulid(number)],
            is_late,
            ..BlockMeta::parse(JSON.as_bytes()).unwrap()
        };
        let merged = BlockMeta {
            sources: vec![ulid(5), ulid(2)],
            ..meta(9, 0, true)
        };
        let mut metas = [
            meta(3, 0, true),
            merged.clone(),
            meta(4, 6, false),
            meta(7, 5, false),
        ];
        metas.sort_by_key(BlockMeta::reading_order);
        let ulids = metas.map(|meta| meta.ulid);
        assert_eq!(ulids, [ulid(7), ulid(4), merged.ulid, ulid(3)]);
    }

    #[test]
    fn what_is_no_meta_is_refused() {
        for (was, is, error) in [
            ("\"version\": 1", "\"version\": 2", MetaError::Version(2)),
            (
                "\"minTime\": 10, \"maxTime\": 20",
                "\"minTime\": 21, \"maxTime\": 20",
                MetaError::Times,
            ),
            (
                "{\"ulid\": \"01A",
                "{\"ulid\": \"91A",
                MetaError::Ulid("91ARYZ6S41ZZZZZZZZZZZZZZZZ".to_owned()),
            ),
        ] {
            let json = JSON.replacen(was, is, 1);
            assert_eq!(BlockMeta::parse(json.as_bytes()), Err(error), "{json}");
        }
        assert!(matches!(
            BlockMeta::parse(b"{"),
            Err(MetaError::Malformed(_))
        ));
    }

    #[test]
    fn its_end_is_not_in_it() {
        let meta = BlockMeta::parse(JSON.as_bytes()).unwrap();
        for (after, until, overlaps) in [
            (0, 9, false),
            (0, 10, true),
            (18, 100, true),
            (19, 100, false),
            (i64::MAX, i64::MAX, false),
        ] {
            let found = meta.overlaps(Timestamp::from_millis(after), Timestamp::from_millis(until));
            assert_eq!(found, overlaps, "({after}, {until}]");
        }
    }
}
