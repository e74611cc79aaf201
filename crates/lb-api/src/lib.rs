//! The words spoken on /run/lbd.sock: requests, answers, errors, client.
