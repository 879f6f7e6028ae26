//! Strict fake vendors for tests and the demo: they refuse what the vendor refuses, and fail when told to.
