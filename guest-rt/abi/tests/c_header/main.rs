//! `guest-rt/include/guestlab_abi.h` is the ABI for guests in C. It is generated: the numbers are those of guest-abi, the
//! names and comments those of its source. After a change `UPDATE_C_HEADER=1 cargo test -p guest-abi --test c_header`
//! writes it again. A C compiler, if there is one, checks the place of each field.

mod header;
mod layout;
mod records;
mod source;

use std::{collections::BTreeMap, env, fs};

use guest_abi::{
    VERSION, block::Text, boot, digest::Digest, mailbox::Quota, port::Port, trap, trap::Exception,
};

use header::{Header, constant_name, record_name};
use records::{addresses, limits, records};
use source::{Comment, Source};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../include/guestlab_abi.h");

const BEGINNING: &str = "\
/*
 * The ABI of Guestlab's hosts and guests: hypercalls, addresses, records.
 *
 * Generated from guest-rt/abi by its test `c_header`. Do not edit.
 */

#ifndef GUESTLAB_ABI_H
#define GUESTLAB_ABI_H

#include <stdint.h>";

#[test]
fn the_c_header_is_the_abi() {
    let header = header();
    if env::var_os("UPDATE_C_HEADER").is_some() {
        fs::write(PATH, &header).expect("written");
    }
    let committed = fs::read_to_string(PATH).unwrap_or_default();
    let command = "UPDATE_C_HEADER=1 cargo test -p guest-abi --test c_header";
    assert!(committed == header, "guest-rt/include/guestlab_abi.h is not this ABI; `{command}` writes it");
}

/// Returns the whole header.
fn header() -> String {
    let source = Source::read();
    let mut header = Header::new(&source, names());
    header.line(format_args!("{BEGINNING}"));
    header.constant("GUESTLAB_ABI_MAJOR", VERSION.major, &source.constant("VERSION"));
    header.line(format_args!("#define GUESTLAB_ABI_MINOR {}", VERSION.minor));

    header.section("The hypercalls: the port of each.");
    let comments = source.variants("Port");
    for port in Port::ALL {
        let name = format!("{port:?}");
        header.constant(&constant_name(&["Port", &name]), hex(port as u32), &comments[&name]);
    }

    header.section("The guest-physical memory map.");
    for (name, address) in addresses() {
        header.constant(&constant_name(&[name]), hex(address), &source.constant(name));
    }

    header.section("Limits and special values.");
    for (name, limit) in limits() {
        header.constant(&constant_name(&[name]), limit, &source.constant(name));
    }
    for (name, value, comment) in special_values() {
        header.constant(name, value, &Comment::from([comment.to_owned()]));
    }

    header.section("The vectors of exceptions, and of the timer's interrupt.");
    let comments = source.variants("Exception");
    for exception in Exception::ALL {
        let name = format!("{exception:?}");
        header.constant(&constant_name(&["Vector", &name]), exception as u32, &comments[&name]);
    }
    header.constant("GUESTLAB_VECTOR_TIMER", trap::TIMER, &source.constant("TIMER"));

    header.section("The records.");
    records().iter().for_each(|record| header.record(record));
    header.line(format_args!("\n#endif"));
    header.text
}

/// Returns the values that are no constants in Rust.
fn special_values() -> [(&'static str, String, &'static str); 5] {
    // A hash of 0 makes the item 1 the factor.
    let factor = Digest::mix(0, 1);
    [
        (
            "GUESTLAB_TEXT_MAX_LEN",
            Text::MAX_LEN.to_string(),
            "The most bytes that the host reads of one text.",
        ),
        ("GUESTLAB_BOOT_MAGIC", hex(boot::MAGIC), "The first word of the boot information."),
        (
            "GUESTLAB_QUOTA_RANDOM",
            hex(Quota::Random.encode()),
            "The quota of a turn that moves a random number of items.",
        ),
        ("GUESTLAB_DIGEST_EMPTY", hex(Digest::EMPTY.hash), "The hash of no items."),
        (
            "GUESTLAB_DIGEST_FACTOR",
            hex(factor),
            "One more item makes the hash (hash ^ item) * GUESTLAB_DIGEST_FACTOR.",
        ),
    ]
}

/// Returns the names in C of the items that comments and types name.
fn names() -> BTreeMap<String, String> {
    let mut names: BTreeMap<String, String> = [
        ("Text::MAX_LEN", "GUESTLAB_TEXT_MAX_LEN"),
        ("MAGIC", "GUESTLAB_BOOT_MAGIC"),
        ("Quota", "GUESTLAB_QUOTA_RANDOM"),
        ("TIMER", "GUESTLAB_VECTOR_TIMER"),
        ("Trap::GENERAL", "AX, CX, DX, BX, SP, BP, SI, DI, R8 to R15"),
    ]
    .map(|(rust, c)| (rust.to_owned(), c.to_owned()))
    .into();
    names.extend(records().iter().map(|it| (it.name.to_owned(), record_name(it.name))));
    let constants = addresses().into_iter().chain(limits());
    names.extend(constants.map(|(name, _)| (name.to_owned(), constant_name(&[name]))));
    names.extend(Port::ALL.map(|it| (format!("Port::{it:?}"), constant_name(&["Port", &format!("{it:?}")]))));
    names
}

fn hex(number: u32) -> String {
    format!("0x{number:X}")
}
