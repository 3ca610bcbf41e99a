//! Hypercalls: from a port exit to a typed call, and from a call to its reply.
//!
//! Both steps are free functions that depend on no engine, so that a test can call them with any exit. The guest is not
//! trusted: its data is copied once, and the copy is checked.

use guest_abi::{
    block::{Log, MailboxAttach, Panic, Text, Trap},
    port::Port,
};
use log::Level;
use zerocopy::{FromBytes, IntoBytes};

use guestlab_cpu::{Cpu, Direction, Exit, Width};

use crate::{
    exception::TrapReport,
    fault::Crash,
    foreign,
    memory::{MemoryKind, read_c_string, read_record, write_record},
    random::split,
    reply::{PanicReport, Reply, StopReason},
    services::{Console, ConsoleOutput, Record, Services},
    translate::host_address,
};

/// A hypercall, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hypercall {
    /// Print one byte.
    PrintByte(u8),
    /// Print a number and a newline.
    PrintDecimal(u32),
    /// Print the NUL-terminated string at this address.
    PrintString(u32),
    /// Print the text of the block at this address.
    Print(u32),
    /// Read the number of exits.
    ExitCount,
    /// Write the text of the exit counts, and read its address.
    ExitText,
    /// Translate this guest-virtual address.
    Translate(u32),
    /// Read the result of the last translation.
    Translation,
    /// Do nothing. The course allows such accesses; they cost an exit.
    Nothing,
    /// End with this status.
    Exit(u32),
    /// End with the panic of the block at this address.
    Panic(u32),
    /// Attach the mailbox of the block at this address.
    MailboxAttach(u32),
    /// End the turn.
    EndTurn,
    /// End with the trap of the block at this address.
    Trap(u32),
    /// Interrupt the guest after this many microseconds; 0 is never.
    TimerSet(u32),
    /// Log the record at this address.
    Log(u32),
    /// Write the time to this address.
    Clock(u32),
}

/// Decodes a port access. `value` is the written value; a read ignores it. `known` returns true for the hypercalls that
/// this guest has.
///
/// # Errors
///
/// The port has no hypercall, or not in this direction and width.
#[inline]
pub fn decode(
    port: u16,
    width: Width,
    direction: Direction,
    value: u32,
    known: impl Fn(Port) -> bool,
) -> Result<Hypercall, Crash> {
    let port = match Port::try_from(port) {
        Ok(known_port) if known(known_port) => known_port,
        _ => return Err(Crash::UnknownPort { port, width, direction }),
    };
    let known = match direction {
        Direction::In => port.reads(),
        Direction::Out => port.writes(),
    };
    if !known || usize::from(port.width()) != width.bytes() {
        return Err(Crash::WrongAccess { port, width, direction });
    }
    Ok(match (port, direction) {
        (Port::PrintByte, _) => Hypercall::PrintByte(value.to_le_bytes()[0]),
        (Port::PrintDecimal, _) => Hypercall::PrintDecimal(value),
        (Port::ExitCount, Direction::In) => Hypercall::ExitCount,
        (Port::ExitCount | Port::ExitText, Direction::Out) => Hypercall::Nothing,
        (Port::ExitText, Direction::In) => Hypercall::ExitText,
        (Port::Translate, Direction::Out) => Hypercall::Translate(value),
        (Port::Translate, Direction::In) => Hypercall::Translation,
        (Port::PrintString, _) => Hypercall::PrintString(value),
        (Port::Exit, _) => Hypercall::Exit(value),
        (Port::Panic, _) => Hypercall::Panic(value),
        (Port::Print, _) => Hypercall::Print(value),
        (Port::MailboxAttach, _) => Hypercall::MailboxAttach(value),
        (Port::EndTurn, _) => Hypercall::EndTurn,
        (Port::Trap, _) => Hypercall::Trap(value),
        (Port::TimerSet, _) => Hypercall::TimerSet(value),
        (Port::Log, _) => Hypercall::Log(value),
        (Port::Clock, _) => Hypercall::Clock(value),
    })
}

