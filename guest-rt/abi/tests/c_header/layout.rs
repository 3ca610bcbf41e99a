//! The place of each field, as a C compiler sees it.

use std::{fmt::Write, process::Command};

use crate::{header::record_name, records::records};

/// The widths of code that guests are compiled for.
const WIDTHS: [&str; 3] = ["-m16", "-m32", "-m64"];

#[test]
fn a_c_compiler_puts_each_field_where_rust_does() {
    let mut text = String::from("#include <stddef.h>\n#include <guestlab_abi.h>\n");
    for record in records() {
        for (field, offset) in record.offsets {
            let name = record_name(record.name);
            writeln!(text, "_Static_assert(offsetof({name}, {field}) == {offset}, \"{name}.{field}\");")
                .expect("a string takes all text");
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("layout.c");
    std::fs::write(&file, text).expect("written");
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../include");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    for width in WIDTHS {
        let mut compile = Command::new(&compiler);
        compile.args([
            width,
            "-std=c11",
            "-ffreestanding",
            "-fsyntax-only",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-I",
            include,
        ]);
        match compile.arg(&file).output() {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => return eprintln!("skipped: there is no C compiler `{compiler}` here: {error}"),
        }
    }
}
