//! Hostile images and guests: a hundred thousand mutated images, a million hypercalls with hostile arguments, and guests on
//! KVM that make such calls themselves. All chance comes from one seed, `GUESTLAB_TEST_SEED` or 1, which is printed.
//! `GUESTLAB_TEST_BRIEF` divides the numbers by a hundred, for emulated machines.

mod common;
#[path = "../fuzz/src/lib.rs"]
#[expect(dead_code, unreachable_pub, reason = "these are the fuzz targets, a crate of their own")]
mod targets;

use std::{
    collections::BTreeMap,
    env, fs,
    ops::Range,
    ptr,
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Unstructured};
use common::{can_run_guests, image};
use guest_abi::{
    layout::{DEFAULT_MEMORY, PAGE_SIZE, STACK_BOTTOM},
    mode::CpuMode,
    note::Note,
};
use guestlab::{
    cpu::GuestMemory,
    engines,
    kvm::Kvm,
    lab::{
        error::{Error, Status},
        limits::Limits,
        needs::Needs,
        open::read_image,
        session::Session,
        vm::{Platform, Vm},
    },
    process::jail::Jail,
    runlog::sink::Silence,
    vmm::{HvaPolicy, Image, ImageFormat, MemoryLayout, Parameters, Request, StopReason, random::SplitMix64},
};
use targets::{
    elf::{self, Segment},
    hypercall::{Action, Guest},
};
use zerocopy::IntoBytes;

/// The time that booting accepted images may take in all.
const BOOT_BUDGET: Duration = Duration::from_secs(10);

/// The time that each of them has.
const BOOT_TIME: Duration = Duration::from_millis(10);

/// One in so many accepted images is booted, as long as there is time.
const BOOTED: u64 = 20;

