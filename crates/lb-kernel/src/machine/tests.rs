use super::*;

#[test]
fn cpu_times_of_all_cpus_together() {
    let mut machine = Machine::default();
    machine.cpu(
        "cpu  1000 20 300 5000 80 4 6 10 200 0\ncpu0 500 10 150 2500 40 2 3 5 100 0\n\
         cpu1 500 10 150 2500 40 2 3 5 100 0\nintr 5 0 0\nctxt 9\n",
    );
    assert_eq!((machine.cpus, machine.cpu_total, machine.cpu_busy), (2, 6420, 1340));
}

#[test]
fn memory_and_load() {
    let mut machine = Machine::default();
    machine.memory(
        "MemTotal:         499012 kB\nMemFree:          300000 kB\nMemAvailable:     411000 kB\nHugePages_Total:   0\n",
    );
    assert_eq!((machine.memory_total, machine.memory_available), (499_012 * 1024, 411_000 * 1024));
    machine.load("0.20 0.18 0.12 1/80 11206\n");
    assert_eq!(machine.load, [0.20, 0.18, 0.12]);
    assert_eq!(first_number("350735.47 234388.90\n"), 350_735.47);
}

#[test]
fn cards_without_the_loopback() {
    let dev = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  119440     1364    0    0    0     0          0         0   119440     1364    0    0    0     0       0          0
  eth0:26850112    18200    1    2    0     0          0         0  1220600    16320    3    4    0     0       0          0
eth0.12: 9 8 7 6 5 4 3 2 10 20 30 40 0 0 0 0
 eth1: broken
";
    let eth0 = CardCounters {
        name: "eth0".into(),
        bytes_in: 26_850_112,
        bytes_out: 1_220_600,
        packets_in: 18_200,
        packets_out: 16_320,
        errors: 4,
        dropped: 6,
    };
    let seen = cards(dev);
    assert_eq!(seen[0], eth0);
    assert_eq!((seen.len(), seen[1].name.as_str(), seen[1].bytes_out), (2, "eth0.12", 10));
}

#[test]
fn this_machine_is_read() {
    let machine = Machine::read(Path::new("/")).expect("read");
    assert!(machine.cpus > 0 && machine.cpu_total >= machine.cpu_busy && machine.cpu_busy > 0, "{machine:?}");
    assert!(machine.memory_total > machine.memory_available && machine.memory_available > 0, "{machine:?}");
    assert!(machine.disk_total >= machine.disk_free && machine.uptime > 0 && !machine.kernel.is_empty(), "{machine:?}");
}
