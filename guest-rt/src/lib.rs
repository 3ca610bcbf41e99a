//! The runtime of Guestlab's guests. It boots a bare-metal kernel up to its
//! `main` function, and has a function for each request to the hypervisor.
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
//! | [`boot`] | the way from the 16-bit entry to `main`; the boot information | none |
//! | [`arguments`](mod@arguments) | the guest's command line | none |
//! | [`console`] | [`print!`] and [`println!`] | one per call, one more for every 256 bytes |
//! | [`log`](mod@log) | records with level and target, which the host filters | one per record |
//! | [`mod@exit`] | the end of the guest, with a status | one |
//! | [`panic`](mod@panic) | the report of a panic: message, file, line, calls | one |
//! | [`heap`](heap/index.html) | `Box`, `Vec`, `String`: the crate `alloc`; needs the feature `heap` | none |
//! | [`entropy`] | random numbers, seeded by the host | none |
//! | [`clock`] | the time since the guest was started | one per reading |
//! | [`timer`] | an interrupt after some time | one to set |
//! | [`interrupts`] | disable, enable, wait | none; one to wait |
//! | [`traps`] | handlers of exceptions and interrupts; a trap without a handler ends the guest | none to handle, one to report |
//! | [`lock`] | data shared with handlers | none |
//! | [`mailbox`] | a message that the host copies from VM to VM, turn by turn | one to attach, one per turn |
//! | [`ring`] | the exchange's mailbox, which holds a ring | one to attach, one per turn |
//! | [`test`](mod@test) | tests that run inside VMs: [`tests!`] | one to end a test |
//! | [`hypercall`] | the calls themselves | one each |
//!
//! Exits dominate a guest's cost: the CPU leaves the VM, the host serves the call, and the CPU
//! enters the VM again. This takes as long as thousands of instructions. `cargo xtask run NAME
//! --stats` counts and times exits. The image contains only those services that the guest uses.
//!
//! Every service works in each CPU mode (`--mode`). The same `--seed` repeats a run, unless
//! the guest reads the time on KVM: by the clock, by the timer, or by instructions such as
//! `rdtsc`. The interpreter counts time, so that every run repeats there.
//!
//! The crate `guest-abi` defines addresses, ports and records; it is re-exported as
//! [`abi`]. [`zerocopy`] is re-exported for the types of messages. A build for a host,
//! as for documentation and editors, leaves out the parts that run only inside a guest.

#![no_std]
#![cfg_attr(all(feature = "heap", target_os = "none"), feature(alloc_error_handler))]

// Editors check guests as host programs, one file at a time. A binary needs
// a panic handler and an allocator; on the host they come from `std`.
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
