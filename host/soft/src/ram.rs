//! Guest memory: pages that clones share, and that are copied when they are written.

use alloc::{sync::Arc, vec, vec::Vec};

use guestlab_cpu::{EngineError, GuestMemory, MemoryPlan, OutOfMemory};

/// The size of a page in bytes.
pub(crate) const PAGE: usize = 4096;
const SHIFT: u32 = 12;

/// The memory of a VM. A page that was never written takes no memory of the host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ram {
    ranges: Vec<Range>,
}

/// Consecutive pages.
#[derive(Clone, Debug)]
struct Range {
    first: u64,
    pages: Vec<Page>,
}

#[derive(Clone, Debug, Default)]
struct Page {
    /// Nothing for a page of zeros.
    bytes: Option<Arc<[u8; PAGE]>>,
    /// The offsets in the page between which the interpreter has decoded code.
    code: Span,
}

/// A range of offsets in a page. It is empty if it does not begin before its end.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u16,
    end: u16,
}

static ZEROS: [u8; PAGE] = [0; PAGE];

impl Ram {
    /// Returns memory that is all zero. A range that does not begin and end at a page is shortened to whole pages.
    pub(crate) fn new(plan: &MemoryPlan) -> Self {
        let range = |range: &core::ops::Range<u64>| {
            let first = range.start.div_ceil(PAGE as u64);
            let count = (range.end >> SHIFT).saturating_sub(first);
            Range { first, pages: vec![Page::default(); usize::try_from(count).unwrap_or(0)] }
        };
        Self { ranges: plan.ranges.iter().map(range).collect() }
    }

    fn page(&self, number: u64) -> Option<&Page> {
        self.ranges.iter().find_map(|range| {
            let index = usize::try_from(number.wrapping_sub(range.first)).ok()?;
            range.pages.get(index)
        })
    }

    fn page_mut(&mut self, number: u64) -> Option<&mut Page> {
        self.ranges.iter_mut().find_map(|range| {
            let index = usize::try_from(number.wrapping_sub(range.first)).ok()?;
            range.pages.get_mut(index)
        })
    }

    /// Returns the bytes of the page of an address, if it is memory.
    pub(crate) fn bytes(&self, address: u64) -> Option<&[u8; PAGE]> {
        self.page(address >> SHIFT).map(|page| page.bytes.as_deref().unwrap_or(&ZEROS))
    }

    /// Writes bytes that do not cross a page. Returns nothing if there is no memory, and otherwise whether code was
    /// decoded of these bytes: then the page's code is no longer marked, and the caller drops it.
    pub(crate) fn write_in_page(&mut self, address: u64, bytes: &[u8]) -> Option<bool> {
        let start = offset(address);
        let end = start + bytes.len();
        let page = self.page_mut(address >> SHIFT)?;
        let contents = page.bytes.get_or_insert_with(|| Arc::new(ZEROS));
        Arc::make_mut(contents)[start..end].copy_from_slice(bytes);
        let is_code = start < usize::from(page.code.end) && usize::from(page.code.start) < end;
        if is_code {
            page.code = Span::default();
        }
        Some(is_code)
    }

    /// Marks bytes that do not cross a page: code was decoded of them.
    pub(crate) fn mark_code(&mut self, address: u64, len: usize) {
        let start = offset(address) as u16;
        if let Some(page) = self.page_mut(address >> SHIFT) {
            let end = start + len as u16;
            page.code = match page.code {
                Span { start: first, end: last } if first < last => {
                    Span { start: first.min(start), end: last.max(end) }
                }
                _ => Span { start, end },
            };
        }
    }

    /// Removes all marks of code.
    pub(crate) fn forget_code(&mut self) {
        for page in self.ranges.iter_mut().flat_map(|range| &mut range.pages) {
            page.code = Span::default();
        }
    }
}

/// Splits a range of bytes at pages: the address of each piece, its offset in the page, and its place in the range.
fn pieces(address: u64, len: usize) -> impl Iterator<Item = (u64, usize, core::ops::Range<usize>)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        if done >= len {
            return None;
        }
        let at = address.wrapping_add(done as u64);
        let offset = offset(at);
        let end = len.min(done + PAGE - offset);
        let piece = (at, offset, done..end);
        done = end;
        Some(piece)
    })
}

/// Returns the offset of an address in its page.
pub(crate) fn offset(address: u64) -> usize {
    (address & (PAGE as u64 - 1)) as usize
}

impl GuestMemory for Ram {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), OutOfMemory> {
        for (at, offset, range) in pieces(address, buffer.len()) {
            let page = self.bytes(at).ok_or(OutOfMemory)?;
            let len = range.len();
            buffer[range].copy_from_slice(&page[offset..offset + len]);
        }
        Ok(())
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), OutOfMemory> {
        if !self.contains(address, bytes.len()) {
            return Err(OutOfMemory);
        }
        for (at, _, range) in pieces(address, bytes.len()) {
            self.write_in_page(at, &bytes[range]).ok_or(OutOfMemory)?;
        }
        Ok(())
    }

    fn contains(&self, address: u64, len: usize) -> bool {
        pieces(address, len).all(|(at, _, _)| self.page(at >> SHIFT).is_some())
            && address.checked_add(len as u64).is_some()
    }

    fn clear(&mut self) -> Result<(), EngineError> {
        self.ranges.iter_mut().for_each(|range| range.pages.fill(Page::default()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ram() -> Ram {
        Ram::new(&MemoryPlan { ranges: vec![0x1000..0x3000, 0x5000..0x6000] })
    }

    #[test]
    fn bytes_are_kept_across_a_page_and_refused_outside() {
        let mut ram = ram();
        ram.write(0x1FFE, &[1, 2, 3, 4]).unwrap();
        let mut bytes = [0; 6];
        ram.read(0x1FFD, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 1, 2, 3, 4, 0]);
        for address in [0, 0xFFE, 0x2FFE, 0x4FFF, 0x5FFD, u64::MAX - 1] {
            assert_eq!(ram.write(address, &[9; 4]), Err(OutOfMemory), "{address:#x}");
            assert_eq!(ram.read(address, &mut [0; 4]), Err(OutOfMemory), "{address:#x}");
        }
        let mut last = [7; 2];
        ram.read(0x2FFE, &mut last).unwrap();
        assert_eq!(last, [0, 0], "a refused write changes nothing");
    }

    #[test]
    fn a_clone_has_its_own_bytes_once_it_is_written() {
        let mut one = ram();
        one.write(0x5000, &[1]).unwrap();
        let mut two = one.clone();
        two.write(0x5000, &[2]).unwrap();
        let mut byte = [0];
        one.read(0x5000, &mut byte).unwrap();
        assert_eq!(byte, [1]);
    }

    #[test]
    fn a_write_to_code_takes_its_mark() {
        let mut ram = ram();
        ram.mark_code(0x1234, 4);
        assert_eq!(ram.write_in_page(0x1233, &[0]), Some(false));
        assert_eq!(ram.write_in_page(0x1238, &[0]), Some(false));
        assert_eq!(ram.write_in_page(0x1237, &[0]), Some(true));
        assert_eq!(ram.write_in_page(0x1237, &[0]), Some(false));
        assert_eq!(ram.write_in_page(0x4000, &[0]), None);
    }
}
