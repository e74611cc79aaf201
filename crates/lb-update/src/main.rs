//! `lbupdate`: writes a slot, and decides at a start whether what is in it may stay. Root only; no daemon.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    lb_update::unit::main().into()
}
