//! The shell around the ingest core: remote write, the query API, the log.
