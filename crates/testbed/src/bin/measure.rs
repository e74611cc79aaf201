//! Measures inside a guest whose clock counts instructions: `measure programming|data-path|layer-7`. Prints `name value` lines.

use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("programming") => testbed::measure::programming(),
        Some("data-path") => testbed::measure::data_path(),
        Some("layer-7") => testbed::measure::proxy(),
        _ => Err(anyhow::anyhow!("usage: measure programming|data-path|layer-7")),
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
