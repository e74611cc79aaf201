//! The wizard from outside: stories, random answers, and the program on a pseudo-terminal.

mod fake;
mod pair;
mod program;
mod random;
mod stories;
