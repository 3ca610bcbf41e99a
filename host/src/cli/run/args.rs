//! The options of `run`.

use std::path::{Path, PathBuf};

use clap::Args;
use guest_abi::{
    layout::DEFAULT_MEMORY,
    mode::CpuMode,
    ring::{Capacity, MAX_CAPACITY},
};

use crate::{
    cli::{
        choices::{Format, Mode, Preset},
        common::{EngineArgs, SHORT_HELP},
        coverage::CoverageArgs,
        flame::FlameArgs,
        guests::GuestsArgs,
        jail::JailArgs,
        limits::LimitArgs,
        values::{parse_address, parse_capacity, parse_memory},
    },
    debug::{
        crash_report::LastInstructions,
        gdb,
        timeline::Timeline,
        trace::{self, Shown},
    },
    lab::{
        error::Error,
        instrumentation::Instrumentation,
        schedule::{DEFAULT_TURNS, ScheduleSpec},
        snapshot::SaveAt,
    },
    process::{jail::Jail, output_file::Named},
    runlog::sink::Form,
    vmm::{HvaPolicy, ImageFormat, Request},
};

/// Run an experiment or a guest.
///
/// `run prodcons` runs a producer and a consumer on one ring. `run GUEST` runs one guest: a guest
/// crate, or an example of guest-rt. `run --image FILE` runs an image from elsewhere. `run --experiment FILE`
/// runs the VMs of a TOML file, and copies the mailbox from each VM to the next.
#[derive(Debug, Args)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUSES}"), after_help = format!("{EXAMPLES}\n\n{SHORT_HELP}"), verbatim_doc_comment)]
pub struct RunArgs {
    /// `prodcons`, or a guest's name.
    #[arg(value_name = "EXPERIMENT|GUEST", conflicts_with = "image")]
    pub(super) guest: Option<String>,
    /// The guest to run if no other is named. xtask gives it for a workspace with only one guest.
    #[arg(long, hide = true, value_name = "GUEST")]
    pub(super) default_guest: Option<String>,
    /// An image of one guest, built with guest-rt or not.
    #[arg(long, value_name = "FILE")]
    pub(super) image: Option<PathBuf>,
    /// Go on from a file of --save-at.
    ///
    /// The guests, their number, memory, quotas and the seed are those of the saved run, and so are capacity, schedule and
    /// number of turns, unless --turns gives another last turn. The engine may be another one.
    #[arg(long, hide_short_help = true, value_name = "FILE", conflicts_with_all = ["guest", "image", "experiment"])]
    pub(super) from: Option<PathBuf>,
    /// An experiment of your own, in TOML.
    ///
    /// The file has VMs, guests, arguments and schedule. These options override those of the file: --schedule, --turns, --seed, --timeout, --memory, --mode.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["guest", "image"])]
    pub(super) experiment: Option<PathBuf>,
    /// The arguments of a guest that runs alone, after a `--`.
    ///
    /// The guest finds them in `guest_rt::arguments`.
    #[arg(last = true, value_name = "ARG")]
    pub(super) arguments: Vec<String>,
    /// The load address of a flat binary [default: 0].
    #[arg(long, hide_short_help = true, value_name = "ADDRESS", value_parser = parse_address)]
    pub(super) load: Option<u32>,
    /// The entry of an image that is not built with guest-rt [default: its load address, or an ELF file's entry].
    #[arg(long, hide_short_help = true, value_name = "ADDRESS", value_parser = parse_address)]
    pub(super) entry: Option<u32>,
    /// Give an image from elsewhere the devices of a PC.
    ///
    /// The text screen is shown at the end. Among the devices are the serial port COM1, debug consoles, the exit port 0xF4, a timer and a keyboard
    /// controller. No device sends interrupts. docs/guide/kernels.md has the list.
    #[arg(long)]
    pub(super) pc: bool,
    /// The one value at exit port 0xF4 that means success; all others mean failure [default: 0 and 0x10].
    #[arg(long, hide_short_help = true, value_name = "VALUE", value_parser = parse_address, requires = "pc")]
    pub(super) pc_exit_ok: Option<u32>,
    /// The guests' CPU mode.
    #[arg(long, value_name = "MODE")]
    pub(super) mode: Option<Mode>,
    /// The guest's memory, in bytes or with K, M, G [default: 2M].
    #[arg(long, hide_short_help = true, value_name = "SIZE", value_parser = parse_memory, allow_negative_numbers = true)]
    pub(super) memory: Option<u32>,
    /// The seed of all random numbers [default: a random one, which is printed].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// The form of output or image.
    ///
    /// The option may be given for both.
    #[arg(long, value_name = "FORM")]
    pub(super) format: Vec<Format>,
    /// Print a table of exits at the end: number, reason and time.
    ///
    /// The time in the guest includes the entry into it and the exit from it, which take most of a short stay.
    #[arg(long)]
    pub(super) stats: bool,
    /// Write a page about the run, even if it fails.
    ///
    /// The page is one HTML file that needs no other files.
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// The option for coverage.
    #[command(flatten)]
    pub(super) coverage: CoverageArgs,
    /// Explain each KVM call and each exit on standard error while the guest runs, in 64 MiB at most.
    #[arg(long, hide_short_help = true)]
    pub(super) explain: bool,
    /// Wait for gdb before the first instruction.
    ///
    /// The address is PORT or HOST:PORT of this machine (port 0: any free port), or a Unix socket (a path with
    /// a /). The command for gdb is printed. While gdb has stopped the guest, the deadline does not come
    /// closer. After `detach` the run goes on; `kill` ends it with status 0.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["profile", "trace_instructions", "last", "flame"])]
    pub(super) gdb: Option<gdb::Address>,
    /// The VM that gdb debugs, if there are several. The others wait for their turns [default: 1].
    #[arg(long, hide_short_help = true, value_name = "N", requires = "gdb", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    pub(super) gdb_vm: Option<u32>,
    /// Write a core file for gdb if a guest fails: `gdb GUEST FILE`.
    ///
    /// A guest fails by a crash, a panic, a turn that is refused, a status other than 0, or a limit of the run. If several
    /// VMs run, the core is that of the one that failed. Without a failure no file is written, and an older one stays.
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub(super) core: Option<PathBuf>,
    /// Write a timeline for Perfetto and chrome://tracing (Trace Event Format): a track for each VM, turns and
    /// exits as slices, the number of items in the ring as a counter. The file has 256 MiB at most.
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,
    /// Show the first N instructions that guests execute, on standard error: address, function, bytes,
    /// instruction, and the changed registers except x87 and SSE. Guests are stepped, which is slow; after N
    /// instructions they run at full speed. Without N at most 256 MiB are written.
    #[arg(long, hide_short_help = true, value_name = "N", num_args = 0..=1, value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    pub(super) trace_instructions: Option<Option<u64>>,
    /// Write them to a file instead.
    #[arg(long, hide_short_help = true, value_name = "FILE", requires = "trace_instructions")]
    pub(super) trace_instructions_to: Option<PathBuf>,
    /// Show the last N instructions of a guest that fails.
    ///
    /// Its report has the instructions that led to the failure: address, function, bytes, instruction, and the changed
    /// registers. Guests are stepped, which is slow.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(LastInstructions::MOST)), allow_negative_numbers = true)]
    pub(super) last: Option<u16>,
    /// Count instructions by turn, by function and by source line.
    ///
    /// Tables of them are printed at the end. Guests are stepped, which is slow. A repeated string instruction counts once.
    #[arg(long)]
    pub(super) profile: bool,
    /// Let the timer's interrupt come after N instructions, and after M.
    ///
    /// The guest stands still there until its timer is due, as on a host that is busy. The timer must be set; interrupts
    /// may be off, and then it comes when they are on. Only the interpreter counts instructions, so it runs the guest.
    /// `explore GUEST --interrupts` finds the numbers.
    #[arg(long, hide_short_help = true, value_name = "N[,M]", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    pub(super) interrupt_at: Vec<u64>,
    /// The option for call stacks.
    #[command(flatten)]
    pub(super) flame: FlameArgs,
    /// Run all guests twice, side by side, and compare their states.
    ///
    /// The states are compared behind each turn, those of a guest that runs alone at its end. The first difference is named
    /// by its register or address, and the status is 3.
    #[arg(long, hide_short_help = true, conflicts_with_all = ["gdb", "experiment"])]
    pub(super) check_determinism: bool,
    /// Print the registers at the end, on standard error.
    #[arg(long, hide_short_help = true)]
    pub(super) dump_regs: bool,
    /// Let guests ask for the host virtual address of their memory. The address is a secret worth keeping.
    #[arg(long, hide_short_help = true)]
    pub(super) allow_hva: bool,
    /// Show the run in the terminal, forwards and backwards.
    ///
    /// `?` shows the keys. The view stays open after the end of the run. Closing it before ends the run.
    #[arg(long, conflicts_with_all = ["gdb", "explain", "dump_regs", "quiet"])]
    pub(super) tui: bool,
    /// Print only guests' own text and the end of the run.
    #[arg(long)]
    pub(super) quiet: bool,
    /// Print the name and the mode of each image that the run takes from the folder of images, and do nothing
    /// else. xtask builds them.
    #[arg(long, hide = true)]
    pub(super) needs: bool,
    #[command(flatten)]
    pub(super) jail: JailArgs,
    #[command(flatten)]
    pub(super) engine: EngineArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) exchange: ExchangeArgs,
}

