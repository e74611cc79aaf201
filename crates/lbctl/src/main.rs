//! The command line of the load balancer.
fn main() {}
