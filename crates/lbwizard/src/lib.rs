//! The console wizard: from a unit's first questions to balanced traffic, in one commit.
//!
//! [`flow`] is pure: it says what to ask next, with which default, and judges each answer against
//! the earlier ones; [`settings`] turns all of them into a configuration. [`session`] carries a
//! conversation out through a [`prompter`] and lbd's socket. Until the last Enter nothing leaves
//! this process's memory, so leaving at any question undoes everything.
//!
//! Tested by stories in `tests/cases` (what was typed, what was seen, what was configured), by
//! random answers, and by the real program on a pseudo-terminal.

#![forbid(unsafe_code)]

pub mod check;
pub mod cli;
pub mod flow;
pub mod prompter;
pub mod session;
pub mod settings;
pub mod signals;
pub mod text;
