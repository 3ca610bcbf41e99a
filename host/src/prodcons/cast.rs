//! Who takes part in an exchange.

use std::path::Path;

use guest_abi::transition::Role;

use super::Guests;
use crate::{
    error::Error,
    event::Guest,
    exchange::Party,
    image::{Image, ImageError, Problem, Request, Start},
    kvm::{System, VcpuError},
    launch::Parameters,
    machine::{Machine, Secrets},
    solo::{check_mode, open_image},
};

/// Who takes part: the producers, then the consumers.
pub struct Cast {
    producer: Image,
    consumer: Image,
    parties: Vec<Party>,
    memory: u32,
    secrets: Secrets,
}

impl Cast {
    /// Opens the guests' images.
    ///
    /// # Errors
    ///
    /// An image cannot be used, or this machine does not have its mode.
    pub fn open(system: &System, guests: &Guests) -> Result<Self, Error> {
        let (producer, consumer) =
            (open_guest(&guests.producer.path, guests)?, open_guest(&guests.consumer.path, guests)?);
        for image in [&producer, &consumer] {
            check_mode(system, image)?;
        }
        let mut parties = vec![Party::new(Role::Producer, guests.produce); guests.producers];
        parties.resize(guests.vms(), Party::new(Role::Consumer, guests.consume));
        Ok(Self { producer, consumer, parties, memory: guests.memory, secrets: guests.secrets })
    }

    /// The parties of an exchange that begins.
    pub fn parties(&self) -> Vec<Party> {
        self.parties.clone()
    }

    /// Each VM's number, role and image.
    fn vms(&self) -> impl Iterator<Item = (u32, Role, &Image)> {
        (1..).zip(&self.parties).map(|(vm, party)| match party.role() {
            role @ Role::Producer => (vm, role, &self.producer),
            role @ Role::Consumer => (vm, role, &self.consumer),
        })
    }

    /// The guests, for an event.
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

    /// Makes the VMs.
    ///
    /// # Errors
    ///
    /// KVM refused a call.
    pub fn start(&self, system: &System, seed: u64) -> Result<Vec<Machine>, VcpuError> {
        self.vms()
            .map(|(vm, _, image)| Machine::new(system, image, self.parameters(vm, seed), self.secrets))
            .collect()
    }

    /// Resets the VMs, for another run.
    ///
    /// # Errors
    ///
    /// KVM or the system refused a call.
    pub fn restart(&self, machines: &mut [Machine], seed: u64) -> Result<(), VcpuError> {
        self.vms()
            .zip(machines)
            .try_for_each(|((vm, _, image), machine)| machine.reset(image, self.parameters(vm, seed)))
    }

    fn parameters(&self, vm: u32, seed: u64) -> Parameters {
        Parameters { vm, seed, memory: self.memory }
    }
}

/// Opens the image of a guest of guest-rt, which alone can take part.
fn open_guest(path: &Path, guests: &Guests) -> Result<Image, Error> {
    let image = open_image(path, Request { mode: guests.mode, ..Request::default() }, guests.memory)?;
    match image.start() {
        Start::Boot { .. } => Ok(image),
        _ => Err(ImageError { path: path.into(), problem: Problem::NoExchange }.into()),
    }
}
