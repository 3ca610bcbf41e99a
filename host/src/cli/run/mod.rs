//! `run`: an experiment or a guest.

use std::path::{Path, PathBuf};

use clap::Args;
use guest_abi::{
    layout::DEFAULT_MEMORY,
    mode::CpuMode,
    ring::{Capacity, MAX_CAPACITY},
};

use super::{
    DeviceArgs, JailArgs,
    choices::{Format, Mode, Preset},
    guests::GuestsArgs,
    image_path,
    limits::LimitArgs,
};
use crate::{
    cli::values::{is_guest_name, parse_address, parse_capacity, parse_memory},
    debug::{
        explain::Explain,
        gdb,
        timeline::Timeline,
        trace::{self, Shown},
    },
    lab::{
        error::Error,
        exchange,
        instrumentation::Instrumentation,
        pipeline::{self, Experiment, Vm, VmGuest},
        schedule::{DEFAULT_TURNS, ScheduleSpec},
        single,
    },
    output::Form,
    process::{
        jail::Jail,
        output_file::{Named, check_distinct},
    },
    views::tui,
    vmm::{
        image::{ImageFormat, Request},
        machine::Secrets,
        pc, random,
    },
};

/// Run an experiment or a guest.
///
/// `run prodcons` runs a producer and a consumer on one ring. `run GUEST` runs one guest: a guest
/// crate, or an example of guest-rt. `run --image FILE` runs an image from elsewhere. `run --experiment FILE`
/// runs the VMs that a TOML file names, and relays their mailbox from one to the next.
#[derive(Debug, Args)]
#[command(after_long_help = EXIT_STATUSES, after_help = super::SHORT_HELP, verbatim_doc_comment)]
pub struct RunArgs {
    /// `prodcons`, or a guest's name.
    #[arg(value_name = "EXPERIMENT|GUEST", conflicts_with = "image")]
    guest: Option<String>,
    /// The guest to run where no other is named: for xtask, which knows whose workspace has only one.
    #[arg(long, hide = true, value_name = "GUEST")]
    default_guest: Option<String>,
    /// The image of one guest to run: guest-rt's or anybody's.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// An experiment of your own: VMs, guests, arguments and schedule, in TOML.
    ///
    /// Its options can be given
    /// here, too, and then win: --schedule, --turns, --seed, --timeout, --memory, --mode.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["guest", "image"])]
    experiment: Option<PathBuf>,
    /// What a guest that runs alone is started with, after a `--`: `guest_rt::arguments` has it.
    #[arg(last = true, value_name = "ARG")]
    arguments: Vec<String>,
    /// Where a flat binary is loaded to [default: 0].
    #[arg(long, hide_short_help = true, value_name = "ADDRESS", value_parser = parse_address)]
    load: Option<u32>,
    /// Where an image that others built starts [default: where it is loaded, or an ELF file's entry].
    #[arg(long, hide_short_help = true, value_name = "ADDRESS", value_parser = parse_address)]
    entry: Option<u32>,
    /// Give an image that others built the devices of a PC, and show its text screen at the end.
    ///
    /// Among the devices are the serial port COM1, debug consoles, the exit port 0xF4, a timer and a keyboard
    /// controller. No device sends interrupts. docs/guide/kernels.md has the list.
    #[arg(long)]
    pc: bool,
    /// The one value at exit port 0xF4 that means success; all others mean failure [default: 0 and 0x10].
    #[arg(long, hide_short_help = true, value_name = "VALUE", value_parser = parse_address, requires = "pc")]
    pc_exit_ok: Option<u32>,
    /// The CPU mode that guests run in.
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// The guest's memory, in bytes or with K, M, G [default: 2M].
    #[arg(long, value_name = "SIZE", value_parser = parse_memory, allow_negative_numbers = true)]
    memory: Option<u32>,
    /// The seed of all chance; without it one is drawn and printed.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u64>,
    /// The form of the output, or that of the image; may be given for each.
    #[arg(long, value_name = "FORM")]
    format: Vec<Format>,
    /// End with a table of exits: how often, why, and where the time went.
    #[arg(long)]
    stats: bool,
    /// Write a page about the run when it is over, however it ended: one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Say on standard error, as it happens, what each KVM call and each exit is for, in 64 MiB at most.
    #[arg(long, hide_short_help = true)]
    explain: bool,
    /// Wait for gdb before the first instruction.
    ///
    /// It is at a PORT or HOST:PORT of this machine (port 0: any that
    /// is free) or at a Unix socket (a path with a /), and print the command that connects. While gdb has
    /// the guest stopped the deadline stands still. Detaching lets the run go on; `kill` ends it, with
    /// status 0.
    #[arg(long, value_name = "ADDRESS")]
    gdb: Option<gdb::Address>,
    /// The VM that gdb debugs, where there are several; the others wait for their turns [default: 1].
    #[arg(long, hide_short_help = true, value_name = "N", requires = "gdb", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    gdb_vm: Option<u32>,
    /// Write what happens when to a file that Perfetto and chrome://tracing open: a track a VM, turns and
    /// exits as slices, the ring's occupancy as a counter (Trace Event Format). It has 256 MiB at most.
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Show each instruction that guests execute, up to N of the run, on standard error: address, function,
    /// bytes, instruction, and the registers that it changed, x87 and SSE left out. Guests are stepped, which is
    /// slow; after N instructions they go on at full speed. Without N at most 256 MiB are written.
    #[arg(long, hide_short_help = true, value_name = "N", num_args = 0..=1, value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    trace_instructions: Option<Option<u64>>,
    /// Show them in a file instead.
    #[arg(long, hide_short_help = true, value_name = "FILE", requires = "trace_instructions")]
    trace_instructions_to: Option<PathBuf>,
    /// End with a table of the instructions that guests executed, by function, at boot and by turn. Guests are
    /// stepped, which is slow. A string instruction counts once, however often it is repeated.
    #[arg(long)]
    profile: bool,
    /// Print the registers at the end, on standard error.
    #[arg(long, hide_short_help = true)]
    dump_regs: bool,
    /// Tell guests that ask where the host has their memory: a secret worth keeping.
    #[arg(long, hide_short_help = true)]
    allow_hva: bool,
    /// Show the run in the terminal while it goes on, forwards and backwards; `?` shows the keys.
    ///
    /// The view
    /// stays when the run is over; closing it before ends the run.
    #[arg(long, conflicts_with_all = ["gdb", "explain", "dump_regs", "quiet"])]
    tui: bool,
    /// Print guests' own text and the end of the run only.
    #[arg(long)]
    quiet: bool,
    /// Print the images that the run takes from the images' folder, a name and a mode a line, and
    /// do nothing else: for xtask, which builds them.
    #[arg(long, hide = true)]
    needs: bool,
    #[command(flatten)]
    jail: JailArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    exchange: ExchangeArgs,
}

