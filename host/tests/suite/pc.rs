//! `--pc`: kernels in the way of the usual tutorials, compiled here by gcc where that is installed, and images of
//! a few bytes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::{self, can_run_guests, expect, text};
use tempfile::TempDir;

/// Images, in a folder that goes with this.
struct Images(TempDir);

impl Images {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Compiles a kernel that boots by Multiboot, or a 16-bit flat image; `None`, and a word about it, where there
    /// is no compiler.
    fn compiled(&self, file: &str, options: &[&str]) -> Option<String> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images");
        let out = self.path(&format!("{}{}", file.split('.').next()?, options.concat()));
        let mut gcc = Command::new("gcc");
        gcc.args(["-m32", "-O2", "-ffreestanding", "-fno-pic", "-no-pie", "-nostdlib", "-static"]);
        gcc.args(["-fno-stack-protector", "-mno-sse", "-fno-asynchronous-unwind-tables"]);
        gcc.args(["-Wl,--build-id=none", "-Wl,-z,noexecstack"]).args(options);
        match file.ends_with(".s") {
            true => gcc.args(["-Wl,-Ttext=0x7C00", "-Wl,--oformat=binary"]),
            false => gcc.arg("-T").arg(sources.join("multiboot.ld")),
        };
        match gcc.arg("-o").arg(&out).arg(sources.join(file)).output() {
            Ok(output) if output.status.success() => Some(out.to_str()?.to_owned()),
            Ok(output) => panic!("{file} does not compile: {}", text(&output.stderr)),
            Err(error) => {
                eprintln!("skipped: no gcc here: {error}");
                None
            }
        }
    }

    /// A flat image of these bytes.
    fn flat(&self, name: &str, code: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, code).expect("written");
        path.to_str().expect("a path of text").to_owned()
    }
}

/// Runs a Multiboot kernel with options.
#[track_caller]
fn run(image: &str, options: &[&str], status: i32) -> (String, String) {
    expect(&[&["run", "--image", image], options].concat(), status)
}

/// Runs 16-bit code with options.
#[track_caller]
fn run_real(image: &str, options: &[&str], status: i32) -> (String, String) {
    run(image, &[&["--format", "flat", "--mode", "real"], options].concat(), status)
}

/// `mov dx, port; mov al, value; out dx, al`, in 16-bit code.
fn out(port: u16, value: u8) -> Vec<u8> {
    let [low, high] = port.to_le_bytes();
    vec![0xBA, low, high, 0xB0, value, 0xEE]
}

/// `mov dx, port; in al, dx`.
fn input(port: u16) -> Vec<u8> {
    let [low, high] = port.to_le_bytes();
    vec![0xBA, low, high, 0xEC]
}

const HLT: u8 = 0xF4;

