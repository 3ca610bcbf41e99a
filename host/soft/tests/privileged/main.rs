//! Privilege, written from the manual: gates, tasks, interrupts, virtual-8086 mode, segments, pages, debug exceptions.
//!
//! Each handler of an exception halts, so that a test sees which exception came, and finds its frame on the stack.

#![allow(clippy::cast_possible_truncation, reason = "addresses and selectors are small")]

mod debug;
mod gates;
mod interrupts;
mod machine;
mod pages;
mod pages_32;
mod segments;
mod system;
mod tasks;
mod virtual_8086;