/// The options of `run prodcons`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of prodcons")]
struct ExchangeArgs {
    /// One of the course's problems: a set of the options below, which still win.
    #[arg(long)]
    preset: Option<Preset>,
    /// Who has which turn: alternate, burst:K, random, string:1212, or file:PATH, where 1 is the
    /// producer and 2 the consumer (1 to 9, then a to w, where there are more); or free, every VM on
    /// a thread of its own [default: random].
    #[arg(long, value_name = "SCHEDULE")]
    schedule: Option<ScheduleSpec>,
    #[arg(long, value_name = "N", allow_negative_numbers = true, help = format!("The number of turns [default: {DEFAULT_TURNS}, or as many as a string or file has]"))]
    turns: Option<u64>,
    /// End a run with --schedule free when so many items are consumed.
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    items: Option<u64>,
    #[arg(long, value_name = "N", value_parser = parse_capacity, allow_negative_numbers = true, help = format!("The ring's capacity in items, 1 to {MAX_CAPACITY} [default: {}]", Capacity::DEFAULT.items()))]
    capacity: Option<Capacity>,
    /// Write the run to a file, for `replay`.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    guests: GuestsArgs,
}

const EXIT_STATUSES: &str = "\
Exit status: 0 success; 1 a guest reported failure (panic, non-zero exit); 2 bad usage or bad \
input; 3 a guest crashed or broke the protocol; 4 the deadline passed, or another limit was reached; 5 this machine cannot run \
it; 70 a bug of guestlab's.";

/// What `run` is to run.
#[derive(Debug)]
pub enum RunConfig {
    /// The exchange.
    Exchange(exchange::ExchangeConfig),
    /// An experiment of the user's.
    Pipeline(pipeline::PipelineConfig),
    /// One guest.
    Single(single::SingleConfig),
}

