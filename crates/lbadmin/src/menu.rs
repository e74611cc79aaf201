//! The menu, which is the route table: words, place, and who may go there.

use lb_access::{Permission, Role};

pub struct Group {
    pub title: &'static str,
    pub entries: &'static [Entry],
}

pub struct Entry {
    pub title: &'static str,
    /// Below `/lbadmin/`.
    pub path: &'static str,
    pub needs: Permission,
    /// The heading within its group that it stands under, with its neighbours; empty: none.
    pub under: &'static str,
}

const fn look(title: &'static str, path: &'static str) -> Entry {
    Entry { title, path, needs: Permission::Look, under: "" }
}

const fn backup(title: &'static str, path: &'static str) -> Entry {
    Entry { title, path, needs: Permission::Backup, under: "" }
}

const fn administer(title: &'static str, path: &'static str) -> Entry {
    Entry { title, path, needs: Permission::Administer, under: "" }
}

const fn edit(title: &'static str, path: &'static str) -> Entry {
    Entry { title, path, needs: Permission::Configure, under: "" }
}

const fn layer4(title: &'static str, path: &'static str) -> Entry {
    Entry { title, path, needs: Permission::Configure, under: "Layer 4 Configuration" }
}

const fn layer7(title: &'static str, path: &'static str) -> Entry {
    Entry { title, path, needs: Permission::Configure, under: "Layer 7 Configuration" }
}

/// Every page that somebody can go to. A test asks for each of them.
pub const MENU: &[Group] = &[
    Group {
        title: "View Configuration",
        entries: &[
            look("System Overview", ""),
            look("Layer 4", "view/layer-4"),
            look("Layer 7", "view/layer-7"),
            look("Network Configuration", "view/network"),
            look("High Availability", "ha"),
            look("Routing Table", "view/routing"),
            look("Firewall Rules", "view/firewall"),
            look("Configuration Document", "view/document"),
        ],
    },
    Group {
        title: "Edit Configuration",
        entries: &[
            edit("Setup Wizard", "edit/wizard"),
            layer4("Virtual Servers", "edit/virtual-servers"),
            layer4("Real Servers", "edit/real-servers"),
            layer7("Virtual Servers", "edit/layer-7/virtual-servers"),
            layer7("Real Servers", "edit/layer-7/real-servers"),
            layer7("SSL Termination", "edit/layer-7/ssl"),
            edit("Heartbeat Configuration", "edit/heartbeat"),
            edit("Floating IPs", "edit/floating-ips"),
            edit("Network Interfaces", "edit/interfaces"),
            edit("DNS & Hostname", "edit/dns"),
            edit("Routing", "edit/routing"),
            edit("Global Settings", "edit/globals"),
            administer("Users and Roles", "edit/users"),
            administer("API Tokens", "edit/tokens"),
            administer("Web Interface", "edit/web-interface"),
            administer("Cloud Dialects", "edit/dialects"),
        ],
    },
    Group {
        title: "Maintenance",
        entries: &[
            Entry {
                title: "Take a Real Server Offline or Online",
                path: "maintenance/servers",
                needs: Permission::SetState,
                under: "",
            },
            look("Pending Changes", "changes"),
            edit("Fallback Page", "maintenance/fallback-page"),
            edit("Firewall Lock-down", "maintenance/lockdown"),
            look("Configuration History", "history"),
            look("Passwords", "maintenance/passwords"),
            look("Sessions", "maintenance/sessions"),
            backup("Backup & Restore", "maintenance/backup"),
            administer("Software Update", "maintenance/update"),
            administer("Factory Settings", "maintenance/factory-settings"),
            administer("Pair with Another Unit", "maintenance/pairing"),
            administer("Restart Services", "services"),
            administer("Halt or Restart the Unit", "unit"),
        ],
    },
    Group {
        title: "Reports",
        entries: &[
            look("Status", "status"),
            look("Current Connections", "connections"),
            look("Persistent Connections", "persistent"),
            look("Traffic Rate", "traffic"),
            look("Layer 7 Statistics", "layer-7-statistics"),
            look("Graphs", "graphs"),
        ],
    },
    Group {
        title: "Logs",
        entries: &[
            look("Load Balancer", "logs/load-balancer"),
            look("Ldirectord", "logs/ldirectord"),
            look("Layer 7", "logs/layer-7"),
            look("Heartbeat", "logs/heartbeat"),
            look("System", "logs/system"),
            look("Audit", "logs/audit"),
        ],
    },
    Group {
        title: "Support",
        entries: &[look("Help", "help/"), backup("Support Bundle", "support/bundle"), look("API", "api")],
    },
];

/// Entries under one heading; without a heading where it is empty.
pub type Part = (&'static str, Vec<&'static Entry>);

/// The groups that this role sees, with their entries.
pub fn visible(role: Role) -> Vec<(&'static str, Vec<Part>)> {
    let parts = |group: &'static Group| {
        let mut parts: Vec<Part> = Vec::new();
        for entry in group.entries.iter().filter(|e| role.may(e.needs)) {
            match parts.last_mut() {
                Some((under, entries)) if *under == entry.under => entries.push(entry),
                _ => parts.push((entry.under, vec![entry])),
            }
        }
        parts
    };
    MENU.iter().map(|g| (g.title, parts(g))).filter(|(_, parts)| !parts.is_empty()).collect()
}
