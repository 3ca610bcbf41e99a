//! Unpacking packages side by side into one tree.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::packages::Download;
use super::{Progress, Recipe};
use crate::error::Error;
use crate::process;

/// Unpacks all packages of the folder `work` into `tree`.
pub(crate) fn all(
    recipe: &impl Recipe,
    work: &Path,
    downloads: &[Download],
    tree: &Path,
    progress: &mut Progress,
) -> Result<(), Error> {
    progress.step("unpacking");
    for (index, download) in downloads.iter().enumerate() {
        progress.item(index + 1, downloads.len(), download.package());
        unpack(&work.join(&download.file), recipe.selection(download.package()), tree)?;
    }
    Ok(())
}

fn unpack(package: &Path, selection: &[&str], tree: &Path) -> Result<(), Error> {
    let mut contents = Command::new("dpkg-deb");
    contents.arg("--fsys-tarfile").arg(package);
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--no-same-owner", "--directory"]).arg(tree);
    tar.args(selection);
    piped(&mut contents, &mut tar)
}

/// Runs `from | into`; the words of whoever fails are kept.
fn piped(from: &mut Command, into: &mut Command) -> Result<(), Error> {
    let spawned = from.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut source = spawned.map_err(|source| process::cannot_start(from, source))?;
    if let Some(pipe) = source.stdout.take() {
        into.stdin(pipe);
    }
    let received = into.output().map_err(|source| process::cannot_start(into, source))?;
    // The receiver's end of the pipe must be closed, or a sender that it left waits for ever.
    into.stdin(Stdio::null());
    let sent = source.wait_with_output().map_err(|source| process::cannot_start(from, source))?;
    // A receiver that failed is the cause of its sender's failure, so it is looked at first.
    succeeded(into, &received).and_then(|()| succeeded(from, &sent))
}

fn succeeded(command: &Command, output: &Output) -> Result<(), Error> {
    if output.status.success() { Ok(()) } else { Err(process::failed(command, output)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn either_ends_failure_is_a_failure_with_its_words() {
        assert!(piped(&mut shell("echo x"), &mut shell("grep -q x")).is_ok());
        let error = piped(&mut shell("echo from >&2; exit 1"), &mut shell("cat")).unwrap_err();
        assert!(error.to_string().contains("from"), "{error}");
        let error = piped(&mut shell("echo x"), &mut shell("echo no space >&2; exit 2")).unwrap_err();
        assert!(error.to_string().contains("no space"), "{error}");
    }

    #[test]
    fn a_sender_is_not_waited_for_once_its_receiver_has_failed() {
        assert!(piped(&mut shell("yes"), &mut shell("exit 1")).is_err());
    }
}
