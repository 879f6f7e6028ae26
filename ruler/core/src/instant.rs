//! What a query's answer is as a rule's result.
use model::{Labels, SampleValue};
use promql::{QueryValue, VectorSample};

/// A rule's result as Prometheus takes it: a vector or a scalar.
///
/// # Errors
/// A string or a matrix is no result of a rule.
pub fn instant_vector(value: QueryValue) -> Result<Vec<VectorSample>, String> {
    match value {
        QueryValue::Vector(samples) => Ok(samples),
        QueryValue::Scalar { at, value } => Ok(vec![VectorSample {
            labels: Labels::default(),
            at,
            value: SampleValue::Float(value),
        }]),
        QueryValue::Matrix(_) | QueryValue::Text { .. } => {
            Err("rule result is not a vector or scalar".to_owned())
        }
    }
}
