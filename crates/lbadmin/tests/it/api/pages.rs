//! Everything the pages do, a program can do: each form and each entry of the menu has its calls, written down here.
//!
//! A page that is new stands in neither table and fails; so does a call that is no longer served.

use super::Program;
use crate::routes;
use lbadmin::menu::MENU;
use std::collections::BTreeSet;

/// What a form is to a program.
enum Does {
    /// `METHOD path` below `/api/v1`.
    Calls(&'static [&'static str]),
    /// A matter of the person and the session, which no token has; with the reason.
    Own(&'static str),
}

use Does::{Calls, Own};

const LOG_IN: &str = "a program has its token instead of a session";
const OWN_PASSWORD: &str = "a stolen token must not take over its owner's account";

/// The forms by their path below `/lbadmin/`; `1` stands for a parameter.
const FORMS: &[(&str, Does)] = &[
    ("login", Own(LOG_IN)),
    ("logout", Own(LOG_IN)),
    ("password", Own(OWN_PASSWORD)),
    ("maintenance/passwords", Own(OWN_PASSWORD)),
    ("maintenance/totp/begin", Own(OWN_PASSWORD)),
    ("maintenance/totp", Own(OWN_PASSWORD)),
    ("maintenance/totp/off", Own(OWN_PASSWORD)),
    ("apply", Calls(&["post apply"])),
    ("discard", Calls(&["delete config/candidate"])),
    ("confirm", Calls(&["post confirm"])),
    ("undo", Calls(&["post rollback"])),
    ("history/1", Calls(&["post rollback"])),
    ("edit/wizard", Calls(&["get config/factory", "put config/candidate", "post plan", "post apply"])),
    ("edit/virtual-servers/new", Calls(&["post virtual-servers"])),
    ("edit/virtual-servers/modify", Calls(&["put virtual-servers/{label}"])),
    ("edit/virtual-servers/remove", Calls(&["delete virtual-servers/{label}"])),
    ("edit/real-servers/new", Calls(&["post virtual-servers/{label}/real-servers"])),
    ("edit/real-servers/modify", Calls(&["put virtual-servers/{label}/real-servers/{real_server}"])),
    ("edit/real-servers/remove", Calls(&["delete virtual-servers/{label}/real-servers/{real_server}"])),
    ("edit/layer-7/virtual-servers/new", Calls(&["post layer-7/virtual-servers"])),
    ("edit/layer-7/virtual-servers/modify", Calls(&["put layer-7/virtual-servers/{label}"])),
    ("edit/layer-7/virtual-servers/remove", Calls(&["delete layer-7/virtual-servers/{label}"])),
    ("edit/layer-7/real-servers/new", Calls(&["post layer-7/virtual-servers/{label}/real-servers"])),
    ("edit/layer-7/real-servers/modify", Calls(&["put layer-7/virtual-servers/{label}/real-servers/{real_server}"])),
    ("edit/layer-7/real-servers/remove", Calls(&["delete layer-7/virtual-servers/{label}/real-servers/{real_server}"])),
    ("edit/layer-7/ssl/upload", Calls(&["post certificates", "put config/candidate"])),
    ("edit/layer-7/ssl/self-signed", Calls(&["post certificates/self-signed", "put config/candidate"])),
    ("edit/layer-7/ssl/request", Calls(&["post certificates/request"])),
    ("edit/layer-7/ssl/stapling", Calls(&["put config/candidate"])),
    ("edit/layer-7/ssl/acme/server", Calls(&["put config/candidate"])),
    ("edit/layer-7/ssl/acme/obtain", Calls(&["put config/candidate"])),
    ("edit/layer-7/ssl/acme/order", Calls(&["post certificates/acme/order"])),
    ("edit/layer-7/ssl/remove", Calls(&["delete certificates/{fingerprint}", "put config/candidate"])),
    ("edit/interfaces/new", Calls(&["post interfaces"])),
    ("edit/interfaces/modify", Calls(&["put interfaces/{name}"])),
    ("edit/interfaces/remove", Calls(&["delete interfaces/{name}"])),
    ("edit/dns", Calls(&["put dns"])),
    ("edit/routing", Calls(&["put routes"])),
    ("edit/globals", Calls(&["put globals", "put layer-7/settings"])),
    ("edit/heartbeat", Calls(&["put heartbeat"])),
    ("edit/floating-ips/new", Calls(&["put floating-ips"])),
    ("edit/floating-ips/remove", Calls(&["put floating-ips"])),
    ("edit/users/new", Calls(&["post users"])),
    ("edit/users/role", Calls(&["put users/{name}/role"])),
    ("edit/users/password", Calls(&["put users/{name}/password"])),
    ("edit/users/unlock", Calls(&["post users/{name}/unlock"])),
    ("edit/users/totp-off", Calls(&["delete users/{name}/totp"])),
    ("edit/users/remove", Calls(&["delete users/{name}"])),
    ("edit/tokens/new", Calls(&["post tokens"])),
    ("edit/tokens/revoke", Calls(&["delete tokens/{id}"])),
    ("edit/web-interface", Calls(&["put web-settings"])),
    ("edit/web-interface/certificate", Calls(&["put certificate"])),
    ("edit/web-interface/self-signed", Calls(&["post certificate/self-signed"])),
    ("edit/dialects", Calls(&["put dialects"])),
    ("edit/dialects/applications/new", Calls(&["post dialects/ovh/applications"])),
    ("edit/dialects/applications/remove", Calls(&["delete dialects/ovh/applications/{id}"])),
    ("edit/dialects/grants/remove", Calls(&["delete dialects/ovh/grants/{id}"])),
    ("dialects/approve/1", Own("a program's grant is approved by a person")),
    ("maintenance/servers", Calls(&["post real-servers/state"])),
    ("maintenance/fallback-page", Calls(&["put fallback-page"])),
    ("maintenance/lockdown", Calls(&["put globals"])),
    ("maintenance/sessions/end", Calls(&["delete sessions/{id}"])),
    ("maintenance/backup/download", Calls(&["post backup"])),
    ("maintenance/backup/look", Calls(&["post restore"])),
    ("maintenance/backup/restore", Calls(&["post restore"])),
    ("maintenance/update/upload", Calls(&["put update/bundle"])),
    ("maintenance/update/install", Calls(&["post update/install"])),
    ("maintenance/update/remove", Calls(&["delete update/bundle"])),
    ("maintenance/update/acknowledge", Calls(&["post update/acknowledge"])),
    ("maintenance/update/restart", Calls(&["post update/restart"])),
    ("maintenance/update/back", Calls(&["post update/back"])),
    ("maintenance/factory-settings", Calls(&["post factory-settings"])),
    ("support/bundle", Calls(&["get support-bundle"])),
    ("ha/do/1", Calls(&["post ha/takeover", "post ha/standby", "post ha/maintenance"])),
    ("ha/resolve", Calls(&["post ha/resolve"])),
    ("maintenance/pairing", Calls(&["post ha/pairing"])),
    ("maintenance/unpair", Calls(&["post ha/unpair"])),
    ("services/1", Calls(&["post services/{name}/restart"])),
    ("unit/1", Calls(&["post unit"])),
    ("persistent/remove", Calls(&["post connections/forget"])),
    ("persistent/remove-layer-7", Calls(&["post layer-7/persistence/forget"])),
    ("persistent/clear/1", Calls(&["post layer-7/persistence/clear"])),
];

