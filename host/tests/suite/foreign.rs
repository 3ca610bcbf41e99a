//! Images that others built: C and assembly, compiled here by gcc where that is installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::{can_run_guests, command, expect, text};
use crate::targets::elf;
use tempfile::TempDir;

/// The sources, beside this file.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images").join(name)
}

/// Compiled images, in a folder that goes with this.
struct Compiled(TempDir);

impl Compiled {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// The image's path, as text.
    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("a path of text").to_owned()
    }

    /// Compiles and links a source for an address, as the course does; `None`, and a word about it,
    /// where there is no compiler that can.
    fn elf(&self, file: &str, bits: &str, address: &str, script: Option<&str>) -> Option<String> {
        let out = self.path(&format!("{}.{bits}.{address}.elf", file.replace('/', "-")));
        let mut gcc = Command::new("gcc");
        gcc.args([
            &format!("-m{bits}"),
            "-ffreestanding",
            "-fno-pic",
            "-no-pie",
            "-O2",
            "-nostdlib",
            "-static",
        ]);
        gcc.args(["-fno-stack-protector", "-mno-sse", "-fno-asynchronous-unwind-tables"]);
        gcc.args([
            "-Wl,--build-id=none",
            "-Wl,-z,noexecstack",
            &format!("-Wl,-Ttext={address}"),
            "-Wl,-e,_start",
        ]);
        if let Some(script) = script {
            gcc.arg("-T").arg(source(script));
        }
        match gcc.arg("-o").arg(&out).arg(source(file)).output() {
            Ok(output) if output.status.success() => Some(out),
            Ok(output) => panic!("{file} does not compile: {}", text(&output.stderr)),
            Err(error) => {
                eprintln!("skipped: no gcc here: {error}");
                None
            }
        }
    }

    /// The same as a flat binary.
    fn flat(&self, file: &str, bits: &str, address: &str) -> Option<String> {
        let elf = self.elf(file, bits, address, None)?;
        let out = elf.clone() + ".bin";
        let sections =
            ["-j", ".text", "-j", ".rodata", "-j", ".data", "-j", ".rodata.str1.1", "-j", ".rodata.str1.8"];
        let status =
            Command::new("objcopy").args(["-O", "binary"]).args(sections).args([&elf, &out]).status();
        assert!(status.expect("objcopy comes with gcc").success());
        Some(out)
    }
}

/// The output of `course/guest.c` under a plain C hypervisor.
const COURSE: &str = "Hello, world!\n0\n2048\n4294967295\nexits: 17 17 19\nIO in: 4\nIO out: 25\n0\n";

/// Runs an image; `None` where this machine's KVM does not have the mode.
#[track_caller]
fn run(args: &[&str]) -> Option<(String, String)> {
    let output = command(&["run"]).args(args).output().expect("guestlab runs");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if output.status.code() == Some(5) && err.contains("needs hardware KVM") {
        eprintln!("skipped: {err}");
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{args:?}\nstdout: {out}\nstderr: {err}");
    Some((out, err))
}

#[test]
fn a_c_guest_of_the_courses_prints_what_it_prints_elsewhere() {
    let compiled = Compiled::new();
    for (bits, mode) in [("32", "protected"), ("32", "paged"), ("64", "long")] {
        let Some(image) = compiled.flat("course/guest.c", bits, "0") else { return };
        if can_run_guests() {
            let Some((out, err)) = run(&["--image", &image, "--format", "flat", "--mode", mode]) else {
                continue;
            };
            assert_eq!(out, COURSE, "{mode}");
            assert!(err.starts_with("Invalid GVA\n"), "{mode}: {err}");
        }
    }
}

#[test]
fn a_c_guest_runs_as_an_elf_file_too() {
    let compiled = Compiled::new();
    for (bits, mode) in [("32", "protected"), ("64", "long")] {
        let Some(image) = compiled.elf("course/guest.c", bits, "0x10000", None) else { return };
        if can_run_guests() {
            let Some((out, _)) = run(&["--image", &image, "--mode", mode]) else { continue };
            assert_eq!(out, COURSE, "{mode}");
            let (_, err) = expect(&["run", "--image", &image], 2);
            assert!(err.contains("name its CPU mode with --mode"), "{err}");
        }
    }
}

/// The assignment's form: a guest in C for 32 and 64 bits, and one behind a 16-bit beginning that switches to protected
/// mode, made by a Makefile.
#[test]
fn what_a_makefile_of_the_courses_makes_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["Makefile", "guest.c", "guest16.s", "guest.ld", "payload.ld"] {
        fs::copy(source("course").join(name), folder.path().join(name)).expect("copied");
    }
    let output = match Command::new("make").current_dir(folder.path()).output() {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: no make here: {error}"),
    };
    if Command::new("cc").arg("--version").output().is_err() {
        return eprintln!("skipped: no C compiler here");
    }
    assert!(output.status.success(), "{}", text(&output.stderr));
    // The 16-bit beginning prints 8 bytes.
    let with_16_bits =
        format!("16 bits\n{}", COURSE.replace("17 17 19", "25 25 27").replace("out: 25", "out: 33"));
    for (image, options, printed) in [
        ("guest32.img", &["--format", "flat", "--mode", "protected"][..], COURSE),
        ("guest64.img", &["--format", "flat", "--mode", "long"], COURSE),
        ("payload.img", &["--format", "flat", "--mode", "real"], &with_16_bits),
        ("payload.elf", &["--mode", "real"], &with_16_bits),
    ] {
        if can_run_guests() {
            let image = folder.path().join(image);
            let Some((out, _)) = run(&[&["--image", image.to_str().expect("text")][..], options].concat())
            else {
                continue;
            };
            assert_eq!(out, printed, "{image:?}");
        }
    }
}

