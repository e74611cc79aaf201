//! The web interface as a browser meets it: a real lbd with the fake kernel, real sockets, real forms.

mod changes;
mod reports;
mod rig;
mod session;
