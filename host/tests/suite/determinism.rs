//! The check of determinism: two runs side by side, and the first difference by its name.

use crate::common::{can_run_guests, engine, expect};

const CHECK: &str = "--check-determinism";

#[test]
fn our_guests_are_deterministic_alone_and_in_the_exchange() {
    if can_run_guests() {
        for (args, status, says) in [
            (&["run", "prodcons", "--seed", "3"][..], 0, "the second run had the same states, up to turn 40"),
            (&["run", "prodcons", "--seed", "3", "--mode", "long"], 0, "up to turn 40"),
            (
                &["run", "prodcons", "--producers", "2", "--consumers", "3", "--turns", "30"],
                0,
                "up to turn 30",
            ),
            (&["run", "primes"], 0, "the second run had the same state at its end"),
            (&["run", "prodcons", "--consumer", "overdraws", "--seed", "1"], 3, "failed in the same way"),
            (&["run", "prodcons", "--consumer", "no-mailbox"], 3, "failed in the same way"),
            (&["run", "wild-write"], 3, "the second run had the same state at its end"),
        ] {
            let (out, err) = expect(&[args, &[CHECK]].concat(), status);
            let line = format!("deterministic: the second run {says}");
            assert!(err.contains(says) && err.contains("deterministic: the second run "), "{line}: {err}");
            // The first run is told as without the check.
            if args.contains(&"--seed") {
                assert_eq!(out, expect(args, status).0);
            }
        }
    }
}

#[test]
fn the_first_difference_is_named_with_its_place() {
    if can_run_guests() {
        // The address of a guest's memory in the host is not the same twice.
        let err = expect(&["run", "hello", "--allow-hva", CHECK], 3).1;
        let line = err.lines().find(|line| line.contains("not deterministic")).expect("an error");
        assert!(line.starts_with("guestlab: not deterministic: at the end, VM 1, hello: "), "{err}");
        assert!(line.contains(" in the first run and 0x") && line.ends_with(" in the second"), "{err}");
        let timed = ["run", "prodcons", "--producer", "timed-producer", "--turns", "6", CHECK];
        match engine().as_str() {
            // Time is counted there.
            "soft" => drop(expect(&timed, 0)),
            _ => {
                let err = expect(&timed, 3).1;
                assert!(err.contains("VM 1, timed-producer: ") && err.contains("--engine soft"), "{err}");
            }
        }
    }
}

#[test]
fn runs_without_an_order_of_turns_are_refused() {
    let err = expect(&["run", "prodcons", "--schedule", "free", CHECK], 2).1;
    assert!(err.contains("--schedule free has none"), "{err}");
    assert!(expect(&["run", "--experiment", "x.toml", CHECK], 2).1.contains("cannot be used with"));
}
