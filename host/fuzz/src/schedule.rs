//! Schedules in the user's notation.

use guestlab::lab::schedule::{Schedule, ScheduleSpec};

/// Parses a schedule, and checks its first turns. The first byte is the number of VMs.
pub fn run(data: &[u8]) {
    let Some((&first, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(spec) = text.parse::<ScheduleSpec>() else { return };
    assert_eq!(spec.to_string().parse::<ScheduleSpec>().expect("it was one"), spec);
    // What a file holds is parsed as a string is.
    if matches!(spec, ScheduleSpec::File(_)) {
        return;
    }
    let vms = usize::from(first % 32) + 1;
    for turns in [None, Some(0), Some(1000), Some(u64::MAX)] {
        let schedule = Schedule::new(&spec, vms, turns, first.into());
        match (&schedule, &spec) {
            (Ok(schedule), ScheduleSpec::String(list)) => {
                let written = written(list, vms).expect("a list of VMs");
                assert_eq!(schedule.turns(), turns.unwrap_or(written.len() as u64));
                let planned = schedule.clone().into_turns().take(2000);
                assert!(planned.zip(written.iter().cycle()).all(|(one, other)| one == *other));
            }
            (Err(_), ScheduleSpec::String(list)) => {
                assert!(written(list, vms).is_none_or(|written| written.is_empty()));
            }
            (Err(_), ScheduleSpec::Free) => {}
            (Err(error), _) => panic!("{spec:?}: {error}"),
            (Ok(schedule), _) => {
                assert!(schedule.clone().into_turns().take(2000).all(|vm| vm < vms));
            }
        }
    }
}

/// Returns the VMs of a list, if it contains only VMs.
fn written(list: &str, vms: usize) -> Option<Vec<usize>> {
    let list = list.strip_prefix('\u{FEFF}').unwrap_or(list);
    let without_comments = list.split('\n').map(|line| line.split('#').next().unwrap_or(""));
    let names: String = without_comments.collect::<Vec<_>>().join(" ");
    names
        .split_whitespace()
        .flat_map(str::chars)
        .map(|name| "123456789abcdefghijklmnopqrstuvw".find(name).filter(|&vm| vm < vms))
        .collect()
}