/// The options of `run prodcons`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of prodcons")]
pub(super) struct ExchangeArgs {
    /// A course problem.
    ///
    /// It is a set of the options below, which can still be overridden.
    #[arg(long)]
    pub(super) preset: Option<Preset>,
    /// The order of turns, as alternate or string:1212 [default: random].
    ///
    /// It is alternate, burst:K, random, string:1212 or file:PATH, where 1 is the producer and 2 the consumer (1 to
    /// 9, then a to w, if there are more); or free, with a thread for every VM.
    #[arg(long, value_name = "SCHEDULE")]
    pub(super) schedule: Option<ScheduleSpec>,
    #[arg(long, value_name = "N", allow_negative_numbers = true, help = format!("The number of turns [default: {DEFAULT_TURNS}]"), long_help = format!("The number of turns [default: {DEFAULT_TURNS}, or as many as a string or file has]"))]
    pub(super) turns: Option<u64>,
    /// End a run with --schedule free after this number of consumed items.
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    pub(super) items: Option<u64>,
    #[arg(long, value_name = "N", value_parser = parse_capacity, allow_negative_numbers = true, help = format!("The ring's capacity in items, 1 to {MAX_CAPACITY} [default: {}]", Capacity::DEFAULT.items()))]
    pub(super) capacity: Option<Capacity>,
    /// Save the run behind turn TURN in a file for --from.
    #[arg(long, hide_short_help = true, num_args = 2, value_names = ["TURN", "FILE"])]
    pub(super) save_at: Option<Vec<String>>,
    /// Record the run in a file for `replay`.
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    #[command(flatten)]
    pub(super) guests: GuestsArgs,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask run hello                           one guest
  cargo xtask run prodcons --seed 7               two VMs and their ring; the seed repeats the run
  cargo xtask run prodcons --preset mass --tui    arrays of five, turn by turn in the terminal
  cargo xtask run prodcons --consumer mine --consume 1 --report page.html
  cargo xtask run primes --stats -- 1000          with an argument of the guest's
  cargo xtask run --image kernel.elf --pc         a kernel that was built elsewhere";

const EXIT_STATUSES: &str = "\
Exit status: 0 success; 1 a guest reported failure (panic, non-zero exit); 2 bad usage or bad \
input; 3 a guest crashed or broke the protocol; 4 the deadline passed, or another limit was reached; 5 this machine cannot run \
it; 70 a bug of guestlab's.";

impl RunArgs {
    /// The name of the producer-consumer experiment.
    pub(super) const PRODCONS: &str = "prodcons";

