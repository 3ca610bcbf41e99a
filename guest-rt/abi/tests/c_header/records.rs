//! The parts of the ABI that guests in C have: records, and constants with their values.

use std::mem::offset_of;

/// A record, by its name in Rust.
pub(crate) struct Record {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    /// The offset of each field.
    pub(crate) offsets: Vec<(&'static str, usize)>,
}

/// Lists records. The compiler refuses a record that lacks one of its fields.
macro_rules! records {
    ($($module:ident::$name:ident { $($field:ident),+ }),+ $(,)?) => {
        vec![$({
            use guest_abi::$module::$name;
            let _: fn($name) = |$name { $($field: _),+ }| ();
            let offsets = vec![$((stringify!($field), offset_of!($name, $field))),+];
            Record { name: stringify!($name), size: size_of::<$name>(), offsets }
        }),+]
    };
}

/// Returns all records, each after those that it contains.
pub(crate) fn records() -> Vec<Record> {
    records![
        boot::BootInfo { magic, memory, vm, seed, arguments },
        block::Text { address, len },
        block::Panic { message, file, line, column },
        block::Log { level, target, message },
        block::Clock { ticks, frequency },
        block::MailboxAttach { address, size },
        block::Trap { vector, has_error_code, error_code, cr2, ip, flags, cs, ss, general },
        digest::Digest { items, hash },
        ring::Pointers { capacity, prod_p, cons_p, count },
        mailbox::Mailbox { quota, digest, pointers, slots },
    ]
}

/// A constant, by its name in Rust.
pub(crate) type Constant = (&'static str, u32);

macro_rules! constants {
    ($($module:ident::$name:ident),+ $(,)?) => {
        vec![$((stringify!($name), guest_abi::$module::$name)),+]
    };
}

/// Returns the memory map.
pub(crate) fn addresses() -> Vec<Constant> {
    constants![
        layout::PAGE_SIZE,
        layout::BOOT_INFO,
        layout::ARGUMENTS,
        layout::MAX_ARGUMENTS_SIZE,
        layout::EXIT_TEXT,
        layout::STACK_GUARD,
        layout::STACK_BOTTOM,
        layout::STACK_SIZE,
        layout::STACK_TOP,
        layout::IMAGE_BASE,
        layout::REAL_MODE_END,
        layout::DEFAULT_MEMORY,
        layout::MAX_MEMORY,
    ]
}

/// Returns the limits.
pub(crate) fn limits() -> Vec<Constant> {
    constants![ring::MAX_CAPACITY, mailbox::MAX_MESSAGE_SIZE]
}
