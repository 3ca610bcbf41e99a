//! `--coverage`: the executed lines, functions and branches of guests.

use std::{collections::BTreeMap, fs, path::Path};

use guestlab::{
    debug::coverage::{CodeMap, Problem, Selection},
    runlog::coverage::{Branch, FileReport, Report},
    vmm::{Image, Request, random::SplitMix64},
};
use tempfile::TempDir;

use crate::common::{MODES, expect, image};

/// Reads lcov's format, strictly: the order of records, their sums, and that nothing is there twice.
fn parse(text: &str) -> Report {
    let mut report = Report::default();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        assert_eq!(line, "TN:");
        let path = lines.next().and_then(|line| line.strip_prefix("SF:")).expect("a file");
        let (file, sums) = record(&mut lines);
        let totals = file.totals();
        let expected = [
            ("FNF", totals.functions.all),
            ("FNH", totals.functions.hit),
            ("BRF", totals.branches.all),
            ("BRH", totals.branches.hit),
            ("LF", totals.lines.all),
            ("LH", totals.lines.hit),
        ];
        assert_eq!(sums, expected.map(|(name, sum)| (name.to_owned(), sum)).into(), "{path}");
        assert!(report.files.insert(path.into(), file).is_none(), "{path} is there twice");
    }
    report
}

/// Reads a record of one file up to its end: its content, and its sums.
fn record<'a>(lines: &mut impl Iterator<Item = &'a str>) -> (FileReport, BTreeMap<String, u64>) {
    let (mut file, mut sums) = (FileReport::default(), BTreeMap::new());
    let mut declared: BTreeMap<String, u32> = BTreeMap::new();
    let mut outcomes: BTreeMap<(u32, u32), Vec<Option<u64>>> = BTreeMap::new();
    for line in lines.by_ref().take_while(|line| *line != "end_of_record") {
        let (kind, rest) = line.split_once(':').expect(line);
        let words: Vec<&str> = rest.splitn(if kind == "BRDA" { 4 } else { 2 }, ',').collect();
        let number = |index: usize| words[index].parse::<u64>().expect(line);
        let line_number = || u32::try_from(number(0)).ok().filter(|&line| line > 0).expect(line);
        match kind {
            "FN" => assert!(declared.insert(words[1].into(), line_number()).is_none(), "{line}"),
            "FNDA" => {
                let place = (declared[words[1]], words[1].to_owned());
                assert!(file.functions.insert(place, number(0)).is_none(), "{line}");
            }
            "BRDA" => {
                let branch = (line_number(), u32::try_from(number(1)).expect(line));
                let of_branch = outcomes.entry(branch).or_default();
                assert_eq!(of_branch.len() as u64, number(2), "{line}");
                of_branch.push((words[3] != "-").then(|| number(3)));
            }
            "DA" => assert!(file.lines.insert(line_number(), number(1)).is_none(), "{line}"),
            sum => assert!(sums.insert(sum.into(), number(0)).is_none(), "{line}"),
        }
    }
    assert_eq!(declared.len(), file.functions.len(), "each function has a count");
    for (place, outcomes) in outcomes {
        let (jumped, passed) = match outcomes[..] {
            [Some(jumped), Some(passed)] => (jumped, passed),
            [None, None] => (0, 0),
            _ => panic!("{place:?}: {outcomes:?}"),
        };
        assert!(file.lines.contains_key(&place.0), "the line of a branch has code");
        file.branches.insert(place, Branch { executed: jumped + passed, jumped });
    }
    (file, sums)
}

/// Runs a command with `--coverage` on the interpreter, and returns what it wrote, and its two outputs.
#[track_caller]
fn covered(args: &[&str], status: i32) -> (Report, String, String) {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("cover.info");
    let (command, rest) = args.split_at(1);
    let option = ["--engine", "soft", "--coverage", file.to_str().expect("text")];
    let (out, err) = expect(&[command, &option, rest].concat(), status);
    (parse(&fs::read_to_string(file).expect("it is written")), out, err)
}

const PRIMES: &str = "guest-rt/examples/primes.rs";

fn calls(file: &FileReport, function: &str) -> u64 {
    let mut found = file.functions.iter().filter(|((_, name), _)| name == function);
    *found.next().unwrap_or_else(|| panic!("{function}: {:?}", file.functions)).1
}

