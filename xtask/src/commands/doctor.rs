//! `doctor`: checks if this machine can build and run guests, and says what to do if not. It downloads package lists
//! and the dependencies of the host's own build only.

use crate::base::output::{finding_fail, finding_ok, short};
use crate::error::{Error, Status};
use crate::guests::library;
use crate::host::{Host, Profile};
use crate::toolchain::{self, Estimate};
use crate::workspace::{self, Workspace};
use crate::{base::cache, base::process::indented};

/// Prints a line for each finding, ours and then those of `guestlab doctor`.
pub(crate) fn run() -> Result<Status, Error> {
    let findings = [guest_toolchain(), cache_folder(), host()?];
    let is_well = findings.iter().all(|is_well| *is_well);
    Ok(if is_well { Status::SUCCESS } else { Status::CANNOT_RUN })
}

fn guest_toolchain() -> bool {
    let name = "guest toolchain";
    match toolchain::estimate(&workspace::root()) {
        Ok(Estimate::Ready(toolchain)) => {
            finding_ok(name, &toolchain);
            finding_ok("library source", short(&toolchain.sysroot.library()));
            finding_ok("guest linker", short(&toolchain.linker));
            let compiled = library::describe_all();
            let compiled =
                compiled.as_deref().unwrap_or("not there yet, the first build of a guest compiles it");
            finding_ok("guest library", compiled);
        }
        Ok(Estimate::ToFetch(how)) => finding_ok(name, format_args!("not there yet, {how}")),
        Err(error) => return failed(name, &error),
    }
    true
}

fn cache_folder() -> bool {
    let name = "cache folder";
    match cache::folder() {
        Some(folder) => finding_ok(name, short(&folder)),
        None => finding_fail(name, "there is none", "set HOME, XDG_CACHE_HOME or GUESTLAB_CACHE"),
    }
    cache::folder().is_some()
}

fn host() -> Result<bool, Error> {
    let host = match Workspace::load().and_then(|it| Host::build(&it, Profile::Dev)) {
        Ok(host) => host,
        Err(error) => return Ok(failed("host binary", &error)),
    };
    finding_ok("host binary", "it compiles");
    Ok(host.status(&["doctor".into()])?.is_success())
}

/// Prints an error. Its first line, or the text before `do one of these`, is the problem; the rest is the solution.
fn failed(name: &str, error: &Error) -> bool {
    let text = error.to_string();
    let parts = text.split_once("\ndo one of these:\n").or_else(|| text.split_once('\n'));
    let (detail, mend) = parts.unwrap_or((&text, "see above"));
    finding_fail(name, detail, indented(mend).trim_start());
    false
}
