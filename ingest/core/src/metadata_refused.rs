//! What senders say about metrics and is not kept.

/// How many descriptions a request had that are not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetadataRefused {
    /// Without a name, or not in UTF-8.
    pub malformed: usize,
    /// Past a bound.
    pub too_much: usize,
}