#[test]
fn lines_functions_and_branches_are_those_that_ran() {
    let (report, out, err) = covered(&["run", "primes", "--", "30"], 0);
    assert!(out.starts_with("10 primes below 30"), "{out}");
    assert!(err.contains("\nall ") && err.contains("100.0 %"), "{err}");
    assert_eq!(report.files.keys().collect::<Vec<_>>(), [PRIMES]);
    let file = &report.files[PRIMES];
    assert_eq!((calls(file, "primes::main"), calls(file, "primes::primes_below")), (1, 1));
    // `if !is_composite[number]` for 2 to 29: 10 are prime, and 18 are not.
    assert_eq!(file.lines[&27], 28);
    let mut outcomes = file.branches[&(27, 0)].outcomes();
    outcomes.sort_unstable();
    assert_eq!(outcomes, [10, 18]);
    // The code of `primes.push(number)` is inlined.
    assert_eq!(file.lines[&28], 10);
    let none = &covered(&["run", "primes", "--", "2"], 0).0.files[PRIMES];
    assert_eq!((none.lines[&27], none.lines[&28]), (0, 0));
    assert_eq!(none.branches[&(27, 0)], Branch::default());
    assert_eq!(none.lines.keys().collect::<Vec<_>>(), file.lines.keys().collect::<Vec<_>>());
}

#[test]
fn every_mode_has_the_same_source() {
    for mode in MODES {
        let (report, ..) = covered(&["run", "primes", "--mode", mode, "--", "30"], 0);
        let file = &report.files[PRIMES];
        assert_eq!((calls(file, "primes::main"), file.lines[&27], file.lines[&28]), (1, 28, 10), "{mode}");
    }
}

#[test]
fn a_guest_that_fails_is_covered_up_to_there() {
    let (report, _, err) = covered(&["run", "primes", "--quiet", "--", "many"], 1);
    assert!(!err.contains("\nall "), "{err}");
    let file = &report.files[PRIMES];
    assert!(file.lines[&16] > 0);
    assert_eq!(calls(file, "primes::primes_below"), 0);
}

#[test]
fn vms_and_trials_of_one_image_are_counted_together() {
    let one = ["run", "prodcons", "--turns", "40", "--schedule", "alternate", "--seed", "1"];
    let two = [&one[..], &["--producers", "2"]].concat();
    let (one, two) = (covered(&one, 0).0, covered(&two, 0).0);
    let producer = "guest-producer/src/main.rs";
    let names: Vec<_> = one.files.keys().collect();
    assert_eq!(names, ["guest-consumer/src/main.rs", producer]);
    let begins = |report: &Report| calls(&report.files[producer], "guest_producer::main");
    assert_eq!((begins(&one), begins(&two)), (1, 2));
    let search = ["explore", "prodcons", "--depth", "2", "--runs", "3", "--capacity", "6", "--quiet"];
    let (report, ..) = covered(&search, 0);
    // Each trial and the short schedules before them start the guests again.
    assert!(begins(&report) > 3, "{report:?}");
}

#[test]
fn tests_in_an_image_are_covered_together() {
    let tests = image("failing-tests");
    let args = ["test", "--image", tests.to_str().expect("text"), "passes", "fails_an_assertion", "returns"];
    let (report, ..) = covered(&args, 1);
    let own = &report.files["guest-rt/examples/misbehaving/failing-tests.rs"];
    assert_eq!((own.lines[&11], own.lines[&15], own.lines[&54]), (1, 1, 0));
    assert!(report.files.contains_key("guest-rt/src/console.rs"), "tests of guest-rt are about it");
}

#[test]
fn a_page_has_the_sources() {
    let folder = TempDir::new().expect("a folder");
    let [page, info] = ["cover.html", "cover.info"].map(|name| folder.path().join(name));
    let [page, info] = [&page, &info].map(|path| path.to_str().expect("text"));
    let options = ["--engine", "soft", "--coverage", page, "--coverage", info];
    expect(&[&["run", "primes"], &options[..]].concat(), 0);
    assert_eq!(parse(&fs::read_to_string(info).expect("written")).files.len(), 1);
    let text = fs::read_to_string(page).expect("written");
    assert!(text.contains(PRIMES) && text.contains("<tr class=\"hit\"><th>27</th>"), "{text}");
    // The nested machine has no sources.
    if Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PRIMES).is_file() {
        assert!(text.contains("if !is_composite[number] {"), "{text}");
    }
}

