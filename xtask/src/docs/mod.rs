//! The documents under `docs/`: what they claim is checked against the source, then Typst typesets
//! them.

mod claims;
mod error;
mod lookup;
mod tools;
mod typeset;

pub(crate) use claims::check as check_claims;
pub(crate) use error::Error;
pub(crate) use tools::Tools;
pub(crate) use typeset::typeset;
