//! The web interface of the load balancer.
fn main() {}
