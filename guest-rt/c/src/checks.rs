//! The mistakes that the C compiler checks for (`-fsanitize` in `guest-rt/c/flags`). Each is a panic at its line.
//!
//! The compiler calls one of these functions with a record in read-only data and with the operands. Names and layouts
//! are those of LLVM's runtime for `-fsanitize=undefined`, which gcc shares.

use core::{
    ffi::{CStr, c_char},
    fmt::{self, Arguments, Display},
};

use guest_rt::panic::{Place, panic_at};

/// A place in the source.
#[repr(C)]
pub(crate) struct Location {
    file: *const c_char,
    line: u32,
    column: u32,
}

/// A type of C.
#[repr(C)]
pub(crate) struct Kind {
    _kind: u16,
    /// Of an integer: bit 0 is set if it is signed, the others are the logarithm of its size in bits.
    info: u16,
    /// The name, in quotes.
    name: [c_char; 1],
}

/// The record of an arithmetic operation.
#[repr(C)]
pub(crate) struct Arithmetic {
    location: Location,
    kind: &'static Kind,
}

/// The record of an operation with operands of two types: an index and its array, or a shift.
#[repr(C)]
pub(crate) struct TwoTypes {
    location: Location,
    left: &'static Kind,
    right: &'static Kind,
}

/// An operand: a number, or its address if it is wider than a pointer.
type Operand = usize;

#[unsafe(no_mangle)]
extern "C" fn __ubsan_handle_out_of_bounds_abort(data: &TwoTypes, index: Operand) -> ! {
    let (array, index) = (data.left.name(), Number(data.right, index));
    fail(&data.location, format_args!("index {index} out of bounds of {array}"))
}

#[unsafe(no_mangle)]
extern "C" fn __ubsan_handle_add_overflow_abort(data: &Arithmetic, left: Operand, right: Operand) -> ! {
    overflow(data, left, "+", right)
}

#[unsafe(no_mangle)]
extern "C" fn __ubsan_handle_sub_overflow_abort(data: &Arithmetic, left: Operand, right: Operand) -> ! {
    overflow(data, left, "-", right)
}

#[unsafe(no_mangle)]
extern "C" fn __ubsan_handle_mul_overflow_abort(data: &Arithmetic, left: Operand, right: Operand) -> ! {
    overflow(data, left, "*", right)
}

/// A division by zero, or of the least number by -1.
#[unsafe(no_mangle)]
extern "C" fn __ubsan_handle_divrem_overflow_abort(data: &Arithmetic, left: Operand, right: Operand) -> ! {
    let (left, right) = (Number(data.kind, left), Number(data.kind, right));
    match right.value() {
        Some((_, 0)) => fail(&data.location, format_args!("{left} divided by zero")),
        _ => fail(&data.location, format_args!("{left} / {right} overflows {}", data.kind.name())),
    }
}

#[unsafe(no_mangle)]
extern "C" fn __ubsan_handle_negate_overflow_abort(data: &Arithmetic, operand: Operand) -> ! {
    let operand = Number(data.kind, operand);
    fail(&data.location, format_args!("-({operand}) overflows {}", data.kind.name()))
}

#[unsafe(no_mangle)]
extern "C" fn __ubsan_handle_shift_out_of_bounds_abort(data: &TwoTypes, left: Operand, right: Operand) -> ! {
    let (kind, left, right) = (data.left.name(), Number(data.left, left), Number(data.right, right));
    fail(&data.location, format_args!("{kind} {left} shifted by {right}"))
}

fn overflow(data: &Arithmetic, left: Operand, operator: &str, right: Operand) -> ! {
    let (left, right) = (Number(data.kind, left), Number(data.kind, right));
    fail(&data.location, format_args!("{left} {operator} {right} overflows {}", data.kind.name()))
}

fn fail(location: &Location, text: Arguments<'_>) -> ! {
    // SAFETY: the compiler made this record, with the address of a string.
    let file = unsafe { CStr::from_ptr(location.file) };
    panic_at(Place { file: file.to_bytes(), line: location.line, column: location.column }, text)
}

impl Kind {
    fn name(&self) -> &str {
        // SAFETY: the compiler puts the rest of the name, and a NUL, behind the record's first character.
        let name = unsafe { CStr::from_ptr((&raw const self.name).cast()) };
        name.to_str().unwrap_or("its type")
    }
}

/// An operand with its type.
struct Number(&'static Kind, Operand);

impl Number {
    /// Returns the value: its sign, and its distance from 0. Returns `None` for a number of more than 64 bits.
    fn value(&self) -> Option<(bool, u64)> {
        let Self(kind, operand) = *self;
        let bits = 1_u32 << (kind.info >> 1).min(7);
        let raw = if bits <= usize::BITS {
            operand as u64
        } else if bits == 64 {
            // SAFETY: the operand is the address of such a number, in the caller's frame.
            unsafe { core::ptr::with_exposed_provenance::<u64>(operand).read_unaligned() }
        } else {
            return None;
        };
        let unused = 64 - bits;
        let is_signed = kind.info & 1 == 1;
        Some(match is_signed {
            true => {
                let value = (raw << unused).cast_signed() >> unused;
                (value < 0, value.unsigned_abs())
            }
            false => (false, raw << unused >> unused),
        })
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Some((is_negative, distance)) => {
                f.write_str(if is_negative { "-" } else { "" })?;
                Display::fmt(&distance, f)
            }
            None => f.write_str("a number"),
        }
    }
}
