//! The errno table, and that a message names what it is about.

use super::*;

#[test]
fn one_errno_means_what_its_command_makes_of_it() {
    assert_eq!(ErrorKind::of(Cmd::NewService, libc::ENOENT), ErrorKind::SchedulerNotFound);
    assert_eq!(ErrorKind::of(Cmd::SetDest, libc::ENOENT), ErrorKind::NoSuchDest);
    assert_eq!(ErrorKind::of(Cmd::NewDest, libc::ESRCH), ErrorKind::NoSuchService);
    assert_eq!(ErrorKind::of(Cmd::DelDaemon, libc::ESRCH), ErrorKind::NoDaemon);
    assert_eq!(ErrorKind::of(Cmd::NewDest, libc::ENOENT), ErrorKind::Other(libc::ENOENT));
}

#[test]
fn a_refusal_names_command_and_object() {
    let error = Error::refused(Cmd::NewDest, "10.9.1.1:80 of tcp 10.1.0.1:80", libc::EEXIST);
    assert_eq!(
        error.to_string(),
        "cannot add destination 10.9.1.1:80 of tcp 10.1.0.1:80: the destination already exists"
    );
    let error = Error::refused(Cmd::Flush, "", libc::EPERM);
    assert!(error.to_string().starts_with("cannot clear the table: permission denied"));
}
