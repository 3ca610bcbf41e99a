//! `new`: a guest or a hypervisor of the user's own.

use crate::error::{Error, Status};
use crate::{base::output, cli::New, scaffold::Scaffold, workspace::Workspace};

pub(crate) fn run(options: &New) -> Result<Status, Error> {
    let scaffold = Scaffold::create(&Workspace::load()?, &options.place, options.template)?;
    for file in &scaffold.files {
        output::line(format_args!("made {}", file.display()));
    }
    output::line(format_args!("run it:  {}", scaffold.run));
    output::line(format_args!("undo it: delete the folder {}", scaffold.folder));
    Ok(Status::SUCCESS)
}
