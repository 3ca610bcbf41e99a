//! A VM of a run: a machine, its runner, and the limits of its output.

use std::{
    collections::BTreeSet,
    ops::{ControlFlow, Deref, DerefMut},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use guest_abi::{block::Trap, mode::CpuMode};
use guestlab_cpu::{CpuState, DebugFeatures, Engine, EngineError};
use guestlab_debug::{
    crash_report::{CrashDump, ImageInfo},
    diagnosis::{self, Diagnosis},
    runner::{Free, Runner, Watch},
};
use guestlab_process::stderr::warn;
use guestlab_runlog::event::VmProfile;
use guestlab_vmm::{
    BootError, Console, ConsoleOutput, Halt, HvaPolicy, Image, Machine, Moment, Observer, Parameters, Setup,
    pc::Pc,
};

use crate::lab::{
    coverage::{Collector, CoverageError},
    limits::{Limits, Printed},
};

/// The engine of a run, and the observer of its machines.
pub struct Platform {
    engine: Arc<dyn Engine>,
    fallback: Option<Fallback>,
    observer: Option<Arc<dyn Observer>>,
    times: bool,
    coverage: Option<Arc<Collector>>,
}

/// The engine for guests in a mode that the other engine does not have.
struct Fallback {
    engine: Arc<dyn Engine>,
    /// Tells the user that this engine is used.
    warn: fn(),
    /// It is needed for guests with 32-bit paging: that is the mode that is missing on some machines.
    is_needed: OnceLock<bool>,
}

impl Platform {
    /// Returns a platform with this engine, whose machines count exits, and take no times. Dropping it lets go of the engine: after that no VM can be created.
    pub fn new(engine: Arc<dyn Engine>, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { engine, fallback: None, observer, times: false, coverage: None }
    }

    /// Returns this platform with a second engine, for guests in a mode that the first does not have. `warn` is called
    /// when there is such a guest, once.
    #[must_use]
    pub fn with_fallback(self, engine: Arc<dyn Engine>, warn: fn()) -> Self {
        Self { fallback: Some(Fallback { engine, warn, is_needed: OnceLock::new() }), ..self }
    }

    /// Returns this platform with the times of exits in the statistics, or without, as a new one is.
    #[must_use]
    pub fn with_times(self, times: bool) -> Self {
        Self { times, ..self }
    }

    /// Returns this platform with coverage of its guests, or without.
    #[must_use]
    pub fn with_coverage(self, coverage: Option<Arc<Collector>>) -> Self {
        Self { coverage, ..self }
    }

    /// Prepares the coverage of an image, if there is to be one.
    ///
    /// # Errors
    ///
    /// The image has no debug information that can be used.
    pub fn open_coverage(&self, image: &Image) -> Result<(), CoverageError> {
        self.coverage.as_ref().map_or(Ok(()), |coverage| coverage.open(image))
    }

    fn setup(&self, image: &Image, hva: HvaPolicy) -> Result<Setup, EngineError> {
        let engine = Arc::clone(self.engine(image)?);
        let engine = match &self.coverage {
            Some(coverage) => coverage.engine(image, engine),
            None => engine,
        };
        Ok(Setup { engine, hva, observer: self.observer.clone(), times: self.times })
    }

    /// Returns the engine for an image.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn engine(&self, image: &Image) -> Result<&Arc<dyn Engine>, EngineError> {
        let Some(fallback) = self.fallback.as_ref().filter(|_| may_page(image)) else {
            return Ok(&self.engine);
        };
        let is_needed = match fallback.is_needed.get() {
            Some(is_needed) => *is_needed,
            None => {
                let is_needed = !self.engine.runs(CpuMode::Paged)?;
                if is_needed {
                    (fallback.warn)();
                }
                *fallback.is_needed.get_or_init(|| is_needed)
            }
        };
        Ok(if is_needed { &fallback.engine } else { &self.engine })
    }

    /// Returns the names of the engines that run these images, as an event has them.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn engines<'a>(&self, images: impl IntoIterator<Item = &'a Image>) -> Result<String, EngineError> {
        let engines = images.into_iter().map(|image| Ok(self.engine(image)?.name().to_owned()));
        let names: BTreeSet<String> = engines.collect::<Result<_, EngineError>>()?;
        Ok(Vec::from_iter(names).join(", "))
    }

    /// Returns the abilities of a VM's engine for a debugger, in the guest's mode.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn debug_features(&self, vm: &Vm) -> Result<DebugFeatures, EngineError> {
        let fallback = self.fallback.as_ref().filter(|_| vm.falls_back);
        fallback.map_or(&self.engine, |fallback| &fallback.engine).debug_features(vm.machine.mode())
    }

    /// Returns true if an engine here runs a mode.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn runs(&self, mode: CpuMode) -> Result<bool, EngineError> {
        Ok(self.fallback.is_some() || self.engine.runs(mode)?)
    }
}

/// A machine of a run, with its runner.
pub struct Vm {
    machine: Machine,
    runner: Box<dyn Runner>,
    /// The engine is the platform's second one. The engine itself is not kept: it holds KVM's device, which a guest's thread
    /// must not have.
    falls_back: bool,
    origin: ImageInfo,
    file: PathBuf,
    printed: Printed,
    hva: HvaPolicy,
    /// The guest may turn on 32-bit paging, which the engine does not have here.
    lacks_paging: bool,
    /// The registers of the instruction that the last crash is about, if the CPU has gone on since.
    culprit: Option<CpuState>,
}

