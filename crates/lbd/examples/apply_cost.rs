//! Where the time of an apply goes, stage by stage: `cargo run --release -p lbd --example apply_cost [SERVICES]`.

use lb_kernel::{Fake, Kernel};
use lb_model::{Config, Service};
use lb_plan::{Health, desired, plan};
use std::time::Instant;

fn many(n: u16) -> Config {
    let document = r#"{"version":1,"node":{"hostname":"lbmaster","interfaces":[{"name":"eth0","addresses":["10.0.0.21/16"]}]},
      "virtual_servers":[{"label":"V","service":{"kind":"address","address":"10.0.0.21","ports":"80"},"check":{"method":{"type":"on"}},
        "real_servers":[{"label":"R0","address":"10.0.64.1","forwarding":"dr"},{"label":"R1","address":"10.0.64.2","forwarding":"dr"}]}]}"#;
    let mut config = lb_model::migrate(document).expect("the document");
    let model = config.virtual_servers.remove(0);
    for i in 0..n {
        let mut vs = model.clone();
        vs.label = format!("V{i}").parse().expect("a label");
        if let Service::Address { ports, .. } = &mut vs.service {
            *ports = (1000 + i).into();
        }
        config.virtual_servers.push(vs);
    }
    config
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what:<28} {:>9.3} ms", start.elapsed().as_secs_f64() * 1000.0);
    result
}

fn main() {
    let n = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(500);
    let config = many(n);
    let text = timed("write", || serde_json::to_string(&config).expect("writing"));
    println!("{} bytes", text.len());
    let read: Config = timed("read", || serde_json::from_str(&text).expect("reading"));
    timed("read with paths", || {
        serde_path_to_error::deserialize::<_, Config>(&mut serde_json::Deserializer::from_str(&text)).expect("reading")
    });
    timed("problems", || lb_model::problems(&read));
    let mut old = read.clone();
    old.virtual_servers.pop();
    timed("changes, one", || lb_model::changes(&old, &read));
    timed("changes, all", || lb_model::changes(&lb_model::factory(), &read));
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let (store, _) = lb_store::Store::open(&dir.path().join("lb"), 0).expect("a store");
    for parent in [None, Some(1), Some(2)] {
        let new = lb_store::NewRevision { document: text.clone(), ..Default::default() };
        timed("commit", || store.commit(parent, new, 0).expect("committed"));
    }
    let wanted = timed("desired", || desired(&read, &Health::default()));
    let mut kernel = Fake::new(&["eth0"]);
    let mut observed = kernel.observe(&wanted).expect("observed");
    let all = timed("plan", || plan(&wanted, &observed));
    timed("after", || all.actions.iter().for_each(|a| observed.after(a)));
    timed("plan, nothing to do", || plan(&wanted, &observed));
    timed("as text", || all.actions.iter().map(|a| a.to_string().len()).sum::<usize>());
}
