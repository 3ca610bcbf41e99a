//! `new`: a guest of the user's own, ready to be built and run.

use crate::base::output;
use crate::cli::New;
use crate::error::{Error, Status};
use crate::scaffold::Scaffold;
use crate::workspace::Workspace;

/// Makes the guest, and says what to do next.
pub(crate) fn run(wish: &New) -> Result<Status, Error> {
    let scaffold = Scaffold::create(&Workspace::load()?, &wish.name, wish.template)?;
    for file in &scaffold.files {
        output::line(format_args!("made {}", file.display()));
    }
    output::line(format_args!("run it:  cargo xtask run {}", scaffold.run));
    output::line(format_args!("undo it: delete the folder {}", wish.name));
    Ok(Status::SUCCESS)
}
