//! Every guest image of the repository, driven on both engines without the command line: all come to the same ends, with
//! the same output and the same mailboxes.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use guestlab::{
    cpu::{Engine, Until},
    debug::diagnosis::Diagnosis,
    vmm::{Crash, Expiry, Halt, Image, Machine, Parameters, Request, Setup, Stop, StopReason},
};

use crate::{
    common::images,
    targets::engines::{self, Kicks},
};

/// A guest that comes to no end after so many instructions on the interpreter is taken for endless.
const MANY: u64 = 20_000_000;
/// The exits that a guest may cause.
const MAX_EXITS: u64 = 5_000;
/// Long enough to see that a guest does not end at once.
const MOMENT: Duration = Duration::from_millis(50);
/// KVM that takes longer for what the interpreter has done hangs.
const FOREVER: Duration = Duration::from_secs(120);
/// A guest that waits for its timer longer than this waits for good.
const LONG_WAIT: Duration = Duration::from_secs(60);

/// Ends a run in which a guest waits for good.
#[derive(Default)]
struct Patience(Cell<bool>);

impl Stop for Patience {
    fn expiry(&self) -> Option<Expiry> {
        self.0.get().then_some(Expiry::Run)
    }

    /// The machine is kicked all the time.
    fn set_alarm(&self, _: Option<Instant>) {}

    fn sleep_until(&self, then: Instant) {
        let wait = then.saturating_duration_since(Instant::now());
        match wait > LONG_WAIT {
            true => self.0.set(true),
            false => std::thread::sleep(wait),
        }
    }
}

/// The end of a guest's turn: the halt, nothing for a guest that is endless, and the output up to it.
type End = (Option<Halt>, String);

/// A guest on an engine.
struct Guest {
    machine: Machine,
    _kicks: Kicks,
}

impl Guest {
    /// Boots an image. The error is that of one that does not fit.
    fn new(engine: &Arc<dyn Engine>, image: &Image) -> Result<Self, String> {
        let parameters = Parameters { vm: 1, seed: 1, memory: 2 << 20, arguments: &[] };
        let machine = Machine::new(&Setup::new(Arc::clone(engine)), image, parameters);
        let mut machine = machine.map_err(|error| error.to_string())?;
        machine.set_max_exits(Some(MAX_EXITS));
        let kicks = Kicks::every(Duration::from_millis(1), machine.cpu().kick());
        Ok(Self { machine, _kicks: kicks })
    }

    /// Runs the guest to the end of its turn, or until it `is_endless` after a time.
    fn turn(&mut self, is_endless: impl Fn(&Machine, Duration) -> bool) -> End {
        let (patience, begun) = (Patience::default(), Instant::now());
        let mut output = String::new();
        let mut console = |text: guestlab::vmm::ConsoleOutput<'_>| {
            output += &format!("{text:?}\n");
            true
        };
        self.machine.begin();
        let halt = loop {
            match self.machine.enter(Until::Exit, &patience, &mut console).expect("the engine works") {
                ControlFlow::Break(halt) => break Some(halt),
                ControlFlow::Continue(_) if is_endless(&self.machine, begun.elapsed()) => break None,
                ControlFlow::Continue(_) => {}
            }
        };
        // Engines have different exits for an exception that cannot be delivered. It has one name.
        (halt.map(|halt| Diagnosis::of(&mut self.machine, halt, false).halt), output)
    }

    /// Returns the guest's mailbox.
    fn mailbox(&self) -> Vec<u8> {
        let mut mailbox = vec![0; self.machine.mailbox_size().unwrap_or(0) as usize];
        if !mailbox.is_empty() {
            self.machine.read_mailbox(&mut mailbox).expect("the mailbox is memory");
        }
        mailbox
    }
}

/// The same guest on both engines.
struct Pair {
    soft: Guest,
    kvm: Guest,
}

impl Pair {
    /// Boots an image on both engines, unless it fits on none.
    fn new(kvm: &Arc<dyn Engine>, image: &Image) -> Option<Self> {
        match (Guest::new(&engines::soft(), image), Guest::new(kvm, image)) {
            (Ok(soft), Ok(kvm)) => Some(Self { soft, kvm }),
            (soft, kvm) => {
                assert_eq!(soft.err(), kvm.err(), "{}", image.name());
                None
            }
        }
    }

