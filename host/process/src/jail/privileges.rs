//! Rights: the process has no more than its caller, and its threads have none that they do not need.

use std::io;

/// The version of `capset`'s structures that has 64 capabilities (capset(2), `_LINUX_CAPABILITY_VERSION_3`).
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Gives up the rights of a set-user-ID or set-group-ID bit. Call this before a second thread starts or a file is
/// opened.
///
/// # Errors
///
/// The system refused a call.
pub fn shed_set_user_id() -> io::Result<()> {
    // SAFETY: it has no preconditions.
    let user = unsafe { libc::getuid() };
    // SAFETY: likewise.
    let group = unsafe { libc::getgid() };
    // The group first: afterwards it might not be allowed.
    // SAFETY: it takes three numbers.
    check(unsafe { libc::setresgid(group, group, group) })?;
    // SAFETY: likewise.
    check(unsafe { libc::setresuid(user, user, user) })?;
    no_new_rights()
}

/// Takes all capabilities from the calling thread forever.
///
/// # Errors
///
/// The system refused a call.
pub fn give_up_rights() -> io::Result<()> {
    no_new_rights()?;
    let header = [CAPABILITY_VERSION, 0];
    // Effective, permitted and inheritable ones, in two halves.
    let none = [0_u32; 6];
    // SAFETY: the structures are these numbers (capget(2)), and are only read.
    let outcome = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    check(if outcome == 0 { 0 } else { -1 })
}

/// Keeps the programs that the thread may start from gaining rights (prctl(2), `PR_SET_NO_NEW_PRIVS`). Threads that
/// it starts inherit this.
fn no_new_rights() -> io::Result<()> {
    // SAFETY: it takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

fn check(outcome: libc::c_int) -> io::Result<()> {
    match outcome {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
