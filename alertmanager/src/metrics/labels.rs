//! Label sets of the Alertmanager's figures.

pub(crate) type LabelSet = Vec<(String, String)>;

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> LabelSet {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