impl RunConfig {
    /// The files that are read once it is run.
    fn inputs(&self) -> Vec<Named> {
        match self {
            Self::Exchange(config) => config.guests.images(),
            Self::Pipeline(config) => {
                let schedule = match &config.experiment.schedule {
                    ScheduleSpec::File(path) => Some(Named::new("the schedule's file", path)),
                    _ => None,
                };
                let images = config.images.iter().zip(1..);
                let images = images.map(|(path, vm)| Named::new(format!("the image of VM {vm}"), path));
                images.chain(schedule).collect()
            }
            Self::Single(config) => vec![Named::new("the guest's image", &config.image)],
        }
    }
}

impl RunArgs {
    /// The name of the producer-consumer experiment.
    const PRODCONS: &str = "prodcons";

    /// Whether only the needed images are asked for.
    pub fn asks_for_needs(&self) -> bool {
        self.needs
    }

    /// Whether the run is to be shown in the terminal.
    pub fn has_view(&self) -> bool {
        self.tui
    }

    /// Where KVM is.
    pub fn device(&self) -> &DeviceArgs {
        &self.device
    }

    /// How the run is confined.
    pub fn jail(&self) -> Jail {
        self.jail.jail()
    }

    /// The file to record to.
    pub fn record(&self) -> Option<&Path> {
        self.exchange.record.as_deref()
    }

    /// Where what happens when is told.
    pub fn timeline(&self) -> Timeline {
        self.trace.as_deref().map_or_else(Timeline::default, Timeline::to)
    }

    /// The file of the page about the run.
    pub fn report(&self) -> Option<&Path> {
        self.report.as_deref()
    }

    /// Whether statistics are asked for.
    pub fn stats(&self) -> bool {
        self.stats
    }

    /// The form of the output, and whether there is to be little of it.
    pub fn output(&self) -> (Form, bool) {
        let form = if self.last_format(Format::Text, Format::Jsonl) == Some(Format::Jsonl) {
            Form::JsonLines
        } else {
            Form::Text
        };
        (form, self.quiet)
    }

    /// Whether calls and exits are explained.
    pub fn explain(&self) -> Explain {
        Explain::new(self.explain)
    }

    /// Which of two forms was given last, if any was.
    fn last_format(&self, one: Format, other: Format) -> Option<Format> {
        self.format.iter().rev().copied().find(|&format| format == one || format == other)
    }

    /// What is asked for of an image.
    fn request(&self) -> Request {
        let format = self.last_format(Format::Elf, Format::Flat).map(|format| match format {
            Format::Flat => ImageFormat::Flat,
            _ => ImageFormat::Elf,
        });
        Request { format, mode: self.mode.map(CpuMode::from), load: self.load, entry: self.entry }
    }

    fn secrets(&self) -> Secrets {
        if self.allow_hva { Secrets::Told } else { Secrets::Kept }
    }

    /// The images that the run takes from the images' folder: each a name and a mode.
    ///
    /// # Errors
    ///
    /// Options that do not go together.
    pub fn needs(&self) -> Result<Vec<(String, CpuMode)>, Error> {
        self.check()?;
        let mode = self.mode();
        if let Some(experiment) = self.experiment()? {
            let names = experiment.vms.into_iter().filter_map(|vm| match vm.guest {
                VmGuest::Named(name) => Some((name, vm.mode.unwrap_or(CpuMode::Protected))),
                VmGuest::Image(_) => None,
            });
            return Ok(names.collect());
        }
        let names = match self.guest() {
            Some(Self::PRODCONS) => self.exchange.guests.needs(mode),
            Some(name) => vec![name.to_owned()],
            None => Vec::new(),
        };
        Ok(names.into_iter().map(|name| (name, mode)).collect())
    }

