//! Sets of alerts as the notification log knows them: by the xxHash64 of their labels.

/// Sorted, each hash once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertHashes(Vec<u64>);

impl AlertHashes {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn contains(&self, hash: u64) -> bool {
        self.0.binary_search(&hash).is_ok()
    }

    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|hash| other.contains(hash))
    }

    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.iter().any(|hash| other.contains(hash))
    }

    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.iter().filter(|hash| other.contains(*hash)).collect()
    }

    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.iter().filter(|hash| !other.contains(*hash)).collect()
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<u64> for AlertHashes {
    fn from_iter<I: IntoIterator<Item = u64>>(hashes: I) -> Self {
        let mut hashes: Vec<u64> = hashes.into_iter().collect();
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }
}

/// What one integration may have been told about one group by attempts of which nobody knows the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uncertain {
    /// These it may know as firing, whatever the log says.
    pub firing: AlertHashes,
    /// These it may have heard to be over, although the log has them as firing.
    pub ended: AlertHashes,
}

impl Uncertain {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.firing.is_empty() && self.ended.is_empty()
    }

    #[must_use]
    pub fn without(&self, hashes: &AlertHashes) -> Self {
        Self {
            firing: self.firing.without(hashes),
            ended: self.ended.without(hashes),
        }
    }

    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            firing: self.firing.union(&other.firing),
            ended: self.ended.union(&other.ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::AlertHashes;

    /// The hashes that Alertmanager 0.34 writes into its notification log.
    #[test]
    fn hashes_are_those_of_alertmanager() {
        let rows: [(&[(&str, &str)], u64); 4] = [
            (&[], 17_241_709_254_077_376_921),
            (&[("ok", "1")], 16_216_063_725_985_524_043),
            (&[("a", "x"), ("team", "x")], 4_505_862_155_425_722_346),
            (
                &[
                    ("alertname", "Down"),
                    ("instance", "a:1"),
                    ("severity", "critical"),
                ],
                15_046_708_431_042_216_841,
            ),
        ];
        for (pairs, hash) in rows {
            assert_eq!(Labels::from_pairs(pairs.iter().copied()).xxhash64(), hash);
        }
    }

    #[test]
    fn behaves_as_a_set() {
        let set = |hashes: &[u64]| hashes.iter().copied().collect::<AlertHashes>();
        assert_eq!(set(&[3, 1, 3]), set(&[1, 3]));
        assert!(set(&[1]).is_subset(&set(&[1, 2])));
        assert!(!set(&[1, 3]).is_subset(&set(&[1, 2])));
        assert!(set(&[]).is_subset(&set(&[])));
        assert!(!set(&[]).intersects(&set(&[1])));
        assert_eq!(set(&[1, 2]).union(&set(&[2, 3])), set(&[1, 2, 3]));
        assert_eq!(set(&[1, 2]).intersection(&set(&[2, 3])), set(&[2]));
        assert_eq!(set(&[1, 2]).without(&set(&[2, 3])), set(&[1]));
    }
}
