//! The identity of an alert's label set.
use std::fmt;

/// FNV-1a 64 over `name 0xFF value 0xFF …` in label order; printed as 16 hexadecimal digits.
/// Alertmanager's own identity, visible in its API and in webhook bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}
