//! Which network card is eth0: the decision of `rootfs-overlay/usr/sbin/lbcards`, on trees like the kernel's /sys.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

struct Server {
    folder: tempfile::TempDir,
}

impl Server {
    fn new() -> Server {
        Server { folder: tempfile::tempdir().unwrap() }
    }

    /// A card as the kernel found it: its name, MAC address, place below /sys/devices, and the case's number.
    fn card(self, name: &str, mac: &str, place: &str, number: Option<u8>) -> Server {
        let device = self.folder.path().join("sys/devices").join(place);
        let net = self.folder.path().join("sys/class/net").join(name);
        fs::create_dir_all(&device).unwrap();
        fs::create_dir_all(&net).unwrap();
        fs::write(net.join("address"), format!("{mac}\n")).unwrap();
        symlink(&device, net.join("device")).unwrap();
        if let Some(number) = number {
            fs::write(device.join("index"), format!("{number}\n")).unwrap();
        }
        self
    }

    fn remembers(self, lines: &[&str]) -> Server {
        fs::write(self.table(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        self
    }

    fn table(&self) -> std::path::PathBuf {
        self.folder.path().join("cards")
    }

    /// Names and MAC addresses, in the order of the names.
    fn decides(&self) -> Vec<String> {
        if !self.table().exists() {
            fs::write(self.table(), "").unwrap();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rootfs-overlay/usr/sbin/lbcards");
        let told = Command::new("sh")
            .arg(script)
            .arg("decide")
            .env("LBCARDS_SYS", self.folder.path().join("sys"))
            .env("LBCARDS_TABLE", self.table())
            .output()
            .unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let mut lines: Vec<_> = String::from_utf8(told.stdout)
            .unwrap()
            .lines()
            .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
            .collect();
        lines.sort();
        lines
    }
}

const FIRST: &str = "pci0000:00/0000:00:1c.0/0000:02:00.0";
const SECOND: &str = "pci0000:00/0000:00:1c.0/0000:02:00.1";
const ADDED: &str = "pci0000:00/0000:00:02.0/0000:01:00.0";
const STICK: &str = "pci0000:00/0000:00:01.0/usb1/1-1/1-1:1.0";

#[test]
fn the_order_is_the_slots_with_usb_last() {
    let server = Server::new()
        .card("eth0", "aa:00:00:00:00:09", STICK, None)
        .card("eth1", "aa:00:00:00:00:02", SECOND, None)
        .card("eth2", "aa:00:00:00:00:01", FIRST, None);
    assert_eq!(server.decides(), ["eth0 aa:00:00:00:00:01", "eth1 aa:00:00:00:00:02", "eth2 aa:00:00:00:00:09"]);
}

#[test]
fn what_the_case_numbers_comes_first() {
    let server = Server::new()
        .card("eth0", "aa:00:00:00:00:0a", ADDED, None)
        .card("eth1", "aa:00:00:00:00:02", SECOND, Some(2))
        .card("eth2", "aa:00:00:00:00:01", FIRST, Some(1));
    assert_eq!(server.decides(), ["eth0 aa:00:00:00:00:01", "eth1 aa:00:00:00:00:02", "eth2 aa:00:00:00:00:0a"]);
}

/// A card in a lower slot does not move those that are configured.
#[test]
fn an_added_card_gets_a_name_nobody_has() {
    let server = Server::new()
        .card("eth0", "aa:00:00:00:00:0a", ADDED, None)
        .card("eth1", "aa:00:00:00:00:01", FIRST, None)
        .card("eth2", "aa:00:00:00:00:02", SECOND, None)
        .remembers(&["eth0 aa:00:00:00:00:01 x:0", "eth1 aa:00:00:00:00:02 y:0"]);
    assert_eq!(server.decides(), ["eth0 aa:00:00:00:00:01", "eth1 aa:00:00:00:00:02", "eth2 aa:00:00:00:00:0a"]);
}

#[test]
fn a_replaced_card_inherits_the_name() {
    let server = Server::new()
        .card("eth0", "aa:00:00:00:00:77", FIRST, None)
        .card("eth1", "aa:00:00:00:00:02", SECOND, None)
        .remembers(&["eth0 aa:00:00:00:00:01 x:0", "eth1 aa:00:00:00:00:02 y:0"]);
    assert_eq!(server.decides(), ["eth0 aa:00:00:00:00:77", "eth1 aa:00:00:00:00:02"]);
}

#[test]
fn a_card_that_fails_moves_no_other() {
    let server = Server::new()
        .card("eth0", "aa:00:00:00:00:02", SECOND, None)
        .remembers(&["eth0 aa:00:00:00:00:01 x:0", "eth1 aa:00:00:00:00:02 y:0"]);
    assert_eq!(server.decides(), ["eth1 aa:00:00:00:00:02"]);
}

#[test]
fn names_that_were_exchanged_stay_so() {
    let server = Server::new()
        .card("eth0", "aa:00:00:00:00:01", FIRST, None)
        .card("eth1", "aa:00:00:00:00:02", SECOND, None)
        .remembers(&["eth1 aa:00:00:00:00:01 x:0", "eth0 aa:00:00:00:00:02 y:0"]);
    assert_eq!(server.decides(), ["eth0 aa:00:00:00:00:02", "eth1 aa:00:00:00:00:01"]);
}

/// A clone of a virtual machine, or two cards that claim one address: none may be left without a name.
#[test]
fn two_cards_of_one_address_get_two_names() {
    let server = Server::new()
        .card("eth0", "aa:00:00:00:00:01", FIRST, None)
        .card("eth1", "aa:00:00:00:00:01", SECOND, None)
        .remembers(&["eth0 aa:00:00:00:00:01 x:0"]);
    assert_eq!(server.decides(), ["eth0 aa:00:00:00:00:01", "eth1 aa:00:00:00:00:01"]);
}