    /// Returns true if only the list of needed images is requested.
    pub fn asks_for_needs(&self) -> bool {
        self.needs
    }

    /// Returns true if the run is shown in the terminal.
    pub fn has_view(&self) -> bool {
        self.tui
    }

    /// Returns the options for the engine.
    pub fn engine(&self) -> EngineArgs {
        if self.interrupt_at.is_empty() { self.engine.clone() } else { self.engine.or_interpreter() }
    }

    /// Returns the option for call stacks.
    pub fn flame(&self) -> &FlameArgs {
        &self.flame
    }

    /// Returns the option for coverage.
    pub fn coverage(&self) -> &CoverageArgs {
        &self.coverage
    }

    /// Returns the jail of the run.
    pub fn jail(&self) -> Jail {
        self.jail.jail()
    }

    /// Returns the file for the recording.
    pub fn record(&self) -> Option<&Path> {
        self.exchange.record.as_deref()
    }

    /// Returns the timeline, if there is a file for it.
    pub fn timeline(&self) -> Option<Timeline> {
        self.trace.as_deref().map(Timeline::to)
    }

    /// Returns the file for the page about the run.
    pub fn report(&self) -> Option<&Path> {
        self.report.as_deref()
    }

    /// Returns true if the run ends with statistics.
    pub fn stats(&self) -> bool {
        self.stats
    }

    /// Returns the form of the output, and true if it is only guests' text and the end.
    pub fn output(&self) -> (Form, bool) {
        let form = if self.last_format(Format::Text, Format::Jsonl) == Some(Format::Jsonl) {
            Form::JsonLines
        } else {
            Form::Text
        };
        (form, self.quiet)
    }

    /// Returns true if calls and exits are explained.
    pub fn explain(&self) -> bool {
        self.explain
    }

    /// Returns the last of two forms that was given, if any.
    pub(super) fn last_format(&self, one: Format, other: Format) -> Option<Format> {
        self.format.iter().rev().copied().find(|&format| format == one || format == other)
    }

