//! The memory of this machine, which bounds that of its guests.

use std::sync::LazyLock;

use crate::vmm::{self, MemorySizeError};

/// A guest cannot have this much memory here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RamError {
    /// No guest can have it.
    #[error(transparent)]
    Size(#[from] MemorySizeError),
    /// This machine does not have that much memory.
    #[error("a guest cannot have {size} bytes of memory: this machine has {ram}")]
    Ram {
        /// The size asked for, in bytes.
        size: u64,
        /// This machine's memory, in bytes.
        ram: u64,
    },
}

/// Checks that a guest can have this much memory here.
///
/// # Errors
///
/// No guest can have it, or this machine does not.
pub fn check_size(size: u64) -> Result<u32, RamError> {
    let checked = vmm::check_size(size)?;
    match *RAM {
        Some(ram) if size > ram => Err(RamError::Ram { size, ram }),
        _ => Ok(checked),
    }
}

/// The memory of this machine in bytes, if it is known. It is read once, because the jail has no files.
static RAM: LazyLock<Option<u64>> =
    LazyLock::new(|| total_ram(&std::fs::read_to_string("/proc/meminfo").ok()?));

/// Returns the memory of this machine in bytes from the text of `/proc/meminfo`: `MemTotal: 16384 kB`.
fn total_ram(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machines_memory_is_read_from_meminfo() {
        assert_eq!(total_ram("MemFree: 1 kB\nMemTotal:       24576 kB\n"), Some(24 << 20));
        assert_eq!(total_ram("MemFree: 1 kB\n"), None);
    }
}
