//! Floating-point arithmetic (IEEE 754), as Intel's CPUs have it: three formats, four rounding modes, six exceptions.
//!
//! It computes with integers only, so every host gives the same bits. Each operation computes an [`Exact`] result,
//! which a [`Context`] rounds to a [`Format`], and collects the exceptions' flags.
//!
//! `rustc_apfloat` does not serve: it has no square root, detects a tiny result before it is rounded, and does not tell
//! whether a result was rounded up or what it is when an exception is not masked. x87 needs all of that.

mod arithmetic;
mod context;
mod integer;
mod number;
mod transcendental;
mod wide;

pub(crate) use context::{Context, Exact, Rounding, flag};
pub(crate) use number::{Format, Kind, Number};
pub(crate) use transcendental::Trigonometric;
