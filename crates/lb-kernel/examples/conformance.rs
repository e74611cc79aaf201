//! Runs the stories and then random configurations on the kernel that it is started on, as root, in the network
//! namespace that it is started in, which must have the cards eth0 and eth1 and nothing to lose.
//!
//! Usage: `conformance [FIRST-SEED [SEEDS]]`. Prints each story; the last line is `ok` and how many
//! configurations were reached.

use lb_kernel::{KernelError, Linux, Paths, conformance};
use std::env;

fn main() -> Result<(), KernelError> {
    let mut numbers = env::args().skip(1).map(|a| a.parse::<u64>().unwrap_or_else(|e| panic!("{a}: {e}")));
    let (first, count) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(300));
    let dir = env::temp_dir().join(format!("conformance-{}", std::process::id()));
    let paths = Paths { etc: dir.join("etc"), run: dir.join("run"), ..Paths::default() };
    std::fs::create_dir_all(&paths.etc).unwrap_or_else(|e| panic!("{}: {e}", paths.etc.display()));
    let mut kernel = Linux::open(paths)?;
    conformance::run(&mut kernel, true, |story| println!("story: {story}"));
    let mut converge = conformance::Converge::new(&mut kernel, true);
    let reached = (first..first + count)
        .filter(|seed| converge.step(&mut kernel, *seed).unwrap_or_else(|e| panic!("{e}")))
        .count();
    println!("ok {reached}");
    Ok(())
}