    /// Returns the requested format, mode and addresses of an image.
    pub(super) fn request(&self) -> Request {
        let format = self.last_format(Format::Elf, Format::Flat).map(|format| match format {
            Format::Flat => ImageFormat::Flat,
            _ => ImageFormat::Elf,
        });
        Request { format, mode: self.mode.map(CpuMode::from), load: self.load, entry: self.entry }
    }

    pub(super) fn secrets(&self) -> HvaPolicy {
        if self.allow_hva { HvaPolicy::Allow } else { HvaPolicy::Deny }
    }

    /// Returns the debugger or tracer of the VMs.
    pub(super) fn instrumentation(&self) -> Instrumentation {
        let shown =
            self.trace_instructions.map(|limit| Shown { limit, file: self.trace_instructions_to.clone() });
        match &self.gdb {
            Some(address) => Instrumentation::Gdb(gdb::GdbConfig {
                address: address.clone(),
                vm: self.gdb_vm.unwrap_or(1),
            }),
            None if shown.is_some() || self.profile || self.last.is_some() || self.flame.is_given() => {
                let (last, stacks) = (self.last.unwrap_or(0), self.flame.stacks());
                Instrumentation::Trace(trace::TraceConfig { shown, profile: self.profile, last, stacks })
            }
            None => Instrumentation::None,
        }
    }

    /// Returns true if one guest runs alone.
    pub(super) fn is_single(&self) -> bool {
        !self.is_exchange() && self.experiment.is_none() && self.from.is_none()
    }

    /// Returns true if VMs run in parallel.
    pub(super) fn is_free(&self) -> bool {
        self.exchange.schedule == Some(ScheduleSpec::Free)
    }

    pub(super) fn is_exchange(&self) -> bool {
        self.guest() == Some(Self::PRODCONS)
    }

    /// Returns the named guest or experiment, or the default one.
    pub(super) fn guest(&self) -> Option<&str> {
        let is_open = self.image.is_none() && self.experiment.is_none() && self.from.is_none();
        self.guest.as_deref().or(self.default_guest.as_deref().filter(|_| is_open))
    }

    pub(super) fn memory(&self) -> u32 {
        self.memory.unwrap_or(DEFAULT_MEMORY)
    }

    pub(super) fn mode(&self) -> CpuMode {
        self.mode.map_or(CpuMode::Protected, CpuMode::from)
    }

    /// Returns the input files that options name. The configuration has the images of guests with a name.
    pub(super) fn inputs(&self) -> Vec<Named> {
        let schedule = match &self.exchange.schedule {
            Some(ScheduleSpec::File(path)) => Some(path),
            _ => None,
        };
        let named = [
            ("--image", self.image.as_ref()),
            ("--experiment", self.experiment.as_ref()),
            ("--from", self.from.as_ref()),
            ("the schedule's file", schedule),
        ];
        named.into_iter().filter_map(|(what, path)| Some(Named::new(what, path?))).collect()
    }

    /// Returns the output files.
    pub(super) fn outputs(&self) -> Vec<Named> {
        let named = [
            ("--report", &self.report),
            ("--record", &self.exchange.record),
            ("--core", &self.core),
            ("--trace", &self.trace),
            ("--trace-instructions-to", &self.trace_instructions_to),
        ];
        let named = named.into_iter().filter_map(|(what, path)| Some(Named::new(what, path.as_ref()?)));
        let named = named.chain(self.coverage.outputs()).chain(self.flame.outputs());
        named.chain(self.save_at().ok().flatten().map(|save| save.named())).collect()
    }

    /// Returns the order to save a snapshot.
    ///
    /// # Errors
    ///
    /// Its turn is not a number.
    pub(super) fn save_at(&self) -> Result<Option<SaveAt>, Error> {
        let Some([turn, path]) = self.exchange.save_at.as_deref() else { return Ok(None) };
        let turn = turn.parse().map_err(|_| {
            Error::Usage(format!("--save-at {turn} {path}: the first is the number of a turn, 0 or more"))
        })?;
        Ok(Some(SaveAt { turn, path: path.into() }))
    }
}

impl ExchangeArgs {
    /// Returns the names of the given options.
    pub(super) fn given(&self) -> Vec<String> {
        let Self { preset, schedule, turns, items, capacity, save_at, record, guests } = self;
        let own = [
            (preset.is_some(), "preset"),
            (schedule.is_some(), "schedule"),
            (turns.is_some(), "turns"),
            (items.is_some(), "items"),
            (capacity.is_some(), "capacity"),
            (save_at.is_some(), "save-at"),
            (record.is_some(), "record"),
        ];
        let own = own.into_iter().filter(|(given, _)| *given).map(|(_, name)| name.to_owned());
        own.chain(guests.given()).collect()
    }
}
