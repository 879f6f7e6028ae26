//! Which parts of the language are switched on.
use std::time::Duration;

/// Switches of the language. The default is what a Prometheus 3.14 server does when it is given no feature flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParserOptions {
    /// `[5m * 2]`, `offset (step() + 1m)`: always on in the server.
    pub duration_expressions: bool,
    /// `promql-experimental-functions`: functions such as `info` and `mad_over_time`, and the aggregations `limitk` and
    /// `limit_ratio`.
    pub experimental_functions: bool,
    /// `promql-extended-range-selectors`: `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `promql-binop-fill-modifiers`: `fill`, `fill_left` and `fill_right`.
    pub fill_modifiers: bool,
    /// `promql-delayed-name-removal`: a metric name is dropped when all is computed instead of at each step.
    pub delayed_name_removal: bool,
    /// `use-start-timestamps`: `rate`, `irate`, `increase` and `resets` heed when a sample's counter began.
    pub start_timestamps: bool,
}

impl Default for ParserOptions {
    fn default() -> Self {
        Self {
            duration_expressions: true,
            experimental_functions: false,
            extended_range_selectors: false,
            fill_modifiers: false,
            delayed_name_removal: false,
            start_timestamps: false,
        }
    }
}

impl ParserOptions {
    /// Everything on.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            duration_expressions: true,
            experimental_functions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
            delayed_name_removal: true,
            start_timestamps: true,
        }
    }
}

/// Bounds of one run of a query. Wall time is the shell's: it makes `cancelled` return true.
#[derive(Clone, Copy)]
pub struct QueryLimits<'a> {
    /// How old a sample may be to count as the value of an instant (exclusive).
    pub lookback: Duration,
    /// Samples in memory at any time of the run.
    pub samples_max: usize,
    /// Series that a run reads, each as often as selectors that differ read it.
    pub series_max: usize,
    /// Bytes in memory at any time of the run: of samples, and of the labels of the series that were read.
    pub bytes_max: usize,
    /// The step of a subquery that names none: the evaluation interval.
    pub default_step: Duration,
    /// Asked now and then; when it returns true the run ends with an error.
    pub cancelled: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// Told at the end how many samples each step has looked at, those that several windows share once for each. A
    /// histogram counts by what it takes.
    pub seen: Option<&'a (dyn Fn(Vec<u64>) + Sync)>,
}

impl Default for QueryLimits<'_> {
    /// The server's defaults: five minutes, fifty million samples, any number of series, a gigabyte, one minute, nobody who cancels.
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            samples_max: 50_000_000,
            series_max: usize::MAX,
            bytes_max: 1 << 30,
            default_step: Duration::from_secs(60),
            cancelled: None,
            seen: None,
        }
    }
}
