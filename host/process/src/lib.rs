//! The operating system, as Guestlab uses it: signals, deadlines, the jail, output files, standard error.
//!
//! The items are the same on every system; their folders have a file for each. Only Linux has the jail.
//!
//! Nothing here knows of virtual machines. A program that runs untrusted work in threads uses it like this:
//!
//! 1. [`signals::listen`] makes SIGINT, SIGTERM and SIGHUP end the work in good order.
//! 2. [`output_file::OutputFile`] opens the files that the work is to leave.
//! 3. [`watchdog::Watchdog`] interrupts the system calls of threads whose time is up.
//! 4. [`jail::Jail::enter`] takes all rights from a thread, and all system calls that are not listed.

mod clerk;
pub mod deadline_writer;
pub mod files;
pub mod jail;
mod kick;
pub mod output_file;
pub mod signals;
pub mod sockets;
pub mod stack;
pub mod stderr;
pub mod watchdog;
