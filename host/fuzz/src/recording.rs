//! Recordings. `replay` trusts a recording after reading it.

use guestlab::{
    lab::run_files::check_schedule,
    runlog::{event::Event, recording::Recording},
};

/// Reads a recording.
pub fn run(data: &[u8]) {
    let Ok(mut recording) = Recording::read(data) else { return };
    if check_schedule(&recording).is_err() {
        return;
    }
    let vms = recording.options.producers + recording.options.consumers;
    assert_eq!(recording.run.guests.len(), vms);
    assert!(recording.run.ring().is_some());
    let mut turns = 0;
    for (index, step) in recording.steps.iter().enumerate() {
        let rest = recording.steps.len() - index - 1;
        match step {
            Event::Turn(turn) => {
                turns += 1;
                assert!(turn.turn == turns && (1..=vms).contains(&(turn.vm as usize)));
            }
            // After a crash nothing but the end can come.
            Event::Crash(crash) => assert!(rest <= 1 && (1..=vms).contains(&(crash.vm as usize))),
            Event::End(end) => assert!(rest == 0 && end.turns == turns),
            other => panic!("not a step: {other:?}"),
        }
    }
    if !recording.run.schedule.starts_with("file:") {
        assert!(recording.run.turns.is_some_and(|turns| recording.schedule().len() as u64 <= turns));
    }
    let before = recording.steps.len();
    let cut = recording.cut_deadline();
    assert_eq!(cut, recording.steps.len() < before);
}
