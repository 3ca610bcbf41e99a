//! Who takes part in an exchange.

use std::path::Path;

use guest_abi::transition::Role;

use super::Plan;
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
    pub fn open(system: &System, plan: &Plan) -> Result<Self, Error> {
        let (producer, consumer) = (open_guest(&plan.producer, plan)?, open_guest(&plan.consumer, plan)?);
        for image in [&producer, &consumer] {
            check_mode(system, image)?;
        }
        let mut parties = vec![Party::new(Role::Producer, plan.produce); plan.producers];
        parties.resize(plan.producers + plan.consumers, Party::new(Role::Consumer, plan.consume));
        Ok(Self { producer, consumer, parties, memory: plan.memory, secrets: plan.secrets })
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

    fn parameters(&self, vm: u32, seed: u64) -> Parameters {
        Parameters { vm, seed, memory: self.memory }
    }
}

/// Opens the image of a guest of guest-rt, which alone can take part.
fn open_guest(path: &Path, plan: &Plan) -> Result<Image, Error> {
    let image = open_image(path, Request { mode: plan.mode, ..Request::default() }, plan.memory)?;
    match image.start() {
        Start::Boot { .. } => Ok(image),
        _ => Err(ImageError { path: path.into(), problem: Problem::NoExchange }.into()),
    }
}
