//! The command line that the examples share.

use std::{error::Error, path::Path, sync::Arc};

use guest_abi::mode::CpuMode;
use guestlab_cpu::Engine;
use guestlab_kvm::Kvm;
use guestlab_soft::Soft;
use guestlab_vmm::{ConsoleOutput, Image, ImageFormat, Request};

/// Returns the engine: the interpreter with `--soft`, and otherwise KVM.
pub(crate) fn engine() -> Result<Arc<dyn Engine>, Box<dyn Error>> {
    match std::env::args().any(|argument| argument == "--soft") {
        true => Ok(Arc::new(Soft)),
        false => Ok(Arc::new(Kvm::open(Kvm::DEVICE.as_ref(), None)?)),
    }
}

/// Returns the image that the command line names, or one of 32-bit `code` that is loaded at 0x1000.
#[allow(dead_code, reason = "not each example has an image")]
pub(crate) fn image_or(name: &str, code: &[u8]) -> Result<Image, Box<dyn Error>> {
    match std::env::args().skip(1).find(|argument| !argument.starts_with("--")) {
        Some(path) => Ok(Image::of_file(Path::new(&path), std::fs::read(&path)?, Request::default())?),
        None => {
            let (format, mode) = (Some(ImageFormat::Flat), Some(CpuMode::Protected));
            let request = Request { format, mode, load: Some(0x1000), entry: None };
            Ok(Image::parse(name, code.into(), request)?)
        }
    }
}

/// Prints a guest's text.
#[allow(dead_code, reason = "not each example has a console")]
pub(crate) fn print(output: ConsoleOutput<'_>) -> bool {
    if let ConsoleOutput::Text(text) = output {
        print!("{}", String::from_utf8_lossy(text));
    }
    true
}
