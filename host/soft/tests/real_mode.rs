//! The interpreter against the record of a real CPU: single instructions in real mode, as a 286 carried them out.
//!
//! The record is not part of the repository. `GUESTLAB_CPU_TRUTH` names it; otherwise it is looked for in a folder
//! `shared` next to the repository. The test says that it is skipped where there is none.

#![allow(clippy::cast_possible_truncation, reason = "the record has 16-bit registers in wider fields")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use guestlab_cpu::{Cpu, CpuState, Exit, MemoryPlan, Until};
use guestlab_soft::SoftCpu;
use serde::Deserialize;

/// One instruction, with what it found and what it left.
#[derive(Deserialize)]
struct Case {
    op: String,
    n: u32,
    b: String,
    i: BTreeMap<String, u64>,
    m: Vec<(u64, u8)>,
    f: BTreeMap<String, u64>,
    fm: Vec<(u64, u8)>,
    mask: u64,
    #[serde(default)]
    x: Option<u8>,
}

/// A 286 keeps these flags clear in real mode; a 386 lets programs set them (Intel SDM volume 3B, 22.12).
const OF_286: u64 = 0xF000;

const GENERAL: [&str; 8] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
const SEGMENTS: [&str; 4] = ["es", "cs", "ss", "ds"];

fn truth() -> Option<BufReader<GzDecoder<File>>> {
    let beside = || {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        root.join("../../../shared/cpu-truth/real-mode.jsonl.gz")
    };
    let path = std::env::var_os("GUESTLAB_CPU_TRUTH").map_or_else(beside, PathBuf::from);
    match File::open(&path) {
        Ok(file) => Some(BufReader::new(GzDecoder::new(file))),
        Err(error) => {
            println!("skipped: no record of a real CPU ({}: {error})", path.display());
            None
        }
    }
}

fn state(registers: &BTreeMap<String, u64>) -> CpuState {
    let mut state = CpuState::real(0);
    for (index, name) in GENERAL.into_iter().enumerate() {
        state.general[index] = registers[name];
    }
    for (index, name) in SEGMENTS.into_iter().enumerate() {
        state.segments[index].selector = registers[name] as u16;
        state.segments[index].base = registers[name] << 4;
    }
    state.ip = registers["ip"];
    state.flags = registers["flags"] & !OF_286 | 2;
    state
}

/// Returns the reason why a row is not the interpreter's, where there is one.
fn excused(case: &Case) -> Option<&'static str> {
    let opcode = u8::from_str_radix(&case.op[..2], 16).expect("an opcode");
    match opcode {
        0x0F | 0x63..=0x67 | 0xD6 | 0xF1 => Some("not an instruction of both"),
        0xD8..=0xDF | 0x9B => Some("the 286 had no 80287"),
        0x8C | 0x8E if segment_field(&case.b) > 3 => Some("a 286 has no FS and GS"),
        0x6C..=0x6F | 0xA4..=0xA7 | 0xAA..=0xAF if case.x == Some(13) => {
            Some("a 286 has advanced its index registers when a string instruction faults")
        }
        _ if is_locked(&case.b) => Some("a 386 allows LOCK for some instructions only"),
        _ if case.b.len() > 20 => Some("a 286 allows 10 bytes"),
        _ => None,
    }
}

