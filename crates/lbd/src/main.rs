//! Keeps the box equal to its configuration.
fn main() {}
