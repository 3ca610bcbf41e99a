//! Tests inside VMs: an image of tests that mostly fail, and its report.

use crate::common::{can_run_guests, expect, image};
use guest_abi::{
    layout,
    note::NAME,
    test::{TYPE, padded},
};

/// Runs the tests of `failing-tests` with some options. Returns both outputs, without times.
fn failing_tests(options: &[&str], status: i32) -> (String, String) {
    let image = image("failing-tests");
    let image = image.to_str().expect("a path of text");
    let (out, err) = expect(&[&["test", "--image", image], options].concat(), status);
    let timeless = out.lines().map(|line| line.split("; finished in").next().unwrap_or(line));
    (timeless.collect::<Vec<_>>().join("\n"), err)
}

#[test]
fn each_test_has_a_line_and_the_last_line_counts_them() {
    if can_run_guests() {
        let (out, err) = failing_tests(&["--skip", "hangs"], 1);
        let lines = "\nrunning 10 tests\n\
            test crashes ... FAILED\n\
            test does_not_panic - should panic ... FAILED\n\
            test fails_an_assertion ... FAILED\n\
            test is_left_out ... ignored\n\
            test is_left_out_with_a_word - should panic ... ignored, it takes long\n\
            test panics_as_it_should - should panic ... ok\n\
            test panics_otherwise - should panic ... FAILED\n\
            test passes ... ok\n\
            test returns_a_status ... FAILED\n\
            test returns_an_error ... FAILED\n\
            \nfailures:\n\n";
        assert!(out.starts_with(lines), "{out}");
        let end = "\nfailures:\n    crashes\n    does_not_panic\n    fails_an_assertion\n    panics_otherwise\n    \
            returns_a_status\n    returns_an_error\n\n\
            test result: FAILED. 2 passed; 6 failed; 2 ignored; 0 measured; 1 filtered out";
        assert!(out.trim_end().ends_with(end), "{out}");
        assert_eq!(err, "guestlab: 6 of the tests failed: see above\n");
    }
}

#[test]
fn what_a_failing_test_said_and_where_it_failed_is_shown() {
    if can_run_guests() {
        let (out, _) = failing_tests(&["--skip", "hangs"], 1);
        assert!(!out.contains("nobody wants to read this"), "{out}");
        let about = |test: &str| {
            let rest = out.split_once(&format!("---- {test} ----\n")).expect(test).1;
            rest.split("\n\n").next().expect("a piece").to_owned()
        };
        let failed = about("fails_an_assertion");
        let said = "before\\x1b[2J it fails\nWARN  failing_tests: it will\nVM 1, failing-tests: panicked at \
            guest-rt/examples/misbehaving/failing-tests.rs:18:9: assertion `left == right` failed: arithmetic\n";
        assert!(failed.starts_with(said), "{failed}");
        assert!(failed.contains("failing-tests.rs:18\n"), "{failed}");
        assert!(
            about("returns_an_error").starts_with("Error: \"no luck\"\nVM 1, failing-tests: exited with")
        );
        assert!(about("returns_a_status").contains("exited with status 7"));
        assert!(about("crashes").contains("ended its turn without having attached a mailbox"));
        assert_eq!(about("does_not_panic"), "note: the test did not panic, as it should");
        let otherwise = about("panics_otherwise");
        assert!(
            otherwise.ends_with("note: the panic's message should contain `of another kind`"),
            "{otherwise}"
        );
    }
}

#[test]
fn a_test_that_hangs_fails_at_its_deadline_and_the_others_go_on() {
    if can_run_guests() {
        let (out, _) = failing_tests(&["hangs", "passes", "--timeout", "5"], 1);
        assert!(out.contains("test hangs ... FAILED\ntest passes ... ok\n"), "{out}");
        assert!(out.contains("still running after 5 s, the deadline"), "{out}");
        assert!(out.contains("failing-tests.rs:3"), "where it hangs: {out}");
    }
}

#[test]
fn tests_are_chosen_as_cargos_users_choose() {
    if can_run_guests() {
        let (out, _) = failing_tests(&["passes"], 0);
        let expected = "\nrunning 1 test\ntest passes ... ok\n\n\
            test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 10 filtered out";
        assert_eq!(out.trim_end(), expected);
        let (out, _) = failing_tests(&["pass", "--exact"], 0);
        assert!(out.contains("running 0 tests\n"), "{out}");
        let (out, _) = failing_tests(&["is_left_out", "--ignored"], 1);
        assert!(out.contains("running 2 tests\ntest is_left_out ... FAILED\n"), "{out}");
        assert!(out.contains("test is_left_out_with_a_word - should panic ... ok\n"), "{out}");
        let (out, _) = failing_tests(&["is_left_out_with", "passes", "--include-ignored"], 0);
        assert!(out.contains("2 passed; 0 failed; 0 ignored;"), "{out}");
    }
}

