//! `doctor`: can this machine build guests and run them; and if not, what to do. It fetches nothing
//! but what the host's own build needs, and the package lists by which it finds out whether a
//! toolchain that is not there yet could be had.

use crate::base::cache;
use crate::base::output::{finding_fail, finding_ok, short};
use crate::base::process::indented;
use crate::error::{Error, Status};
use crate::host::Host;
use crate::toolchain::{self, Forecast, Toolchain};
use crate::workspace::{self, Workspace};

/// Prints a line a finding, ours and then those of `guestlab doctor`.
pub(crate) fn run() -> Result<Status, Error> {
    let findings = [guest_toolchain(), cache_folder(), host()?];
    let well = findings.iter().all(|well| *well);
    Ok(if well { Status::SUCCESS } else { Status::CANNOT_RUN })
}

fn guest_toolchain() -> bool {
    match toolchain::forecast(&workspace::root()) {
        Ok(Forecast::Ready(toolchain)) => ready(&toolchain),
        Ok(Forecast::ToFetch(how)) => {
            finding_ok("guest toolchain", format_args!("not there yet, {how}"));
        }
        Err(error) => return failed("guest toolchain", &error),
    }
    true
}

fn ready(toolchain: &Toolchain) {
    finding_ok("guest toolchain", toolchain);
    finding_ok("library source", short(&toolchain.sysroot.library()));
    finding_ok("guest linker", short(toolchain.linker.path()));
}

fn cache_folder() -> bool {
    match cache::folder() {
        Some(folder) => finding_ok("cache folder", short(&folder)),
        None => {
            finding_fail("cache folder", "there is none", "set HOME, XDG_CACHE_HOME or GUESTLAB_CACHE");
            return false;
        }
    }
    true
}

fn host() -> Result<bool, Error> {
    let host = match Workspace::load().and_then(|it| Host::build(&it)) {
        Ok(host) => host,
        Err(error) => return Ok(failed("host binary", &error)),
    };
    finding_ok("host binary", "it compiles");
    Ok(host.status(&["doctor".into()])?.is_success())
}

/// An error says in its first line what is wrong and in the others what to do, unless a line of
/// its own parts the two.
fn failed(what: &str, error: &dyn std::fmt::Display) -> bool {
    let text = error.to_string();
    let parts = text.split_once("\ndo one of these:\n").or_else(|| text.split_once('\n'));
    let (detail, mend) = parts.unwrap_or((&text, "see above"));
    finding_fail(what, detail, indented(mend).trim_start());
    false
}
