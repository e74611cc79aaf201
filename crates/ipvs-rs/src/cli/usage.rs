//! The version line, as the original 1.31 prints it, and a help text of our own. Pure.

/// `-v`.
pub const VERSION: &str = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n";

/// `-h`, for a program called `program`.
pub fn help(program: &str) -> String {
    format!("{VERSION}{}", TEXT.replace("{program}", program))
}

const TEXT: &str = "\
Reads and changes the kernel's IPVS table. A command comes first, then its options.

  {program} -A|-E SERVICE [-s SCHEDULER] [-p [SECONDS]] [-M MASK] [-o] [--pe ENGINE] [-b FLAGS]
  {program} -D SERVICE
  {program} -a|-e SERVICE -r SERVER [-g|-i|-m] [-w WEIGHT] [-x UPPER] [-y LOWER] [TUNNEL]
  {program} -d SERVICE -r SERVER
  {program} -L|-l [SERVICE] [LISTING]
  {program} -Z [SERVICE]
  {program} -C
  {program} -S [-n]
  {program} -R
  {program} --set TCP TCPFIN UDP
  {program} --start-daemon master|backup [DAEMON]
  {program} --stop-daemon master|backup

Commands:
  -A, --add-service       add a virtual service
  -E, --edit-service      change a virtual service
  -D, --delete-service    delete a virtual service
  -a, --add-server        add a real server to a service
  -e, --edit-server       change a real server
  -d, --delete-server     delete a real server
  -L, -l, --list          list the table (also what no command at all does)
  -Z, --zero              zero the counters of one service or of all
  -C, --clear             delete all services
  -S, --save              print the table as commands
  -R, --restore           read commands from standard input
      --set               set connection timeouts in seconds; 0 = leave as it is
      --start-daemon      start a connection sync daemon
      --stop-daemon       stop it
  -h, --help              this text
  -v, --version           version

SERVICE is one of:
  -t, --tcp-service HOST[:PORT]     -u, --udp-service HOST[:PORT]
      --sctp-service HOST[:PORT]    -f, --fwmark-service MARK [-6, --ipv6]

For a service:
  -s, --scheduler NAME    rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh (default: wlc)
  -p, --persistent [SEC]  a client stays on its server for this long (default: 360)
  -M, --netmask MASK      how much of the client's address counts: a mask, or an IPv6 prefix length
  -o, --ops               schedule every packet by itself (UDP)
      --pe NAME           persistence engine (sip)
  -b, --sched-flags LIST  sh-fallback,sh-port, mh-fallback,mh-port, or flag-1,flag-2,flag-3

For a real server:
  -r, --real-server HOST[:PORT]
  -g, --gatewaying        direct routing (default)
  -i, --ipip              tunnel
  -m, --masquerading      network address translation
  -w, --weight N          default 1; 0 = no new connections
  -x, --u-threshold N     no new connections from this many on; 0 = no limit
  -y, --l-threshold N     new connections again below this
TUNNEL:
      --tun-type TYPE     ipip, gue or gre (default: ipip)
      --tun-port PORT     UDP port, for gue
      --tun-nocsum, --tun-csum, --tun-remcsum

LISTING:
  -n, --numeric           addresses and ports as numbers
  -c, --connection        current connections
      --timeout, --daemon timeouts; sync daemons
      --stats, --rate     counters; per second
  -X, --exact             numbers in full
      --thresholds, --persistent-conn, --tun-info
      --nosort            in the kernel's order

DAEMON:
      --mcast-interface NAME  (default: eth0)     --syncid 0-255
      --sync-maxlen BYTES     --mcast-group ADDRESS (default: 224.0.0.81)
      --mcast-port PORT (default: 8848)           --mcast-ttl TTL (default: 1)
";
