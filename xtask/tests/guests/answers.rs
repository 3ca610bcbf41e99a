//! Model answers of the exercise sheet, `docs/guide/exercises.md`. A block of the sheet says by `answer NAME` which of them a
//! student has written when its commands are typed.

use std::fs;
use std::path::Path;

use crate::common::write;

/// A part of an answer.
enum Part {
    /// A file of Guestlab's folder, or beside it.
    File(&'static str, &'static str),
    /// In a file, the text from `.1` to `.2` (without it) becomes `.3`.
    Edit(&'static str, &'static str, &'static str, &'static str),
}

use Part::{Edit, File};

const HYPERVISOR: &str = "../my-hypervisor/src/main.rs";

const ANSWERS: [(&str, &[Part]); 12] = [
    ("calls-rust", &[File("my-calls/src/main.rs", include_str!("answers/calls.rs"))]),
    ("calls-c", &[File("my-c-calls/src/main.c", include_str!("answers/calls.c"))]),
    ("producer-rust", &[File("my-producer/src/main.rs", include_str!("answers/producer.rs"))]),
    ("producer-c", &[File("my-c-producer/src/main.c", include_str!("c_guests/producer.c"))]),
    ("consumer-rust", &[File("my-consumer/src/main.rs", include_str!("answers/consumer.rs"))]),
    ("consumer-c", &[File("my-c-consumer/src/main.c", include_str!("c_guests/consumer.c"))]),
    ("copy", &[Edit(HYPERVISOR, "fn exchange(", "/// Creates a VM,", include_str!("answers/copy.rs"))]),
    (
        "check",
        &[
            Edit(
                HYPERVISOR,
                "    for turn in 0..TURNS",
                "/// Creates a VM,",
                include_str!("answers/check.rs"),
            ),
            Edit(HYPERVISOR, "use guest_abi::{\n", "    mailbox:", "use guest_abi::{\n    digest::Digest,\n"),
            Edit(HYPERVISOR, "    ring::{", "};\nuse guestlab_cpu", RING_AND_TRANSITION),
        ],
    ),
    (
        "sleeper",
        &[Edit(
            "sleeper/src/main.rs",
            "    while !",
            "    println!(\"awake",
            include_str!("answers/lost.rs"),
        )],
    ),
    (
        "tickets",
        &[
            File("ticket/src/main.rs", include_str!("answers/ticket.rs")),
            File("c-ticket/src/main.c", include_str!("answers/ticket.c")),
            File(HYPERVISOR, include_str!("answers/tickets.rs")),
        ],
    ),
    ("preempt", &[File(HYPERVISOR, include_str!("answers/preempt.rs"))]),
    (
        "list",
        &[Edit(
            "my-list/src/main.c",
            "    for (uint32_t i = 0; i < 5",
            "        sum +=",
            "    while (node != NULL) {\n",
        )],
    ),
];

const RING_AND_TRANSITION: &str = "    ring::{Capacity, Ring},\n    transition::{self, Role},\n";

/// Writes an answer into a reader's folder. What `new` makes there is there already.
pub(crate) fn put(folder: &Path, name: &str) {
    let (_, parts) = ANSWERS.iter().find(|(known, _)| *known == name).expect(name);
    for part in *parts {
        match part {
            File(file, text) => write(&folder.join(file), text),
            Edit(file, from, to, new) => {
                let path = folder.join(file);
                let text = fs::read_to_string(&path).expect("the file of the exercise");
                let begin = text.find(from).expect(from);
                let end = begin + text[begin..].find(to).expect(to);
                write(&path, &format!("{}{new}{}", &text[..begin], &text[end..]));
            }
        }
    }
}

/// The names of all answers.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ANSWERS.iter().map(|(name, _)| *name)
}
