//! What a query answers.
use model::{Labels, SampleValue, Timestamp};

use crate::reader::{ReadError, Series};

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub value: QueryValue,
    /// Texts with prefix and position, `PromQL warning: … (1:5)`, sorted.
    pub warnings: Vec<String>,
    /// The same for `PromQL info: …`.
    pub infos: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum QueryValue {
    /// Every range query, and an instant query for a range vector. Sorted by labels.
    Matrix(Vec<Series>),
    Scalar {
        at: Timestamp,
        value: f64,
    },
    Text {
        at: Timestamp,
        value: String,
    },
    /// Sorted by labels, but where the query sorts (`sort`, `topk` …) in that order.
    Vector(Vec<VectorSample>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    pub labels: Labels,
    pub at: Timestamp,
    pub value: SampleValue,
}

#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum EvalError {
    #[error("query was canceled in expression evaluation")]
    Cancelled,
    /// The data do not fit the query, with Prometheus' words.
    #[error("{0}")]
    Execution(String),
    /// A range query needs a scalar or an instant vector, and a step above zero.
    #[error("{0}")]
    NotRangeable(String),
    #[error("expanding series: {0}")]
    Read(#[from] ReadError),
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    #[error("query processing would load too many series into memory in query execution")]
    TooManySeries,
    #[error("query processing would load too many bytes into memory in query execution")]
    TooManyBytes,
}
