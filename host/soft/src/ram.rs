//! Guest memory: pages that clones share, and that are copied when they are written.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

pub(crate) use guestlab_cpu::PAGE;
use guestlab_cpu::{EngineError, GuestMemory, MemoryPlan, OutOfMemory, StateDigest, StateHasher};

const SHIFT: u32 = 12;

/// The memory of a VM. A page that was never written takes no memory of the host.
#[derive(Debug, Default)]
pub(crate) struct Ram {
    ranges: Vec<Range>,
    /// The pages of all ranges, one range after the other.
    pages: Vec<Page>,
    /// The machine has written, not the guest.
    written: bool,
    /// The pages of which the machine has written decoded code.
    written_code: Vec<u64>,
}

/// Consecutive pages.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u64,
    count: u64,
    /// The index of the first one in [`Ram::pages`].
    at: usize,
}

#[derive(Debug, Default)]
struct Page {
    bytes: Bytes,
    /// The offsets in the page between which the interpreter has decoded code.
    code: Span,
}

/// The bytes of a page.
#[derive(Debug, Default)]
enum Bytes {
    /// All are zero.
    #[default]
    Zero,
    /// Only this memory has them.
    Own(Box<[u8; PAGE]>),
    /// A fork has them, too, or had them.
    Shared(Arc<Shared>),
}

/// The bytes of a page that several memories have. They do not change. They are in a box, so that a page becomes shared, or
/// a memory's own again, without being copied.
#[derive(Debug)]
struct Shared {
    bytes: Box<[u8; PAGE]>,
    /// The two halves of the bytes' digest, once it was asked for. Until then one of them is 0.
    digest: [AtomicU64; 2],
}

/// The digest of a page of zeros.
const ZERO: StateDigest = 0;

fn page_digest(bytes: &[u8; PAGE]) -> StateDigest {
    if *bytes == ZEROS { ZERO } else { StateHasher::of(&bytes[..]) }
}

impl Shared {
    fn digest(&self) -> StateDigest {
        let [high, low] = [0, 1].map(|half: usize| self.digest[half].load(Ordering::Relaxed));
        if high != 0 && low != 0 {
            return StateDigest::from(high) << 64 | StateDigest::from(low);
        }
        let digest = page_digest(&self.bytes);
        self.digest[0].store((digest >> 64) as u64, Ordering::Relaxed);
        self.digest[1].store(digest as u64, Ordering::Relaxed);
        digest
    }
}

