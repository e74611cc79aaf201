//! Requests and their answers, on a configuration in memory: a dialect's calls, one after the other.

mod chance;
mod haproxy;
mod ovh;
mod rackspace;
mod world;
