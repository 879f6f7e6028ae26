//! What a sample of a chunk of histograms is written relative to.
use crate::bits::{BitReader, BitWriter};
use crate::varbit::{push_signed, read_signed};
use crate::xor::XorValue;

/// How the numbers of a chunk are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistogramEncoding {
    /// Prometheus' encoding 3.
    Floats,
    /// Prometheus' encoding 2.
    Whole,
}

/// What the next sample is written relative to, and what the last one read was.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) count: u16,
    pub(super) timestamp: i64,
    pub(super) delta: i64,
    pub(super) numbers: Numbers,
    pub(super) sum: XorValue,
}

#[derive(Clone, Debug)]
pub(super) enum Numbers {
    Floats {
        count: XorValue,
        zero_count: XorValue,
        buckets: Vec<XorValue>,
    },
    Whole {
        count: Whole,
        zero_count: Whole,
        /// Each relative to the bucket before it, positive ones first.
        buckets: Vec<Whole>,
    },
}

/// A whole number, and by how much it grew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Whole {
    pub(super) value: i64,
    pub(super) delta: i64,
}

impl Whole {
    pub(super) fn push(&mut self, writer: &mut BitWriter, value: i64, is_second: bool) {
        let delta = value.wrapping_sub(self.value);
        let written = if is_second {
            delta
        } else {
            delta.wrapping_sub(self.delta)
        };
        push_signed(writer, written);
        *self = Self { value, delta };
    }

    pub(super) fn read(&mut self, reader: &mut BitReader<'_>, is_second: bool) -> Option<()> {
        let read = read_signed(reader)?;
        self.delta = if is_second {
            read
        } else {
            self.delta.wrapping_add(read)
        };
        self.value = self.value.wrapping_add(self.delta);
        Some(())
    }
}
