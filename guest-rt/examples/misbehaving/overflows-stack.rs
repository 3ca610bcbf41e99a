//! Calls itself until the stack is used up.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

guest_rt::entry!(main);

fn main() {
    guest_rt::println!("{}", deeper(1));
}

/// Uses some stack and calls itself.
#[expect(unconditional_recursion, reason = "it is what this guest is for")]
fn deeper(depth: u32) -> u32 {
    let here = core::hint::black_box([depth; 64]);
    deeper(depth + 1) + here[depth as usize % 64]
}
