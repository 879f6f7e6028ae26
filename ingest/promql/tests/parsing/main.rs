//! The parser against error texts, against another parser, and against laws.
mod laws;
mod oracle;
mod rows;
