//! The VMs of an exchange.

use guest_abi::transition::Role;

use super::config::Guests;
use crate::{
    kvm::{System, VcpuError},
    lab::{error::Error, open},
    runlog::{
        event::Guest,
        ring_check::{Orders, Party},
    },
    vmm::{
        boot::Parameters,
        image::{Image, Source},
        machine::{Machine, Secrets},
    },
};

/// The VMs of an exchange: the producers, then the consumers.
pub struct Vms {
    producer: Image,
    consumer: Image,
    /// The role of each VM.
    roles: Vec<Role>,
    memory: u32,
    secrets: Secrets,
}

impl Vms {
    /// Opens the guests' images.
    ///
    /// # Errors
    ///
    /// An image cannot be used, or this machine does not have its mode.
    pub fn open(system: &System, guests: &Guests) -> Result<Self, Error> {
        let open = |source: &Source| open::open_guest(system, &source.path, guests.mode, guests.memory);
        let (producer, consumer) = (open(&guests.producer)?, open(&guests.consumer)?);
        let mut roles = vec![Role::Producer; guests.producers];
        roles.resize(guests.vms(), Role::Consumer);
        Ok(Self { producer, consumer, roles, memory: guests.memory, secrets: guests.secrets })
    }

    /// Returns the parties of a new exchange.
    pub fn parties(&self, orders: Orders) -> Vec<Party> {
        self.roles.iter().map(|&role| Party::new(role, orders.of(role))).collect()
    }

    /// Returns the number, role and image of each VM.
    fn vms(&self) -> impl Iterator<Item = (u32, Role, &Image)> {
        (1..).zip(&self.roles).map(|(vm, &role)| match role {
            Role::Producer => (vm, role, &self.producer),
            Role::Consumer => (vm, role, &self.consumer),
        })
    }

    /// Returns the guests for an event.
    pub fn guests(&self) -> Vec<Guest<'_>> {
        self.vms()
            .map(|(vm, role, image)| Guest {
                vm,
                name: image.name(),
                role: Some(role),
                sha256: image.sha256(),
            })
            .collect()
    }

    /// Creates the VMs.
    ///
    /// # Errors
    ///
    /// KVM refused a call.
    pub fn start(&self, system: &System, seed: u64) -> Result<Vec<Machine>, VcpuError> {
        self.vms()
            .map(|(vm, _, image)| Machine::new(system, image, self.parameters(vm, seed), self.secrets))
            .collect()
    }

    /// Resets the VMs for another run.
    ///
    /// # Errors
    ///
    /// KVM or the system refused a call.
    pub fn restart(&self, system: &System, machines: &mut [Machine], seed: u64) -> Result<(), VcpuError> {
        self.vms()
            .zip(machines)
            .try_for_each(|((vm, _, image), machine)| machine.reset(system, image, self.parameters(vm, seed)))
    }

    fn parameters(&self, vm: u32, seed: u64) -> Parameters<'static> {
        Parameters { vm, seed, memory: self.memory, arguments: &[] }
    }
}
