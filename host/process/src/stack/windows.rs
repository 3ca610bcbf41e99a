//! The stack of a thread of Windows.

use windows_sys::Win32::System::Threading::GetCurrentThreadStackLimits;

#[expect(clippy::unnecessary_wraps, reason = "other systems may not know it")]
pub(super) fn find() -> Option<usize> {
    let (mut lowest, mut highest) = (0, 0);
    // SAFETY: the pointers are to two numbers.
    unsafe { GetCurrentThreadStackLimits(&raw mut lowest, &raw mut highest) };
    Some(lowest)
}