/// What an entry of the menu shows, and where a program reads it.
const SHOWN: &[(&str, &[&str])] = &[
    ("", &["status", "summary", "rates"]),
    ("view/layer-4", &["virtual-servers", "status"]),
    ("view/layer-7", &["layer-7/virtual-servers", "layer-7/settings", "status"]),
    ("view/network", &["network"]),
    ("view/routing", &["network"]),
    ("view/firewall", &["network"]),
    ("view/document", &["config/running"]),
    ("edit/wizard", &["config/candidate"]),
    ("edit/virtual-servers", &["virtual-servers", "virtual-servers/{label}"]),
    ("edit/real-servers", &["virtual-servers/{label}/real-servers"]),
    ("edit/layer-7/virtual-servers", &["layer-7/virtual-servers", "layer-7/virtual-servers/{label}"]),
    ("edit/layer-7/real-servers", &["layer-7/virtual-servers/{label}/real-servers"]),
    ("edit/layer-7/ssl", &["certificates"]),
    ("ha", &["ha"]),
    ("edit/heartbeat", &["heartbeat"]),
    ("edit/floating-ips", &["floating-ips"]),
    ("maintenance/pairing", &["ha/pairing"]),
    ("logs/heartbeat", &["logs/{name}"]),
    ("edit/interfaces", &["interfaces", "interfaces/{name}"]),
    ("edit/dns", &["dns"]),
    ("edit/routing", &["routes"]),
    ("edit/globals", &["globals", "layer-7/settings"]),
    ("edit/users", &["users", "users/{name}"]),
    ("edit/tokens", &["tokens"]),
    ("edit/web-interface", &["web-settings", "certificate"]),
    ("edit/dialects", &["dialects", "dialects/by-hand", "dialects/ovh/applications", "dialects/ovh/grants"]),
    ("maintenance/servers", &["status"]),
    ("changes", &["config/candidate"]),
    ("maintenance/fallback-page", &["fallback-page"]),
    ("maintenance/lockdown", &["globals"]),
    ("history", &["history", "history/{number}", "history/{number}/changes"]),
    ("maintenance/passwords", &[]),
    ("maintenance/sessions", &["sessions"]),
    ("maintenance/backup", &["config/running"]),
    ("maintenance/update", &["update"]),
    ("maintenance/factory-settings", &[]),
    ("services", &["services"]),
    ("unit", &["system"]),
    ("status", &["summary", "status", "system"]),
    ("connections", &["connections"]),
    ("persistent", &["connections", "layer-7/persistence"]),
    ("traffic", &["rates"]),
    ("layer-7-statistics", &["layer-7/statistics"]),
    ("graphs", &["series", "series/keys"]),
    ("logs/load-balancer", &["logs/{name}"]),
    ("logs/ldirectord", &["logs/{name}"]),
    ("logs/layer-7", &["logs/{name}"]),
    ("logs/system", &["logs/{name}"]),
    ("logs/audit", &["audit"]),
    ("help/", &[]),
    ("support/bundle", &["support-bundle"]),
    ("api", &["openapi.json"]),
];

