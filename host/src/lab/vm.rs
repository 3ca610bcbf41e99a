//! A VM of a run: a machine, its runner, and the limits of its output.

use std::{
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    sync::Arc,
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
    BootError, Console, ConsoleOutput, Halt, HvaPolicy, Image, Machine, Observer, Parameters, Setup, pc::Pc,
};

use crate::lab::limits::{Limits, Printed};

/// The engine of a run, and the observer of its machines.
pub struct Platform {
    engine: Arc<dyn Engine>,
    observer: Option<Arc<dyn Observer>>,
    times: bool,
}

impl Platform {
    /// Returns a platform with this engine, whose machines count exits, and take no times. Dropping it lets go of the engine: after that no VM can be created.
    pub fn new(engine: Arc<dyn Engine>, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { engine, observer, times: false }
    }

    /// Returns this platform with the times of exits in the statistics, or without, as a new one is.
    #[must_use]
    pub fn with_times(self, times: bool) -> Self {
        Self { times, ..self }
    }

    fn setup(&self, hva: HvaPolicy) -> Setup {
        let (engine, observer) = (Arc::clone(&self.engine), self.observer.clone());
        Setup { engine, hva, observer, times: self.times }
    }

    /// Returns the engine.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Returns true if the engine runs a mode.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn runs(&self, mode: CpuMode) -> Result<bool, EngineError> {
        self.engine.runs(mode)
    }

    /// Returns the abilities for a debugger in a mode.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn debug_features(&self, mode: CpuMode) -> Result<DebugFeatures, EngineError> {
        self.engine.debug_features(mode)
    }
}

/// A machine of a run, with its runner.
pub struct Vm {
    machine: Machine,
    runner: Box<dyn Runner>,
    origin: ImageInfo,
    file: PathBuf,
    printed: Printed,
    hva: HvaPolicy,
    /// The guest may turn on 32-bit paging, which the engine does not have here.
    lacks_paging: bool,
    /// The registers of the instruction that the last crash is about, if the CPU has gone on since.
    culprit: Option<CpuState>,
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
        Ok(Self {
            machine: Machine::new(&platform.setup(hva), image, parameters)?,
            runner: Box::new(Free),
            origin: ImageInfo::of(image),
            file: image.path().into(),
            printed: Printed::default(),
            hva,
            lacks_paging: may_turn_on_paging(image) && !platform.runs(CpuMode::Paged)?,
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
        self.machine.reset(&platform.setup(self.hva), image, parameters)?;
        (self.printed, self.culprit) = (Printed::default(), None);
        Ok(())
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
        let halt = runner.run(machine, watch, &mut |output| match output {
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
        })?;
        let Diagnosis { halt, culprit } = Diagnosis::of(machine, halt, self.lacks_paging);
        self.culprit = culprit;
        runner.halted(machine, halt, watch)
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

/// Returns true if an image that starts without paging has an instruction that can turn it on: `mov cr0, ...`.
fn may_turn_on_paging(image: &Image) -> bool {
    let start = image.start();
    let is_without = matches!(start.mode(), CpuMode::Real | CpuMode::Protected);
    let loads_cr0 = |code: &[u8]| matches!(*code, [0x0F, 0x22, 0xC0..=0xC7]);
    start.is_foreign() && is_without && image.file().windows(3).any(loads_cr0)
}
