//! The bodies of the fuzz targets: each hands bytes, whatever they are, to a part of the host that reads
//! what others wrote, and panics if that breaks one of its rules.
//!
//! They know nothing of the fuzzer, so that tests can run them over the corpus. Of that the files whose names
//! are words were made by hand: images of a few bytes, recordings of `run prodcons --record`, and for the
//! post-mortem the code and debug information of a C program of four lines (`gcc -m32 -g -O1`). Those whose
//! names are hashes were found by the fuzzer and are of the least that reaches as much: `cargo xtask fuzz --keep`.

pub mod elf;
pub mod engines;
pub mod experiment;
pub mod gdb;
pub mod hypercall;
pub mod image;
pub mod note;
pub mod post_mortem;
pub mod recording;
pub mod schedule;
pub mod step;
pub mod story;
pub mod transition;
