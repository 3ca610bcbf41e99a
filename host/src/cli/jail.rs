//! The options of the jail that guests run in.

use clap::Args;

use crate::{output, process::jail::Jail};

/// How the process is confined while guests run.
#[derive(Clone, Debug, Default, Args)]
pub struct JailArgs {
    /// Do not limit the system calls that this program may make while guests run. It is for a system
    /// whose C library makes others than those that are known.
    #[arg(long, hide_short_help = true)]
    no_seccomp: bool,
}

impl JailArgs {
    /// The jail, as far as this kernel has it; what it does not have is told.
    pub fn jail(&self) -> Jail {
        let jail = Jail::new(!self.no_seccomp);
        if jail == Jail::Rights && !self.no_seccomp {
            output::warn(
                "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER): guests run without the jail",
            );
        }
        jail
    }
}
