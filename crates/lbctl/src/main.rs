//! The command line of the load balancer.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(lbctl::main(std::env::args_os()))
}