#[test]
fn the_names_of_tests_are_told_without_running_them() {
    let image = image("failing-tests");
    let image = image.to_str().expect("a path of text");
    let args = ["test", "--image", image, "--list", "pan", "--kvm", "/nonexistent"];
    let (out, _) = expect(&args, 0);
    let expected = "does_not_panic: test\npanics_as_it_should: test\npanics_otherwise: test\n\n\
        3 tests, 0 benchmarks\n";
    assert_eq!(out, expected);
}

#[test]
fn the_tests_of_several_images_have_mode_and_image_in_their_names() {
    if can_run_guests() {
        let images = [image("failing-tests"), image("failing-tests.long")];
        let [one, other] = images.each_ref().map(|path| path.to_str().expect("a path of text"));
        let (out, _) = expect(&["test", "--image", one, "--image", other, "passes"], 0);
        assert!(out.contains("test protected::failing-tests::passes ... ok\n"), "{out}");
        assert!(out.contains("test long::failing-tests::passes ... ok\n"), "{out}");
        assert!(out.contains("test result: ok. 2 passed; 0 failed;"), "{out}");
    }
}

#[test]
fn a_mode_that_is_missing_here_is_why_tests_are_left_out() {
    if can_run_guests() {
        let path = image("failing-tests.paged");
        let (out, _) = expect(&["test", "--image", path.to_str().expect("a path of text"), "passes"], 0);
        let left_out = out.contains("test passes ... ignored, kvm_pvm here has no paged mode\n");
        assert!(out.contains("test passes ... ok\n") || left_out, "{out}");
    }
}

#[test]
fn an_image_without_tests_is_refused() {
    let path = image("hello");
    let (_, err) = expect(&["test", "--image", path.to_str().expect("a path of text"), "--list"], 2);
    assert!(err.contains("there are no tests in it; guest_rt::tests! makes an image of tests"), "{err}");
}

#[test]
fn an_image_of_tests_that_is_run_says_what_it_is() {
    if can_run_guests() {
        let (out, _) = expect(&["run", "failing-tests"], 1);
        assert!(out.starts_with("these are tests; `guestlab test --image FILE` runs them"), "{out}");
        assert!(out.contains("\n  fails_an_assertion\n"), "{out}");
        let (out, _) = expect(&["run", "failing-tests", "--", "nonsense"], 1);
        assert_eq!(out, "there is no test nonsense\n");
        // So one test is run as any guest is, under a debugger for example.
        let (out, _) = expect(&["run", "failing-tests", "--", "passes"], 0);
        assert_eq!(out, "nobody wants to read this\n");
    }
}

/// Returns an image with one more test of this name. Its notes are copied to the end of the file.
fn with_a_test(file: &[u8], name: &str) -> Vec<u8> {
    const PROGRAM_HEADERS: usize = 52;
    const SIZE: usize = 32;
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
    let headers = (0..usize::from(file[44])).map(|index| PROGRAM_HEADERS + index * SIZE);
    // PT_NOTE.
    let header = headers.into_iter().find(|&header| word(header) == 4).expect("notes");
    let (from, len) = (word(header + 4) as usize, word(header + 16) as usize);
    let mut descriptor = name.as_bytes().to_vec();
    descriptor.resize(padded(name.len() + 1), 0);
    let mut notes = file[from..from + len].to_vec();
    for number in [NAME.len(), descriptor.len(), TYPE as usize] {
        notes.extend(u32::try_from(number).expect("short").to_le_bytes());
    }
    notes.extend(NAME);
    notes.extend([0; 3]);
    notes.extend(descriptor);
    let mut file = file.to_vec();
    for (at, value) in [(4, file.len()), (16, notes.len()), (20, notes.len())] {
        let value = u32::try_from(value).expect("short").to_le_bytes();
        file[header + at..header + at + 4].copy_from_slice(&value);
    }
    file.extend(notes);
    file
}

#[test]
fn a_test_whose_name_is_too_long_fails_and_the_others_are_run() {
    if can_run_guests() {
        let file = std::fs::read(image("failing-tests")).expect("an image");
        let long = tempfile::NamedTempFile::new().expect("a file");
        let name = "a".repeat(layout::MAX_ARGUMENTS_SIZE as usize);
        std::fs::write(long.path(), with_a_test(&file, &name)).expect("written");
        let path = long.path().to_str().expect("a path of text");
        let (out, err) = expect(&["test", "--image", path, "aaaa", "passes"], 1);
        assert!(
            out.contains("\nrunning 2 tests\n") && out.contains("aaa ... FAILED\ntest passes ... ok\n"),
            "{out}"
        );
        assert!(out.contains("its name is too long: the arguments have "), "{out}");
        assert!(out.contains("1 passed; 1 failed;"), "{out}");
        assert_eq!(err, "guestlab: 1 of the tests failed: see above\n");
        // One byte less is a name that the guest can be told, and does not know.
        std::fs::write(long.path(), with_a_test(&file, &name[1..])).expect("written");
        let (out, _) = expect(&["test", "--image", path, "aaaa", "passes"], 1);
        assert!(out.contains("there is no test aaaa"), "{out}");
    }
}