/// The state of a VM, to return to.
pub struct VmMoment {
    machine: Moment,
    printed: Printed,
}

impl Deref for Vm {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl DerefMut for Vm {
    fn deref_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }
}

impl Vm {
    /// Loads an image into a new VM.
    ///
    /// # Errors
    ///
    /// The image does not fit, or the engine failed.
    pub fn new(
        platform: &Platform,
        image: &Image,
        parameters: Parameters<'_>,
        hva: HvaPolicy,
    ) -> Result<Self, BootError> {
        let setup = platform.setup(image, hva)?;
        Ok(Self {
            machine: Machine::new(&setup, image, parameters)?,
            lacks_paging: image.start().mode() != CpuMode::Paged
                && may_page(image)
                && !setup.engine.runs(CpuMode::Paged)?,
            falls_back: !Arc::ptr_eq(platform.engine(image)?, &platform.engine),
            runner: Box::new(Free),
            origin: ImageInfo::of(image),
            file: image.path().into(),
            printed: Printed::default(),
            hva,
            culprit: None,
        })
    }

    /// Starts the guest again from its image. Image and memory size must be those of [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn reset(
        &mut self,
        platform: &Platform,
        image: &Image,
        parameters: Parameters<'_>,
    ) -> Result<(), BootError> {
        self.machine.reset(&platform.setup(image, self.hva)?, image, parameters)?;
        (self.printed, self.culprit) = (Printed::default(), None);
        Ok(())
    }

    /// Returns the state of now, if the engine can return to it.
    pub fn moment(&mut self) -> Option<VmMoment> {
        Some(VmMoment { machine: self.machine.moment()?, printed: self.printed })
    }

    /// Returns to an earlier state of this VM.
    pub fn return_to(&mut self, moment: &mut VmMoment) {
        self.machine.return_to(&mut moment.machine);
        (self.printed, self.culprit) = (moment.printed, None);
    }

    /// Returns this VM with another runner.
    #[must_use]
    pub fn driven_by(self, runner: Box<dyn Runner>) -> Self {
        Self { runner, ..self }
    }

    /// Returns this VM with the devices of a PC, or without.
    #[must_use]
    pub fn with_pc(self, pc: Option<Pc>) -> Self {
        Self { machine: self.machine.with_pc(pc), ..self }
    }

    /// Runs the guest until it stops, or must stop. `sink` takes its output, as far as the limits admit it.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn run(
        &mut self,
        watch: &dyn Watch,
        limits: &Limits,
        sink: &mut Console<'_>,
    ) -> Result<Halt, EngineError> {
        let Self { machine, runner, printed, .. } = self;
        let vm = machine.vm();
        machine.set_max_exits(limits.max_exits);
        let mut console = |output: ConsoleOutput<'_>| match output {
            ConsoleOutput::Text(text) => {
                let admitted = printed.admit(text, limits.max_output);
                admitted.is_empty() || sink(ConsoleOutput::Text(admitted))
            }
            ConsoleOutput::Record(record) => {
                let is_shown = limits.log.lets_through(record.level, record.target)
                    && printed.admit_whole(record.size(), limits.max_output);
                !is_shown || sink(output)
            }
            ConsoleOutput::InvalidAddress => {
                const TEXT: &str = "Invalid GVA";
                // A guest can cause this at each call, so that it counts as its output.
                if !limits.quiet && printed.admit_whole(TEXT.len() as u64 + 1, limits.max_output) {
                    warn(TEXT);
                }
                true
            }
            ConsoleOutput::HvaDenied => {
                warn(&format!(
                    "VM {vm} asks where its memory is in the host; it is told 0, unless --allow-hva is given"
                ));
                true
            }
        };
        loop {
            let halt = runner.run(machine, watch, &mut console)?;
            let Diagnosis { halt, culprit } = Diagnosis::of(machine, halt, self.lacks_paging);
            self.culprit = culprit;
            if let ControlFlow::Break(halt) = runner.halted(machine, halt, watch)? {
                return Ok(halt);
            }
        }
    }

    /// Returns the evidence of a guest that has ended, with a trap or not.
    pub fn evidence(&mut self, trap: Option<&Trap>) -> CrashDump {
        let dump = diagnosis::crash_dump(&mut self.machine, &self.origin, trap, self.culprit.as_ref());
        dump.with_last(self.runner.last_instructions())
    }

    /// Returns the parts of the image that reports need.
    pub fn origin(&self) -> &ImageInfo {
        &self.origin
    }

    /// Returns the image's file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the account of the guest's output so far.
    pub fn printed(&self) -> Printed {
        self.printed
    }

    /// Returns the number of instructions that the guest was stepped over, if it still is.
    pub fn stepped(&self) -> Option<u64> {
        self.runner.stepped()
    }

    /// Returns the counts of instructions, if the runner counts.
    pub fn profile(&self) -> Option<VmProfile> {
        Some(VmProfile { vm: self.machine.vm(), name: self.machine.name().into(), ..self.runner.profile()? })
    }
}

/// Returns true if an image may run with 32-bit paging: it starts so, or it is not ours and has an instruction that can
/// turn paging on: `mov cr0, ...`.
fn may_page(image: &Image) -> bool {
    let loads_cr0 = |code: &[u8]| matches!(*code, [0x0F, 0x22, 0xC0..=0xC7]);
    match image.start().mode() {
        CpuMode::Paged => true,
        CpuMode::Long => false,
        CpuMode::Real | CpuMode::Protected => {
            image.start().is_foreign() && image.file().windows(3).any(loads_cr0)
        }
    }
}