#[test]
fn more_memory_is_mapped_where_the_mode_maps_it() {
    let compiled = Compiled::new();
    for (bits, mode, memory, stack) in [
        ("32", "protected", "16M", "rsp 0000000001000000"),
        ("32", "paged", "16M", "rsp 00000000003ff000"),
        ("64", "long", "2G", "rsp 0000000080000000"),
    ] {
        let Some(image) = compiled.flat("halt.s", bits, "0") else { return };
        if can_run_guests() {
            let args =
                ["--image", &image, "--format", "flat", "--mode", mode, "--memory", memory, "--dump-regs"];
            let Some((_, err)) = run(&args) else { continue };
            assert!(err.contains(stack), "{mode}: {err}");
        }
    }
}

#[test]
fn sixteen_bit_code_runs_in_real_mode() {
    let compiled = Compiled::new();
    let Some(image) = compiled.flat("real.s", "32", "0x8000") else { return };
    if can_run_guests() {
        let args = ["--image", &image, "--format", "flat", "--mode", "real", "--load", "0x8000"];
        let (out, _) = run(&args).expect("every KVM has it");
        assert_eq!(out, "real\nIO in: 1\nIO out: 1\n");
    }
}

#[test]
fn a_multiboot_kernel_finds_what_the_specification_says() {
    let compiled = Compiled::new();
    let Some(image) = compiled.elf("multiboot.c", "32", "0x100000", Some("multiboot.ld")) else { return };
    // Boot loaders take the same kernel in a 64-bit file, too.
    let wide = compiled.path("wide.elf");
    let status = Command::new("objcopy").args(["-O", "elf64-x86-64", &image, &wide]).status();
    assert!(status.expect("objcopy comes with gcc").success());
    for image in [&image, &wide] {
        if can_run_guests() {
            let (out, _) = run(&["--image", image, "--memory", "4M"]).expect("every KVM has it");
            let told = "multiboot: 640 KiB and 3072 KiB, by guestlab, command line ``\nmap: 0 4194304 1\n";
            assert_eq!(out, told);
            let (out, _) = run(&["--image", image, "--", "root=none", "x"]).expect("every KVM has it");
            assert!(out.contains("1024 KiB, by guestlab, command line `root=none x`\n"), "{out}");
            for mode in ["long", "real"] {
                let (out, err) = expect(&["run", "--image", image, "--mode", mode], 2);
                assert_eq!(out, "");
                assert!(err.contains("a Multiboot kernel, which begins with 32-bit code"), "{err}");
            }
        }
    }
}

/// A Multiboot header of these flags.
fn header(flags: u32) -> [u32; 3] {
    [0x1BAD_B002, flags, 0_u32.wrapping_sub(0x1BAD_B002 + flags)]
}

#[test]
fn a_flat_multiboot_kernel_goes_where_its_header_says() {
    const BASE: u32 = 0x10_0000;
    // Load and end of what is loaded, end of zeros, entry; a video mode is wished for.
    let fields = [BASE, BASE, 0, BASE + 0x1000, BASE + 48, 0, 80, 25, 0];
    let words = [&header(1 << 16 | 0b111)[..], &fields].concat();
    // mov al, [text]; out 0xE9, al; hlt; text: db 'K'
    let code = [&[0xA0][..], &(BASE + 56).to_le_bytes(), &[0xE6, 0xE9, 0xF4, b'K']].concat();
    let file = [&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()[..], &code].concat();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kernel.bin");
    fs::write(&path, file).expect("written");
    let path = path.to_str().expect("text");
    if can_run_guests() {
        for options in [&[][..], &["--format", "flat"], &["--mode", "protected"]] {
            let (out, _) = run(&[&["--image", path][..], options].concat()).expect("every KVM has it");
            assert_eq!(out, "K");
        }
        let (_, err) = expect(&["run", "--image", path, "--", "word"], 0);
        assert_eq!(err, "");
        let (_, err) = expect(&["run", "--image", path, "--format", "flat", "--mode", "long"], 2);
        assert!(err.contains("cannot start in long mode: leave --mode out"), "{err}");
    }
}

