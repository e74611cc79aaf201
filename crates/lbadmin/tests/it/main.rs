//! The web interface as a browser meets it: a real lbd with the fake kernel, real sockets, real forms.

mod abuse;
mod access;
mod api;
mod backup;
mod certificates;
mod changes;
mod dialects;
mod edit;
mod form;
mod ha;
mod listener;
mod pair;
mod persistence;
mod program;
mod reports;
mod rig;
mod routes;
mod servers;
mod session;
mod update;
mod view;
mod wizard;
