//! The parser against error texts, against another parser, and against laws.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic"
)]

mod laws;
mod oracle;
mod rows;
