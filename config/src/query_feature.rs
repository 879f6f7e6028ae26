//! Parts of the query language that are off unless they are asked for, by the names of Prometheus' `--enable-feature`.

/// A name of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueryFeature {
    /// `fill`, `fill_left` and `fill_right`.
    BinopFillModifiers,
    DelayedNameRemoval,
    /// Functions such as `info` and `mad_over_time`, and the aggregations `limitk` and `limit_ratio`.
    ExperimentalFunctions,
    /// `anchored` and `smoothed`.
    ExtendedRangeSelectors,
    /// The same as `storage.start_timestamps`.
    StartTimestamps,
    /// It switches nothing here: it is always on, or not there.
    WithoutEffect(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown feature {name:?}; known are {}", known())]
pub struct UnknownFeature {
    name: String,
}

const FEATURES: [(&str, QueryFeature); 5] = [
    (
        "promql-binop-fill-modifiers",
        QueryFeature::BinopFillModifiers,
    ),
    (
        "promql-delayed-name-removal",
        QueryFeature::DelayedNameRemoval,
    ),
    (
        "promql-experimental-functions",
        QueryFeature::ExperimentalFunctions,
    ),
    (
        "promql-extended-range-selectors",
        QueryFeature::ExtendedRangeSelectors,
    ),
    ("use-start-timestamps", QueryFeature::StartTimestamps),
];

/// What else a Prometheus takes, of today or of years ago: command lines and files that name them are to be taken over
/// as they are.
const WITHOUT_EFFECT: [&str; 32] = [
    "agent",
    "auto-gomaxprocs",
    "auto-gomemlimit",
    "auto-reload-config",
    "concurrent-rule-eval",
    "created-timestamp-zero-ingestion",
    "delayed-compaction",
    "exemplar-storage",
    "expand-external-labels",
    "extra-scrape-metrics",
    "fast-startup",
    "memory-snapshot-on-shutdown",
    "metadata-wal-records",
    "native-histograms",
    "new-service-discovery-manager",
    "no-default-scrape-port",
    "old-ui",
    "otlp-deltatocumulative",
    "otlp-native-delta-ingestion",
    "otlp-write-receiver",
    "promql-at-modifier",
    "promql-duration-expr",
    "promql-negative-offset",
    "promql-per-step-stats",
    "remote-write-receiver",
    "search-api",
    "st-storage",
    "st-synthesis",
    "type-and-unit-labels",
    "use-uncached-io",
    "utf8-names",
    "xor2-encoding",
];

impl QueryFeature {
    /// # Errors
    /// Neither a name of Prometheus nor one of ours.
    pub fn parse(name: &str) -> Result<Self, UnknownFeature> {
        let switched = FEATURES.iter().find(|(known, _)| *known == name);
        let taken = WITHOUT_EFFECT.iter().find(|known| **known == name);
        match (switched, taken) {
            (Some((_, feature)), _) => Ok(*feature),
            (None, Some(name)) => Ok(Self::WithoutEffect(name)),
            (None, None) => Err(UnknownFeature {
                name: name.to_owned(),
            }),
        }
    }
}

fn known() -> String {
    FEATURES.map(|(name, _)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::QueryFeature;

    #[test]
    fn names_are_prometheus_own() {
        let unknown = |name: &str| {
            format!(
                "unknown feature {name:?}; known are promql-binop-fill-modifiers, promql-delayed-name-removal, \
                 promql-experimental-functions, promql-extended-range-selectors, use-start-timestamps"
            )
        };
        for (name, feature) in [
            (
                "promql-experimental-functions",
                Ok(QueryFeature::ExperimentalFunctions),
            ),
            ("use-start-timestamps", Ok(QueryFeature::StartTimestamps)),
            (
                "exemplar-storage",
                Ok(QueryFeature::WithoutEffect("exemplar-storage")),
            ),
            ("promql-experimental", Err(unknown("promql-experimental"))),
            ("", Err(unknown(""))),
        ] {
            let parsed = QueryFeature::parse(name).map_err(|error| error.to_string());
            assert_eq!(parsed, feature, "{name}");
        }
    }
}
