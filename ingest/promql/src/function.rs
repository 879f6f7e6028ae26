//! The functions of the language: names, arguments, results.
use crate::ast::ValueType;
use crate::ast::ValueType::{Matrix, Scalar, Text, Vector};

#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    pub kind: FunctionKind,
    pub args: &'static [ValueType],
    pub arity: Arity,
    pub returns: ValueType,
    /// Refused unless experimental functions are switched on.
    pub experimental: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// As many as `args`.
    Exact,
    /// The last of `args` may be missing.
    Optional,
    /// The last of `args` may come any number of times, none included.
    Repeated,
    /// The last of `args` may come up to so many times, none included.
    UpTo(usize),
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// Names in the order of the alphabet, so that they are found by bisection.
#[must_use]
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS
        .binary_search_by(|function| function.name.cmp(name))
        .ok()
        .map(|index| &FUNCTIONS[index])
}

macro_rules! functions {
    ($($name:literal $kind:ident [$($arg:ident),*] $arity:expr, $returns:ident, $experimental:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FunctionKind {
            $($kind,)*
        }

        pub static FUNCTIONS: &[Function] = &[$(Function {
            name: $name,
            kind: FunctionKind::$kind,
            args: &[$($arg),*],
            arity: $arity,
            returns: $returns,
            experimental: $experimental,
        },)*];
    };
}

use Arity::{Exact, Optional, Repeated, UpTo};

functions! {
    "abs" Abs [Vector] Exact, Vector, false;
    "absent" Absent [Vector] Exact, Vector, false;
    "absent_over_time" AbsentOverTime [Matrix] Exact, Vector, false;
    "acos" Acos [Vector] Exact, Vector, false;
    "acosh" Acosh [Vector] Exact, Vector, false;
    "asin" Asin [Vector] Exact, Vector, false;
    "asinh" Asinh [Vector] Exact, Vector, false;
    "atan" Atan [Vector] Exact, Vector, false;
    "atanh" Atanh [Vector] Exact, Vector, false;
    "avg_over_time" AvgOverTime [Matrix] Exact, Vector, false;
    "ceil" Ceil [Vector] Exact, Vector, false;
    "changes" Changes [Matrix] Exact, Vector, false;
    "clamp" Clamp [Vector, Scalar, Scalar] Exact, Vector, false;
    "clamp_max" ClampMax [Vector, Scalar] Exact, Vector, false;
    "clamp_min" ClampMin [Vector, Scalar] Exact, Vector, false;
    "cos" Cos [Vector] Exact, Vector, false;
    "cosh" Cosh [Vector] Exact, Vector, false;
    "count_over_time" CountOverTime [Matrix] Exact, Vector, false;
    "day_of_month" DayOfMonth [Vector] Optional, Vector, false;
    "day_of_week" DayOfWeek [Vector] Optional, Vector, false;
    "day_of_year" DayOfYear [Vector] Optional, Vector, false;
    "days_in_month" DaysInMonth [Vector] Optional, Vector, false;
    "deg" Deg [Vector] Exact, Vector, false;
    "delta" Delta [Matrix] Exact, Vector, false;
    "deriv" Deriv [Matrix] Exact, Vector, false;
    "double_exponential_smoothing" DoubleExponentialSmoothing [Matrix, Scalar, Scalar] Exact, Vector, true;
    "end" End [] Exact, Scalar, true;
    "exp" Exp [Vector] Exact, Vector, false;
    "first_over_time" FirstOverTime [Matrix] Exact, Vector, false;
    "floor" Floor [Vector] Exact, Vector, false;
    "histogram_avg" HistogramAvg [Vector] Exact, Vector, false;
    "histogram_count" HistogramCount [Vector] Exact, Vector, false;
    "histogram_fraction" HistogramFraction [Scalar, Scalar, Vector] Exact, Vector, false;
    "histogram_quantile" HistogramQuantile [Scalar, Vector] Exact, Vector, false;
    "histogram_quantiles" HistogramQuantiles [Vector, Text, Scalar, Scalar] UpTo(9), Vector, true;
    "histogram_stddev" HistogramStdDev [Vector] Exact, Vector, false;
    "histogram_stdvar" HistogramStdVar [Vector] Exact, Vector, false;
    "histogram_sum" HistogramSum [Vector] Exact, Vector, false;
    "hour" Hour [Vector] Optional, Vector, false;
    "idelta" Idelta [Matrix] Exact, Vector, false;
    "increase" Increase [Matrix] Exact, Vector, false;
    "info" Info [Vector, Vector] Optional, Vector, true;
    "irate" Irate [Matrix] Exact, Vector, false;
    "label_join" LabelJoin [Vector, Text, Text, Text] Repeated, Vector, false;
    "label_replace" LabelReplace [Vector, Text, Text, Text, Text] Exact, Vector, false;
    "last_over_time" LastOverTime [Matrix] Exact, Vector, false;
    "ln" Ln [Vector] Exact, Vector, false;
    "log10" Log10 [Vector] Exact, Vector, false;
    "log2" Log2 [Vector] Exact, Vector, false;
    "mad_over_time" MadOverTime [Matrix] Exact, Vector, true;
    "max_of" MaxOf [Scalar, Scalar] Exact, Scalar, true;
    "max_over_time" MaxOverTime [Matrix] Exact, Vector, false;
    "min_of" MinOf [Scalar, Scalar] Exact, Scalar, true;
    "min_over_time" MinOverTime [Matrix] Exact, Vector, false;
    "minute" Minute [Vector] Optional, Vector, false;
    "month" Month [Vector] Optional, Vector, false;
    "pi" Pi [] Exact, Scalar, false;
    "predict_linear" PredictLinear [Matrix, Scalar] Exact, Vector, false;
    "present_over_time" PresentOverTime [Matrix] Exact, Vector, false;
    "quantile_over_time" QuantileOverTime [Scalar, Matrix] Exact, Vector, false;
    "rad" Rad [Vector] Exact, Vector, false;
    "range" Range [] Exact, Scalar, true;
    "rate" Rate [Matrix] Exact, Vector, false;
    "resets" Resets [Matrix] Exact, Vector, false;
    "round" Round [Vector, Scalar] Optional, Vector, false;
    "scalar" ScalarOf [Vector] Exact, Scalar, false;
    "sgn" Sgn [Vector] Exact, Vector, false;
    "sin" Sin [Vector] Exact, Vector, false;
    "sinh" Sinh [Vector] Exact, Vector, false;
    "sort" Sort [Vector] Exact, Vector, false;
    "sort_by_label" SortByLabel [Vector, Text] Repeated, Vector, true;
    "sort_by_label_desc" SortByLabelDesc [Vector, Text] Repeated, Vector, true;
    "sort_desc" SortDesc [Vector] Exact, Vector, false;
    "sqrt" Sqrt [Vector] Exact, Vector, false;
    "start" Start [] Exact, Scalar, true;
    "start_timestamp" StartTimestamp [Vector] Exact, Vector, true;
    "stddev_over_time" StdDevOverTime [Matrix] Exact, Vector, false;
    "stdvar_over_time" StdVarOverTime [Matrix] Exact, Vector, false;
    "step" Step [] Exact, Scalar, true;
    "sum_over_time" SumOverTime [Matrix] Exact, Vector, false;
    "tan" Tan [Vector] Exact, Vector, false;
    "tanh" Tanh [Vector] Exact, Vector, false;
    "time" Time [] Exact, Scalar, false;
    "timestamp" TimestampOf [Vector] Exact, Vector, false;
    "ts_of_first_over_time" TsOfFirstOverTime [Matrix] Exact, Vector, true;
    "ts_of_last_over_time" TsOfLastOverTime [Matrix] Exact, Vector, true;
    "ts_of_max_over_time" TsOfMaxOverTime [Matrix] Exact, Vector, true;
    "ts_of_min_over_time" TsOfMinOverTime [Matrix] Exact, Vector, true;
    "vector" VectorOf [Scalar] Exact, Vector, false;
    "year" Year [Vector] Optional, Vector, false;
}

#[cfg(test)]
mod tests {
    use super::{FUNCTIONS, find};

    #[test]
    fn each_of_the_ninety_is_found_by_its_name() {
        assert_eq!(FUNCTIONS.len(), 90);
        for function in FUNCTIONS {
            assert_eq!(find(function.name), Some(function));
        }
        assert_eq!(find("holt_winters"), None);
    }
}