    /// What to run.
    ///
    /// # Errors
    ///
    /// Options that do not go together, or no seed could be drawn.
    pub fn config(&self) -> Result<RunConfig, Error> {
        self.check()?;
        if let Some(why) = tui::missing_terminal().filter(|_| self.tui) {
            return Err(Error::Usage(format!(
                "--tui needs a terminal, and {why}; without it the run is a transcript"
            )));
        }
        let experiment = self.experiment()?;
        let seed = match self.seed.or(experiment.as_ref().and_then(|experiment| experiment.seed)) {
            Some(seed) => seed,
            None => random::draw().map_err(|source| Error::Os { what: "draw a seed", source })?,
        };
        let vms = match &experiment {
            Some(experiment) => experiment.vms.len(),
            None if self.is_exchange() => self.exchange.guests.vms(),
            None => 1,
        };
        if let Some(vm) = self.gdb_vm.filter(|&vm| vm as usize > vms) {
            return Err(Error::Usage(format!("--gdb-vm {vm}: this run's VMs are 1 to {vms}")));
        }
        let config = match (experiment, self.guest(), &self.image) {
            (Some(experiment), ..) => RunConfig::Pipeline(self.pipeline(experiment, seed)),
            (None, Some(Self::PRODCONS), _) => RunConfig::Exchange(self.exchange_config(seed)),
            (None, Some(name), _) => RunConfig::Single(self.single(self.guests_image(name)?, seed)),
            (None, None, Some(image)) => RunConfig::Single(self.single(image.clone(), seed)),
            (None, None, None) => unreachable!("check() refuses a run of nothing"),
        };
        check_distinct(config.inputs(), self.outputs())?;
        Ok(config)
    }

    fn exchange_config(&self, seed: u64) -> exchange::ExchangeConfig {
        let ExchangeArgs { preset, schedule, turns, items, capacity, record: _, guests } = &self.exchange;
        let (preset_schedule, preset_quota) = preset.unwrap_or(Preset::Random).orders();
        let mode = self.mode.map(CpuMode::from);
        exchange::ExchangeConfig {
            guests: guests.guests(mode, self.memory(), self.secrets(), preset_quota),
            schedule: schedule.clone().unwrap_or(preset_schedule),
            turns: *turns,
            items: *items,
            capacity: capacity.unwrap_or(Capacity::DEFAULT),
            seed,
            limits: self.limits.limits(None, self.quiet),
            stats: self.stats || self.report.is_some(),
            instrumentation: self.instrumentation(),
        }
    }

    /// Who is to look on.
    fn instrumentation(&self) -> Instrumentation {
        let shown =
            self.trace_instructions.map(|limit| Shown { limit, file: self.trace_instructions_to.clone() });
        match &self.gdb {
            Some(address) => {
                Instrumentation::Gdb(gdb::Plan { address: address.clone(), vm: self.gdb_vm.unwrap_or(1) })
            }
            None if shown.is_some() || self.profile => {
                Instrumentation::Trace(trace::Plan { shown, profile: self.profile })
            }
            None => Instrumentation::None,
        }
    }

    /// The experiment's file, if one was named, with what the options say in its place.
    fn experiment(&self) -> Result<Option<Experiment>, Error> {
        let Some(path) = &self.experiment else { return Ok(None) };
        let mut experiment = Experiment::open(path)?;
        if let Some(schedule) = &self.exchange.schedule {
            experiment.schedule = schedule.clone();
        }
        experiment.turns = self.exchange.turns.or(experiment.turns);
        for vm in &mut experiment.vms {
            vm.mode = self.mode.map(CpuMode::from).or(vm.mode);
            vm.memory = self.memory.unwrap_or(vm.memory);
        }
        Ok(Some(experiment))
    }

    fn pipeline(&self, experiment: Experiment, seed: u64) -> pipeline::PipelineConfig {
        let image = |vm: &Vm| match &vm.guest {
            VmGuest::Named(name) => image_path(name, vm.mode.unwrap_or(CpuMode::Protected)),
            VmGuest::Image(path) => path.clone(),
        };
        pipeline::PipelineConfig {
            images: experiment.vms.iter().map(image).collect(),
            seed,
            limits: self.limits.limits(experiment.timeout, self.quiet),
            secrets: self.secrets(),
            stats: self.stats || self.report.is_some(),
            instrumentation: self.instrumentation(),
            experiment,
        }
    }

    fn single(&self, image: PathBuf, seed: u64) -> single::SingleConfig {
        single::SingleConfig {
            image,
            request: self.request(),
            arguments: self.arguments.clone(),
            seed,
            memory: self.memory(),
            limits: self.limits.limits(None, self.quiet),
            secrets: self.secrets(),
            stats: self.stats || self.report.is_some(),
            instrumentation: self.instrumentation(),
            dump_regs: self.dump_regs,
            pc: self.pc.then_some(pc::Settings { exit_ok: self.pc_exit_ok }),
        }
    }

