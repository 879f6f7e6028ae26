//! What is switched on of the query language.
use config::{QueryFeature, WatchbellConfig};
use promql::ParserOptions;

/// For all that compiles queries in this process: the API, rules, and the checks of both.
#[must_use]
pub fn language(config: &WatchbellConfig) -> ParserOptions {
    let has = |feature| config.query.features.contains(&feature);
    ParserOptions {
        experimental_functions: has(QueryFeature::ExperimentalFunctions),
        extended_range_selectors: has(QueryFeature::ExtendedRangeSelectors),
        fill_modifiers: has(QueryFeature::BinopFillModifiers),
        delayed_name_removal: has(QueryFeature::DelayedNameRemoval),
        start_timestamps: config.storage.start_timestamps || has(QueryFeature::StartTimestamps),
        ..ParserOptions::default()
    }
}
