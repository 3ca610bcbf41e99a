//! Failures of images that others built, and their messages. The images are a few bytes of code.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use crate::common::{can_run_guests, command, text};
use tempfile::TempDir;

/// A flat image in a folder that goes with this.
struct Flat(TempDir);

impl Flat {
    fn new(code: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("flat.bin"), code).expect("written");
        Self(folder)
    }

    fn path(&self) -> String {
        self.0.path().join("flat.bin").to_str().expect("text").to_owned()
    }

    /// Runs it with options. Returns the status and both outputs.
    fn run(&self, options: &[&str]) -> (i32, String, String) {
        let path = self.path();
        let image = ["run", "--format", "flat", "--image", &path];
        let timeout = ["--timeout", "20"];
        let timeout = if options.contains(&"--timeout") { &[][..] } else { &timeout };
        let output = command(&[&image[..], timeout, options].concat()).output().expect("guestlab runs");
        (output.status.code().expect("a status"), text(&output.stdout), text(&output.stderr))
    }
}

#[test]
fn lines_end_however_firmware_ends_them() {
    if can_run_guests() {
        // mov al, C; out 0xE9, al, for each; hlt
        let code = b"a\r\nb\n\rc\rd\r\n".iter().flat_map(|&byte| [0xB0, byte, 0xE6, 0xE9]).chain([0xF4]);
        let image = Flat::new(&code.collect::<Vec<u8>>());
        let (status, out, _) = image.run(&[]);
        assert_eq!((status, out.as_str()), (0, "a\nb\nc\\rd\n"));
        let (_, out, _) = image.run(&["--format", "jsonl"]);
        assert!(!out.contains("\\r\\r"), "{out}");
    }
}