/// The numbers of a part of the tests, which has a stream of its own.
fn numbers(stream: u64) -> SplitMix64 {
    let seed = env::var("GUESTLAB_TEST_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    println!("seed {seed}");
    SplitMix64::new(seed, stream)
}

/// Returns a number of repetitions: this number, or a hundredth of it.
fn times(times: u64) -> u64 {
    if env::var_os("GUESTLAB_TEST_BRIEF").is_some() { times / 100 } else { times }
}

/// The number of ends, by name.
#[derive(Default)]
struct Tally(BTreeMap<String, u64>);

impl Tally {
    fn count(&mut self, name: &str) {
        *self.0.entry(name.to_owned()).or_default() += 1;
    }

    fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

/// Returns real guests, reduced to their loaded parts, and handmade images of each kind, each with the way to start it.
fn originals() -> Vec<(Vec<u8>, Request)> {
    let mode = |mode| Request { mode: Some(mode), ..Request::default() };
    let code = [0xB0, b'!', 0xE6, 0xE9, 0xF4];
    let load = |address, flags, bytes| Segment { kind: 1, address, flags, bytes };
    let mut all: Vec<(Vec<u8>, Request)> = Vec::new();
    for name in ["hello", "panics", "guest-producer"] {
        all.extend(fs::read(image(name)).ok().map(|file| (stripped(file), Request::default())));
    }
    for start in [CpuMode::Real, CpuMode::Protected, CpuMode::Paged] {
        let note = Note::new(start);
        let note = Segment { kind: 4, address: 0, flags: 4, bytes: note.as_bytes() };
        let segments = [load(0x7000, 5, &code), load(0x8000, 6, &code), note];
        all.push((elf::file(0x7000, &segments, &[]), Request::default()));
        all.push((elf::file(0x1000, &[load(0x1000, 5, &code)], &[]), mode(start)));
    }
    let header = [0x1BAD_B002_u32, 3, 0_u32.wrapping_sub(0x1BAD_B002 + 3)];
    let kernel = [header.as_bytes(), &code].concat();
    all.push((elf::file(0x10_000C, &[load(0x10_0000, 5, &kernel)], &[]), Request::default()));
    for start in CpuMode::ALL {
        let format = Some(ImageFormat::Flat);
        all.push((code.repeat(20), Request { format, load: Some(0x1000), ..mode(start) }));
    }
    all
}

/// Returns a 32-bit ELF file without sections and without the bytes behind its segments.
fn stripped(mut file: Vec<u8>) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes")) as usize;
    let headers = (0..usize::from(file[0x2C])).map(|header| word(0x1C) + 0x20 * header);
    let end = headers.map(|header| word(header + 4) + word(header + 0x10)).max().expect("segments");
    file.truncate(end);
    file[0x20..0x24].fill(0);
    file[0x30..0x34].fill(0);
    file
}

/// Changes a file in a few places, the headers at its beginning more often than the rest.
fn mutate(file: &mut Vec<u8>, numbers: &mut SplitMix64) {
    const WORDS: [u32; 10] =
        [0, 1, 4, 0x34, 0xFFF, 0x1000, 0x7FFF_FFFF, 0x8000_0000, 0xBFFF_F000, 0xFFFF_FFFF];
    for _ in 0..=numbers.below(4) {
        let end = if numbers.below(4) == 0 { file.len() } else { file.len().min(0x100) };
        let at = numbers.below(end.max(1));
        let rest = file.get_mut(at..).unwrap_or(&mut []);
        match numbers.below(8) {
            0..=2 => rest.iter_mut().take(1).for_each(|byte| *byte = numbers.next_u64().to_le_bytes()[0]),
            3 => rest.iter_mut().take(1).for_each(|byte| *byte ^= 1 << numbers.below(8)),
            4 | 5 => {
                let word = WORDS[numbers.below(WORDS.len())].to_le_bytes();
                file.iter_mut().skip(at & !3).zip(word).for_each(|(byte, new)| *byte = new);
            }
            6 => file.truncate(numbers.below(file.len() + 1)),
            _ => {
                let copy: Vec<u8> = rest.iter().take(numbers.below(64)).copied().collect();
                let to = numbers.below(file.len() + 1);
                file.splice(to..to, copy);
            }
        }
    }
}

#[test]
fn mutated_images_are_refused_or_loaded_and_run_to_a_defined_end() {
    let (mut numbers, originals) = (numbers(1), originals());
    let platform = can_run_guests().then(platform);
    let (mut images, mut ends, mut spent) = (Tally::default(), Tally::default(), Duration::ZERO);
    for _ in 0..times(100_000) {
        let (mut file, request) = originals[numbers.below(originals.len())].clone();
        mutate(&mut file, &mut numbers);
        let size = [0x8000, 0x2_0000, DEFAULT_MEMORY][numbers.below(3)];
        let Ok(image) = Image::parse("mutant", file, request) else {
            images.count("refused");
            continue;
        };
        images.count("accepted");
        let Some(loaded) = targets::image::loaded(&image, size) else { continue };
        drop(loaded);
        images.count("loaded");
        let is_booted = spent < BOOT_BUDGET && images.of("loaded") % BOOTED == 0;
        if let Some(platform) = platform.as_ref().filter(|_| is_booted) {
            let begun = Instant::now();
            ends.count(&boot(platform, &image, size));
            spent += begun.elapsed();
        }
    }
    println!("images: {:?}\nbooted: {:?}, in {spent:.1?}", images.0, ends.0);
    assert_eq!(images.of("accepted") + images.of("refused"), times(100_000));
    assert!(images.of("loaded") > times(100_000) / 10, "the mutations leave too little to load");
    assert!(platform.is_none() || ends.0.values().sum::<u64>() > 0, "nothing was booted");
}

/// Opens the engine that the tests are run for.
fn platform() -> Platform {
    engines::open(common::choice(), Kvm::DEVICE.as_ref(), false, None).expect("an engine")
}

/// Boots an image for a short time. Returns the name of its end.
fn boot(platform: &Platform, image: &Image, memory: u32) -> String {
    let parameters = Parameters { vm: 1, seed: 1, memory, arguments: &[] };
    let mut vm = Vm::new(platform, image, parameters, HvaPolicy::DenySilently).expect("a VM");
    let limits = Limits { max_output: 1 << 16, ..Limits::deadline(BOOT_TIME) };
    end(&mut vm, &limits)
}

/// Runs a VM to its end, which must be one of the known ends, with a report that fits on a screen.
fn end(vm: &mut Vm, limits: &Limits) -> String {
    let mut silence = Silence;
    let session = Session::start(limits, &Jail::Open, Needs::default(), &mut silence).expect("a session");
    match session.run(vm, None) {
        Ok(StopReason::Exited(_)) => "exit".into(),
        Ok(StopReason::Halted) => "hlt".into(),
        Ok(StopReason::Attached | StopReason::TurnEnded) => "exchange".into(),
        Err(Error::Guest(error)) => {
            let status = Status::of_end(error.end.name());
            assert!(matches!(status, Status::GuestFailed | Status::GuestCrashed | Status::Limit));
            assert!(error.to_string().lines().count() <= 40, "{error}");
            error.end.name().into()
        }
        other => panic!("{other:?}"),
    }
}

/// Pages without access, just before and just behind each piece of a guest's memory: an access outside of it ends the
/// process.
struct Guards(Vec<u64>);

impl Guards {
    /// Adds pages before and behind a guest's memory. Returns true if there is one on each side.
    fn surround(&mut self, ranges: &[Range<u64>]) -> bool {
        let page = u64::from(PAGE_SIZE);
        let edges = |range: &Range<u64>| [range.start - page, range.end];
        ranges.iter().flat_map(edges).all(|edge| {
            let own = ranges.iter().any(|range| range.contains(&edge));
            own || self.0.contains(&edge) || self.add(edge)
        })
    }

    /// Adds a page at an address. Returns true if the address was free.
    fn add(&mut self, address: u64) -> bool {
        let wish = ptr::without_provenance_mut(usize::try_from(address).expect("an address"));
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: a new mapping, which replaces none, of a page that nobody can access.
        let page = unsafe { libc::mmap(wish, PAGE_SIZE as usize, libc::PROT_NONE, flags, -1, 0) };
        let free = page != libc::MAP_FAILED;
        if free {
            self.0.push(page.addr() as u64);
        }
        free
    }
}

impl Guards {
    /// Leaves a hole of one page, for the guest's memory below its null page, and under it one of three, for the run
    /// structure of its vCPU. There are guards around both.
    fn leave_holes(&mut self) {
        const PAGES: [bool; 7] = [true, false, false, false, true, false, true];
        let size = PAGE_SIZE as usize;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, which replaces none.
        let start = unsafe { libc::mmap(ptr::null_mut(), PAGES.len() * size, libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return;
        }
        for (index, is_guard) in PAGES.into_iter().enumerate() {
            let page = start.wrapping_byte_add(index * size);
            match is_guard {
                true => self.0.push(page.addr() as u64),
                // SAFETY: it is a page of the mapping of above, and nobody has used it.
                false => _ = unsafe { libc::munmap(page, size) },
            }
        }
    }
}

impl Drop for Guards {
    fn drop(&mut self) {
        for &page in &self.0 {
            let page = ptr::without_provenance_mut(usize::try_from(page).expect("an address"));
            // SAFETY: it is a mapping of ours that nobody can have used.
            unsafe { libc::munmap(page, PAGE_SIZE as usize) };
        }
    }
}

/// Returns the addresses of a guest's memory in this process, range by range. `None` if it has no such addresses.
fn host_ranges(layout: MemoryLayout, memory: &dyn GuestMemory) -> Option<Vec<Range<u64>>> {
    let of = |range: &Range<u64>| {
        let start = memory.host_address(range.start)?;
        Some(start..start + (range.end - range.start))
    };
    layout.plan().ranges.iter().map(of).collect()
}

/// Returns a guest whose memory has guards on all sides. Only KVM's memory consists of mappings: on a machine without
/// KVM the interpreter has the guest, and there are no guards.
fn guarded_guest() -> (Guest, Guards) {
    let (mut guards, mut others) = (Guards(Vec::new()), Vec::new());
    let Some(kvm) = targets::engines::kvm() else {
        eprintln!("skipped: guards around the guest's memory, which need KVM");
        return (Guest::new(&*targets::engines::soft()), guards);
    };
    for _ in 0..100 {
        // The system puts a mapping into the highest hole that is large enough, and the rest of the guest's memory below
        // all. A guest with something else beside it is kept, so that the next one is not there.
        guards.leave_holes();
        let guest = Guest::new(&*kvm);
        let ranges = host_ranges(guest.layout(), guest.cpu().memory()).expect("mappings of this process");
        match guards.surround(&ranges) {
            true => return (guest, guards),
            false => others.push(guest),
        }
    }
    panic!("there is always something beside a guest's memory");
}

#[test]
fn hostile_hypercalls_are_served_or_end_the_guest_and_touch_nothing_else() {
    let mut numbers = numbers(2);
    let (mut guest, guards) = guarded_guest();
    let mut outcomes = Tally::default();
    let mut calls = 0;
    while calls < times(1_000_000) {
        let bytes: Vec<u8> = (0..24).flat_map(|_| numbers.next_u64().to_le_bytes()).collect();
        let mut bytes = Unstructured::new(&bytes);
        while let (false, Ok(action)) = (bytes.is_empty(), Action::arbitrary(&mut bytes)) {
            let outcome = guest.act(&action);
            if matches!(action, Action::Access { .. }) {
                let name = match &outcome {
                    None => "served",
                    Some(Ok(_)) => "stopped",
                    Some(Err(crash)) => crash.name(),
                };
                outcomes.count(name);
                calls += u64::from(name != "unknown-port");
            }
        }
        // For a while strings have no end.
        match numbers.below(500) {
            0 => guest.fill(STACK_BOTTOM, b'x'),
            1..=20 => guest.fill(STACK_BOTTOM, 0),
            21 => guest.check_memory(),
            _ => {}
        }
    }
    guest.check_memory();
    drop(guards);
    println!("hypercalls: {:?}", outcomes.0);
    for outcome in ["served", "stopped", "bad-address", "unknown-port", "wrong-access", "text-too-long"] {
        assert!(outcomes.of(outcome) > 0, "none was {outcome}");
    }
}

#[test]
fn guests_that_make_hostile_hypercalls_end_in_a_defined_way() {
    if !can_run_guests() {
        return;
    }
    let platform = platform();
    let (mut calls, mut ends) = (0, Tally::default());
    for mode in ["", ".long"] {
        let image = image(&format!("calls-at-random{mode}"));
        let image = read_image(&image, Request::default()).expect("a guest");
        for seed in 1..=times(3000).min(30) {
            let parameters = Parameters { vm: 1, seed, memory: DEFAULT_MEMORY, arguments: &[] };
            let mut vm = Vm::new(&platform, &image, parameters, HvaPolicy::DenySilently).expect("a VM");
            let limits = Limits { max_exits: Some(1000), ..Limits::deadline(Duration::from_secs(30)) };
            ends.count(&end(&mut vm, &limits));
            calls += vm.stats().total();
        }
    }
    println!("{calls} hypercalls of guests: {:?}", ends.0);
    assert!(calls > 3000, "{calls} hypercalls are too few to say anything");
}
