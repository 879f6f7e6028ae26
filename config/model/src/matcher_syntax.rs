//! How Alertmanager's users write matchers.
