//! `/metrics`.

use super::{Program, administrator};
use lb_access::{Role, WebSettings};
use lbadmin::app::now;

#[test]
fn metrics_need_a_token_unless_everybody_may() {
    let p = Program::with(Role::Report);
    let text = p.get("/metrics").is(200);
    assert!(text.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    text.has("steelyard_real_server_up{virtual_server=\"HTTP_Cluster\",real_server=\"WebServer1\"} 1")
        .has("steelyard_revision 1")
        .has("# EOF");
    assert!(
        p.send("GET", "/metrics", &[("accept", "text/plain")], None).header("content-type").starts_with("text/plain")
    );
    let stranger = || p.rig.browser().send("GET", "/metrics", &[], None);
    stranger().problem(401, "unauthorized");
    let settings = WebSettings { open_metrics: true, ..p.rig.app.access.settings() };
    p.rig.app.access.set_settings(settings, &administrator(), now()).expect("set");
    stranger().is(200);
}
