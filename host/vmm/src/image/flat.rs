//! Flat binaries: bytes that are loaded as they are.

use guest_abi::{layout, mode::CpuMode};

use super::{
    contents::{Contents, Request, Segment, Start},
    error::Problem,
    multiboot,
};

/// Makes an image of the file's bytes: loaded to `--load`, or 0; started at `--entry`, or where it
/// is loaded; in `--mode`, or protected mode. A Multiboot kernel says all that itself.
pub(super) fn parse(file: &[u8], request: Request) -> Result<Contents, Problem> {
    let found = multiboot::find(file);
    found.check_mode(request)?;
    if let (Some(header), None) = (found.wanted(request), request.load) {
        return kernel(header, file, request);
    }
    let address = request.load.unwrap_or(0);
    let size = u32::try_from(file.len()).map_err(|_| Problem::TooLarge)?;
    let segment = Segment { address, bytes: 0..file.len(), size };
    let (start, end) = (u64::from(address), segment.end());
    if end > layout::MAX_MEMORY.into() {
        return Err(Problem::OutOfRange {
            from: 0,
            index: 0,
            start,
            end,
            mend: "name a lower address with --load",
        });
    }
    let entry = request.entry.unwrap_or(address);
    if !(start..end).contains(&entry.into()) {
        return Err(Problem::EntryOutside { entry: entry.into() });
    }
    let mode = request.mode.unwrap_or(CpuMode::Protected);
    if mode == CpuMode::Real && entry >= layout::REAL_MODE_END {
        return Err(Problem::EntryTooHigh { entry: entry.into() });
    }
    Ok(Contents { start: Start::Direct { mode, entry }, segments: vec![segment], tests: Vec::new() })
}

/// The Multiboot kernel that a file is though its form was not named; `None` if it is none.
pub(super) fn unnamed(file: &[u8], request: Request) -> Option<Result<Contents, Problem>> {
    let found = multiboot::find(file);
    match (found.wanted(request), request.load) {
        (Some(header), None) => Some(kernel(header, file, request)),
        _ => None,
    }
}

fn kernel(header: &multiboot::Header, file: &[u8], request: Request) -> Result<Contents, Problem> {
    header.check()?;
    match header.has_addresses() {
        true => header.contents(file, request),
        false => Err(Problem::MultibootAddresses(
            "there are none, and a flat file needs them (bit 16 of the flags); or say --load and --entry"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(request: Request) -> Contents {
        parse(b"code", request).expect("an image")
    }

    #[test]
    fn the_defaults_are_address_0_and_protected_mode() {
        let Contents { start, segments, .. } = contents(Request::default());
        assert_eq!(start, Start::Direct { mode: CpuMode::Protected, entry: 0 });
        assert_eq!(segments, [Segment { address: 0, bytes: 0..4, size: 4 }]);
    }

    #[test]
    fn the_default_entry_is_the_load_address() {
        let request = Request { load: Some(0x8000), mode: Some(CpuMode::Real), ..Request::default() };
        assert_eq!(contents(request).start, Start::Direct { mode: CpuMode::Real, entry: 0x8000 });
        let request = Request { entry: Some(0x8003), ..request };
        assert_eq!(contents(request).start, Start::Direct { mode: CpuMode::Real, entry: 0x8003 });
    }

    #[test]
    fn addresses_outside_of_the_file_or_memory_are_refused() {
        let problem = |request| parse(b"code", request).expect_err("refused");
        let base = Request { load: Some(0x8000), ..Request::default() };
        for entry in [0x7FFF, 0x8004] {
            let request = Request { entry: Some(entry), ..base };
            assert!(matches!(problem(request), Problem::EntryOutside { .. }), "{entry:#x}");
        }
        for load in [layout::MAX_MEMORY - 3, u32::MAX] {
            let request = Request { load: Some(load), ..base };
            assert!(matches!(problem(request), Problem::OutOfRange { .. }), "{load:#x}");
        }
        let request = Request { load: Some(0x1_0000), mode: Some(CpuMode::Real), ..base };
        assert!(matches!(problem(request), Problem::EntryTooHigh { .. }));
    }

    #[test]
    fn a_multiboot_kernel_needs_no_options() {
        let header = |flags: u32| [0x1BAD_B002, flags, 0_u32.wrapping_sub(0x1BAD_B002 + flags)];
        let file = |flags, addresses: &[u32]| -> Vec<u8> {
            let words = [&header(flags), addresses, &[0xF4F4_F4F4]].concat();
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        let good = file(1 << 16, &[0x10_0000, 0x10_0000, 0, 0, 0x10_0020]);
        let start = Start::Multiboot { entry: 0x10_0020 };
        let none = Request::default();
        assert_eq!(parse(&good, none).expect("an image").start, start);
        assert_eq!(unnamed(&good, none).expect("known").expect("an image").start, start);
        assert!(unnamed(b"code", none).is_none());
        let load = Request { load: Some(0x8000), ..none };
        assert!(unnamed(&good, load).is_none());
        let direct = Start::Direct { mode: CpuMode::Protected, entry: 0x8000 };
        assert_eq!(parse(&good, load).expect("as it was asked for").start, direct);
        let long = Request { mode: Some(CpuMode::Long), ..none };
        assert!(matches!(parse(&good, long), Err(Problem::MultibootMode(CpuMode::Long))));
        assert!(matches!(parse(&file(3, &[]), none), Err(Problem::MultibootAddresses(_))));
    }
}
