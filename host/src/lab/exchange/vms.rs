//! The VMs of an exchange.

use guest_abi::transition::Role;

use super::config::Guests;
use crate::{
    lab::exchange::source::Source,
    lab::vm::Platform,
    lab::vm::Vm,
    lab::{error::Error, open},
    runlog::{
        event::Guest,
        ring_check::{Orders, Party},
    },
    vmm::BootError,
    vmm::{HvaPolicy, Image, Parameters},
};

/// The VMs of an exchange: the producers, then the consumers.
pub struct Vms {
    producer: Image,
    consumer: Image,
    /// The role of each VM.
    roles: Vec<Role>,
    memory: u32,
    secrets: HvaPolicy,
    /// The names of the engines.
    engine: String,
}

impl Vms {
    /// Opens the guests' images.
    ///
    /// # Errors
    ///
    /// An image cannot be used, or this machine does not have its mode.
    pub fn open(system: &Platform, guests: &Guests) -> Result<Self, Error> {
        let open = |source: &Source| open::open_guest(system, &source.path, guests.mode, guests.memory);
        let (producer, consumer) = (open(&guests.producer)?, open(&guests.consumer)?);
        let mut roles = vec![Role::Producer; guests.producers];
        roles.resize(guests.vms(), Role::Consumer);
        let engine = system.engines([&producer, &consumer])?;
        Ok(Self { engine, producer, consumer, roles, memory: guests.memory, secrets: guests.secrets })
    }

    /// Returns the parties of a new exchange.
    pub fn parties(&self, orders: Orders) -> Vec<Party> {
        self.roles.iter().map(|&role| Party::new(role, orders.of(role))).collect()
    }

    /// Returns the name of the engine, or the names if there are several.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// Returns the number, role and image of each VM.
    fn vms(&self) -> impl Iterator<Item = (u32, Role, &Image)> {
        (1..).zip(&self.roles).map(|(vm, &role)| match role {
            Role::Producer => (vm, role, &self.producer),
            Role::Consumer => (vm, role, &self.consumer),
        })
    }

    /// Returns the guests for an event.
    pub fn guests(&self) -> Vec<Guest> {
        self.vms()
            .map(|(vm, role, image)| Guest {
                vm,
                name: image.name().into(),
                role: Some(role),
                sha256: image.sha256().into(),
            })
            .collect()
    }

    /// Creates the VMs.
    ///
    /// # Errors
    ///
    /// KVM refused a call.
    pub fn start(&self, system: &Platform, seed: u64) -> Result<Vec<Vm>, BootError> {
        self.vms()
            .map(|(vm, _, image)| Vm::new(system, image, self.parameters(vm, seed), self.secrets))
            .collect()
    }

    /// Resets the VMs for another run.
    ///
    /// # Errors
    ///
    /// KVM or the system refused a call.
    pub fn restart(&self, system: &Platform, machines: &mut [Vm], seed: u64) -> Result<(), BootError> {
        self.vms()
            .zip(machines)
            .try_for_each(|((vm, _, image), machine)| machine.reset(system, image, self.parameters(vm, seed)))
    }

    fn parameters(&self, vm: u32, seed: u64) -> Parameters<'static> {
        Parameters { vm, seed, memory: self.memory, arguments: &[] }
    }
}
