//! How images that others built go wrong, and what is said of it. The images are a few bytes of code.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use common::{can_run_guests, command, text};
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

    /// Runs it with options; the status, what was printed, and what was said.
    fn run(&self, options: &[&str]) -> (i32, String, String) {
        let path = self.path();
        let image = ["run", "--format", "flat", "--timeout", "20", "--image", &path];
        let output = command(&[&image[..], options].concat()).output().expect("guestlab runs");
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
