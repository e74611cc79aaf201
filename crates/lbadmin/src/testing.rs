//! What several unit tests begin with.

use lb_model::Config;

/// The guide's two-arm NAT configuration with two servers.
pub fn guide() -> Config {
    let document = r#"{"version":1,
      "node":{"hostname":"lbmaster","nameservers":["10.0.0.31"],
        "interfaces":[{"name":"eth0","addresses":["10.0.0.21/24"]},{"name":"eth1","addresses":["192.168.2.21/24"]}],
        "gateway":"10.0.0.31"},
      "globals":{"masquerade":true},
      "virtual_servers":[{"label":"HTTP_Cluster","service":{"kind":"address","address":"10.0.0.21","ports":"80"},
        "real_servers":[
          {"label":"WebServer1","address":"192.168.2.50","port":80,"forwarding":"nat"},
          {"label":"WebServer2","address":"192.168.2.51","port":80,"forwarding":"nat"}]}]}"#;
    serde_json::from_str(document).expect("the guide's configuration")
}
