//! What an acknowledged commit costs beside the disk's own floor, in one run.
//!
//! `commit_cost [DIR] [COMMITS]`. The floor is 4 KiB over a preallocated file and `fdatasync`,
//! measured in turn with the commits, so that both see the same disk. `settled` lets the readable
//! copy finish before each measurement (a person applying), `busy` does not (a machine applying).
//! `encode` is the same commit on tmpfs, where syncing costs nothing: the document into JSON text,
//! checksums and sled's pages. `ratio` is (commit - encode) / floor, `whole` is commit / floor.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lb_store::{NewRevision, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let base = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let commits: usize = args.next().map_or(Ok(300), |n| n.parse())?;
    let dir = base.join(format!("commit-cost.{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let result = measure(&dir, commits);
    std::fs::remove_dir_all(&dir)?;
    result
}

/// The p50 of a commit where syncing is free.
fn encode(size: usize, commits: usize) -> Result<Duration, Box<dyn std::error::Error>> {
    let dir = PathBuf::from(format!("/dev/shm/commit-cost.{}", std::process::id()));
    let (store, _) = Store::open(&dir.join("store"), 0)?;
    let mut cost = Vec::new();
    let mut parent = None;
    for n in 0..commits {
        let new = NewRevision { document: document(n, size), ..NewRevision::default() };
        let started = Instant::now();
        parent = Some(store.commit(parent, new, 0)?.number);
        cost.push(started.elapsed());
        store.settle_copy()?;
    }
    store.close()?;
    std::fs::remove_dir_all(&dir)?;
    Ok(percentile(&mut cost, 50))
}

fn document(n: usize, size: usize) -> String {
    format!(r#"{{"n":{n},"fill":"{}"}}"#, "x".repeat(size))
}

fn measure(dir: &Path, commits: usize) -> Result<(), Box<dyn std::error::Error>> {
    let floor_file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(dir.join("floor"))?;
    floor_file.write_all_at(&vec![1; 1 << 20], 0)?;
    floor_file.sync_all()?;
    println!("document    mode  floor  encode  commit p50  p90  (us)  ratio  whole");
    for size in [2_000usize, 20_000] {
        let encode = encode(size, commits)?;
        for settled in [true, false] {
            let store_dir = dir.join(format!("s{size}{settled}")).join("store");
            let (store, _) = Store::open(&store_dir, 0)?;
            let (mut floor, mut cost) = (Vec::new(), Vec::new());
            let mut parent = None;
            for n in 0..commits {
                let document = document(n, size);
                let started = Instant::now();
                floor_file.write_all_at(&[n as u8; 4096], (n % 256) as u64 * 4096)?;
                floor_file.sync_data()?;
                floor.push(started.elapsed());
                let new = NewRevision { document, ..NewRevision::default() };
                let started = Instant::now();
                parent = Some(store.commit(parent, new, 0)?.number);
                cost.push(started.elapsed());
                if settled {
                    store.settle_copy()?;
                }
            }
            store.close()?;
            let (floor, p50) = (percentile(&mut floor, 50), percentile(&mut cost, 50));
            println!(
                "{size:>8} {:>7} {:>6} {:>7} {:>11} {:>4} {:>12.2} {:>6.2}",
                if settled { "settled" } else { "busy" },
                floor.as_micros(),
                encode.as_micros(),
                p50.as_micros(),
                percentile(&mut cost, 90).as_micros(),
                p50.saturating_sub(encode).as_secs_f64() / floor.as_secs_f64(),
                p50.as_secs_f64() / floor.as_secs_f64(),
            );
        }
    }
    Ok(())
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() - 1) * percent / 100]
}
