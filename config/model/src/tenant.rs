//! Whose samples, rules and alerts these are.
use std::fmt;
use std::sync::Arc;

/// A tenant's identifier: 1 to 150 characters of `a-z A-Z 0-9 ! - _ . * ' ( )`, not `.` or `..`
/// (the rules of Cortex and Mimir, because it names folders and objects).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// Names that Cortex and Mimir keep for objects of their own beside the tenants' folders.
const RESERVED: [&str; 2] = ["__markers__", "user-index.json.gz"];

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TenantIdError {
    #[error("no org id")]
    Empty,
    #[error("tenant ID is too long: max 150 characters")]
    TooLong,
    #[error("tenant ID '{id}' contains unsupported character '{character}'")]
    Character { id: String, character: char },
    #[error("tenant ID is '.' or '..'")]
    Unsafe,
    #[error("tenant ID '{id}' is not allowed")]
    Reserved { id: String },
}

impl TenantId {
    pub const LENGTH_MAX: usize = 150;

    pub fn parse(id: &str) -> Result<Self, TenantIdError> {
        if id.is_empty() {
            return Err(TenantIdError::Empty);
        }
        let allowed =
            |character: char| character.is_ascii_alphanumeric() || "!-_.*'()".contains(character);
        if let Some(character) = id.chars().find(|character| !allowed(*character)) {
            return Err(TenantIdError::Character {
                id: id.to_owned(),
                character,
            });
        }
        if id.len() > Self::LENGTH_MAX {
            return Err(TenantIdError::TooLong);
        }
        if id == "." || id == ".." {
            return Err(TenantIdError::Unsafe);
        }
        if RESERVED.contains(&id) {
            return Err(TenantIdError::Reserved { id: id.to_owned() });
        }
        Ok(Self(id.into()))
    }

    /// The tenant of a request that names none.
    #[must_use]
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{TenantId, TenantIdError};

    #[test]
    fn accepts_what_cortex_accepts() {
        let long = "a".repeat(150);
        for id in ["a", "team-1", "a_b.c*d'e(f)!", "...", long.as_str()] {
            assert_eq!(TenantId::parse(id).unwrap().as_str(), id);
        }
        assert_eq!(TenantId::parse(""), Err(TenantIdError::Empty));
        assert_eq!(
            TenantId::parse(&"a".repeat(151)),
            Err(TenantIdError::TooLong)
        );
        for id in [".", ".."] {
            assert_eq!(TenantId::parse(id), Err(TenantIdError::Unsafe));
        }
        for id in ["__markers__", "user-index.json.gz"] {
            assert!(
                matches!(TenantId::parse(id), Err(TenantIdError::Reserved { .. })),
                "{id}"
            );
        }
        for id in ["a/b", "a b", "é", "a|b"] {
            assert!(
                matches!(TenantId::parse(id), Err(TenantIdError::Character { .. })),
                "{id}"
            );
        }
    }
}
