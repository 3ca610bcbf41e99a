//! `new`: a guest of the user's own.

use crate::error::{Error, Status};
use crate::{base::output, cli::New, scaffold::Scaffold, workspace::Workspace};

pub(crate) fn run(options: &New) -> Result<Status, Error> {
    let scaffold = Scaffold::create(&Workspace::load()?, &options.name, options.template)?;
    for file in &scaffold.files {
        output::line(format_args!("made {}", file.display()));
    }
    output::line(format_args!("run it:  cargo xtask run {}", scaffold.run));
    output::line(format_args!("undo it: delete the folder {}", options.name));
    Ok(Status::SUCCESS)
}
