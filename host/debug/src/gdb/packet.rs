//! gdb's packets. gdbstub gets only complete packets, and none that is too long for it.

use std::io::{self, ErrorKind};

/// The most bytes of one packet, with its checksum. gdbstub announces 4096 to gdb.
const MAX_PACKET: usize = 8192;

/// The most bytes of memory that gdb gets at once; gdbstub has room for them behind the longest request. For a longer
/// request gdbstub would read several pieces, without a check of the end of the address space, and it would continue behind
/// a piece that is only partly there. gdb asks again for the rest.
const MAX_READ: usize = 2048;

/// The packet that has begun; empty between packets.
#[derive(Default)]
pub(super) struct Packet(Vec<u8>);

impl Packet {
    /// Takes a byte. Returns the bytes that are complete with it: a packet, or one byte between packets.
    ///
    /// # Errors
    ///
    /// The packet is too long.
    pub(super) fn push(&mut self, byte: u8) -> io::Result<Option<Vec<u8>>> {
        if self.0.is_empty() && byte != b'$' {
            return Ok(Some(vec![byte]));
        }
        self.0.push(byte);
        // The checksum has two digits.
        if self.0.iter().rev().nth(2) == Some(&b'#') {
            let packet = std::mem::take(&mut self.0);
            return Ok(Some(shortened(&packet).unwrap_or(packet)));
        }
        if self.0.len() >= MAX_PACKET {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("a packet of more than {MAX_PACKET} bytes"),
            ));
        }
        Ok(None)
    }
}

/// Returns a request for memory with a smaller length, if it is for too much.
fn shortened(packet: &[u8]) -> Option<Vec<u8>> {
    let end = packet.iter().position(|&byte| byte == b'#')?;
    let (body, checksum) = (&packet[1..end], &packet[end + 1..]);
    let mut fields = body.strip_prefix(b"m")?.split(|&byte| byte == b',');
    let (address, len) = (fields.next()?, fields.next()?);
    // gdbstub refuses the packet itself if the checksum is wrong.
    if hex(len)? <= MAX_READ || hex(checksum)? != usize::from(sum(body)) {
        return None;
    }
    let body = [b"m", address, format!(",{MAX_READ:x}").as_bytes()].concat();
    Some([b"$", &body[..], format!("#{:02x}", sum(&body)).as_bytes()].concat())
}

fn sum(body: &[u8]) -> u8 {
    body.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

/// Parses a number as gdbstub does: `x` is an unknown digit, and counts as 0.
fn hex(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0_usize, |number, &digit| {
        let digit = match digit {
            b'x' | b'X' => 0,
            _ => char::from(digit).to_digit(16)?,
        };
        Some(number.saturating_mul(16).saturating_add(digit as usize))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with its checksum.
    fn packet(body: &str) -> String {
        format!("${body}#{:02x}", sum(body.as_bytes()))
    }

    /// Returns the bytes that gdbstub gets of these.
    fn passed(bytes: &str) -> String {
        let mut packet = Packet::default();
        let pieces = bytes.bytes().filter_map(|byte| packet.push(byte).expect("not too long"));
        String::from_utf8(pieces.flatten().collect()).expect("text")
    }

    #[test]
    fn too_much_memory_is_asked_for_in_a_smaller_piece() {
        for (asked, gets) in [
            ("m1000,801", "m1000,800"),
            ("mffffffffffffffff,3000", "mffffffffffffffff,800"),
            ("m0,ffffffffffffffffffffffff", "m0,800"),
            ("m0,fxx0", "m0,800"),
            ("m0,1000,5", "m0,800"),
        ] {
            assert_eq!(passed(&format!("+{}", packet(asked))), format!("+{}", packet(gets)));
        }
    }

    #[test]
    fn other_packets_stay_unchanged() {
        for body in ["m1000,800", "m1000,10", "m", "m1000", "m,", "m0,-1", "m0,zzzz", "M0,fff:00", "g", ""] {
            assert_eq!(passed(&packet(body)), packet(body));
        }
        // Wrong checksums, and bytes outside of packets.
        for bytes in ["$m0,fff#00", "$m0,fff#zz", "$##x", "+-\u{3}nonsense#00"] {
            assert_eq!(passed(bytes), bytes);
        }
    }
}
