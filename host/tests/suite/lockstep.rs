//! Random instructions in random states, on the interpreter and on KVM.

use std::collections::BTreeMap;

use crate::targets::lockstep::{Outcome, compare};

/// The number of runs. `GUESTLAB_LOCKSTEP` names another: the budget of a change of the interpreter is 200,000.
/// `GUESTLAB_LOCKSTEP_SEED` makes other runs.
const RUNS: u64 = 8_000;

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

#[test]
fn random_instructions_end_alike_on_the_interpreter_and_on_kvm() {
    let given = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let runs = given("GUESTLAB_LOCKSTEP").unwrap_or(RUNS);
    let mut random = Random(given("GUESTLAB_LOCKSTEP_SEED").unwrap_or(1));
    let mut outcomes = BTreeMap::<Outcome, u64>::new();
    for _ in 0..runs {
        let data: Vec<u8> = (0..48).flat_map(|_| random.next().to_le_bytes()).collect();
        let Some(outcome) = compare(&data) else {
            eprintln!("skipped: there is no KVM here");
            return;
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    eprintln!("{outcomes:#?}");
    let same = outcomes.get(&Outcome::Same).copied().unwrap_or_default();
    assert!(same > runs / 2, "too few runs were compared: {outcomes:#?}");
}
