//! Measures inside a guest whose clock counts instructions: `measure programming|data-path|layer-7`; in real time in a network
//! namespace: `measure thousand`. Prints `name value` lines.

use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("programming") => testbed::measure::programming(),
        Some("data-path") => testbed::measure::data_path(),
        Some("layer-7") => testbed::measure::proxy(),
        Some("thousand") => testbed::measure::changes(),
        _ => Err(anyhow::anyhow!("usage: measure programming|data-path|layer-7|thousand")),
    };
    testbed::cases::net::clean_up();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("measure: {error:?}");
            ExitCode::FAILURE
        }
    }
}
