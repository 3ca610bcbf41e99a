//! The optional features of a CPU that an image may depend on, found by the bytes of its instructions.

/// Returns true if the bytes contain an instruction that depends on optional features of the CPU: `cpuid`, or one whose
/// existence or effect `cpuid` reports. It may begin at any byte, and data may look like one. Code that a guest makes at
/// run time from other bytes is not found.
pub(super) fn are_used(bytes: &[u8]) -> bool {
    let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
    (0..bytes.len()).any(|index| at(index) == 0x0F && depends(at(index + 1), at(index + 2)))
}

/// Returns true if the instruction with the opcode 0F `opcode` depends on features (Intel SDM volume 2D, tables A-3 and
/// `modrm` is the byte behind the opcode. SSE and AVX need a bit in CR4, so that a write to CR4 covers them.
fn depends(opcode: u8, modrm: u8) -> bool {
    let (is_register, group) = (modrm >= 0xC0, modrm >> 3 & 7);
    match opcode {
        // cpuid; wrmsr, rdmsr, rdpmc; syscall, sysret, sysenter, sysexit, getsec; VMX.
        0xA2 | 0x30 | 0x32 | 0x33 | 0x05 | 0x07 | 0x34 | 0x35 | 0x37 | 0x78 | 0x79 => true,
        // mov cr4.
        0x22 => group == 4,
        // rdtscp, xgetbv, monitor and others; but not lgdt, lidt, smsw, lmsw and invlpg.
        0x01 => is_register && group != 4 && group != 6,
        // rdrand, rdseed, rdpid, xsaves and others; but not cmpxchg8b.
        0xC7 => is_register || group != 1,
        // fxsave, xsave, rdfsbase and others; the maps of movbe, invpcid and others.
        0xAE | 0x38 | 0x3A => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_that_depend_on_features_are_found_at_any_byte() {
        for code in [
            &[0x0F, 0xA2][..],                     // cpuid
            &[0x0F, 0x32],                         // rdmsr
            &[0x0F, 0x05],                         // syscall
            &[0x0F, 0x22, 0xE0],                   // mov cr4, eax
            &[0x0F, 0x01, 0xF9],                   // rdtscp
            &[0x0F, 0x01, 0xD1],                   // xsetbv
            &[0x0F, 0xC7, 0xF0],                   // rdrand eax
            &[0x0F, 0xC7, 0x1D],                   // xrstors
            &[0x0F, 0xAE, 0x00],                   // fxsave [eax]
            &[0x66, 0x0F, 0x38, 0x82, 0x00],       // invpcid
            &[0xC7, 0x00, 0x0F, 0xA2, 0x90, 0x90], // mov [eax], 0x9090A20F: code that is made at run time
        ] {
            assert!(are_used(code), "{code:02x?}");
            assert!(are_used(&[&[0x90, 0x0F], code, &[0xF4]].concat()), "{code:02x?}");
        }
    }

    #[test]
    fn usual_instructions_depend_on_none() {
        for code in [
            &[][..],
            &[0x0F],
            &[0x0F, 0x31],             // rdtsc
            &[0x0F, 0x22, 0xC0],       // mov cr0, eax
            &[0x0F, 0x20, 0xE0],       // mov eax, cr4
            &[0x0F, 0x01, 0x1D],       // lidt
            &[0x0F, 0x01, 0xE0],       // smsw eax
            &[0x0F, 0x01, 0xF0],       // lmsw ax
            &[0xF0, 0x0F, 0xC7, 0x0F], // lock cmpxchg8b [edi]
            &[0x0F, 0x44, 0xC1],       // cmove
            &[0x0F, 0xB6, 0x00],       // movzx
            &[0xA2, 0x0F],
        ] {
            assert!(!are_used(code), "{code:02x?}");
        }
    }
}
