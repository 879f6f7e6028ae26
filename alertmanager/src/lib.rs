//! The shell around the Alertmanager core: API v2, persistence, deliveries.
