//! The console wizard: pure question flow, prompters, one commit at the end.
fn main() {}
