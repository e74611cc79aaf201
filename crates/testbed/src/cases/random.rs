//! Random configurations on the fake and on the real kernel, which must end equal.

use super::net::{Netns, plug, switch};
use anyhow::{Result, ensure};
use lb_kernel::{Fake, Kernel, Linux, Paths};
use lb_model::{problems, sample, sample::Random};
use lb_plan::{Desired, Fitness, Health, desired, plan};

/// Nearly all of the sample configurations are valid.
const SEEDS: u64 = 300;

pub fn fake_and_real() -> Result<()> {
    switch("ext")?;
    let ns = Netns::new("lb")?;
    plug(&ns, "eth0", "ext")?;
    plug(&ns, "eth1", "ext")?;
    ns.inside(|| {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir_all(dir.path().join("etc"))?;
        std::fs::create_dir_all(dir.path().join("run"))?;
        let paths = Paths { etc: dir.path().join("etc"), run: dir.path().join("run"), ..Paths::default() };
        let mut real = Linux::open(paths)?;
        let mut fake = Fake::new(&["eth0", "eth1"]);
        let mut tried = 0;
        for seed in 0..SEEDS {
            let config = sample::config(seed, false);
            if !problems(&config).is_empty() {
                continue;
            }
            let mut health = Health::default();
            let mut random = Random(seed);
            for vs in &config.virtual_servers {
                for rs in &vs.real_servers {
                    health.set(
                        &vs.label,
                        &rs.label,
                        random.pick(&[Fitness::Fit, Fitness::Fit, Fitness::Unfit, Fitness::Unknown]),
                    );
                }
            }
            let wanted = desired(&config, &health);
            let refused_real = converge(&mut real, &wanted)?;
            let refused_fake = converge(&mut fake, &wanted)?;
            ensure!(
                refused_real.is_empty() && refused_fake.is_empty(),
                "seed {seed}: real {refused_real:?}, fake {refused_fake:?}"
            );
            let (a, b) = (real.observe(&wanted)?, fake.observe(&wanted)?);
            ensure!(a.services == b.services, "seed {seed}: real {:#?}\nfake {:#?}", a.services, b.services);
            ensure!(a.ruleset == b.ruleset && a.timeouts == b.timeouts, "seed {seed}: rules or time-outs differ");
            let addresses = |o: &lb_plan::Observed| {
                let mut all: Vec<String> = o.addresses.iter().map(|x| format!("{} {}", x.address, x.ours)).collect();
                all.sort();
                all
            };
            ensure!(addresses(&a) == addresses(&b), "seed {seed}: real {:?}\nfake {:?}", addresses(&a), addresses(&b));
            let second = plan(&wanted, &a);
            ensure!(second.is_empty(), "seed {seed}: the second plan on the real kernel:\n{second}");
            tried += 1;
        }
        ensure!(tried > 200, "only {tried} valid configurations");
        println!("  {tried} configurations");
        Ok(())
    })
}

/// The actions that were refused, with the reason.
fn converge(kernel: &mut dyn Kernel, wanted: &Desired) -> Result<Vec<String>> {
    let observed = kernel.observe(wanted)?;
    let plan = plan(wanted, &observed);
    let results = kernel.execute(&plan.actions);
    let failed = plan.actions.iter().zip(results).filter_map(|(a, r)| r.err().map(|e| format!("{a}: {e:?}")));
    Ok(failed.collect())
}
