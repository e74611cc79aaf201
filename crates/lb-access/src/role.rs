//! Roles, what they allow, and who asks.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a user or token may do, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Look at everything, change nothing.
    Report,
    /// Look, take servers offline and online, make backups.
    Maintenance,
    /// Everything.
    Configuration,
}

/// Something that a role may or may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See pages, reports and logs.
    Look,
    /// Take a real server offline or online, drain it.
    SetState,
    /// Make and download a backup.
    Backup,
    /// Edit, apply, discard and roll back the configuration; restore a backup.
    Configure,
    /// Users, tokens, web settings, halt and restart.
    Administer,
}

impl Role {
    /// Every role, least first.
    pub const ALL: [Role; 3] = [Role::Report, Role::Maintenance, Role::Configuration];

    /// Whether this role allows it.
    pub fn may(self, permission: Permission) -> bool {
        let needs = match permission {
            Permission::Look => Role::Report,
            Permission::SetState | Permission::Backup => Role::Maintenance,
            Permission::Configure | Permission::Administer => Role::Configuration,
        };
        self >= needs
    }

    /// The name in files, forms and the API.
    pub fn name(self) -> &'static str {
        match self {
            Role::Report => "report",
            Role::Maintenance => "maintenance",
            Role::Configuration => "configuration",
        }
    }

    /// What the role may do, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Role::Report => "look at everything, change nothing",
            Role::Maintenance => "look, take servers offline and online, make backups",
            Role::Configuration => "everything, users included",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a role is report, maintenance or configuration")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Role, UnknownRole> {
        Role::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

/// How somebody proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// A log-in in the browser.
    Session,
    /// The API token of this name.
    Token(String),
}

/// Somebody who has proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    pub user: String,
    /// The role at this moment, for a token never more than its owner's.
    pub role: Role,
    pub address: IpAddr,
    pub via: Via,
}

impl Who {
    /// As it is written into the history: `loadbalancer (10.0.0.5)`, `loadbalancer/token ci (10.0.0.5)`.
    pub fn author(&self) -> String {
        format!("{} ({})", self.name(), self.address.to_canonical())
    }

    /// Without the address: `loadbalancer`, `loadbalancer/token ci`.
    pub fn name(&self) -> String {
        match &self.via {
            Via::Session => self.user.clone(),
            Via::Token(token) => format!("{}/token {token}", self.user),
        }
    }

    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_issue_says() {
        use Permission::*;
        let table = [
            (Role::Report, [true, false, false, false, false]),
            (Role::Maintenance, [true, true, true, false, false]),
            (Role::Configuration, [true, true, true, true, true]),
        ];
        for (role, expected) in table {
            assert_eq!([Look, SetState, Backup, Configure, Administer].map(|p| role.may(p)), expected, "{role}");
        }
    }

    #[test]
    fn role_names_are_the_same_everywhere() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        assert_eq!("root".parse::<Role>(), Err(UnknownRole));
    }

    #[test]
    fn authors_read_well() {
        let address = "::ffff:10.0.0.5".parse().unwrap();
        let mut who = Who { user: "loadbalancer".into(), role: Role::Report, address, via: Via::Session };
        assert_eq!(who.author(), "loadbalancer (10.0.0.5)");
        who.via = Via::Token("ci".into());
        assert_eq!(who.author(), "loadbalancer/token ci (10.0.0.5)");
    }
}
