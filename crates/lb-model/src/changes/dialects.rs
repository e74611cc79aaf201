//! What differs in what the cloud dialects keep. What that does to traffic stands under the virtual servers.

use super::{List, joined, on, shown};
use crate::dialects::{Dialects, Ovh, Rackspace, ovh::OvhObjects};

pub(super) fn dialects(old: &Dialects, new: &Dialects, list: &mut List) {
    rackspace(&old.rackspace, &new.rackspace, list);
    ovh(&old.ovh, &new.ovh, list);
}

/// Added, removed and changed entries of a list, by their numbers.
fn entries<T: PartialEq>(what: &str, old: &[T], new: &[T], id: impl Fn(&T) -> u32, list: &mut List) {
    for entry in new {
        match old.iter().find(|o| id(o) == id(entry)) {
            None => list.add(format!("Add {what} {}", id(entry))),
            Some(was) if was != entry => list.add(format!("Change {what} {}", id(entry))),
            Some(_) => {}
        }
    }
    for gone in old.iter().filter(|o| !new.iter().any(|n| id(n) == id(o))) {
        list.add(format!("Remove {what} {}", id(gone)));
    }
}

fn rackspace(old: &Rackspace, new: &Rackspace, list: &mut List) {
    if old == new {
        return;
    }
    let before = list.0.len();
    list.set("Rackspace dialect", on(old.enabled), on(new.enabled));
    list.set("account of the Rackspace dialect", old.account, new.account);
    list.set("public addresses of the Rackspace dialect", joined(&old.public), joined(&new.public));
    list.set("service network of the Rackspace dialect", joined(&old.servicenet), joined(&new.servicenet));
    entries("Rackspace virtual IP", &old.virtual_ips, &new.virtual_ips, |ip| ip.id, list);
    entries("Rackspace load balancer", &old.load_balancers, &new.load_balancers, |lb| lb.id, list);
    if list.0.len() == before {
        list.add("Renumber the Rackspace dialect's objects");
    }
}

fn ovh(old: &Ovh, new: &Ovh, list: &mut List) {
    if old == new {
        return;
    }
    let before = list.0.len();
    list.set("OVH dialect", on(old.enabled), on(new.enabled));
    list.set("service name of the OVH dialect", &old.service_name, &new.service_name);
    list.set("zone of the OVH dialect", &old.zone, &new.zone);
    list.set("address of the OVH dialect", shown(old.address), shown(new.address));
    list.set("display name of the OVH dialect", shown(old.display_name.as_ref()), shown(new.display_name.as_ref()));
    objects("OVH", "", &old.objects, &new.objects, list);
    objects("OVH", "applied ", &old.applied, &new.applied, list);
    entries("OVH task", &old.tasks, &new.tasks, |task| task.id, list);
    if list.0.len() == before {
        list.add("Renumber the OVH dialect's objects");
    }
}

fn objects(dialect: &str, which: &str, old: &OvhObjects, new: &OvhObjects, list: &mut List) {
    entries(&format!("{which}{dialect} farm"), &old.farms, &new.farms, |farm| farm.id, list);
    entries(&format!("{which}{dialect} front-end"), &old.frontends, &new.frontends, |frontend| frontend.id, list);
    entries(&format!("{which}{dialect} certificate"), &old.ssl, &new.ssl, |ssl| ssl.id, list);
    let what = format!("{which}SSL configuration of the {dialect} dialect");
    list.set(&what, shown(old.ssl_configuration), shown(new.ssl_configuration));
}