    /// Runs a turn on both engines, and compares. Returns true if the guest can have another one.
    fn turn(&mut self, name: &str) -> bool {
        let before = self.soft.machine.cpu().instructions().expect("the interpreter counts");
        let soft = self
            .soft
            .turn(|machine, _| machine.cpu().instructions().expect("the interpreter counts") - before > MANY);
        let kvm = self.kvm.turn(|_, time| {
            assert!(time < FOREVER, "{name} does not end on KVM: {soft:?}");
            soft.0.is_none() && time > MOMENT
        });
        if name.starts_with("loads-float") && lacks_x87(&kvm) {
            eprintln!("skipped: {name}: this KVM emulates guests, without x87");
            return false;
        }
        if name.starts_with("waits-long") {
            // An hour passes at once on the interpreter, and then the timer's interrupt comes.
            assert!(matches!(soft.0, Some(Halt::Crash(Crash::Trap(_)))), "{soft:?}");
            assert!(matches!(kvm.0, Some(Halt::Expired(_))), "{kvm:?}");
            return false;
        }
        assert_eq!(without_times(name, soft.clone()), without_times(name, kvm), "{name}");
        assert_eq!(self.soft.mailbox(), self.kvm.mailbox(), "the mailbox of {name}");
        matches!(soft.0, Some(Halt::Stop(StopReason::Attached | StopReason::TurnEnded)))
    }

    /// Takes the mailboxes of another pair.
    fn take_mailbox(&mut self, other: &Self) {
        for (to, from) in [(&mut self.soft, &other.soft), (&mut self.kvm, &other.kvm)] {
            to.machine.write_mailbox(&from.mailbox()).expect("the mailbox is memory");
        }
    }
}

/// Some KVM modules emulate all instructions of a kernel, and have no x87 (docs/engines.md).
fn lacks_x87((halt, _): &End) -> bool {
    matches!(halt, Some(Halt::Crash(Crash::Unemulated(_) | Crash::Emulation { .. })))
}

/// A stopwatch shows times, which are never the same.
fn without_times(name: &str, (halt, output): End) -> End {
    match name.starts_with("stopwatch") {
        true => (halt, String::new()),
        false => (halt, output),
    }
}

/// Returns the images that KVM has the mode for, by the names of their files; none without KVM.
fn all_images() -> Option<(Arc<dyn Engine>, BTreeMap<String, Image>)> {
    let kvm = engines::kvm().or_else(|| {
        eprintln!("skipped: there is no KVM here");
        None
    })?;
    let paths =
        fs::read_dir(images()).expect("the folder of the images").map(|file| file.expect("a file").path());
    let paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "elf")).collect();
    assert!(paths.len() > 100, "only {} images are here", paths.len());
    let mut images = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for path in paths {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let image =
            Image::parse(&name, fs::read(&path).expect("a file"), Request::default()).expect("an image");
        let mode = image.start().mode();
        match kvm.runs(mode).expect("KVM works") {
            true => _ = images.insert(name, image),
            false => _ = missing.insert(mode.name()),
        }
    }
    if !missing.is_empty() {
        eprintln!("skipped: this KVM has no mode {missing:?}");
    }
    Some((kvm, images))
}

#[test]
fn every_guest_ends_alike_on_each_engine() {
    let Some((kvm, images)) = all_images() else { return };
    for (name, image) in &images {
        let Some(mut pair) = Pair::new(&kvm, image) else { continue };
        // A guest that has a mailbox finds in it what it has left there.
        for _ in 0..10 {
            if !pair.turn(name) {
                break;
            }
        }
    }
}

#[test]
fn every_exchange_ends_alike_on_each_engine() {
    let Some((kvm, images)) = all_images() else { return };
    for (name, image) in &images {
        let mode = name.split_once('.').expect("an ending").1;
        for other_name in ["guest-producer", "guest-consumer"].map(|role| format!("{role}.{mode}")) {
            let (Some(mut one), Some(mut other)) =
                (Pair::new(&kvm, image), Pair::new(&kvm, &images[&other_name]))
            else {
                continue;
            };
            if !one.turn(name) || !other.turn(&other_name) {
                continue;
            }
            for _ in 0..20 {
                other.take_mailbox(&one);
                if !other.turn(&other_name) {
                    break;
                }
                one.take_mailbox(&other);
                if !one.turn(name) {
                    break;
                }
            }
        }
    }
}
