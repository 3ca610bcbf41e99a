//! Sends a message to a VM that the sender chooses: `cargo run --example message_to_vm -- [--soft]`.
//!
//! VM 1 names a VM by its number and sends a word. VMs 2 and 3 ask for a word until they get one. The VMs share no
//! memory: the host copies each word, so a VM can send only what the host lets through. Guests of guest-rt exchange
//! whole blocks in the same way, with `guest_rt::mailbox` and `Machine::read_mailbox`.

mod common;

use std::{
    collections::{HashMap, VecDeque},
    error::Error,
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use guestlab_cpu::{Exit, Until};
use guestlab_vmm::{Machine, Never, Parameters, Reply, Setup};

/// The ports of the three calls: the receiver's number, a word for it, and the next word for this VM (0 for none).
const TO: u16 = 0x20;
const SEND: u16 = 0x21;
const RECEIVE: u16 = 0x22;

/// `mov eax, 3`, `out TO, eax`, `mov eax, 42`, `out SEND, eax`, `hlt`.
const SENDER: &[u8] = &[0xB8, 3, 0, 0, 0, 0xE7, 0x20, 0xB8, 42, 0, 0, 0, 0xE7, 0x21, 0xF4];
/// `again: in eax, RECEIVE`, `test eax, eax`, `jz again`, `out 0xEA, eax` (print it), `hlt`.
const RECEIVER: &[u8] = &[0xE5, 0x22, 0x85, 0xC0, 0x74, 0xFA, 0xE7, 0xEA, 0xF4];

type Words = Arc<Mutex<HashMap<u32, VecDeque<u32>>>>;

fn main() -> Result<(), Box<dyn Error>> {
    let (setup, words) = (Setup::new(common::engine()?), Words::default());
    let mut machines = Vec::new();
    for (vm, code) in [(1, SENDER), (2, RECEIVER), (3, RECEIVER)] {
        let parameters = Parameters { vm, seed: 1, memory: 1 << 20, arguments: &[] };
        let machine = Machine::new(&setup, &common::image_or("mail", code)?, parameters)?;
        machines.push(with_mail(machine, words.clone()));
    }
    // One thread runs all VMs, each from one exit to the next. VM 2 never gets a word, so the rounds are limited.
    for round in 1..=10 {
        for machine in std::mem::take(&mut machines) {
            machines.extend(turn(machine, round)?);
        }
    }
    machines.iter().for_each(|machine| println!("VM {} still waits", machine.vm()));
    Ok(())
}

/// Runs a machine to its next exit. Returns it if it goes on.
fn turn(mut machine: Machine, round: u32) -> Result<Option<Machine>, Box<dyn Error>> {
    let vm = machine.vm();
    match machine.enter(Until::Exit, &Never, &mut |output| {
        print!("VM {vm} prints in round {round}: ");
        common::print(output)
    })? {
        ControlFlow::Continue(_) => Ok(Some(machine)),
        ControlFlow::Break(halt) => {
            println!("VM {vm} stops in round {round}: {halt:?}");
            Ok(None)
        }
    }
}

/// Gives a machine the three calls.
fn with_mail(machine: Machine, words: Words) -> Machine {
    let (me, mut to) = (machine.vm(), 0);
    machine.with_hypercalls(move |exit, _cpu| {
        let mut words = words.lock().ok()?;
        match exit {
            Exit::Out { port: TO, values, .. } => to = *values.as_slice().last()?,
            // A real host checks here that `to` is a VM, and limits the number of words that wait.
            Exit::Out { port: SEND, values, .. } => words.entry(to).or_default().extend(values.as_slice()),
            Exit::In { port: RECEIVE, .. } => {
                let word = words.entry(me).or_default().pop_front();
                return Some(Reply::Answer(word.unwrap_or(0)));
            }
            _ => return None,
        }
        Some(Reply::Resume)
    })
}
