//! README's commands on a machine without KVM, as in a container: KVM's device is taken away.

use std::process::{Command, Output, Stdio};

use crate::common::{root, text};

/// Runs xtask where `/dev` has no KVM: in a mount namespace if this machine allows one, otherwise with the path of a device
/// that is not there.
fn without_kvm(arguments: &[&str], device: &[&str]) -> Output {
    let xtask = env!("CARGO_BIN_EXE_xtask");
    let mut hidden = Command::new("bwrap");
    hidden.args(["--dev-bind", "/", "/", "--dev", "/dev", "--"]);
    let works = Command::new("bwrap").args(hidden.get_args()).args(["test", "!", "-e", "/dev/kvm"]).status();
    let mut command = match works.is_ok_and(|status| status.success()) {
        true => {
            hidden.arg(xtask).args(arguments);
            hidden
        }
        false => {
            eprintln!("no mount namespace by bubblewrap: {device:?} stands for it");
            let mut command = Command::new(xtask);
            command.args(arguments).args(device);
            command
        }
    };
    command
        .current_dir(root())
        .stdin(Stdio::null())
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("GUESTLAB_ENGINE");
    command.output().expect("it starts")
}

#[test]
fn the_commands_of_the_readme_work_without_kvm_and_say_which_engine_ran() {
    let built = without_kvm(&["build-guests"], &[]);
    assert!(built.status.success(), "{}", text(&built.stderr));
    let run = without_kvm(&["run", "prodcons"], &["--kvm", "/dev/no-such-kvm"]);
    let (out, err) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.success(), "{err}");
    assert!(out.ends_with("audit: ok, what came out is what went in, in order\n"), "{out}");
    let says = |line: &&str| {
        line.starts_with("KVM does not work here (/dev/")
            && line.contains(" is not there): the interpreter runs the guests (--engine soft)")
    };
    assert_eq!(err.lines().filter(says).count(), 1, "{err}");
}
