//! Privilege, written from the manual: gates, tasks, interrupts, virtual-8086 mode, segments, pages, debug exceptions.
//!
//! Each handler of an exception halts, so that a test sees which exception came, and finds its frame on the stack.

mod debug;
mod gates;
mod interrupts;
mod machine;
mod pages;
mod segments;
mod tasks;
mod virtual_8086;
