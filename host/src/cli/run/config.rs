//! The configuration of a run, from its options.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use guest_abi::{mode::CpuMode, ring::Capacity};

use super::{
    args::{ExchangeArgs, RunArgs},
    check::{check, instead_of},
};
use crate::{
    cli::{choices::Preset, common::image_path},
    lab::{
        error::Error,
        exchange,
        instrumentation::Instrumentation,
        limits::Limits,
        pipeline::{self, Experiment, VmGuest, VmSpec},
        replay,
        schedule::ScheduleSpec,
        single,
        snapshot::Snapshot,
    },
    process::output_file::{Named, check_distinct},
    views::tui,
    vmm::{pc, random},
};

/// The configuration of a run.
#[derive(Debug)]
pub enum RunConfig {
    /// The exchange.
    Exchange(exchange::ExchangeConfig),
    /// An experiment from a file.
    Pipeline(pipeline::PipelineConfig),
    /// One guest.
    Single(single::SingleConfig),
}

impl RunConfig {
    /// Returns true if the run ends with statistics.
    pub fn has_stats(&self) -> bool {
        match self {
            Self::Exchange(config) => config.stats,
            Self::Pipeline(config) => config.stats,
            Self::Single(config) => config.stats,
        }
    }

    /// Returns the debugger or tracer of the VMs.
    pub fn instrumentation(&self) -> &Instrumentation {
        match self {
            Self::Exchange(config) => &config.instrumentation,
            Self::Pipeline(config) => &config.instrumentation,
            Self::Single(config) => &config.instrumentation,
        }
    }

    /// Returns the files that the run reads.
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
    /// Returns the names and modes of the images that the run takes from the folder of images.
    ///
    /// # Errors
    ///
    /// The options do not go together.
    pub fn needs(&self) -> Result<Vec<(String, CpuMode)>, Error> {
        check(self)?;
        let mode = self.mode();
        if let Some(path) = &self.from {
            return Ok(replay::named_guests(Snapshot::open(path)?.options()));
        }
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

    /// Returns the configuration of the run.
    ///
    /// # Errors
    ///
    /// The options do not go together.
    pub fn config(&self) -> Result<RunConfig, Error> {
        check(self)?;
        if let Some(why) = tui::missing_terminal().filter(|_| self.tui) {
            return Err(Error::Usage(format!(
                "--tui needs a terminal, and {why}; without it the run is a transcript"
            )));
        }
        if let Some(path) = &self.from {
            let config = RunConfig::Exchange(self.resumed(Snapshot::open(path)?)?);
            check_distinct(config.inputs(), self.outputs())?;
            return Ok(config);
        }
        let save = self.save_at()?;
        let experiment = self.experiment()?;
        let seed = self.seed.or(experiment.as_ref().and_then(|experiment| experiment.seed));
        let seed = seed.unwrap_or_else(random::draw);
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
            (None, Some(Self::PRODCONS), _) => {
                RunConfig::Exchange(exchange::ExchangeConfig { save, ..self.exchange_config(seed) })
            }
            (None, Some(name), _) => RunConfig::Single(self.single(self.guests_image(name)?, seed)),
            (None, None, Some(image)) => RunConfig::Single(self.single(image.clone(), seed)),
            (None, None, None) => unreachable!("check() refuses a run of nothing"),
        };
        check_distinct(config.inputs(), self.outputs())?;
        Ok(config)
    }

    fn exchange_config(&self, seed: u64) -> exchange::ExchangeConfig {
        let ExchangeArgs { preset, schedule, turns, items, capacity, save_at: _, record: _, guests } =
            &self.exchange;
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
            core: self.core.clone(),
            from: None,
            save: None,
            checks_determinism: self.check_determinism,
        }
    }

    /// Returns the configuration of a run that goes on from a snapshot.
    fn resumed(&self, snapshot: Snapshot) -> Result<exchange::ExchangeConfig, Error> {
        let (run, options) = (snapshot.run(), snapshot.options());
        let config = self.exchange_config(run.seed);
        let limits = config.limits.clone();
        Ok(exchange::ExchangeConfig {
            guests: replay::guests(options, image_path),
            schedule: run.schedule.parse()?,
            turns: self.exchange.turns.or(run.turns),
            items: None,
            capacity: run.ring().unwrap_or(Capacity::DEFAULT),
            limits: Limits { max_exits: limits.max_exits.or(options.max_exits), ..limits },
            save: self.save_at()?,
            from: Some(Arc::new(snapshot)),
            ..config
        })
    }

    /// Returns the experiment's file, if one is named, after the options that override it.
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
        let image = |vm: &VmSpec| match &vm.guest {
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
            core: self.core.clone(),
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
            core: self.core.clone(),
            interrupts: self.interrupt_at.clone(),
            dump_regs: self.dump_regs,
            checks_determinism: self.check_determinism,
            pc: self.pc.then_some(pc::Settings { exit_ok: self.pc_exit_ok }),
        }
    }

    /// Returns the path of a guest's image. If there is no image but a file of that name, the error has advice.
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
}
