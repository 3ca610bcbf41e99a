//! Flat binaries: bytes that are loaded as they are.

use guest_abi::{layout, mode::CpuMode};

use super::{Contents, Problem, Request, Segment, Start};

/// Makes an image of the file's bytes: loaded to `--load`, or 0; started at `--entry`, or where it
/// is loaded; in `--mode`, or protected mode.
pub(super) fn parse(file: &[u8], request: Request) -> Result<Contents, Problem> {
    if file.is_empty() {
        return Err(Problem::Empty);
    }
    let address = request.load.unwrap_or(0);
    let size = u32::try_from(file.len()).map_err(|_| Problem::TooLarge)?;
    let segment = Segment { address, bytes: file.to_vec(), size };
    let (start, end) = (u64::from(address), segment.end());
    if end > layout::MAX_MEMORY.into() {
        return Err(Problem::OutOfRange { from: 0, index: 0, start, end });
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
        assert_eq!(segments, [Segment { address: 0, bytes: b"code".into(), size: 4 }]);
    }

    #[test]
    fn the_entry_is_the_load_address_unless_it_is_said() {
        let request = Request { load: Some(0x8000), mode: Some(CpuMode::Real), ..Request::default() };
        assert_eq!(contents(request).start, Start::Direct { mode: CpuMode::Real, entry: 0x8000 });
        let request = Request { entry: Some(0x8003), ..request };
        assert_eq!(contents(request).start, Start::Direct { mode: CpuMode::Real, entry: 0x8003 });
    }

    #[test]
    fn what_lies_outside_is_refused() {
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
        assert!(matches!(parse(b"", base), Err(Problem::Empty)));
    }
}