#[test]
fn gdb_is_not_told_to_read_a_flat_image() {
    if can_run_guests() {
        let image = Flat::new(&[0xF4]);
        let path = image.path();
        let mut child = command(&["run", "--format", "flat", "--image", &path, "--gdb", "0"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("guestlab runs");
        let mut said = String::new();
        BufReader::new(child.stderr.take().expect("a pipe")).read_line(&mut said).expect("a line");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        assert!(said.contains("waits for gdb: gdb -ex 'target remote 127.0.0.1:"), "{said}");
    }
}

#[test]
fn a_port_that_is_no_hypercall_of_the_image_is_told_the_same_everywhere() {
    if can_run_guests() {
        // mov eax, 5; out 0xF0, eax; hlt
        let image = Flat::new(&[0xB8, 5, 0, 0, 0, 0xE7, 0xF0, 0xF4]);
        let (status, _, err) = image.run(&["--explain"]);
        assert_eq!(status, 3, "{err}");
        assert!(err.contains("wrote to port 0xf0, 32-bit, which is no hypercall"), "{err}");
        assert!(err.contains("to port 0xf0, which is no hypercall"), "{err}");
        assert!(err.contains("\n  exits  out 0xf0\n") && !err.contains("Exit)"), "{err}");
        assert!(!err.contains("guest_rt"), "{err}");
        for port in
            ["0xE9 (8-bit out)", "0xEA (32-bit out)", "0xEB (32-bit in)", "0xEE (32-bit out, then in)"]
        {
            assert!(err.contains(port), "{port}: {err}");
        }
        // mov ax, 0x41; out 0xE9, ax: a known port in another width
        let (status, _, err) = Flat::new(&[0x66, 0xE7, 0xE9]).run(&[]);
        assert_eq!(status, 3, "{err}");
        assert!(err.contains("16-bit") && err.contains("0xE9 (8-bit out)"), "{err}");
    }
}

/// 32-bit code that runs beyond 4 GiB, which is at 0 again: its code segment begins at 1 GiB, and it jumps to
/// 3 GiB there. `lgdt [gdtr]; jmp 8:0xC000000E; mov edx, 0x3F8; out dx, al; hlt`, and the table.
const WRAPS: [u8; 46] = [
    0x0F, 0x01, 0x15, 0x28, 0, 0, 0, 0xEA, 0x0E, 0, 0, 0xC0, 8, 0, 0xBA, 0xF8, 3, 0, 0, 0xEE, 0xF4, 0x90,
    0x90, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0x9B, 0xCF, 0x40, 15, 0, 0x18, 0, 0, 0,
];

#[test]
fn linear_addresses_wrap_at_4_gib() {
    if can_run_guests() {
        let image = Flat::new(&WRAPS);
        let (status, _, err) = image.run(&["--trace-instructions"]);
        assert_eq!(status, 3, "{err}");
        assert!(err.contains("\n0000000e ") && err.contains("mov edx, 0x3f8"), "{err}");
        assert!(err.contains("\n  code > 0x00000013  out dx, al\n"), "{err}");
        assert!(!err.contains("(bad)"), "{err}");
    }
}

/// A case: its name, its code, the options, the reason for programs, and the beginning of the message.
type Case<'a> = (&'a str, &'a [u8], &'a [&'a str], &'a str, &'a str);

/// Runs cases that crash. The message must be the same with and without JSON.
#[track_caller]
fn crash(cases: &[Case<'_>]) {
    for (what, code, options, reason, sentence) in cases {
        let image = Flat::new(code);
        let (status, _, err) = image.run(options);
        if status == 5 && err.contains("needs hardware KVM") {
            eprintln!("skipped: {what}: {err}");
            continue;
        }
        assert_eq!(status, 3, "{what}: {err}");
        let said = format!("VM 1, flat.bin: {sentence}");
        assert!(err.contains(&said), "{what}: {said}\n{err}");
        let (_, out, _) = image.run(&[options, &["--format", "jsonl"][..]].concat());
        let crash = out.lines().find(|line| line.contains("\"event\":\"crash\"")).expect("a crash");
        let crash: serde_json::Value = serde_json::from_str(crash).expect("JSON");
        assert_eq!(crash["reason"], *reason, "{what}: {crash}");
    }
}

const PROTECTED: &[&str] = &["--mode", "protected"];
const PAGED: &[&str] = &["--mode", "paged"];
const LARGE_PAGED: &[&str] = &["--mode", "paged", "--memory", "16M"];
const LONG: &[&str] = &["--mode", "long"];
const REAL: &[&str] = &["--mode", "real"];
const SMALL_REAL: &[&str] = &["--mode", "real", "--memory", "64K"];
const BOOT_SECTOR: &[&str] = &["--mode", "real", "--load", "0x7c00"];

#[test]
fn an_exception_is_told_with_its_place() {
    if can_run_guests() {
        // xor ecx, ecx; div ecx
        let div: &[u8] = &[0x31, 0xC9, 0xF7, 0xF1];
        // mov ecx, 0x12345; rdmsr
        let msr: &[u8] = &[0xB9, 0x45, 0x23, 1, 0, 0x0F, 0x32];
        let ud2: &[u8] = &[0x0F, 0x0B];
        // mov rax, 0x123456789; mov [rax], al
        let wild: &[u8] = &[0x48, 0xB8, 0x89, 0x67, 0x45, 0x23, 1, 0, 0, 0, 0x88, 0x00];
        // mov rsp, 0x8000000000; ud2
        let no_stack: &[u8] = &[0x48, 0xBC, 0, 0, 0, 0, 0x80, 0, 0, 0, 0x0F, 0x0B];
        crash(&[
            (
                "div",
                div,
                PROTECTED,
                "trap-de",
                "divide error (#DE) at 0x2 (0008:00000002, `div ecx`); this image has",
            ),
            (
                "div",
                div,
                PAGED,
                "trap-de",
                "divide error (#DE) at 0x2 (0008:00000002, `div ecx`); this image has",
            ),
            (
                "div",
                div,
                LONG,
                "trap-de",
                "divide error (#DE) at 0x2 (0008:0000000000000002, `div ecx`); this image",
            ),
            (
                "div",
                div,
                REAL,
                "trap-de",
                "divide error (#DE) at 0x2 (0000:0002, `div cx`); real mode's table",
            ),
            (
                "div",
                div,
                SMALL_REAL,
                "trap-de",
                "divide error (#DE) at 0x2 (0000:0002, `div cx`); real mode's table",
            ),
            (
                "div",
                div,
                BOOT_SECTOR,
                "trap-de",
                "divide error (#DE) at 0x7c02 (0000:7c02, `div cx`); real mode's",
            ),
            (
                "ud2",
                ud2,
                PROTECTED,
                "trap-ud",
                "invalid opcode (#UD) at 0x0 (0008:00000000, `ud2`); this image has",
            ),
            (
                "ud2",
                ud2,
                LARGE_PAGED,
                "trap-ud",
                "invalid opcode (#UD) at 0x0 (0008:00000000, `ud2`); this image",
            ),
            (
                "rdmsr",
                msr,
                PROTECTED,
                "trap-gp",
                "general protection (#GP) at 0x5 (0008:00000005, `rdmsr`); this image",
            ),
            (
                "rdmsr",
                msr,
                LONG,
                "trap-gp",
                "general protection (#GP) at 0x5 (0008:0000000000000005, `rdmsr`); this",
            ),
            (
                "an address beyond 4 GiB",
                wild,
                LONG,
                "trap-pf",
                "page fault (#PF) at 0xa (0008:000000000000000a, `mov [rax], al`): wrote to 0x123456789, which is not",
            ),
            ("a stack that is not there", no_stack, LONG, "trap-ud", "invalid opcode (#UD) at 0xa (0008:"),
        ]);
    }
}

#[test]
fn code_in_another_segment_is_told_by_segment_and_address() {
    if can_run_guests() {
        // jmp 0x7C0:5; xor cx, cx; div cx
        let code = [0xEA, 5, 0, 0xC0, 0x07, 0x31, 0xC9, 0xF7, 0xF1];
        let image = Flat::new(&code);
        let (status, _, err) = image.run(&[BOOT_SECTOR, &["--dump-regs"][..]].concat());
        assert_eq!(status, 3, "{err}");
        assert!(err.contains("divide error (#DE) at 0x7c07 (07c0:0007, `div cx`)"), "{err}");
        assert!(err.contains("\n  code > 0x00007c07  div cx\n"), "{err}");
        // The registers are those of the instruction, and not of the host's handler.
        assert!(err.contains("rip 0000000000000007") && err.contains("cs  07c0 base 7c00"), "{err}");
    }
}

#[test]
fn calls_of_firmware_are_told_what_there_is_instead() {
    if can_run_guests() {
        // mov ax, 0x0E41; int 0x10
        let print: &[u8] = &[0xB8, 0x41, 0x0E, 0xCD, 0x10];
        let disk: &[u8] = &[0xB4, 2, 0xCD, 0x13];
        crash(&[
            (
                "int 0x10",
                print,
                BOOT_SECTOR,
                "software-interrupt",
                "int 0x10 at 0x7c03: there is no BIOS here; print with out 0xE9 (0000:7c03, AH=0x0e)",
            ),
            (
                "int 0x10",
                print,
                REAL,
                "software-interrupt",
                "int 0x10 at 0x3: there is no BIOS here; print with out",
            ),
            (
                "int 0x13",
                disk,
                BOOT_SECTOR,
                "software-interrupt",
                "int 0x13 at 0x7c02: there is no BIOS here; there are",
            ),
            (
                "int 0x77",
                &[0xCD, 0x77],
                BOOT_SECTOR,
                "software-interrupt",
                "int 0x77 at 0x7c00 (0000:7c00): real mode's",
            ),
            (
                "int 0x80",
                &[0xCD, 0x80],
                PROTECTED,
                "software-interrupt",
                "int 0x80 at 0x0 (0008:00000000): this image",
            ),
            (
                "int 0x80",
                &[0xCD, 0x80],
                LONG,
                "software-interrupt",
                "int 0x80 at 0x0 (0008:0000000000000000): this",
            ),
            // A vector whose exception has an error code, which an instruction does not push.
            (
                "int 13",
                &[0xCD, 13],
                PROTECTED,
                "software-interrupt",
                "int 0xd at 0x0 (0008:00000000): this image has",
            ),
            (
                "int3",
                &[0xCC],
                PROTECTED,
                "software-interrupt",
                "int3 at 0x0 (0008:00000000): this image has loaded no",
            ),
        ]);
        let (_, _, err) = Flat::new(print).run(BOOT_SECTOR);
        assert!(
            err.contains("\n  code > 0x00007c03  int 0x10\n") && err.contains("0xEC (32-bit out)"),
            "{err}"
        );
    }
}

#[test]
fn an_image_with_handlers_of_its_own_has_them() {
    if can_run_guests() {
        for (load, options) in [(0_u16, REAL), (0x7C00, BOOT_SECTOR)] {
            // The handler of `int 0x21`: mov word [0x84], handler; mov word [0x86], 0; int 0x21; mov al, 'b';
            // out 0xE9, al; hlt; handler: mov al, 'a'; out 0xE9, al; iret
            let [low, high] = (load + 19).to_le_bytes();
            let code = [
                0xC7, 0x06, 0x84, 0, low, high, 0xC7, 0x06, 0x86, 0, 0, 0, 0xCD, 0x21, 0xB0, b'b', 0xE6,
                0xE9, 0xF4, 0xB0, b'a', 0xE6, 0xE9, 0xCF,
            ];
            let image = Flat::new(&code);
            let (status, out, err) = image.run(options);
            assert_eq!((status, out.as_str()), (0, "ab"), "{load:#x}: {err}");
            let (_, out, _) = image.run(&[options, &["--format", "jsonl"][..]].concat());
            assert!(out.contains("\"total\":3"), "an exit more: {out}");
        }
    }
}

/// `lgdt [gdtr]; lidt [idtr]; ud2` with a table of segments like the host's and an empty table of vectors.
const NO_VECTORS: [u8; 52] = [
    0x0F, 0x01, 0x15, 0x10, 0, 0, 0, 0x0F, 0x01, 0x1D, 0x16, 0, 0, 0, 0x0F, 0x0B, 23, 0, 0x1C, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0x9B, 0xCF, 0, 0xFF, 0xFF, 0, 0, 0, 0x93, 0xCF,
    0,
];

#[test]
fn a_triple_fault_is_told_with_its_place_where_the_registers_are_left() {
    if can_run_guests() {
        let (status, _, err) = Flat::new(&NO_VECTORS).run(PROTECTED);
        assert_eq!(status, 3, "{err}");
        let place =
            "triple fault at 0xe (0008:0000000e, `ud2`): an exception, most likely invalid opcode (#UD), and";
        let is_lost =
            err.contains("the registers of its place are lost") && err.contains("--trace-instructions");
        assert!(err.contains(place) || is_lost, "{err}");
        assert!(is_lost || err.contains("\n  code > 0x0000000e  ud2\n"), "{err}");
        // mov esp, 0xF0000000; ud2
        let (status, _, err) = Flat::new(&[0xBC, 0, 0, 0, 0xF0, 0x0F, 0x0B]).run(PROTECTED);
        assert_eq!(status, 3, "{err}");
        let place = "triple fault at 0x5 (0008:00000005, `ud2`): an exception, most likely invalid opcode (#UD), and the stack is at 0xf0000000, where";
        assert!(err.contains(place) || err.contains("the registers of its place are lost"), "{err}");
    }
}

#[test]
fn long_mode_maps_all_of_4_gib() {
    if can_run_guests() {
        // mov eax, 0xFEE00020; mov eax, [rax]
        let code: &[u8] = &[0xB8, 0x20, 0, 0xE0, 0xFE, 0x8B, 0x00];
        crash(&[(
            "a read of the APIC",
            code,
            LONG,
            "no-memory",
            "read from address 0xfee00020 (the local APIC), where it has no memory",
        )]);
    }
}

#[test]
fn turning_on_paging_where_there_is_none_says_so() {
    if can_run_guests() {
        // mov dword [0x10000], 0x83; mov eax, 0x10000; mov cr3, eax; mov eax, cr4; or al, 0x10; mov cr4, eax;
        // mov eax, cr0; or eax, 0x80000000; mov cr0, eax; hlt
        let code = [
            0xC7, 0x05, 0, 0, 1, 0, 0x83, 0, 0, 0, 0xB8, 0, 0, 1, 0, 0x0F, 0x22, 0xD8, 0x0F, 0x20, 0xE0,
            0x0C, 0x10, 0x0F, 0x22, 0xE0, 0x0F, 0x20, 0xC0, 0x0D, 0, 0, 0, 0x80, 0x0F, 0x22, 0xC0, 0xF4,
        ];
        let (status, _, err) = Flat::new(&code).run(PROTECTED);
        let has_paging = Flat::new(&[0xF4]).run(PAGED).0 == 0;
        assert_eq!(status, if has_paging { 0 } else { 3 }, "{err}");
        let sentence = "at 0x22 (0008:00000022, `mov cr0, eax`); this machine's KVM has no 32-bit paging";
        assert!(has_paging || err.contains(sentence), "{err}");
    }
}

#[test]
fn a_walk_through_empty_memory_is_called_one() {
    if can_run_guests() {
        // jmp 0:0x1000
        let image = Flat::new(&[0xEA, 0, 0x10, 0, 0]);
        let (status, _, err) = image.run(&[BOOT_SECTOR, &["--timeout", "1"][..]].concat());
        assert_eq!(status, 4, "{err}");
        assert!(err.contains("runs through empty memory"), "{err}");
    }
}

#[test]
fn code_that_runs_off_the_end_of_memory_is_told_so() {
    if can_run_guests() {
        // A `nop`, with nothing behind it.
        for options in [PROTECTED, LONG] {
            let (status, _, err) = Flat::new(&[0x90]).run(options);
            assert_eq!(status, 3, "{err}");
            assert!(err.contains("ran or jumped past the end of its memory, to 0x200"), "{err}");
            assert!(err.contains("look for code without a `hlt`"), "{err}");
        }
        // In real mode the segment ends before the memory. The firmware's place is on the way of the second.
        for code in [&[0x90][..], &[0x9A, 0x5B, 0xE0, 0x00, 0xF0]] {
            let (status, _, err) = Flat::new(code).run(&[BOOT_SECTOR, &["--timeout", "5"][..]].concat());
            assert!([3, 4].contains(&status), "{status}: {err}");
            assert!(!err.contains("(#DB)"), "{err}");
            assert!(err.contains("through empty memory"), "{err}");
        }
    }
}

#[test]
fn software_interrupts_of_the_upper_half_are_told() {
    if can_run_guests() {
        // int 0x80, where the host's table is elsewhere, and where it is at 0: KVM may repeat it there.
        let (status, _, err) = Flat::new(&[0xCD, 0x80]).run(&["--mode", "real"]);
        assert_eq!(status, 3, "{err}");
        assert!(err.contains("int 0x80 at 0x0 (0000:0000)"), "{err}");
        let (status, _, err) = Flat::new(&[0xCD, 0x80]).run(&[BOOT_SECTOR, &["--timeout", "1"][..]].concat());
        match status {
            3 => assert!(err.contains("int 0x80 at 0x7c00 (0000:7c00)"), "{err}"),
            _ => assert!(status == 4 && err.contains("`int` of a vector from 0x80 on"), "{err}"),
        }
    }
}

#[test]
fn segments_can_be_loaded_without_a_table_of_ones_own() {
    if can_run_guests() {
        // mov ax, 0x10; mov ds, ax; mov al, 'k'; out 0xE9, al; hlt
        let code = [0x66, 0xB8, 0x10, 0, 0x8E, 0xD8, 0xB0, b'k', 0xE6, 0xE9, 0xF4];
        for options in [PROTECTED, LONG] {
            let (status, out, err) = Flat::new(&code).run(options);
            assert_eq!((status, out.as_str()), (0, "k"), "{err}");
        }
    }
}

#[test]
fn an_instruction_that_kvm_does_not_have_is_named() {
    if can_run_guests() {
        let is_named = |code: &[u8], name: &str, extension: &str| {
            let (status, _, err) = Flat::new(code).run(PROTECTED);
            // Where the hardware executes guests it is executed, and the guest runs off its end.
            if !err.contains("KVM could not go on") {
                eprintln!("skipped: this machine's KVM has {name}: {status}");
                return;
            }
            let line = err.lines().find(|line| line.contains("KVM could not go on")).expect("a line");
            assert!(line.contains(&format!("`{name}")) && line.contains(extension), "{line}");
            assert!(err.contains("hardware KVM (kvm_intel, kvm_amd)"), "{err}");
        };
        // Each with a `hlt` behind it.
        is_named(
            &[0xD9, 0xEE, 0xF4],
            "fldz`",
            "the extension x87: this machine's KVM does not have it in protected",
        );
        is_named(&[0x0F, 0x77, 0xF4], "emms`", "the extension MMX");
        is_named(&[0x0F, 0xC7, 0xF0, 0xF4], "rdrand eax`", "the extension RDRAND");
    }
}
