//! The check of determinism: a second VM for each guest, started alike, whose state must stay that of the first.

use guestlab_cpu::PAGE;

use crate::{
    lab::{error::Error, vm::Vm},
    runlog::text::escape_line,
};

/// Returns the first difference between two machines, in words.
///
/// # Errors
///
/// The engine failed.
pub fn difference(first: &mut Vm, second: &mut Vm) -> Result<Option<String>, Error> {
    if first.digest()? == second.digest()? {
        return Ok(None);
    }
    let in_words = |what: String, one: String, other: String| {
        format!("{what} is {one} in the first run and {other} in the second")
    };
    let (one, other) = (first.cpu_mut().state()?, second.cpu_mut().state()?);
    let registers = one.named().into_iter().zip(other.named());
    let register = registers.into_iter().find(|(one, other)| one != other);
    let found = register.map(|((name, one), (_, other))| {
        in_words(name.trim_end().into(), format!("{one:#x}"), format!("{other:#x}"))
    });
    let found = found.or_else(|| {
        let (address, one, other) = byte(first, second)?;
        Some(in_words(format!("the byte at {address:#x}"), format!("{one:#x}"), format!("{other:#x}")))
    });
    let found = found.unwrap_or_else(|| match one == other {
        true => "the timer or the mailbox differs".into(),
        false => "a register of x87 or SSE, a segment or a model-specific register differs".into(),
    });
    Ok(Some(format!("VM {}, {}: {found}", first.vm(), escape_line(first.name()))))
}

/// Returns the first byte of memory that differs: its guest-physical address, and both values.
fn byte(first: &Vm, second: &Vm) -> Option<(u64, u8, u8)> {
    let mut found: Option<(u64, u8, u8)> = None;
    for (this, that, swapped) in [(first, second, false), (second, first, true)] {
        this.cpu().memory().pages(&mut |address, bytes| {
            let mut others = [0; PAGE];
            if found.is_some_and(|(found, ..)| found < address)
                || that.cpu().memory().read(address, &mut others).is_err()
            {
                return;
            }
            if let Some(offset) = (0..PAGE).find(|&offset| bytes[offset] != others[offset]) {
                let (one, other) = (bytes[offset], others[offset]);
                let (one, other) = if swapped { (other, one) } else { (one, other) };
                found = Some((address + offset as u64, one, other));
            }
        });
    }
    found
}

/// Returns the error for a difference at a place of the run.
pub fn differs(place: &str, difference: &str) -> Error {
    Error::NotDeterministic(format!("{place}, {difference}"))
}

/// Compares how two runs of a guest ended. Returns the outcome of the first.
///
/// # Errors
///
/// The first outcome's, or they differ.
pub fn same_end<T: std::fmt::Debug + PartialEq>(
    place: &str,
    first: Result<T, Error>,
    second: Result<T, Error>,
) -> Result<T, Error> {
    let words = |outcome: &Result<T, Error>| match outcome {
        Ok(end) => format!("ended with {end:?}"),
        Err(error) => error.to_string().lines().next().unwrap_or_default().to_owned(),
    };
    match (&first, &second) {
        (Err(error), _) if !matches!(error, Error::Guest(_)) => first,
        (_, Err(error)) if !matches!(error, Error::Guest(_)) => second,
        _ if words(&first) == words(&second) => first,
        _ => Err(differs(
            place,
            &format!("the first run {}, and the second {}", words(&first), words(&second)),
        )),
    }
}