    fn is_exchange(&self) -> bool {
        self.guest() == Some(Self::PRODCONS)
    }

    /// The guest or experiment that is named, or goes without saying.
    fn guest(&self) -> Option<&str> {
        let is_open = self.image.is_none() && self.experiment.is_none();
        self.guest.as_deref().or(self.default_guest.as_deref().filter(|_| is_open))
    }

    fn memory(&self) -> u32 {
        self.memory.unwrap_or(DEFAULT_MEMORY)
    }

    fn mode(&self) -> CpuMode {
        self.mode.map_or(CpuMode::Protected, CpuMode::from)
    }

    /// The image of a guest; where there is none, a file of that name may be what the user means.
    fn guests_image(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.image_path(name);
        if !path.exists() && Path::new(name).is_file() {
            return Err(Error::Usage(format!("there is no guest {name}; {}", instead_of(name))));
        }
        Ok(path)
    }

    fn image_path(&self, name: &str) -> PathBuf {
        image_path(name, self.mode())
    }

    /// Refuses options that do not go together.
    fn check(&self) -> Result<(), Error> {
        if self.guest().is_none() && self.image.is_none() && self.experiment.is_none() {
            return Err(Error::Usage(
                "name what to run: `prodcons`, a guest, --image FILE, or --experiment FILE (--help lists the options)"
                    .into(),
            ));
        }
        if let Some(name) = self.guest().filter(|name| !is_guest_name(name)) {
            return Err(Error::Usage(format!("{name:?} is no guest's name; {}", instead_of(name))));
        }
        if self.image.is_none() && self.last_format(Format::Elf, Format::Flat).is_some() {
            return Err(Error::Usage("--format elf and --format flat go with --image FILE".into()));
        }
        if self.image.is_none() && self.pc {
            return Err(Error::Usage(
                "--pc goes with --image FILE: it is for images that others built, and guests that are built with guest-rt have hypercalls"
                    .into(),
            ));
        }
        if self.image.is_none() && self.entry.is_some() {
            return Err(Error::Usage("--entry goes with --image FILE".into()));
        }
        if self.load.is_some() && self.request().format != Some(ImageFormat::Flat) {
            return Err(Error::Usage(
                "--load goes with --format flat: an ELF file says itself where it goes".into(),
            ));
        }
        if self.tui && self.output().0 == Form::JsonLines {
            return Err(Error::Usage(
                "--tui has the terminal, and --format jsonl wants it, too; --record FILE keeps the run beside a view"
                    .into(),
            ));
        }
        let is_exchange = self.is_exchange();
        if (is_exchange || self.experiment.is_some()) && self.dump_regs {
            return Err(Error::Usage("--dump-regs is for a guest that runs alone".into()));
        }
        if (is_exchange || self.experiment.is_some()) && !self.arguments.is_empty() {
            return Err(Error::Usage(
                "arguments after -- are for a guest that runs alone; an experiment's file has those of its guests"
                    .into(),
            ));
        }
        let scheduled = |option: &str| matches!(option, "schedule" | "turns") && self.experiment.is_some();
        let mut given = self.exchange.given().into_iter().filter(|option| !scheduled(option));
        if let Some(option) = given.next().filter(|_| !is_exchange) {
            let takers = match option.as_str() {
                "schedule" | "turns" => "`run prodcons` and `run --experiment`",
                _ => "`run prodcons`",
            };
            return Err(Error::Usage(format!("--{option} is an option of {takers} only")));
        }
        let free = self.exchange.schedule == Some(ScheduleSpec::Free);
        if self.gdb.is_some() && free {
            return Err(Error::Usage(
                "--gdb debugs VMs that take turns, and with --schedule free they run at once; name another schedule"
                    .into(),
            ));
        }
        if self.gdb.is_some() && (self.trace_instructions.is_some() || self.profile) {
            return Err(Error::Usage(
                "--gdb steps guests itself: take --trace-instructions and --profile for a run without it"
                    .into(),
            ));
        }
        if self.exchange.items.is_some() && !free {
            return Err(Error::Usage("--items goes with --schedule free; --turns ends the others".into()));
        }
        if self.exchange.items.is_some() && self.exchange.guests.move_nothing() {
            return Err(Error::Usage(
                "--items is never reached where nothing is produced or consumed".into(),
            ));
        }
        if self.exchange.record.is_some() && free {
            return Err(Error::Usage(
                "--record is for runs that can be repeated, and one with --schedule free cannot".into(),
            ));
        }
        Ok(check_distinct(self.inputs(), self.outputs())?)
    }

