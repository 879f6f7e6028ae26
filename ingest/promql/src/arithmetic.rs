//! Operators on two numbers.
use crate::ast::BinaryOp;

/// What an operator makes of two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Computed {
    /// A comparison and its answer.
    Holds(bool),
    /// The operator is not for numbers.
    Undefined,
    Value(f64),
}

pub(crate) fn compute(op: BinaryOp, left: f64, right: f64) -> Computed {
    match op {
        BinaryOp::Add => Computed::Value(left + right),
        BinaryOp::Atan2 => Computed::Value(left.atan2(right)),
        BinaryOp::Div => Computed::Value(left / right),
        BinaryOp::Equal => Computed::Holds(left == right),
        BinaryOp::Greater => Computed::Holds(left > right),
        BinaryOp::GreaterEqual => Computed::Holds(left >= right),
        BinaryOp::Less => Computed::Holds(left < right),
        BinaryOp::LessEqual => Computed::Holds(left <= right),
        // Like C's fmod: the sign is the dividend's.
        BinaryOp::Mod => Computed::Value(left % right),
        BinaryOp::Mul => Computed::Value(left * right),
        BinaryOp::NotEqual => Computed::Holds(left != right),
        BinaryOp::Pow => Computed::Value(left.powf(right)),
        BinaryOp::Sub => Computed::Value(left - right),
        BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::TrimLower
        | BinaryOp::TrimUpper
        | BinaryOp::Unless => Computed::Undefined,
    }
}

pub(crate) fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

/// Between scalars a comparison is always 0 or 1.
pub(crate) fn scalar(op: BinaryOp, left: f64, right: f64) -> f64 {
    match compute(op, left, right) {
        Computed::Holds(holds) => truth(holds),
        Computed::Undefined => f64::NAN,
        Computed::Value(value) => value,
    }
}
