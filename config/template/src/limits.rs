//! What one rendering may cost.

/// Bounds of one rendering. A template is written by an operator or a tenant, its data by anybody who can send an
/// alert, so every way in which it could grow has an end. Past a bound the rendering fails with
/// [`RenderError::Limit`](crate::RenderError::Limit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text that may come out. The largest body that a vendor takes is half a mebibyte (PagerDuty), and
    /// mails with hundreds of alerts stay below one.
    pub output_bytes_max: usize,
    /// Nodes that may be walked: text, actions, commands. A mail of a thousand alerts walks some 100 000.
    pub steps_max: u64,
    /// Turns that all `range`s together may take.
    pub iterations_max: u64,
    /// How deep templates, blocks and parentheses may stand in each other while they run. Bounded by the stack
    /// of the thread: a level takes less than 4 KiB.
    pub depth_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            output_bytes_max: 1024 * 1024,
            steps_max: 2_000_000,
            iterations_max: 100_000,
            depth_max: 120,
        }
    }
}

/// How deep blocks and parentheses may stand in each other in the text of a template.
pub(crate) const PARSE_DEPTH_MAX: u32 = 100;
/// Longest text of a template that is parsed.
pub(crate) const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
