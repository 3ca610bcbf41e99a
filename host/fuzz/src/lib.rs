//! The bodies of the fuzz targets. Each passes any bytes to a part of the host that reads untrusted input, and panics if
//! that part breaks one of its rules.
//!
//! They do not depend on the fuzzer, so that tests can run them over the corpus. Files of the corpus whose names are words
//! were made by hand: images of a few bytes, recordings of `run prodcons --record`, and for `post_mortem` the code and
//! debug information of a C program of four lines (`gcc -m32 -g -O1`). Files whose names are hashes were found by the
//! fuzzer, and reduced by `cargo xtask fuzz --keep`.

pub mod elf;
pub mod engines;
pub mod experiment;
pub mod gdb;
pub mod hypercall;
pub mod image;
pub mod lockstep;
pub mod note;
pub mod post_mortem;
pub mod recording;
pub mod schedule;
pub mod step;
pub mod story;
pub mod transition;
