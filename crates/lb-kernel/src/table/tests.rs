use super::*;

/// From a 6.1 kernel: two clients of a NAT service, one of them just beginning, a client over IPv6, one whose server
/// is reached over IPv6 through a tunnel, a persistence template, one of a firewall mark, and a SIP call.
const LINES: &str = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A000064 C350 0A000015 0050 C0A80232 0050 ESTABLISHED     897
TCP 0A000064 C352 0A000015 0050 C0A80233 1F90 SYN_RECV         57
UDP 2001:0db8:0000:0000:0000:0000:0000:0064 9C40 2001:0db8:0000:0000:0000:0000:0000:0015 0035 2001:0db8:0001:0000:0000:0000:0000:0002 0035 UDP             299
TCP 0A000065 D431 0A000015 0050 fd00:000a:0000:0000:0000:0000:0000:0002 0050 FIN_WAIT        12
TCP 0A000000 0000 0A000015 0050 C0A80232 0050 ASSURED         301
IP  0A000000 0000 00000008 0000 C0A80232 0000 NONE            301
UDP 0A000064 13C4 0A000015 13C4 C0A80232 13C4 UDP             240 sip 3848276298220188511@atlanta.example.com
";

fn shown(line: &str) -> Option<String> {
    connection(line).map(|c| {
        let template = if c.is_template() { " template" } else { "" };
        format!(
            "{} {} {} {} {} {}{template}",
            c.protocol, c.client, c.virtual_server, c.real_server, c.state, c.expires
        )
    })
}

#[test]
fn every_line_of_the_kernels_is_read() {
    let expected = [
        "TCP 10.0.0.100:50000 10.0.0.21:80 192.168.2.50:80 ESTABLISHED 897",
        "TCP 10.0.0.100:50002 10.0.0.21:80 192.168.2.51:8080 SYN_RECV 57",
        "UDP [2001:db8::64]:40000 [2001:db8::15]:53 [2001:db8:1::2]:53 UDP 299",
        "TCP 10.0.0.101:54321 10.0.0.21:80 [fd00:a::2]:80 FIN_WAIT 12",
        "TCP 10.0.0.0:0 10.0.0.21:80 192.168.2.50:80 ASSURED 301 template",
        "IP 10.0.0.0:0 0.0.0.8:0 192.168.2.50:0 NONE 301 template",
        "UDP 10.0.0.100:5060 10.0.0.21:5060 192.168.2.50:5060 UDP 240",
    ];
    assert_eq!(LINES.lines().filter_map(shown).collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_no_such_line_is_left_out() {
    for line in [
        "",
        "TCP",
        "TCP 0A000064 C350 0A000015 0050 C0A80232 0050 ESTABLISHED",
        "TCP 0A00006 C350 0A000015 0050 C0A80232 0050 ESTABLISHED 1",
        "TCP 0A000064 1C350 0A000015 0050 C0A80232 0050 ESTABLISHED 1",
        "TCP 0A000064 C350 0A000015 0050 C0A80232 0050 ESTABLISHED soon",
        "TCP ::::::::::::::::::::::::::::::::::::::: C350 0A000015 0050 C0A80232 0050 ESTABLISHED 1",
    ] {
        assert_eq!(shown(line), None, "{line}");
    }
}
