//! The files that gdb reads where a process runs: they tell it where memory is. So `generate-core-file` writes all of it, and
//! `info proc mappings` shows it.
//!
//! No file of this machine is opened. There are two under the name of process 1, as which gdb sees the guest: its name,
//! and its memory in the form of Linux (`man 5 proc_pid_maps`).

use gdbstub::target::ext::host_io::{HostIoErrno, HostIoOpenFlags};
use guestlab_cpu::{CpuState, GuestMemory, MemoryPlan};

use crate::core_file::pieces;

/// What the files say of the guest.
#[derive(Default)]
pub(super) struct HostFiles {
    /// The guest's name.
    pub(super) name: String,
    /// The ranges of the guest's memory.
    pub(super) plan: MemoryPlan,
    /// The content of the open file. gdb reads one at a time.
    open: Option<Vec<u8>>,
}

/// The number of the open file.
const FILE: u32 = 3;

impl HostFiles {
    /// Opens a file of a guest in this state. Returns its number.
    pub(super) fn open(
        &mut self,
        path: &[u8],
        flags: HostIoOpenFlags,
        state: &CpuState,
        memory: &dyn GuestMemory,
    ) -> Result<u32, HostIoErrno> {
        if flags != HostIoOpenFlags::O_RDONLY {
            return Err(HostIoErrno::EROFS);
        }
        self.open = Some(self.content(path, state, memory).ok_or(HostIoErrno::ENOENT)?);
        Ok(FILE)
    }

    /// Closes a file.
    pub(super) fn close(&mut self, file: u32) -> Result<(), HostIoErrno> {
        match self.open.take() {
            Some(_) if file == FILE => Ok(()),
            _ => Err(HostIoErrno::EBADF),
        }
    }

    /// Copies from a file, from this offset on. Returns the number of bytes.
    pub(super) fn read(&self, file: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, HostIoErrno> {
        let content = self.open.as_ref().filter(|_| file == FILE).ok_or(HostIoErrno::EBADF)?;
        let rest = usize::try_from(offset).ok().and_then(|offset| content.get(offset..)).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn content(&self, path: &[u8], state: &CpuState, memory: &dyn GuestMemory) -> Option<Vec<u8>> {
        match path {
            b"/proc/1/cmdline" => Some(format!("{}\0", self.name).into()),
            // gdb tries the first, and then the second.
            b"/proc/1/smaps" | b"/proc/1/maps" => {
                let (pieces, _) = pieces(Some(state), memory, &self.plan, false);
                // The form has the end, so that it has no word for memory at the end of the address space.
                let range = |linear: u64, len| format!("{linear:08x}-{:08x}", linear.saturating_add(len));
                let lines =
                    pieces.iter().map(|piece| range(piece.linear, piece.len) + " rwxp 00000000 00:00 0\n");
                Some(lines.collect::<String>().into())
            }
            _ => None,
        }
    }
}
