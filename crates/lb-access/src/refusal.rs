//! Why something was refused: the reason (`Display`), what to do about it (`hint`), and the form's field it belongs to.

use std::io;
use std::path::PathBuf;

use crate::password::{LONGEST, SHORTEST};

/// Why the state directory could not be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("{doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the kernel gave no random numbers")]
    Random,
    #[error("the factory password could not be hashed")]
    Hash,
}

/// Why a log-in was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    #[error("User or password is wrong")]
    Wrong,
    /// The password is right and the account has TOTP: ask for the code and send all three.
    #[error("This account needs a code from its authenticator app")]
    CodeNeeded,
    #[error("The code is wrong or was used before")]
    CodeWrong,
    #[error("Too many wrong log-ins")]
    Locked { retry_after: u64 },
    #[error("Too many log-ins at the same time")]
    Busy { retry_after: u64 },
    /// The file of users cannot be used; `alarm` says how to recover.
    #[error("Nobody can log in: {alarm}")]
    Closed { alarm: String },
    #[error("{0}")]
    Failed(Failure),
}

impl LoginRefusal {
    pub fn hint(&self) -> String {
        match self {
            LoginRefusal::Wrong => {
                "Capital and small letters count. Another administrator can set a new password.".into()
            }
            LoginRefusal::CodeNeeded => "Enter the six digits that the app shows now.".into(),
            LoginRefusal::CodeWrong => {
                "Wait for the next code. If it is always wrong, compare the clocks of the phone and of this unit."
                    .into()
            }
            LoginRefusal::Locked { retry_after } => {
                format!("Try again in {}, or let another administrator unlock the account.", words(*retry_after))
            }
            LoginRefusal::Busy { retry_after } => format!("Try again in {}.", words(*retry_after)),
            LoginRefusal::Closed { .. } => "The balanced services go on without it.".into(),
            LoginRefusal::Failed(failure) => failure.hint().into(),
        }
    }

    /// The field of the log-in form.
    pub fn field(&self) -> &'static str {
        match self {
            LoginRefusal::CodeNeeded | LoginRefusal::CodeWrong => "code",
            _ => "password",
        }
    }

    /// For the Retry-After header.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            LoginRefusal::Locked { retry_after } | LoginRefusal::Busy { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

/// Why a password was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefusal {
    #[error("The session has ended")]
    NoSession,
    #[error("The old password is wrong")]
    OldWrong,
    /// Of one's own, asked for before what cannot be undone.
    #[error("The password is wrong")]
    Wrong,
    #[error("The new password is shorter than {SHORTEST} characters")]
    TooShort,
    #[error("The new password is longer than {LONGEST} characters")]
    TooLong,
    #[error("The new password is the user name")]
    UserName,
    #[error("The new password is the factory password, which everybody knows")]
    Factory,
    #[error("The new password is the old one")]
    Same,
    #[error("Too many wrong passwords")]
    Locked { retry_after: u64 },
    #[error("Too many passwords are being checked at the same time")]
    Busy { retry_after: u64 },
    #[error("{0}")]
    Failed(Failure),
}

impl PasswordRefusal {
    pub fn hint(&self) -> String {
        match self {
            PasswordRefusal::NoSession => "Log in again.".into(),
            PasswordRefusal::OldWrong | PasswordRefusal::Wrong => "Enter the password that you logged in with.".into(),
            PasswordRefusal::TooShort => "A few words in a row are long and easy to keep in mind.".into(),
            PasswordRefusal::TooLong => format!("{SHORTEST} to {LONGEST} characters."),
            PasswordRefusal::UserName | PasswordRefusal::Factory | PasswordRefusal::Same => {
                "Choose one that nobody else knows.".into()
            }
            PasswordRefusal::Locked { retry_after } | PasswordRefusal::Busy { retry_after } => {
                format!("Try again in {}.", words(*retry_after))
            }
            PasswordRefusal::Failed(failure) => failure.hint().into(),
        }
    }

    /// The field of the form: `old` or `new`.
    pub fn field(&self) -> &'static str {
        match self {
            PasswordRefusal::Wrong => "password",
            PasswordRefusal::NoSession | PasswordRefusal::OldWrong => "old",
            PasswordRefusal::Locked { .. } | PasswordRefusal::Busy { .. } | PasswordRefusal::Failed(_) => "old",
            _ => "new",
        }
    }
}

