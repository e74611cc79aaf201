//! Runs the VM cases inside a guest, as root: `cases [NAME...]`. Prints one line a case, and `N passed, N failed`.

fn main() -> std::process::ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    testbed::cases::run(&wanted)
}
