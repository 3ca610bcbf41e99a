//! Logs a record of each level, and one with its own target.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::log::{self, debug, error, info, trace, warn};

guest_rt::entry!(main);

fn main() {
    log::init();
    error!("nothing works");
    warn!("{} things do not work", 3);
    info!("this works\nand this is no line of its own");
    debug!("how it works");
    trace!("step by step");
    debug!(target: "disk::sector", "read sector {}", 7);
}