#[test]
fn an_image_without_debug_information_is_refused_before_it_runs() {
    let mut file = fs::read(image("hello")).expect("an image");
    // The section headers of a 32-bit ELF file: where, how many, and which has their names.
    file[0x20..0x24].fill(0);
    file[0x30..0x34].fill(0);
    let flat = [0xB0, b'!', 0xE6, 0xE9, 0xF4].to_vec();
    let flat_options = ["--format", "flat", "--load", "0x1000", "--mode", "real"];
    for (bytes, options) in [(file, &[][..]), (flat, &flat_options[..])] {
        let folder = TempDir::new().expect("a folder");
        let [image, info] = ["guest.elf", "cover.info"].map(|name| folder.path().join(name));
        fs::write(&image, bytes).expect("written");
        let [image, info] = [&image, &info].map(|path| path.to_str().expect("text"));
        let args = ["run", "--image", image, "--engine", "soft", "--coverage", info];
        let (out, err) = expect(&[&args[..], options].concat(), 2);
        assert_eq!(out, "", "it did not run");
        assert!(err.contains("guest.elf: it has no debug information (DWARF); build it with"), "{err}");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is written");
    }
}

#[test]
fn files_and_engines_that_do_not_go_together_are_refused() {
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (info, missing) = (file("a.info"), file("none/a.info"));
    let hello = image("hello").to_str().expect("text").to_owned();
    let soft = ["--engine", "soft"];
    let run = ["run", "hello"];
    for (args, message) in [
        ([&run[..], &["--engine", "kvm", "--coverage", &info]].concat(), "add --engine soft"),
        ([&run[..], &soft, &["--coverage", &missing]].concat(), "cannot write the coverage"),
        ([&run[..], &soft, &["--coverage", &hello]].concat(), "would replace the guest's image"),
        ([&run[..], &soft, &["--coverage", &info, "--coverage", &info]].concat(), "would replace --coverage"),
        ([&run[..], &soft, &["--coverage", &info, "--report", &info]].concat(), "would replace --report"),
        (
            [&["explore", "prodcons", "--record", &info][..], &soft, &["--coverage", &info]].concat(),
            "would replace",
        ),
        (
            [&["test", "--image", &hello][..], &soft, &["--coverage", &hello]].concat(),
            "would replace --image",
        ),
    ] {
        let (_, err) = expect(&args, 2);
        assert!(err.contains(message), "{args:?}: {err}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

/// The sections of debug information in a 32-bit ELF file: each its offset and size in the file.
fn debug_sections(file: &[u8]) -> Vec<(usize, usize)> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes")) as usize;
    let half = |at: usize| usize::from(u16::from_le_bytes(file[at..at + 2].try_into().expect("2 bytes")));
    let (headers, count, names) = (word(0x20), half(0x30), half(0x32));
    let header = |index: usize| headers + 0x28 * index;
    let names = word(header(names) + 0x10);
    let is_debug = |index: &usize| file[names + word(header(*index))..].starts_with(b".debug_");
    let place = |index: usize| (word(header(index) + 0x10), word(header(index) + 0x14));
    (0..count).filter(is_debug).map(place).collect()
}

#[test]
fn damaged_debug_information_does_no_harm() {
    let whole = fs::read(image("primes")).expect("an image");
    let sections = debug_sections(&whole);
    assert!(sections.len() > 4);
    let mut numbers = SplitMix64::new(1, 0);
    let mut ends = [0, 0];
    for _ in 0..150 {
        let mut file = whole.clone();
        for _ in 0..=numbers.below(3) {
            let (start, size) = sections[numbers.below(sections.len())];
            let at = start + numbers.below(size);
            let len = (1 + numbers.below(8)).min(start + size - at);
            let value = [0, 1, 0x7F, 0xFF][numbers.below(4)];
            file[at..at + len].fill(value);
        }
        let image = Image::parse("damaged", file, Request::default()).expect("an image");
        match CodeMap::of(&image, Selection::Guests) {
            Ok(map) => {
                map.add_to(&mut Report::default());
                ends[0] += 1;
            }
            Err(Problem::Damaged(_) | Problem::NoSource | Problem::TooLarge | Problem::Missing) => {
                ends[1] += 1
            }
        }
    }
    assert!(ends.iter().all(|&end| end > 0), "{ends:?}");
}