/// Returns the field of an instruction that names a segment register, past its prefixes.
fn segment_field(bytes: &str) -> u8 {
    let bytes: Vec<u8> = (0..bytes.len() / 2)
        .map(|at| u8::from_str_radix(&bytes[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    let at = bytes.iter().position(|byte| matches!(byte, 0x8C | 0x8E)).expect("the opcode");
    bytes[at + 1] >> 3 & 7
}

/// Returns true if an instruction has a LOCK prefix.
fn is_locked(bytes: &str) -> bool {
    let bytes = bytes.as_bytes().chunks(2);
    let is_prefix = |byte: &&[u8]| matches!(*byte, b"26" | b"2e" | b"36" | b"3e" | b"f2" | b"f3" | b"f0");
    bytes.take_while(is_prefix).any(|byte| byte == b"f0")
}

fn run(case: &Case) -> Result<(), String> {
    let mut cpu = SoftCpu::new(&MemoryPlan::below(0x11_0000), &state(&case.i));
    for &(address, byte) in &case.m {
        cpu.memory_mut().write(address, &[byte]).map_err(|error| error.to_string())?;
    }
    if case.x == Some(13) {
        // A 286 has one exception for the limits of all segments in real mode. A 386 has #SS for the stack's.
        let mut vector = [0; 4];
        cpu.memory().read(4 * 13, &mut vector).map_err(|error| error.to_string())?;
        cpu.memory_mut().write(4 * 12, &vector).map_err(|error| error.to_string())?;
    }
    loop {
        match cpu.run(Until::Count(5000)).map_err(|error| error.to_string())? {
            Exit::Halt { .. } => break,
            Exit::In { .. } => cpu.answer(0xFFFF_FFFF),
            Exit::Out { .. } => {}
            exit => return Err(format!("ended with {exit:?}")),
        }
    }
    let found = cpu.state().map_err(|error| error.to_string())?;
    let wanted = |name: &str| case.f.get(name).copied().unwrap_or(case.i[name]);
    for (index, name) in GENERAL.into_iter().enumerate() {
        if found.general[index] != wanted(name) {
            return Err(format!("{name} is {:#x}, not {:#x}", found.general[index], wanted(name)));
        }
    }
    for (index, name) in SEGMENTS.into_iter().enumerate() {
        let selector = u64::from(found.segments[index].selector);
        if selector != wanted(name) {
            return Err(format!("{name} is {selector:#x}, not {:#x}", wanted(name)));
        }
    }
    if found.ip & 0xFFFF != wanted("ip") {
        return Err(format!("ip is {:#x}, not {:#x}", found.ip, wanted("ip")));
    }
    let flags = (found.flags ^ wanted("flags")) & case.mask & !OF_286;
    if flags != 0 {
        return Err(format!("flags are {:#x}, not {:#x}", found.flags, wanted("flags")));
    }
    for &(address, byte) in &case.fm {
        let mut there = [0];
        cpu.memory().read(address, &mut there).map_err(|error| error.to_string())?;
        // The flags that an exception pushed.
        let pushed = (wanted("ss") << 4) + ((wanted("sp") + 4) & 0xFFFF);
        let mask = match case.x {
            Some(_) if address == pushed => (case.mask & !OF_286) as u8,
            Some(_) if address == pushed + 1 => ((case.mask & !OF_286) >> 8) as u8,
            _ => 0xFF,
        };
        if (there[0] ^ byte) & mask != 0 {
            return Err(format!("[{address:#x}] is {:#x}, not {byte:#x}", there[0]));
        }
    }
    Ok(())
}

#[test]
fn instructions_in_real_mode_are_those_of_a_real_cpu() {
    let Some(truth) = truth() else { return };
    let (mut tried, mut wrong) = (0, BTreeMap::<String, (u32, String)>::new());
    for line in truth.lines() {
        let case: Case = serde_json::from_str(&line.expect("a line")).expect("a case");
        if excused(&case).is_some() {
            continue;
        }
        tried += 1;
        if let Err(why) = run(&case) {
            let entry =
                wrong.entry(case.op.clone()).or_insert_with(|| (0, format!("{} {}: {why}", case.n, case.b)));
            entry.0 += 1;
        }
    }
    println!("{tried} instructions");
    let list: Vec<String> =
        wrong.iter().map(|(op, (count, first))| format!("{op}: {count}, first {first}")).collect();
    assert!(
        wrong.is_empty(),
        "{} of {tried} are wrong:\n{}",
        wrong.values().map(|it| it.0).sum::<u32>(),
        list.join("\n")
    );
}
