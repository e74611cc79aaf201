//! `ipvsadm`, and by their names `ipvsadm-save` and `ipvsadm-restore`. Everything is in [`ipvs::cli`].

use std::process::ExitCode;

use ipvs::cli::run;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let mut args = args.iter().map(String::as_str);
    let program = args.next().unwrap_or("ipvsadm");
    let rest: Vec<&str> = args.collect();
    match program.rsplit('/').next() {
        Some(name @ "ipvsadm-save") => run::save(name, &rest),
        Some("ipvsadm-restore") => run::restore(),
        _ => run::ipvsadm(program, &rest),
    }
}