/// Why users, tokens or settings were not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("Your role may not do this")]
    Forbidden,
    #[error("There is no user {0}")]
    NoUser(String),
    #[error("There is a user {0} already")]
    UserExists(String),
    #[error("This is not a user name")]
    UserName,
    #[error("{0} is the last user with the role configuration")]
    LastAdministrator(String),
    #[error("You cannot remove yourself")]
    Yourself,
    #[error("{0}")]
    Password(PasswordRefusal),
    #[error("This is not a name for a token")]
    TokenName,
    #[error("There is a token {0} already")]
    TokenExists(String),
    #[error("There is no such token")]
    NoToken,
    #[error("A token cannot do more than the user who makes it")]
    TokenRole,
    #[error("The token would have expired already")]
    TokenExpired,
    #[error("Your password must be changed before you can have tokens")]
    MustChange,
    #[error("There are {limit} {what} already, which is the limit")]
    TooMany { what: &'static str, limit: usize },
    #[error("No code is awaited")]
    NoTotp,
    #[error("The code is wrong")]
    Code,
    #[error("Too many wrong codes")]
    Locked { retry_after: u64 },
    #[error("{reason}")]
    Setting { field: &'static str, reason: &'static str, hint: &'static str },
    #[error("This backup holds no usable list of users: {0}")]
    Import(String),
    #[error("{0}")]
    Failed(Failure),
}

impl Refusal {
    pub fn hint(&self) -> String {
        match self {
            Refusal::Forbidden => "A user with the role configuration may.".into(),
            Refusal::NoUser(_) => "Somebody may have removed it. Load the page again.".into(),
            Refusal::UserExists(_) | Refusal::TokenExists(_) => "Choose another name.".into(),
            Refusal::UserName => {
                "1 to 32 small letters, digits, `.`, `_` and `-`, beginning with a letter or digit.".into()
            }
            Refusal::LastAdministrator(_) => "Give another user the role configuration first.".into(),
            Refusal::Yourself => "Another user with the role configuration can.".into(),
            Refusal::Password(refusal) => refusal.hint(),
            Refusal::TokenName => "1 to 32 letters, digits, spaces, `.`, `_` and `-`.".into(),
            Refusal::NoToken => "Somebody may have revoked it. Load the page again.".into(),
            Refusal::TokenRole => "Choose your own role or a lesser one.".into(),
            Refusal::TokenExpired => "Choose a day in the future, or none.".into(),
            Refusal::MustChange => "Change it under Maintenance > Passwords.".into(),
            Refusal::TooMany { .. } => "Remove one that is no longer used.".into(),
            Refusal::NoTotp => "Begin the set-up again.".into(),
            Refusal::Code => {
                "Enter the six digits that the app shows now. If they are always wrong, compare the clocks of the phone \
                 and of this unit."
                    .into()
            }
            Refusal::Locked { retry_after } => format!("Try again in {}.", words(*retry_after)),
            Refusal::Setting { hint, .. } => (*hint).into(),
            Refusal::Import(_) => "Restore it without users, or use another backup.".into(),
            Refusal::Failed(failure) => failure.hint().into(),
        }
    }

    /// The form's field; empty when it is about the whole form.
    pub fn field(&self) -> &'static str {
        match self {
            Refusal::UserExists(_) | Refusal::UserName | Refusal::TokenName | Refusal::TokenExists(_) => "name",
            Refusal::Password(_) => "password",
            Refusal::TokenRole | Refusal::LastAdministrator(_) => "role",
            Refusal::TokenExpired => "expires",
            Refusal::NoTotp | Refusal::Code | Refusal::Locked { .. } => "code",
            Refusal::Setting { field, .. } => field,
            _ => "",
        }
    }
}

/// The unit could not do it, whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("The change could not be written to the disk")]
    Disk,
    #[error("The file of users cannot be used")]
    Closed,
    #[error("The unit has no random numbers or no memory left")]
    Resources,
}

impl Failure {
    pub fn hint(self) -> &'static str {
        match self {
            Failure::Disk => "Nothing was changed. Look at Logs > System: the disk may be full or failing.",
            Failure::Closed => "The alarm on the log-in page says how to recover at the console.",
            Failure::Resources => "Try again; if it stays, restart the unit.",
        }
    }
}

impl From<Failure> for LoginRefusal {
    fn from(failure: Failure) -> LoginRefusal {
        LoginRefusal::Failed(failure)
    }
}

impl From<Failure> for PasswordRefusal {
    fn from(failure: Failure) -> PasswordRefusal {
        PasswordRefusal::Failed(failure)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::Failed(failure)
    }
}

impl From<PasswordRefusal> for Refusal {
    fn from(refusal: PasswordRefusal) -> Refusal {
        Refusal::Password(refusal)
    }
}

/// `1 second`, `40 seconds`, `3 minutes`.
fn words(seconds: u64) -> String {
    match seconds {
        0 | 1 => "1 second".into(),
        2..=119 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}
