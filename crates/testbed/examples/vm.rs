fn main() -> anyhow::Result<()> {
    let command = std::env::args().nth(1).unwrap_or_default();
    let mut job = testbed::guest::Job::new("cases", &command);
    let release = testbed::host::target().join("release");
    job.files = vec![release.join("cases"), release.join("measure")];
    job.limit = std::time::Duration::from_secs(560);
    if std::env::var_os("VIRTUAL").is_some() { job.clock = testbed::qemu::Clock::Virtual; }
    let outcome = job.run()?;
    println!("exit {}", outcome.code);
    Ok(())
}
