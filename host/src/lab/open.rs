//! Opens images, and checks that they fit into their memory and that the engine has their mode.

use std::path::Path;

use guest_abi::mode::CpuMode;

use guestlab_cpu::identity::LARGE_PAGE_32;

use crate::{
    kvm::module_name,
    lab::{error::Error, vm::Platform},
    process::files,
    vmm::{
        Image, ImageError, Request, Start,
        image::{MAX_FILE_SIZE, Problem},
    },
};

/// Reads and checks an image.
///
/// # Errors
///
/// The file cannot be read, or is not an image that can run.
pub fn read_image(path: &Path, request: Request) -> Result<Image, ImageError> {
    let failed = |source| ImageError { path: path.into(), problem: Problem::Read(source) };
    let bytes = files::read(path, MAX_FILE_SIZE).map_err(failed)?;
    Image::of_file(path, bytes, request)
}

/// Opens an image for a guest with this memory.
///
/// # Errors
///
/// The image cannot be used or does not fit, or this machine's KVM does not have its mode.
pub fn open(system: &Platform, path: &Path, request: Request, memory: u32) -> Result<Image, Error> {
    let image = read_image(path, request)?;
    let end = image.end();
    // For an image from elsewhere that paged mode does not reach, the error of boot has better advice.
    let is_paged = matches!(image.start(), Start::Direct { mode: CpuMode::Paged, .. });
    let reached = !is_paged || end <= LARGE_PAGE_32.into();
    if end > memory.into() && reached {
        return Err(Error::ImageTooLarge { name: image.name().into(), memory, end });
    }
    check_mode(system, image.start().mode())?;
    // The choice needs calls that a thread in the jail must not make.
    system.engine(&image)?;
    system.open_coverage(&image)?;
    Ok(image)
}

/// Opens an image that is built with guest-rt. No other image can take part in an exchange.
///
/// # Errors
///
/// As [`open`], or the image is not built with guest-rt.
pub fn open_guest(
    system: &Platform,
    path: &Path,
    mode: Option<CpuMode>,
    memory: u32,
) -> Result<Image, Error> {
    let refused = || Error::from(ImageError { path: path.into(), problem: Problem::NoExchange });
    match open(system, path, Request { mode, ..Request::default() }, memory) {
        Ok(image) if matches!(image.start(), Start::Boot { .. }) => Ok(image),
        // The advice for such an image that runs alone is to name its mode.
        Ok(_) | Err(Error::Image(ImageError { problem: Problem::NoNote, .. })) => Err(refused()),
        other => other,
    }
}

/// Checks that the engine has a mode. Only 32-bit paging is missing on some machines, so other modes are not tried.
///
/// # Errors
///
/// The engine does not have the mode, or failed.
pub fn check_mode(system: &Platform, mode: CpuMode) -> Result<(), Error> {
    if mode == CpuMode::Paged && !system.runs(mode)? {
        let module = module_name().unwrap_or_else(|| "of unknown kind".into());
        return Err(Error::ModeMissing { mode: mode.name(), module });
    }
    Ok(())
}
