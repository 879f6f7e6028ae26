//! What is decided about samples: decoding, limits, chunks, postings, the head, log records.
