//! Who calls. No secret stands in the configuration: lbadmin keeps them and answers these questions.

/// Somebody who may call, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    /// As the history names the author.
    pub author: String,
    /// Whether it may change anything.
    pub changes: bool,
}

/// What a Rackspace log-in proves itself by.
#[derive(Clone, Copy)]
pub enum Secret<'a> {
    ApiKey(&'a str),
    Password(&'a str),
}

/// A Rackspace token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub token: String,
    /// Unix seconds.
    pub expires: u64,
    pub user: String,
}

/// A program that OVH calls are made with.
#[derive(Clone, PartialEq, Eq)]
pub struct Application {
    pub secret: String,
}

/// A method, or `*`, and a path with `*` for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    pub method: String,
    pub path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerState {
    Pending,
    Validated,
    Refused,
    Expired,
}

impl ConsumerState {
    pub fn as_str(self) -> &'static str {
        match self {
            ConsumerState::Pending => "pendingValidation",
            ConsumerState::Validated => "validated",
            ConsumerState::Refused => "refused",
            ConsumerState::Expired => "expired",
        }
    }
}

/// A person's grant to an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    pub id: u64,
    /// The application that it was asked for with.
    pub application: String,
    pub state: ConsumerState,
    pub rules: Vec<AccessRule>,
    /// Whoever approved it, as they are now.
    pub person: Option<Person>,
    pub created: u64,
    /// Whether calls may come from the address that this one came from.
    pub here: bool,
}

/// A grant that waits for somebody's approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCredential {
    pub consumer_key: String,
    /// What the approval page is asked with.
    pub approval: String,
}

/// Where lbadmin says who calls. Compares secrets in constant time; may take a fifth of a second to hash.
pub trait Accounts {
    /// A token for a Rackspace log-in that is right.
    fn login(&self, user: &str, secret: Secret<'_>) -> Option<Login>;

    /// Whose Rackspace token this is.
    fn token(&self, token: &str) -> Option<Person>;

    fn application(&self, key: &str) -> Option<Application>;

    fn consumer(&self, key: &str) -> Option<Consumer>;

    /// A new grant for an application that exists. Nothing: too many wait already.
    fn request(
        &self,
        application: &str,
        rules: Vec<AccessRule>,
        redirection: Option<String>,
        addresses: Vec<ipnet::IpNet>,
    ) -> Option<NewCredential>;

    /// Ends a grant.
    fn revoke(&self, consumer: &str);
}