impl Bytes {
    #[inline]
    fn get(&self) -> &[u8; PAGE] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Zero => &ZEROS,
            Self::Shared(shared) => &shared.bytes,
        }
    }

    /// Returns the bytes to be written, which are then this memory's own.
    #[inline]
    fn get_mut(&mut self) -> &mut [u8; PAGE] {
        if !matches!(self, Self::Own(_)) {
            self.make_own();
        }
        match self {
            Self::Own(bytes) => bytes,
            Self::Zero | Self::Shared(_) => unreachable!("they are its own now"),
        }
    }

    #[cold]
    fn make_own(&mut self) {
        *self = Self::Own(match core::mem::take(self) {
            Self::Zero => Box::new(ZEROS),
            Self::Own(bytes) => bytes,
            Self::Shared(shared) => match Arc::try_unwrap(shared) {
                Ok(alone) => alone.bytes,
                Err(shared) => shared.bytes.clone(),
            },
        });
    }

    /// Returns the same bytes for another memory.
    fn share(&mut self) -> Self {
        let shared = match core::mem::take(self) {
            Self::Zero => return Self::Zero,
            Self::Own(bytes) => Arc::new(Shared { bytes, digest: [const { AtomicU64::new(0) }; 2] }),
            Self::Shared(shared) => shared,
        };
        *self = Self::Shared(Arc::clone(&shared));
        Self::Shared(shared)
    }

    /// Returns true if the two are known to be equal without a look at the bytes.
    #[inline]
    fn are(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Zero, Self::Zero) => true,
            (Self::Shared(one), Self::Shared(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

/// A range of offsets in a page. It is empty if it does not begin before its end.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u16,
    end: u16,
}

impl Span {
    fn is_any(self) -> bool {
        self.start < self.end
    }
}

static ZEROS: [u8; PAGE] = [0; PAGE];

impl Ram {
    /// Returns memory that is all zero. A range that does not begin and end at a page is shortened to whole pages.
    pub(crate) fn new(plan: &MemoryPlan) -> Self {
        let mut ram = Self::default();
        for range in &plan.ranges {
            let first = range.start.div_ceil(PAGE as u64);
            let count = (range.end >> SHIFT).saturating_sub(first);
            let at = ram.pages.len();
            let pages = usize::try_from(count).unwrap_or(0);
            ram.pages.resize_with(at + pages, Page::default);
            ram.ranges.push(Range { first, count: pages as u64, at });
        }
        ram
    }

    /// Returns memory with the same bytes. A page is copied when one of the two writes it.
    pub(crate) fn fork(&mut self) -> Self {
        let page = |page: &mut Page| Page { bytes: page.bytes.share(), code: Span::default() };
        let pages = self.pages.iter_mut().map(page).collect();
        Self { ranges: self.ranges.clone(), pages, written: false, written_code: Vec::new() }
    }

    /// Returns to the bytes of an earlier fork, with pages that are shared again.
    pub(crate) fn return_to(&mut self, earlier: &mut Self) {
        for (index, old) in earlier.pages.iter_mut().enumerate() {
            let Some(page) = self.pages.get_mut(index).filter(|page| !page.bytes.are(&old.bytes)) else {
                continue;
            };
            self.written = true;
            page.bytes = old.bytes.share();
            if core::mem::take(&mut page.code).is_any() {
                let address = self.address(index);
                self.written_code.push(address);
            }
        }
    }

    /// Returns the address of a page of [`pages`](Self::pages).
    fn address(&self, index: usize) -> u64 {
        let range = self.ranges.iter().rev().find(|range| range.at <= index);
        range.map_or(0, |range| range.first + (index - range.at) as u64) << SHIFT
    }

    /// Returns the index of the page with this number.
    #[inline]
    fn index(&self, number: u64) -> Option<usize> {
        self.ranges.iter().find_map(|range| {
            let index = number.wrapping_sub(range.first);
            (index < range.count).then(|| range.at + index as usize)
        })
    }

    #[inline]
    fn page(&self, number: u64) -> Option<&Page> {
        self.pages.get(self.index(number)?)
    }

    #[inline]
    fn page_mut(&mut self, number: u64) -> Option<&mut Page> {
        let index = self.index(number)?;
        self.pages.get_mut(index)
    }

    /// Returns true once if the machine has written memory, with the pages of which it has written decoded code.
    pub(crate) fn take_written(&mut self) -> Option<Vec<u64>> {
        core::mem::take(&mut self.written).then(|| core::mem::take(&mut self.written_code))
    }

    /// Returns the bytes of the page of an address, if it is memory.
    #[inline]
    pub(crate) fn bytes(&self, address: u64) -> Option<&[u8; PAGE]> {
        self.page(address >> SHIFT).map(|page| page.bytes.get())
    }

    /// Writes bytes that do not cross a page. Returns nothing if there is no memory, and otherwise whether code was
    /// decoded of these bytes: then the page's code is no longer marked, and the caller drops it.
    #[inline]
    pub(crate) fn write_in_page(&mut self, address: u64, bytes: &[u8]) -> Option<bool> {
        let start = offset(address);
        let end = start + bytes.len();
        let page = self.page_mut(address >> SHIFT)?;
        page.bytes.get_mut()[start..end].copy_from_slice(bytes);
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
        self.written = true;
        for (at, _, range) in pieces(address, bytes.len()) {
            if self.write_in_page(at, &bytes[range]).ok_or(OutOfMemory)? {
                self.written_code.push(at);
            }
        }
        Ok(())
    }

    fn contains(&self, address: u64, len: usize) -> bool {
        pieces(address, len).all(|(at, _, _)| self.page(at >> SHIFT).is_some())
            && address.checked_add(len as u64).is_some()
    }

    fn pages(&self, visit: &mut dyn FnMut(u64, &[u8; PAGE])) {
        for (index, page) in self.pages.iter().enumerate() {
            if !matches!(page.bytes, Bytes::Zero) && *page.bytes.get() != ZEROS {
                visit(self.address(index), page.bytes.get());
            }
        }
    }

    /// The digest of a page that is shared is computed once.
    fn digest(&self) -> StateDigest {
        let pages = self.pages.iter().enumerate().filter_map(|(index, page)| {
            let digest = match &page.bytes {
                Bytes::Zero => ZERO,
                Bytes::Own(bytes) => page_digest(bytes),
                Bytes::Shared(shared) => shared.digest(),
            };
            (digest != ZERO).then(|| (self.address(index), digest))
        });
        StateHasher::of(&pages.collect::<Vec<_>>())
    }

    /// Pages are allocated when they are written, and copied when they are shared: the address is the one of now.
    fn host_address(&self, address: u64) -> Option<u64> {
        let page = self.bytes(address)?;
        Some(page.as_ptr().addr() as u64 + offset(address) as u64)
    }

    fn clear(&mut self) -> Result<(), EngineError> {
        self.written = true;
        for index in 0..self.pages.len() {
            if core::mem::take(&mut self.pages[index]).code.is_any() {
                let address = self.address(index);
                self.written_code.push(address);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

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
        let mut two = one.fork();
        two.write(0x5000, &[2]).unwrap();
        let mut byte = [0];
        one.read(0x5000, &mut byte).unwrap();
        assert_eq!(byte, [1]);
    }

    #[test]
    fn a_memory_returns_to_the_bytes_of_its_fork() {
        let mut ram = ram();
        ram.write(0x1000, &[1]).unwrap();
        let mut earlier = ram.fork();
        ram.take_written();
        ram.mark_code(0x5000, 2);
        ram.mark_code(0x2000, 2);
        ram.write_in_page(0x1000, &[2]);
        ram.write_in_page(0x5800, &[3]);
        ram.return_to(&mut earlier);
        assert_eq!(ram.take_written(), Some(vec![0x5000]), "only the code of a page that has changed");
        for (address, value) in [(0x1000, 1), (0x5800, 0)] {
            let mut byte = [9];
            ram.read(address, &mut byte).unwrap();
            assert_eq!(byte, [value], "{address:#x}");
        }
        ram.return_to(&mut earlier);
        assert_eq!(ram.take_written(), None, "nothing has changed");
    }

    #[test]
    fn digests_are_equal_as_the_bytes_are_however_they_are_kept() {
        let mut one = ram();
        let empty = one.digest();
        one.write(0x1000, &[1]).unwrap();
        let own = one.digest();
        let mut two = one.fork();
        assert_eq!([one.digest(), two.digest(), two.digest()], [own; 3]);
        two.write(0x5000, &[2]).unwrap();
        assert_ne!(two.digest(), own);
        two.write(0x5000, &[0]).unwrap();
        assert_eq!(two.digest(), own);
        one.write(0x1000, &[0]).unwrap();
        assert_eq!(one.digest(), empty);
        one.write(0x2000, &[1]).unwrap();
        assert_ne!(one.digest(), own, "the same byte elsewhere");
        // The trait's own way must agree.
        let mut pages = Vec::new();
        two.pages(&mut |address, bytes| pages.push((address, StateHasher::of(&bytes[..]))));
        assert_eq!(StateHasher::of(&pages), own);
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