/// Serves a hypercall.
///
/// # Errors
///
/// The guest broke a rule of the call.
pub fn handle(
    call: Hypercall,
    services: &mut Services,
    cpu: &mut dyn Cpu,
    console: &mut Console<'_>,
) -> Result<Reply, Crash> {
    use Hypercall as H;
    services.has_read_counts |= matches!(call, H::ExitCount | H::ExitText | H::TimerSet(_) | H::Clock(_));
    match call {
        Hypercall::PrintByte(byte) => print(console, &[byte]),
        Hypercall::PrintDecimal(number) => print(console, format!("{number}\n").as_bytes()),
        Hypercall::PrintString(address) => print_string(cpu, console, address),
        Hypercall::Print(address) => print_text(cpu, console, address),
        Hypercall::ExitCount => Ok(Reply::Answer(split(services.stats.total()).0)),
        Hypercall::ExitText => exit_text(services, cpu),
        Hypercall::Translate(address) => {
            services.translation = host_address(services, cpu, console, address);
            Ok(Reply::Resume)
        }
        Hypercall::Translation => Ok(Reply::Answer(services.translation)),
        Hypercall::Nothing => Ok(Reply::Resume),
        Hypercall::Exit(status) => Ok(Reply::Stop(StopReason::Exited(status))),
        Hypercall::Panic(address) => panic_report(cpu, address),
        Hypercall::MailboxAttach(address) => attach(services, cpu, address),
        Hypercall::EndTurn if services.mailbox.is_none() => Err(Crash::TurnWithoutMailbox),
        Hypercall::EndTurn => Ok(Reply::Stop(StopReason::TurnEnded)),
        Hypercall::Trap(address) => Err(trap_report(services, cpu, address)?),
        Hypercall::TimerSet(microseconds) => {
            services.timer.set(services.clock.now(cpu), microseconds);
            Ok(Reply::Resume)
        }
        Hypercall::Log(address) => log_record(cpu, console, address),
        Hypercall::Clock(address) => clock(services, cpu, address),
    }
}

fn print(console: &mut Console<'_>, text: &[u8]) -> Result<Reply, Crash> {
    output(console, ConsoleOutput::Text(text))
}

fn output(console: &mut Console<'_>, output: ConsoleOutput<'_>) -> Result<Reply, Crash> {
    match console(output) {
        true => Ok(Reply::Resume),
        false => Ok(Reply::Stop(StopReason::OutputClosed)),
    }
}

fn print_string(cpu: &dyn Cpu, console: &mut Console<'_>, address: u32) -> Result<Reply, Crash> {
    let call = Port::PrintString;
    let bad = |_| Crash::BadAddress { call, what: "a NUL-terminated string", address, len: 1 };
    let string = read_c_string(cpu.memory(), address, Text::MAX_LEN).map_err(bad)?;
    let string = string.ok_or(Crash::TextTooLong { call, len: Text::MAX_LEN + 1 })?;
    print(console, &string)
}

fn print_text(cpu: &dyn Cpu, console: &mut Console<'_>, address: u32) -> Result<Reply, Crash> {
    let text: Text = block(cpu, Port::Print, address)?;
    let text = read_text(cpu, Port::Print, text)?;
    print(console, &text)
}

fn log_record(cpu: &dyn Cpu, console: &mut Console<'_>, address: u32) -> Result<Reply, Crash> {
    let record: Log = block(cpu, Port::Log, address)?;
    let target = read_text(cpu, Port::Log, record.target)?;
    let message = read_text(cpu, Port::Log, record.message)?;
    let level = match record.level {
        0 | 1 => Level::Error,
        2 => Level::Warn,
        3 => Level::Info,
        4 => Level::Debug,
        5.. => Level::Trace,
    };
    let (target, message) = (String::from_utf8_lossy(&target), String::from_utf8_lossy(&message));
    output(console, ConsoleOutput::Record(Record { level, target: &target, message: &message }))
}

fn clock(services: &Services, cpu: &mut dyn Cpu, address: u32) -> Result<Reply, Crash> {
    let reading = services.clock.read(cpu);
    let len = u32::try_from(size_of_val(&reading)).unwrap_or(u32::MAX);
    let bad = |_| Crash::BadAddress { call: Port::Clock, what: "room for the time", address, len };
    write_record(cpu.memory_mut(), address, &reading).map_err(bad)?;
    Ok(Reply::Resume)
}

/// Writes the text of the exit counts into the page that the host keeps for it, and answers with its address.
fn exit_text(services: &Services, cpu: &mut dyn Cpu) -> Result<Reply, Crash> {
    let text = services.stats.text() + "\0";
    let (address, len) = (services.text, u32::try_from(text.len()).unwrap_or(u32::MAX));
    let call = Port::ExitText;
    let bad = |_| Crash::BadAddress { call, what: "the text of the exit counts", address, len };
    cpu.memory_mut().write(address.into(), text.as_bytes()).map_err(bad)?;
    Ok(Reply::Answer(address))
}

