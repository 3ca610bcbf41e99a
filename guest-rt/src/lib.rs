//! The runtime of Guestlab's guests: what a bare-metal kernel needs before its own first line,
//! and what it may ask of its hypervisor.
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! guest_rt::entry!(main);
//!
//! fn main() {
//!     guest_rt::println!("hello from a virtual machine");
//! }
//! ```
//!
//! | module | for | costs in exits |
//! | --- | --- | --- |
//! | [`boot`] | from the 16-bit entry to `main`; what the host says of this VM | none |
//! | [`arguments`](mod@arguments) | what the guest was started with | none |
//! | [`console`] | [`print!`] and [`println!`] | one a call, one more for every 256 bytes |
//! | [`log`](mod@log) | records with level and target, which the host filters | one a record |
//! | [`mod@exit`] | ending the guest with a status | one |
//! | [`panic`](mod@panic) | reporting a panic: message, file, line, calls | one |
//! | [`heap`](heap/index.html) | `Box`, `Vec`, `String`: the crate `alloc`; with the feature `heap` | none |
//! | [`entropy`] | random numbers, seeded by the host | none |
//! | [`clock`] | how long the guest has been running | one a reading |
//! | [`timer`] | an interrupt after some time | one to set |
//! | [`interrupts`] | off and on, and waiting for one | none; one to wait |
//! | [`traps`] | handlers of exceptions and interrupts; what has none is reported and ends the guest | none to handle, one to report |
//! | [`lock`] | what is shared with handlers | none |
//! | [`mailbox`] | a message that the host relays from VM to VM, turn by turn | one to attach, one a turn |
//! | [`ring`] | the mailbox through which the host hands a ring over, turn by turn | one to attach, one a turn |
//! | [`test`](mod@test) | tests that run inside VMs: [`tests!`] | one, to end a test |
//! | [`hypercall`] | the calls themselves | one each |
//!
//! An exit is what a guest pays with: the CPU leaves the VM, the host serves the call, and the CPU enters
//! again, which takes about as long as thousands of instructions. `cargo xtask run NAME --stats` counts and times
//! them. What a guest does not use is not in its image.
//!
//! Every service works in each CPU mode (`--mode`). A run can be repeated with its `--seed`, unless the guest
//! asks for time: by the clock, by the timer, or by instructions such as `rdtsc`.
//!
//! Addresses, ports and records are `guest-abi`'s, which is here as [`abi`]; [`zerocopy`] is here for
//! the types of messages. The parts that run only inside a guest are left out when this crate is
//! compiled for a host, as documentation and editors do.

#![no_std]
#![cfg_attr(all(feature = "heap", target_os = "none"), feature(alloc_error_handler))]

// Guests are checked for a host, too, one at a time as their files are saved in an editor: what a binary
// must have, a panic handler and an allocator, is `std`'s there.
#[cfg(not(target_os = "none"))]
extern crate std;

pub use guest_abi as abi;
pub use zerocopy;

pub mod arguments;
pub mod boot;
pub mod clock;
pub mod console;
pub mod entropy;
pub mod exit;
#[cfg(feature = "heap")]
pub mod heap;
pub mod hypercall;
pub mod interrupts;
pub mod lock;
pub mod log;
pub mod mailbox;
pub mod panic;
pub mod ring;
pub mod test;
pub mod timer;
pub mod traps;

#[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "the boot code is the guest's"))]
mod gdt;
#[cfg(not(target_os = "none"))]
mod host_program;
mod message;
mod volatile;
