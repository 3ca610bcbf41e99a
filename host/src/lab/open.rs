//! Which images may be run: they fit into their memory, and this machine has their mode.

use std::path::Path;

use guest_abi::mode::CpuMode;

use crate::{
    kvm::{System, module_name},
    lab::error::Error,
    vmm::{
        boot,
        image::{Image, ImageError, Problem, Request, Start},
        paging::LARGE_PAGE_32,
    },
};

/// Opens an image that is to run in a memory.
///
/// # Errors
///
/// The image cannot be used or does not fit, or this machine's KVM does not have its mode.
pub fn open(system: &System, path: &Path, request: Request, memory: u32) -> Result<Image, Error> {
    let image = Image::open(path, request)?;
    let end = image.end();
    // Of what paged mode does not reach, its launch says how low it must be.
    let reached = image.start().mode() != CpuMode::Paged || end <= LARGE_PAGE_32.into();
    if end > memory.into() && reached {
        return Err(Error::ImageTooLarge { name: image.name().into(), memory, end });
    }
    check_mode(system, image.start().mode())?;
    Ok(image)
}

/// Opens the image of a guest of guest-rt, which alone can take part in an exchange.
///
/// # Errors
///
/// As [`open`]; or others built it.
pub fn open_guest(system: &System, path: &Path, mode: Option<CpuMode>, memory: u32) -> Result<Image, Error> {
    let image = open(system, path, Request { mode, ..Request::default() }, memory)?;
    match image.start() {
        Start::Boot { .. } => Ok(image),
        _ => Err(ImageError { path: path.into(), problem: Problem::NoExchange }.into()),
    }
}

/// Refuses a mode that this machine's KVM does not have. 32-bit paging is the one that is missing in
/// places, so that the others are not tried out at every run.
///
/// # Errors
///
/// KVM does not have the mode, or refused to try it.
pub fn check_mode(system: &System, mode: CpuMode) -> Result<(), Error> {
    if mode == CpuMode::Paged && !boot::mode_works(system, mode)? {
        let module = module_name().unwrap_or_else(|| "of unknown kind".into());
        return Err(Error::ModeMissing { mode: mode.name(), module });
    }
    Ok(())
}
