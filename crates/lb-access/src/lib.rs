//! Who may do what: users, roles, sessions, tokens, audit log.
#![forbid(unsafe_code)]
