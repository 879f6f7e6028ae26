//! One binary: all of Watchbell, or any part of it.
fn main() {}
