//! heartbeat, as lbd deals with it: the document that it obeys, its status socket, and what people are shown of it.
//!
//! lbd decides nothing about who serves. It renders `/run/lb/ha.json` from what runs ([`document`]), passes orders on
//! ([`Heartbeat::command`]) and looks at the status now and then ([`Heartbeat::watch`]). Tested beside the code.

mod document;
mod heartbeat;
mod view;

pub use document::{HaFile, document, problems};
pub use heartbeat::Heartbeat;
pub use view::view;
