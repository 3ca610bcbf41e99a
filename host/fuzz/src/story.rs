//! Logs of runs, as `view`, `report` and `compare` read and show them.

use guestlab::{
    runlog::run_log::RunLog,
    views::{compare::Comparison, html::page},
};

/// Reads a run's lines, and shows the run.
pub fn run(data: &[u8]) {
    let Ok(log) = RunLog::read(data) else { return };
    let turns = log.turns().len();
    for turn in (0..=turns.min(20)).chain(turns.saturating_sub(20)..=turns + 1) {
        let ring = log.ring(turn);
        let pointers = log.pointers(turn);
        assert_eq!(ring.len(), pointers.map_or(0, |pointers| pointers.capacity as usize));
        let filled = ring.iter().flatten().count();
        assert_eq!(filled, pointers.map_or(0, |pointers| pointers.count as usize));
        for number in ring.into_iter().flatten().chain(log.moved(turn)) {
            let item = log.items().item(number);
            assert_eq!(item.value, log.items().values()[number]);
            assert!((1..=turns).contains(&item.made));
            assert!(item.taken.is_none_or(|(_, taken)| (item.made + 1..=turns).contains(&taken)));
        }
    }
    let _ = log.status();
    let page = page(&log);
    assert!(page.ends_with("</html>\n") || page.ends_with("</html>"), "the page has an end");
    let comparison = serde_json::json!(Comparison::of(&[log.clone(), log]));
    assert_eq!(comparison["identical"], true, "a run is what it is");
}
