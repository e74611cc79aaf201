use super::*;

fn files(dir: &Path) -> Files {
    Files::new(Paths { etc: dir.into(), run: dir.into(), proc_sys: dir.into(), shipped_page: dir.join("shipped.html") })
}

#[test]
fn a_slash_in_a_sysctl_is_the_dot_of_a_vlan() {
    let path = |name| files(Path::new("/proc/sys")).sysctl(name).map(|p| p.display().to_string());
    assert_eq!(
        path("net.ipv4.conf.eth0/100.arp_ignore").as_deref(),
        Some("/proc/sys/net/ipv4/conf/eth0.100/arp_ignore")
    );
    assert_eq!(path("net.ipv4.ip_forward").as_deref(), Some("/proc/sys/net/ipv4/ip_forward"));
    assert_eq!(path("net.//.secret"), None);
    assert_eq!(path("net..secret"), None);
}

#[test]
fn nameservers_are_read_back_and_an_equal_file_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = files(dir.path());
    assert_eq!(files.nameservers().expect("no file"), Vec::<IpAddr>::new());
    let servers: Vec<IpAddr> = vec!["192.0.2.53".parse().expect("v4"), "2001:db8::53".parse().expect("v6")];
    files.set_nameservers(&servers).expect("written");
    assert_eq!(files.nameservers().expect("read"), servers);
    let inode = |d: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(d.join("resolv.conf")).expect("there"));
    let before = inode(dir.path());
    files.set_nameservers(&servers).expect("written");
    assert_eq!(inode(dir.path()), before);
}

#[test]
fn time_servers_are_read_back_and_their_keeper_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = files(dir.path());
    let list = dir.path().join("time/servers.sources");
    assert_eq!(files.time_servers().expect("no file"), Some(Vec::new()));
    let servers: Vec<TimeServer> =
        ["ntp1.example.com", "2001:db8::123"].iter().map(|s| s.parse().expect("a server")).collect();
    files.set_time_servers(&servers).expect("nobody is there to be told");
    assert_eq!(files.time_servers().expect("read"), Some(servers.clone()));
    let text = fs::read_to_string(&list).expect("written");
    assert!(text.ends_with("\nserver ntp1.example.com iburst\nserver 2001:db8::123 iburst\n"), "{text}");

    let supervise = dir.path().join("service/time/supervise");
    fs::create_dir_all(&supervise).expect("made");
    let control = supervise.join("control");
    nix::unistd::mkfifo(&control, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let mut runsv = fs::OpenOptions::new().read(true).write(true).open(&control).expect("opened");
    files.set_time_servers(&[]).expect("told");
    assert!(!list.exists(), "chronyd would still ask");
    let mut word = [0];
    std::io::Read::read_exact(&mut runsv, &mut word).expect("a word");
    assert_eq!((word, files.time_servers().expect("read")), (*b"t", Some(Vec::new())));

    fs::write(&list, "server ntp.elsewhere.example iburst\n").expect("by hand");
    assert_eq!(files.time_servers().expect("read"), None);
}

#[test]
fn hosts_has_the_full_and_the_short_name() {
    let text = hosts(&"lb1.example.com".parse().expect("a name"));
    assert!(text.contains("\n127.0.1.1 lb1.example.com lb1\n"), "{text}");
    assert!(hosts(&"lbmaster".parse().expect("a name")).contains("\n127.0.1.1 lbmaster\n"));
}

#[test]
fn a_sysctl_that_is_not_there_is_left_out_and_cannot_be_set() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(dir.path().join("net/ipv4")).expect("made");
    fs::write(dir.path().join("net/ipv4/ip_forward"), "0\n").expect("written");
    let files = files(dir.path());
    let names = ["net.ipv4.ip_forward".to_owned(), "net.ipv4.vs.conntrack".to_owned()];
    let values = files.sysctls(names.iter()).expect("read");
    assert_eq!(values, [(names[0].clone(), "0".to_owned())].into());
    files.set_sysctl(&names[0], "1").expect("set");
    assert_eq!(files.sysctls(names.iter()).expect("read")[&names[0]], "1");
    assert!(files.set_sysctl(&names[1], "1").is_err());
}

#[test]
fn the_fallback_page_is_the_configured_or_the_shipped_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = files(dir.path());
    let served = || fs::read_to_string(dir.path().join("fallback/index.html")).ok();
    let page = |desired| files.fallback_page(desired).expect("read");
    assert_eq!(page(None), None);
    files.set_fallback_page(Some("<p>Ours")).expect("set");
    assert_eq!((served().as_deref(), page(None).as_deref()), (Some("<p>Ours"), Some("<p>Ours")));
    files.set_fallback_page(None).expect("nothing was shipped");
    assert_eq!((served(), page(None)), (None, None));

    let shipped = "<p>Shipped";
    fs::write(dir.path().join("shipped.html"), shipped).expect("shipped");
    files.set_fallback_page(Some("<p>Ours")).expect("set");
    files.set_fallback_page(None).expect("set back");
    assert_eq!((served().as_deref(), page(None)), (Some(shipped), None));
    // Somebody pasted the shipped page into the form.
    assert_eq!(page(Some(shipped)).as_deref(), Some(shipped));
    fs::write(dir.path().join("fallback/index.html"), "<p>By hand").expect("changed");
    assert_eq!(page(None).as_deref(), Some("<p>By hand"));
}