    /// The files that are named to be read, images by a guest's name apart: those are the config's.
    fn inputs(&self) -> Vec<Named> {
        let schedule = match &self.exchange.schedule {
            Some(ScheduleSpec::File(path)) => Some(path),
            _ => None,
        };
        let named = [
            ("--image", self.image.as_ref()),
            ("--experiment", self.experiment.as_ref()),
            ("the schedule's file", schedule),
        ];
        named.into_iter().filter_map(|(what, path)| Some(Named::new(what, path?))).collect()
    }

    /// The files that the run is to leave.
    fn outputs(&self) -> Vec<Named> {
        let named = [
            ("--report", &self.report),
            ("--record", &self.exchange.record),
            ("--trace", &self.trace),
            ("--trace-instructions-to", &self.trace_instructions_to),
        ];
        named.into_iter().filter_map(|(what, path)| Some(Named::new(what, path.as_ref()?))).collect()
    }
}

impl ExchangeArgs {
    /// Which of these options were given.
    fn given(&self) -> Vec<String> {
        let Self { preset, schedule, turns, items, capacity, record, guests } = self;
        let own = [
            (preset.is_some(), "preset"),
            (schedule.is_some(), "schedule"),
            (turns.is_some(), "turns"),
            (items.is_some(), "items"),
            (capacity.is_some(), "capacity"),
            (record.is_some(), "record"),
        ];
        let own = own.into_iter().filter(|(given, _)| *given).map(|(_, name)| name.to_owned());
        own.chain(guests.given()).collect()
    }
}