#[test]
fn a_terminal_on_the_text_screen_is_shown() {
    let images = Images::new();
    let Some(image) = images.compiled("pc_vga.c", &[]) else { return };
    if can_run_guests() {
        let (out, err) = run(&image, &["--pc"], 0);
        assert_eq!((out.as_str(), err.as_str()), ("screen:\n| Hello, kernel World!\n| ╔═←[2J\n", ""));
        let (out, _) = run(&image, &["--pc", "--format", "jsonl"], 0);
        let screen = out.lines().find(|line| line.contains("\"screen\"")).expect("the event");
        assert!(screen.contains(r#""address":753664,"lines":["Hello, kernel World!","╔═←[2J"]"#), "{screen}");
    }
}

#[test]
fn a_screen_that_scrolled_shows_its_last_rows() {
    let images = Images::new();
    let Some(image) = images.compiled("pc_vga.c", &["-DLINES=26"]) else { return };
    if can_run_guests() {
        let (out, _) = run(&image, &["--pc"], 0);
        let rows: Vec<&str> = out.lines().collect();
        assert_eq!(rows.len(), 26);
        assert_eq!((rows[1], rows[24]), ("| bHello, kernel World!", "| yHello, kernel World!"));
    }
}

#[test]
fn text_on_the_screen_is_mentioned_without_the_option() {
    let images = Images::new();
    let code = [&[0xC7, 0x05, 0x00, 0x80, 0x0B, 0x00][..], b"O\x2FK\x2F", &[HLT]].concat();
    let image = images.flat("ok", &code);
    if can_run_guests() {
        let (out, err) = run(&image, &["--format", "flat"], 0);
        assert_eq!(out, "");
        assert_eq!(err, "VM 1, ok: wrote text to the screen at 0xb8000; --pc shows it\n");
        let (out, err) = run(&image, &["--format", "flat", "--pc"], 0);
        assert_eq!((out.as_str(), err.as_str()), ("screen:\n| OK\n", ""));
        // What the image itself puts there is no text of the guest's.
        let loaded = images.flat("loaded", &[&code[..], &b"t\x07".repeat(0x800)].concat());
        for options in [&[][..], &["--pc"]] {
            let load = ["--format", "flat", "--load", "0xb8000"];
            let (out, err) = run(&loaded, &[&load[..], options].concat(), 0);
            assert_eq!((out.as_str(), err.as_str()), ("", ""));
        }
    }
}

#[test]
fn the_screen_is_shown_however_the_guest_ends() {
    let images = Images::new();
    let print = [&[0xC7, 0x05, 0x00, 0x80, 0x0B, 0x00][..], b"O\x2FK\x2F"].concat();
    let ud = images.flat("ud", &[&print[..], &[0x0F, 0x0B]].concat());
    let spin = images.flat("spin", &[&print[..], &[0xEB, 0xFE]].concat());
    let fail = images.flat("fail", &[&print[..], &[0xB0, 0x11, 0xE6, 0xF4]].concat());
    if can_run_guests() {
        for (image, options, status) in [
            (ud, &[][..], 3),
            (spin.clone(), &["--timeout", "0.3"], 4),
            (spin, &["--timeout", "0.3", "--quiet"], 4),
            (fail, &[], 1),
        ] {
            let (out, _) = run(&image, &[&["--format", "flat", "--pc"], options].concat(), status);
            assert_eq!(out, "screen:\n| OK\n", "{image}");
        }
    }
}

#[test]
fn a_boot_sector_writes_to_the_screen() {
    let images = Images::new();
    let Some(image) = images.compiled("pc_sector.s", &[]) else { return };
    if can_run_guests() {
        let (out, _) = run_real(&image, &["--load", "0x7c00", "--pc"], 0);
        assert_eq!(out, "screen:\n|\n| Hello from 0x7C00\n");
    }
}

#[test]
fn the_exit_port_says_how_tests_went() {
    let images = Images::new();
    let said = "Running 2 tests\nboots...\t[ok]\nserial...\t[ok]\n";
    for (value, options, status) in [
        ("0", &[][..], 0),
        ("0x10", &[], 0),
        ("1", &[], 1),
        ("0x11", &[], 1),
        ("0x10", &["--pc-exit-ok", "3"], 1),
        ("3", &["--pc-exit-ok", "3"], 0),
    ] {
        let Some(image) = images.compiled("pc_serial.c", &[&format!("-DSTATUS={value}")]) else { return };
        if can_run_guests() {
            let (out, err) = run(&image, &[&["--pc"], options].concat(), status);
            assert_eq!(out, said, "{value}");
            assert_eq!(err.contains("exited with status "), status == 1, "{value}: {err}");
        }
    }
    let Some(image) = images.compiled("pc_serial.c", &["-DSTATUS=0x11"]) else { return };
    if can_run_guests() {
        let (_, err) = run(&image, &["--pc"], 1);
        assert!(err.contains("exited with status 17, written to the exit port 0xf4\n  try: "), "{err}");
        assert!(err.contains("in 0x3fd (COM1), out 0x3f8 (COM1), out 0xf4 (debug-exit)"), "{err}");
        let (out, _) = run(&image, &["--pc", "--format", "jsonl"], 1);
        let crash = out.lines().find(|line| line.contains("\"crash\"")).expect("the event");
        assert!(crash.contains(r#""reason":"exit","message":"exited with status 17,"#), "{crash}");
    }
}

#[test]
fn success_at_the_exit_port_is_an_exit_event() {
    let images = Images::new();
    let image = images.flat("ok", &out(0xF4, 0x10));
    if can_run_guests() {
        let (out, _) = run_real(&image, &["--pc", "--format", "jsonl"], 0);
        assert!(out.contains(r#""status":0,"by":"exit-port","value":16,"exits":{"#), "{out}");
    }
}

#[test]
fn what_kernels_do_on_their_way_is_taken() {
    let images = Images::new();
    let said =
        "a20 ok\npic ok\npit ok\n2000-1-1, 640 + 1024 KiB\n0 PCI devices\nno disk\nno COM2\ndebug console\n!";
    for (how, complaint, by) in
        [("'p'", "", "power-off"), ("'r'", "asked for a reset of the PC", "reset"), ("0", "", "")]
    {
        let Some(image) = images.compiled("pc_devices.c", &[&format!("-DHOW={how}")]) else { return };
        if can_run_guests() {
            let (out, err) = run(&image, &["--pc"], 0);
            assert_eq!(out, said, "{how}");
            assert!(err.contains(complaint) && err.is_empty() == complaint.is_empty(), "{how}: {err}");
            let (out, _) = run(&image, &["--pc", "--format", "jsonl"], 0);
            assert_eq!(out.contains("\"by\":"), !by.is_empty(), "{out}");
            assert!(out.contains(by), "{out}");
        }
    }
}

#[test]
fn a_kernel_that_waits_for_a_key_is_told_that_none_comes() {
    let images = Images::new();
    let code = [&input(0x64)[..], &[0xA8, 0x01, 0x74, 0xFB]].concat();
    let key = images.flat("key", &code);
    let code = [&input(0x1F7)[..], &[0xA8, 0x80, 0x75, 0xFB]].concat();
    let disk = images.flat("disk", &code);
    if can_run_guests() {
        let (_, err) = run_real(&key, &["--pc", "--timeout", "0.3"], 4);
        assert!(err.contains("try: do not wait for a key: nobody types"), "{err}");
        assert!(err.contains("in 0x64 (keyboard)"), "{err}");
        let ticks = images.flat("ticks", &[0xFB, 0xEB, 0xFE]);
        let (_, err) = run_real(&ticks, &["--pc", "--timeout", "0.3"], 4);
        assert!(err.contains("if the guest waits for an interrupt, such as a timer's: none comes"), "{err}");
        let (_, err) = run_real(&disk, &["--pc", "--timeout", "0.3"], 4);
        assert!(err.contains("try: do not wait for that device"), "{err}");
    }
}

#[test]
fn without_the_option_the_device_is_named() {
    let images = Images::new();
    for (port, device, helps) in [
        (0x3F8, "COM1, the first serial port", true),
        (0x2F8, "COM2, the second serial port", false),
        (0x20, "PIC, the interrupt controller", true),
        (0xA1, "PIC, the interrupt controller", true),
        (0x43, "PIT, the interval timer", true),
        (0x64, "keyboard, the keyboard controller", true),
        (0x70, "CMOS, the clock and its memory", true),
        (0x80, "POST, the port for progress codes and short delays", true),
        (0x92, "port 92, the A20 gate and the fast reset", true),
        (0xF4, "debug-exit, QEMU's exit port (isa-debug-exit)", true),
        (0x3D4, "VGA, the video card", true),
        (0xCF8, "PCI, ", true),
        (0x402, "debugcon, ", true),
        (0x604, "ACPI, ", true),
        (0x1F7, "IDE, the disk controller", false),
        (0x510, "fw_cfg, ", false),
    ] {
        for (verb, code) in [("wrote to", out(port, 0)), ("read from", input(port))] {
            let image = images.flat("probe", &[&code[..], &[HLT]].concat());
            if can_run_guests() {
                let (_, err) = run_real(&image, &[], 3);
                let sentence = format!("{verb} port {port:#x}, 8-bit: {device}");
                assert!(err.contains(&sentence), "{sentence}: {err}");
                assert_eq!(err.contains("with --pc\n"), helps, "{port:#x}: {err}");
                let (_, err) = run_real(&image, &["--pc"], 0);
                assert_eq!(err, "");
            }
        }
    }
}

#[test]
fn devices_in_memory_are_named() {
    let images = Images::new();
    // mov [address], eax
    let access = |address: u32| [&[0xA3][..], &address.to_le_bytes(), &[HLT]].concat();
    let apic = images.flat("apic", &access(0xFEE0_00F0));
    let screen = images.flat("screen", &access(0xB_8000));
    if can_run_guests() {
        let (_, err) = run(&apic, &["--format", "flat", "--pc"], 3);
        assert!(
            err.contains("wrote to address 0xfee000f0 (the local APIC), where it has no memory"),
            "{err}"
        );
        assert!(err.contains("try: do without this device"), "{err}");
        let (_, err) = run(&screen, &["--format", "flat", "--pc", "--memory", "512K"], 3);
        assert!(err.contains("(the memory of the screen), where it has no memory\n  try: give"), "{err}");
    }
}

#[test]
fn devices_are_exits_like_any_others() {
    let images = Images::new();
    let code = [out(0x3F8, b'x'), out(0x3F8, b'\n'), input(0x3FD), vec![HLT]].concat();
    let image = images.flat("serial", &code);
    let page = images.path("page.html");
    let trace = images.path("trace.json");
    let (page_path, trace_path) = (page.to_str().expect("text"), trace.to_str().expect("text"));
    if can_run_guests() {
        let (out, err) = run_real(&image, &["--pc", "--stats", "--explain"], 0);
        assert!(out.contains("out 0x3f8, 8-bit            2"), "{out}");
        assert!(out.contains("in  0x3fd, 8-bit            1"), "{out}");
        assert!(err.contains("to port 0x3f8, COM1, the first serial port;"), "{err}");
        let options = ["--pc", "--report", page_path, "--trace", trace_path, "--trace-instructions"];
        assert_eq!(run_real(&image, &options, 0).0, "x\n");
        assert!(fs::read_to_string(page).expect("the page").contains("x\n"));
        assert!(fs::read_to_string(trace).expect("the trace").contains("0x3f8"));
        let (out, err) = run_real(&image, &["--pc", "--max-output", "1"], 0);
        assert_eq!(out, "x\n", "the line is ended before it is said");
        assert!(err.contains("1 bytes more than the 1 that --max-output allows"), "{err}");
    }
}

#[test]
fn the_page_about_a_run_has_the_screen() {
    let images = Images::new();
    let code = [&[0xC7, 0x05, 0x00, 0x80, 0x0B, 0x00][..], b"O\x2FK\x2F", &[HLT]].concat();
    let image = images.flat("ok", &code);
    let page = images.path("page.html");
    if can_run_guests() {
        run(&image, &["--format", "flat", "--pc", "--report", page.to_str().expect("text")], 0);
        assert!(fs::read_to_string(page).expect("the page").contains("| OK"));
    }
}

#[test]
fn an_interrupt_line_of_the_test_device_wakes_a_halt() {
    let images = Images::new();
    // Vector 0x73 is line 11; its handler, at 0x20, prints `i` and returns.
    let code = [
        &[0xC7, 0x06, 0xCC, 0x01, 0x20, 0x70][..], // mov word [0x1cc], 0x7020
        &[0xC7, 0x06, 0xCE, 0x01, 0x00, 0x00],     // mov word [0x1ce], 0
        &[0xFA],                                   // cli
        &out(0x200B, 1),
        &[0xFB, HLT], // sti; hlt
        &[0xB0, b'e', 0xE6, 0xE9, HLT],
    ]
    .concat();
    let mut code = code;
    code.resize(0x20, 0x90);
    code.extend([0xB0, b'i', 0xE6, 0xE9, 0xCF]);
    let image = images.flat("line", &code);
    if can_run_guests() {
        let (out, _) = run_real(&image, &["--pc", "--load", "0x7000"], 0);
        assert_eq!(out, "ie");
    }
}

#[test]
fn it_is_for_images_that_others_built() {
    for (args, sentence) in [
        (&["run", "hello", "--pc"][..], "--image"),
        (&["run", "prodcons", "--pc"], "--image"),
        (&["run", "--image", "x", "--pc-exit-ok", "3"], "--pc"),
    ] {
        let (_, err) = expect(args, 2);
        assert!(err.contains(sentence), "{args:?}: {err}");
    }
    if can_run_guests() {
        let hello = common::image("hello");
        let (_, err) = run(hello.to_str().expect("text"), &["--pc"], 2);
        assert!(err.contains("--pc is for images that are not built with guest-rt"), "{err}");
    }
}

/// Random accesses to all ports, one guest after the other: it ends by one of the ways that there are.
#[test]
fn no_access_to_a_port_is_too_much_for_the_host() {
    let images = Images::new();
    let mut chance = guestlab::vmm::random::SplitMix64::new(1, 0);
    for number in 0..if can_run_guests() { 40 } else { 0 } {
        let mut code = vec![0x31, 0xFF, 0x31, 0xF6]; // xor di, di; xor si, si
        for _ in 0..60 {
            let port = match chance.below(3) {
                0 => u16::try_from(chance.below(0x1_0000)).expect("16 bits"),
                _ => [0x20, 0x40, 0x43, 0x60, 0x64, 0x70, 0x71, 0x3F8, 0x3FB, 0x3D4, 0xCF8, 0x200B]
                    [chance.below(12)],
            };
            let [low, high] = port.to_le_bytes();
            let [value, operation] = [chance.below(256), chance.below(6)].map(|it| it.to_le_bytes()[0]);
            code.extend([0xBA, low, high, 0xB0, value]);
            // `in`, `out` and their string forms, of 8 and 16 bits and with a prefix of 32; 5 times in a row.
            match operation {
                0 => code.extend([0xEC]),
                1 => code.extend([0xEE]),
                2 => code.extend([0xEF]),
                3 => code.extend([0x66, 0xEF]),
                4 => code.extend([0xB9, 5, 0, 0xF3, 0x6C]),
                _ => code.extend([0xB9, 5, 0, 0xF3, 0x66, 0x6F]),
            }
        }
        code.push(HLT);
        let image = images.flat("random", &code);
        let output = common::guestlab(&[
            "run", "--image", &image, "--format", "flat", "--mode", "real", "--load", "0x1000", "--pc",
        ]);
        let status = output.status.code().expect("no signal");
        assert!([0, 1, 3].contains(&status), "{number}: {status} {}", text(&output.stderr));
    }
}