/// Stops the guest with its panic, even if parts of the report cannot be read.
fn panic_report(cpu: &dyn Cpu, address: u32) -> Result<Reply, Crash> {
    let panic: Panic = block(cpu, Port::Panic, address)?;
    let text =
        |text| read_text(cpu, Port::Panic, text).unwrap_or_else(|crash| format!("({crash})").into_bytes());
    Ok(Reply::Stop(StopReason::Panicked(PanicReport {
        message: text(panic.message),
        file: text(panic.file),
        line: panic.line,
        column: panic.column,
    })))
}

/// Returns the crash for a trap that the guest reports.
fn trap_report(services: &Services, cpu: &dyn Cpu, address: u32) -> Result<Crash, Crash> {
    let trap: Trap = block(cpu, Port::Trap, address)?;
    let off_stack = services.memory.kind(trap.general[Trap::STACK_POINTER]) == MemoryKind::StackGuard;
    Ok(Crash::Trap(TrapReport::new(trap, off_stack).into()))
}

fn attach(services: &mut Services, cpu: &dyn Cpu, address: u32) -> Result<Reply, Crash> {
    let mailbox: MailboxAttach = block(cpu, Port::MailboxAttach, address)?;
    let MailboxAttach { address, size: len } = mailbox;
    if !cpu.memory().contains(address.into(), len as usize) {
        return Err(Crash::BadAddress { call: Port::MailboxAttach, what: "a mailbox", address, len });
    }
    if services.mailbox.replace(mailbox).is_some() {
        return Err(Crash::MailboxTwice);
    }
    Ok(Reply::Stop(StopReason::Attached))
}

/// Copies a request block out of guest memory.
fn block<T: FromBytes + IntoBytes>(cpu: &dyn Cpu, call: Port, address: u32) -> Result<T, Crash> {
    let len = u32::try_from(size_of::<T>()).unwrap_or(u32::MAX);
    read_record(cpu.memory(), address).map_err(|_| Crash::BadAddress {
        call,
        what: "a request block",
        address,
        len,
    })
}

/// Copies a text out of guest memory.
fn read_text(cpu: &dyn Cpu, call: Port, Text { address, len }: Text) -> Result<Vec<u8>, Crash> {
    if len > Text::MAX_LEN {
        return Err(Crash::TextTooLong { call, len });
    }
    // Rust's empty slices have a dangling address: it must not be checked.
    if len == 0 {
        return Ok(Vec::new());
    }
    let mut text = vec![0; len as usize];
    cpu.memory().read(address.into(), &mut text).map_err(|_| Crash::BadAddress {
        call,
        what: "text",
        address,
        len,
    })?;
    Ok(text)
}

/// Serves one exit. A string instruction is one hypercall for each value.
///
/// # Errors
///
/// The exit ends the guest.
pub fn serve(
    exit: &Exit,
    services: &mut Services,
    cpu: &mut dyn Cpu,
    console: &mut Console<'_>,
) -> Result<Reply, Crash> {
    let foreign = services.foreign;
    let known = |port: Port| foreign::is_known(port, foreign);
    match *exit {
        Exit::Out { port, width, ref values } => {
            for &value in values.as_slice() {
                let call = decode(port, width, Direction::Out, value, known)?;
                match handle(call, services, cpu, console)? {
                    Reply::Resume => {}
                    stop => return Ok(stop),
                }
            }
            Ok(Reply::Resume)
        }
        Exit::In { port, width, .. } => {
            handle(decode(port, width, Direction::In, 0, known)?, services, cpu, console)
        }
        Exit::Mmio { address, direction, .. } => {
            Err(Crash::NoMemory { address, direction, place: services.memory.kind(address) })
        }
        Exit::Halt { .. } if foreign => Ok(Reply::Stop(StopReason::Halted)),
        Exit::Halt { interrupts: true } if services.timer.due().is_some() => Ok(Reply::Wait),
        Exit::Halt { .. } => Err(Crash::Halted),
        Exit::Shutdown => Err(Crash::TripleFault),
        Exit::FailEntry { reason } => Err(Crash::FailEntry { reason }),
        Exit::InternalError { suberror } => Err(Crash::Emulation { suberror }),
        Exit::Interrupted | Exit::InterruptWindow | Exit::Priority | Exit::Debug { .. } => Ok(Reply::Resume),
        Exit::Other { reason } => Err(Crash::Unexpected { reason }),
    }
}

#[cfg(test)]
mod tests;