/// The use of what was named in the place of a guest: a file that is run otherwise, or a guest's source.
fn instead_of(name: &str) -> String {
    let path = Path::new(name);
    let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_guest_name(stem));
    let end = path.extension().and_then(|end| end.to_str());
    match (end, stem) {
        (Some("toml"), _) => format!("an experiment's file is run with --experiment {name}"),
        (Some("jsonl"), _) => format!("a recording is run again by `cargo xtask replay {name}`"),
        (Some("rs"), Some(stem)) if stem != "main" => format!("a guest is run by its name: {stem}"),
        _ if path.is_file() => format!("an image in a file is run with --image {name}"),
        (_, Some(stem)) if path.is_dir() || !name.contains('/') => {
            let missing = if path.exists() { "it is a folder" } else { "there is no such file" };
            format!("{missing}; a guest is run by its name: {stem}")
        }
        _ => "there is no such file; `cargo xtask build-guests` lists the guests".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use guest_abi::mailbox::Quota;

    use super::*;
    use crate::{
        cli::{Cli, Command},
        lab::limits::Limits,
        runlog::ring_check::Orders,
    };

    fn parse(args: &[&str]) -> RunArgs {
        let args = ["guestlab", "run"].iter().chain(args);
        match Cli::try_parse_from(args).expect("valid usage").command {
            Command::Run(args) => *args,
            _ => unreachable!("it is `run`"),
        }
    }

    fn prodcons(args: &[&str]) -> exchange::ExchangeConfig {
        match parse(args).config().expect("a configuration") {
            RunConfig::Exchange(config) => config,
            RunConfig::Single(_) | RunConfig::Pipeline(_) => panic!("not an exchange"),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_contracts() {
        let config = prodcons(&["prodcons"]);
        assert_eq!(config.schedule, ScheduleSpec::Random);
        assert_eq!(config.capacity.items(), 6);
        assert_eq!(config.guests.orders, Orders::RANDOM);
        assert_eq!((config.turns, config.guests.memory), (None, DEFAULT_MEMORY));
        assert_eq!(config.limits, Limits::deadline(Duration::from_secs(60)));
    }

    #[test]
    fn a_preset_is_a_set_of_options_that_still_win() {
        let config = prodcons(&["prodcons", "--preset", "bursty"]);
        assert_eq!(
            (config.schedule, config.guests.orders.produce),
            (ScheduleSpec::Burst(3), Quota::Items(1))
        );
        let config = prodcons(&["prodcons", "--preset", "mass", "--consume", "random"]);
        assert_eq!(config.guests.orders, Orders { produce: Quota::Items(5), consume: Quota::Random });
    }

    #[test]
    fn a_run_says_which_images_it_needs() {
        let names = |args: &[&str]| -> Vec<String> {
            parse(args).needs().expect("valid").into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(&["prodcons"]), ["guest-producer", "guest-consumer"]);
        assert_eq!(names(&["prodcons", "--producer", "x.elf"]), ["guest-consumer"]);
        assert_eq!(names(&["prodcons", "--consumer", "overdraws"]), ["guest-producer", "overdraws"]);
        assert_eq!(names(&["hello"]), ["hello"]);
        assert!(names(&["--image", "x.elf"]).is_empty());
    }

    #[test]
    fn a_file_in_the_place_of_a_guest_is_told_its_option() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let file = file.path().to_str().expect("a plain path");
        for (name, advice) in [
            (file, format!("an image in a file is run with --image {file}")),
            ("x/y.toml", "an experiment's file is run with --experiment x/y.toml".into()),
            ("run.jsonl", "a recording is run again by `cargo xtask replay run.jsonl`".into()),
            ("guest-rt/examples/hello.rs", "a guest is run by its name: hello".into()),
            ("hello.elf", "there is no such file; a guest is run by its name: hello".into()),
            ("../host/", "it is a folder; a guest is run by its name: host".into()),
            ("no/such", "there is no such file; `cargo xtask build-guests` lists the guests".into()),
        ] {
            assert_eq!(instead_of(name), advice, "{name}");
        }
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        for args in [
            &["hello", "--turns", "3"][..],
            &["prodcons", "--entry", "5"],
            &["prodcons", "--pc"],
            &["hello", "--pc"],
            &["--experiment", "x", "--pc"],
            &["hello", "--entry", "5"],
            &["prodcons", "--record", "x", "--report", "x"],
            &["--image", "x", "--schedule", "random"],
            &["prodcons", "--", "argument"],
            &[],
        ] {
            let refused = |error| matches!(error, Error::Usage(_) | Error::SameFile(_));
            assert!(parse(args).config().is_err_and(refused), "{args:?}");
            assert!(parse(args).needs().is_err_and(refused), "{args:?}");
        }
    }

    #[test]
    fn what_goes_without_saying_is_run_where_nothing_else_is_named() {
        let needs = |args: &[&str]| {
            let needs = parse(&[&["--default-guest", "demo"], args].concat()).needs().expect("needs");
            needs.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(needs(&[]), ["demo"]);
        assert_eq!(needs(&["hello"]), ["hello"]);
        assert_eq!(needs(&["prodcons"]), ["guest-producer", "guest-consumer"]);
        assert!(needs(&["--image", "x"]).is_empty());
    }

    #[test]
    fn what_follows_two_dashes_is_the_guests() {
        for args in [
            &["hello", "--quiet", "--", "--turns", "-x", "", "--"][..],
            &["--image", "x", "--", "--turns", "-x", "", "--"],
        ] {
            let RunConfig::Single(config) = parse(args).config().expect("a configuration") else {
                panic!("{args:?}")
            };
            assert_eq!(config.arguments, ["--turns", "-x", "", "--"]);
        }
    }

    #[test]
    fn bad_values_are_refused() {
        for (option, value) in [
            ("--capacity", "0"),
            ("--capacity", "65"),
            ("--capacity", "-1"),
            ("--capacity", "abc"),
            ("--produce", "65"),
            ("--consume", "some"),
            ("--memory", "2T"),
            ("--memory", "5G"),
            ("--memory", ""),
            ("--timeout", "0"),
            ("--timeout", "-1"),
            ("--timeout", "nan"),
            ("--turn-timeout", "0"),
            ("--max-exits", "0"),
            ("--max-exits", "-1"),
            ("--max-output", "lots"),
            ("--log", "net=loud"),
            ("--schedule", "burst:0"),
            ("--turns", "-1"),
            ("--producers", "0"),
            ("--consumers", "17"),
            ("--seed", "x"),
            ("--format", "xml"),
            ("--mode", "virtual"),
        ] {
            let args = ["guestlab", "run", "prodcons", option, value];
            let error = Cli::try_parse_from(args).expect_err(option);
            assert_eq!(error.exit_code(), 2, "{option} {value}");
        }
    }
}
