//! Conditional jumps of an image's code.

use guestlab_cpu::instruction::{FlowControl, decode};

use super::lines::Row;

/// A conditional jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Jump {
    /// Its address.
    pub(super) address: u64,
    /// The index of the row that it is in.
    pub(super) row: usize,
}

/// Returns the conditional jumps in rows of selected files. Instructions are decoded from the beginning of each row, because
/// that of a row is that of an instruction. `code` returns the bytes of a range of addresses.
pub(super) fn jumps<'a>(bits: u32, rows: &[Row], code: impl Fn(u64, u64) -> &'a [u8]) -> Vec<Jump> {
    let mut jumps = Vec::new();
    let selected = rows.iter().enumerate().filter(|(_, row)| row.file.is_some() && row.line > 0);
    for (index, row) in selected {
        let (mut bytes, mut address) = (code(row.start, row.end), row.start);
        while !bytes.is_empty() {
            let instruction = decode(bits, bytes, address);
            if instruction.is_invalid() {
                break;
            }
            if instruction.flow_control() == FlowControl::ConditionalBranch {
                jumps.push(Jump { address, row: index });
            }
            bytes = &bytes[instruction.len().min(bytes.len())..];
            address = address.wrapping_add(instruction.len() as u64);
        }
    }
    jumps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_found_from_the_beginning_of_a_row() {
        // jne +0; nop; loop -5; mov eax, 0x0575; ret
        let code = [0x75, 0, 0x90, 0xE2, 0xFB, 0xB8, 0x75, 0x05, 0, 0, 0xC3];
        let row = |start, end, file, line| Row { start, end, file, line, is_statement: true };
        let rows = [row(0, 3, Some(0), 7), row(3, 5, None, 7), row(3, 11, Some(0), 8), row(0, 3, Some(0), 0)];
        let index = |address| usize::try_from(address).expect("a small number");
        let bytes = |start, end| &code[index(start)..index(end)];
        let expected = [Jump { address: 0, row: 0 }, Jump { address: 3, row: 2 }];
        assert_eq!(jumps(32, &rows, bytes), expected);
    }
}
