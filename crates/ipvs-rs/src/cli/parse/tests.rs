//! Command lines to commands, and the words of refusals.

use super::*;
use crate::cli::names::Numbers;

fn run(line: &str) -> Result<Command, Rejection> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    parse("ipvsadm", &words, &Numbers)
}

#[track_caller]
fn refused(line: &str, status: u8, text: &str) {
    let rejection = run(line).expect_err(line);
    assert_eq!((rejection.status, rejection.text.as_str()), (status, text), "{line}");
}

#[track_caller]
fn same(a: &str, b: &str) {
    let a_parsed = run(a);
    assert!(a_parsed.is_ok(), "{a}: {a_parsed:?}");
    assert_eq!(a_parsed, run(b), "{a}  <>  {b}");
}

#[test]
fn one_command_may_be_written_in_many_ways() {
    same("-L -n", "-Ln");
    same("-L -n", "--list --numeric");
    same("-L -n", "-l=n");
    same("-A -t 10.1.0.1:80 -s rr", "--add-service --tcp-service=10.1.0.1:80 --scheduler rr");
    same("-A -t 10.1.0.1:80 -s rr", "-At10.1.0.1:80 -s=rr");
    same("-A -t 10.1.0.1:80", "-A -t 10.1.0.1:80 -s wlc");
    same("-A -t 10.1.0.1:80 -p", "-A -p 360 -t 10.1.0.1:80");
    same("-A -t 10.1.0.1:80 -p -s rr", "-A -t 10.1.0.1:80 -p360 -s rr");
    same("-a -t 10.1.0.1:80 -r 10.9.1.1", "-a -t 10.1.0.1:80 -r 10.9.1.1:80 -g -w 1");
    same("-a -t 10.1.0.1:80 -r 10.9.1.1:8080 -g", "-a -t 10.1.0.1:80 -r 10.9.1.1:80 -g");
    same("-A -f 8 -6 -s lc", "-A --fwmark-service 8 --ipv6 -s lc");
    same("-Z -t 0.0.0.0:0", "-Z");
    same("--set 1 2 3", "--set -- 1 2 3");
}

#[test]
fn a_port_is_copied_only_from_a_service_named_before() {
    let port = |line| match run(line) {
        Ok(Command::Change(Request::AddDest(_, dest))) => dest.port,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(port("-a -t 10.1.0.1:80 -r 10.9.1.1 -m"), 80);
    assert_eq!(port("-a -r 10.9.1.1 -t 10.1.0.1:80 -m"), 0);
    assert_eq!(port("-a -r 10.9.1.1 -t 10.1.0.1:80 -g"), 80);
    assert_eq!(port("-a -f 1 -r 10.9.1.1:8080 -g"), 8080);
}

#[test]
fn wrong_options_are_told_in_popts_words() {
    let help = "Try `ipvsadm -h' or 'ipvsadm --help' for more information.";
    for line in ["-q", "-n", "10.1.0.1", "--start-daemon"] {
        refused(line, 255, help);
    }
    refused("-Aq", 255, "-Aq: unknown option");
    refused("-A --foo=bar", 255, "--foo=bar: unknown option");
    refused("-A -t", 255, "-t: missing argument");
    refused("-L --numeric=3", 255, "--numeric=3: option does not take an argument");
    refused("-AL", 2, "invalid option `-AL'");
}

#[test]
fn senseless_values_and_combinations_are_refused_here() {
    refused("-A", 2, "You need to supply the 'service-address' option for the 'add-service' command");
    refused("-A -t 80", 2, "illegal virtual server address[:port] specified");
    refused("-A -t 256.1.1.1:80", 2, "illegal virtual server address[:port] specified");
    refused("-A -t 10.1.0.1", 2, "Zero port specified for non-persistent service");
    refused("-A -t 10.1.0.1:80 -o", 2, "One-Packet Scheduling is only for UDP virtual services");
    refused("-A -t 10.1.0.1:80 -u 10.1.0.1:80", 2, "multiple 'service-address' options specified");
    refused("-A -t 10.1.0.1:80 -p 0", 2, "invalid timeout value `0' specified");
    refused("-A -t [fd00::1]:80 -M 129", 2, "illegal ipv6 netmask specified");
    refused("-A -t 10.1.0.1:80 -b sh-port", 2, "incompatible scheduler flag `sh-port'");
    refused("-A -t 10.1.0.1:80 -b x", 2, "invalid scheduler flag `x'");
    refused("-A -f 0", 2, "invalid fwmark value `0' specified");
    refused("-A -6 -f 1", 2, "-6 used before -f\n");
    refused("-A -t 10.1.0.1:80 -w 1", 2, "Illegal 'weight' option with the 'add-service' command");
    refused("-a -t 10.1.0.1:80", 2, "You need to supply the 'real-server' option for the 'add-server' command");
    refused("-a -t 10.1.0.1:80 -r 10.9.1.1 -m -g", 2, "multiple 'forwarding-method' options specified");
    refused("-a -t 10.1.0.1:80 -r 10.9.1.1 -w -1", 2, "illegal weight specified");
    refused("-a -t 10.1.0.1:80 -r 10.9.1.1 --tun-type gre", 2, "Tunnel options conflict with forward method");
    let gue = "You need to supply the 'tun-port' option for the 'gue' tunnel type";
    refused("-a -t 10.1.0.1:80 -r 10.9.1.1 -i --tun-type gue", 2, gue);
    let gre = "Illegal 'tun-remcsum' option with the 'gre' tunnel type";
    refused("-a -t 10.1.0.1:80 -r 10.9.1.1 -i --tun-type gre --tun-remcsum", 2, gre);
    let both = "The option 'tun-csum' conflicts with the 'tun-nocsum' option in the 'gre' tunnel type";
    refused("-a -t 10.1.0.1:80 -r 10.9.1.1 -i --tun-type gre --tun-csum --tun-nocsum", 2, both);
    refused("-L -c --daemon", 2, "The option 'daemon' conflicts with the 'connection' option in the 'list' command");
    refused("-L --timeout --stats", 2, "options conflicts in the list command");
    refused("--set 1 2", 2, "--set option requires 3 timeout values");
    refused("--set 1 2 3 4", 2, "unexpected argument 4");
    refused("--start-daemon x", 2, "illegal start-daemon parameter specified");
    refused("--start-daemon master --mcast-group 10.1.1.1", 2, "invalid IPv4 mcast-group `10.1.1.1'");
}
