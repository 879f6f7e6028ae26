//! The shell around the notifiers' core: HTTP and mail.
