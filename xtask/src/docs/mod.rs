//! The documents under `docs/`: what they claim is checked against the source, then Typst typesets
//! them; and the picture of a run.

mod claims;
mod lookup;
mod picture;
mod tools;
mod typeset;

pub(crate) use claims::check as check_claims;
pub(crate) use picture::draw;
pub(crate) use tools::Tools;
pub(crate) use typeset::typeset;

use std::path::Path;

use crate::base::files;
use crate::error::Error;

/// Writes a document that is drawn.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    files::replace(path, text.as_bytes())
}
