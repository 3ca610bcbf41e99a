//! The files that gdb reads where a process runs: they tell it where memory is. So `generate-core-file` writes all of it, and
//! `info proc mappings` shows it.
//!
//! No file of this machine is opened. There are two under the name of process 1, as which gdb sees the guest: its name,
//! and its memory in the form of Linux (`man 5 proc_pid_maps`).

use gdbstub::target::ext::host_io::{
    HostIo, HostIoClose, HostIoCloseOps, HostIoErrno, HostIoError, HostIoOpen, HostIoOpenFlags,
    HostIoOpenMode, HostIoOpenOps, HostIoPread, HostIoPreadOps, HostIoResult,
};
use guestlab_cpu::{CpuState, GuestMemory, MemoryPlan};

use super::{arch::GuestArch, target::Guest};
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

impl HostFiles {
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

impl<A: GuestArch> HostIo for Guest<A> {
    fn support_open(&mut self) -> Option<HostIoOpenOps<'_, Self>> {
        Some(self)
    }

    fn support_close(&mut self) -> Option<HostIoCloseOps<'_, Self>> {
        Some(self)
    }

    fn support_pread(&mut self) -> Option<HostIoPreadOps<'_, Self>> {
        Some(self)
    }
}

/// The number of the open file.
const FILE: u32 = 3;

impl<A: GuestArch> HostIoOpen for Guest<A> {
    fn open(&mut self, path: &[u8], flags: HostIoOpenFlags, _: HostIoOpenMode) -> HostIoResult<u32, Self> {
        let state = self.cpu.registers().map_err(HostIoError::Fatal)?;
        let content = self.files.content(path, &state, self.cpu.memory());
        match content {
            _ if flags != HostIoOpenFlags::O_RDONLY => Err(HostIoError::Errno(HostIoErrno::EROFS)),
            None => Err(HostIoError::Errno(HostIoErrno::ENOENT)),
            content => {
                self.files.open = content;
                Ok(FILE)
            }
        }
    }
}

impl<A: GuestArch> HostIoClose for Guest<A> {
    fn close(&mut self, file: u32) -> HostIoResult<(), Self> {
        match self.files.open.take() {
            Some(_) if file == FILE => Ok(()),
            _ => Err(HostIoError::Errno(HostIoErrno::EBADF)),
        }
    }
}

impl<A: GuestArch> HostIoPread for Guest<A> {
    fn pread(
        &mut self,
        file: u32,
        count: usize,
        offset: u64,
        buffer: &mut [u8],
    ) -> HostIoResult<usize, Self> {
        let content = self.files.open.as_ref().filter(|_| file == FILE);
        let content = content.ok_or(HostIoError::Errno(HostIoErrno::EBADF))?;
        let rest = usize::try_from(offset).ok().and_then(|offset| content.get(offset..)).unwrap_or_default();
        let len = rest.len().min(count).min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}
