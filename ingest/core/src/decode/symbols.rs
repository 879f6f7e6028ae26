//! The table of symbols of remote write 2.0, and references to it.
use model::protobuf::{BYTES, Fields, VARINT, WireError};

/// What is wrong with a series' references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum SymbolError {
    #[error("a name has no value")]
    Odd,
    #[error("a reference is behind the end of the symbols table")]
    Outside,
}

#[derive(Debug, Default)]
pub(crate) struct Symbols<'a> {
    symbols: Vec<&'a [u8]>,
    /// How many bytes labels may be spelled out to.
    pub(crate) spelled_bytes_max: usize,
}

impl<'a> Symbols<'a> {
    /// All symbols of a request.
    pub(crate) fn read(request: &'a [u8], spelled_bytes_max: usize) -> Result<Self, WireError> {
        let mut symbols = Vec::new();
        let mut fields = Fields::new(request);
        while !fields.is_empty() {
            let tag = fields.tag()?;
            match (tag.field, tag.wire) {
                (4, BYTES) => {
                    let symbol = fields.bytes()?;
                    if symbols.len() <= symbols_max(spelled_bytes_max) {
                        symbols.push(symbol);
                    }
                }
                (4, _) => return Err(WireError::WireType),
                (_, wire) => fields.skip(wire)?,
            }
        }
        Ok(Self {
            symbols,
            spelled_bytes_max,
        })
    }

    /// Some were not taken in.
    pub(crate) fn are_too_many(&self) -> bool {
        self.symbols.len() > symbols_max(self.spelled_bytes_max)
    }

    #[inline]
    pub(crate) fn get(&self, reference: u64) -> Result<&'a [u8], SymbolError> {
        usize::try_from(reference)
            .ok()
            .and_then(|index| self.symbols.get(index))
            .copied()
            .ok_or(SymbolError::Outside)
    }
}

/// The table itself may take as much as what is spelled out from it.
const fn symbols_max(spelled_bytes_max: usize) -> usize {
    spelled_bytes_max / size_of::<&[u8]>()
}

/// The references of one field: packed together, or one alone.
#[inline]
pub(crate) fn each_reference(
    fields: &mut Fields<'_>,
    wire: u8,
    mut each: impl FnMut(u64),
) -> Result<(), WireError> {
    if wire == VARINT {
        each(fields.varint()?);
        return Ok(());
    }
    let mut packed = Fields::new(fields.bytes()?);
    while !packed.is_empty() {
        each(packed.varint()?);
    }
    Ok(())
}
