//! The options of the jail.

use clap::Args;

use crate::{
    output,
    process::jail::{self, Jail},
};

/// The confinement of the process while guests run.
#[derive(Clone, Debug, Default, Args)]
pub struct JailArgs {
    /// Do not limit the system calls of this program while guests run. Use this on a system whose C library makes calls
    /// that Guestlab does not know. Only Linux on x86-64 has these limits; elsewhere this silences the line about it.
    #[arg(long, hide_short_help = true)]
    no_seccomp: bool,
}

impl JailArgs {
    /// Returns the jail that this system has. Warns if it has no filters.
    pub fn jail(&self) -> Jail {
        if let Some(absence) = jail::absence().filter(|_| !self.no_seccomp) {
            output::warn(absence);
        }
        Jail::new(!self.no_seccomp)
    }
}