#[test]
fn a_multiboot_header_that_no_boot_loader_finds_is_told_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kernel.elf");
    let text = path.to_str().expect("text");
    let second = [0xE852_50D6_u32, 0, 16, 0_u32.wrapping_sub(0xE852_50D6 + 16)];
    for (skipped, words, sentence) in [
        (8192, &header(3)[..], "is not within the first 8192 bytes of the file"),
        (1, &header(3), "is not at a multiple of 4: align its section to 4"),
        (0, &[0x1BAD_B002, 3, 0], "has the checksum 0x0, not 0xe4524ffb"),
        (0, &header(0x80), "requires feature bits 7 of its header's flags"),
        (0, &second, "is Multiboot 2's, and this host reads those of Multiboot 1"),
    ] {
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let bytes = [&[0xF4][..], &vec![0; 3 + skipped], &words].concat();
        let segment = elf::Segment { kind: 1, address: 0x10_0000, flags: 7, bytes: &bytes };
        fs::write(&path, elf::file(0x10_0000, &[segment], &[])).expect("written");
        if can_run_guests() {
            let (_, err) = expect(&["run", "--image", text], 2);
            assert!(err.contains(sentence), "{err}");
        }
    }
}

#[test]
fn notes_of_others_do_not_keep_an_image_from_running() {
    let compiled = Compiled::new();
    for (bits, mode) in [("32", "protected"), ("64", "long")] {
        let Some(image) = compiled.elf("notes.s", bits, "0x101000", Some("notes.ld")) else { return };
        if can_run_guests() {
            let Some((out, _)) = run(&["--image", &image, "--mode", mode]) else { continue };
            assert_eq!(out, "N", "{mode}");
        }
    }
}

#[test]
fn code_that_is_not_marked_as_code_runs() {
    let compiled = Compiled::new();
    let Some(image) = compiled.elf("data.s", "32", "0x100000", None) else { return };
    if can_run_guests() {
        let args = ["--image", &image, "--mode", "protected", "--memory", "256M"];
        assert_eq!(run(&args).expect("every KVM has it").0, "D");
    }
}

#[test]
fn registers_are_dumped_at_the_end() {
    let compiled = Compiled::new();
    let Some(image) = compiled.flat("halt.s", "32", "0") else { return };
    if can_run_guests() {
        let (_, err) =
            run(&["--image", &image, "--format", "flat", "--dump-regs"]).expect("every KVM has it");
        assert!(err.starts_with("rax 00000000000000ab  "), "{err}");
        assert!(err.contains("cs  0008 base 0 limit ffffffff"), "{err}");
    }
}

#[test]
fn hypercalls_of_guest_rt_are_not_for_others() {
    let compiled = Compiled::new();
    let Some(image) = compiled.flat("exit.s", "32", "0") else { return };
    if can_run_guests() {
        let (_, err) = expect(&["run", "--image", &image, "--format", "flat"], 3);
        assert!(err.contains("wrote to port 0xf0, 32-bit, which is no hypercall"), "{err}");
    }
}

#[test]
fn bad_images_and_options_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let flat = folder.path().join("flat.bin");
    fs::write(&flat, [0xF4; 0x1000]).expect("written");
    let flat = flat.to_str().expect("text");
    for (options, sentence) in [
        (&["--load", "0x200000"][..], "does not fit into its memory of 0x200000 bytes"),
        (&["--load", "0x1ff001"], "does not fit into its memory"),
        (&["--load", "0xfffffff0"], "segment 0 (0xfffffff0 to 0x100000ff0) is not within 0x0"),
        (&["--memory", "0"], "it takes a multiple of 4096"),
        (&["--memory", "1"], "it takes a multiple of 4096"),
        (&["--memory", "4097"], "it takes a multiple of 4096"),
        (&["--entry", "0x1000"], "its entry 0x1000 is in none of its segments"),
        (&["--load", "0x8000", "--entry", "0"], "its entry 0x0 is in none of its segments"),
        (&["--load", "0x10000", "--mode", "real"], "is not below 0x10000"),
        (&["--load", "x"], "an address is a number below 4 GiB"),
    ] {
        if can_run_guests() {
            let args: Vec<&str> =
                ["run", "--image", flat, "--format", "flat"].iter().chain(options).copied().collect();
            let (_, err) = expect(&args, 2);
            assert!(err.contains(sentence), "{options:?}: {err}");
        }
    }
    if can_run_guests() {
        let (_, err) = expect(&["run", "--image", flat], 2);
        assert!(err.contains("say --format flat if it is a flat binary"), "{err}");
    }
}

#[test]
fn an_elf_file_of_the_other_width_is_refused() {
    let compiled = Compiled::new();
    for (bits, mode, sentence) in [
        ("64", "protected", "a 64-bit ELF file for protected mode"),
        ("64", "real", "a 64-bit ELF file for real mode: assemble 16-bit code with `as --32`"),
        ("32", "long", "a 32-bit ELF file for long mode"),
    ] {
        let Some(image) = compiled.elf("halt.s", bits, "0x8000", None) else { return };
        if can_run_guests() {
            let (_, err) = expect(&["run", "--image", &image, "--mode", mode], 2);
            assert!(err.contains(sentence), "{err}");
        }
    }
}
