//! Whole-system tests of Watchbell.