/// Both ways: what is there is written down, what is written down is there.
#[track_caller]
fn same(what: &str, there: &BTreeSet<String>, written: &BTreeSet<String>) {
    let new: Vec<_> = there.difference(written).collect();
    let gone: Vec<_> = written.difference(there).collect();
    assert!(new.is_empty(), "{what} without a call of the API, or not in the table: {new:?}");
    assert!(gone.is_empty(), "{what} of the table that are no more: {gone:?}");
}

#[test]
fn everything_the_pages_do_is_in_the_api() {
    let p = Program::start();
    let document = p.get("/api/v1/openapi.json").is(200).json();
    let served = |method: &str, path: &str| !document["paths"][format!("/api/v1/{path}")][method].is_null();

    let forms = routes::forms().iter().map(|path| path.trim_start_matches("/lbadmin/").to_owned()).collect();
    same("forms", &forms, &FORMS.iter().map(|(path, _)| (*path).to_owned()).collect());
    for (form, does) in FORMS {
        match does {
            Own(reason) => assert!(!reason.is_empty(), "{form}"),
            Calls(calls) => {
                assert!(!calls.is_empty(), "{form}: no call");
                for (method, path) in calls.iter().filter_map(|call| call.split_once(' ')) {
                    assert!(served(method, path), "{form}: {method} {path} is not served");
                }
            }
        }
    }

    let menu = MENU.iter().flat_map(|group| group.entries).map(|entry| entry.path.to_owned()).collect();
    same("entries of the menu", &menu, &SHOWN.iter().map(|(path, _)| (*path).to_owned()).collect());
    for (entry, paths) in SHOWN {
        for path in *paths {
            assert!(served("get", path), "{entry:?}: get {path} is not served");
        }
    }
}
