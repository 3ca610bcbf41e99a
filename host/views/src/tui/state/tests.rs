use super::*;
use crate::tui::testing;

fn press(view: &mut View, log: &RunLog, keys: &str) {
    for key in keys.chars() {
        let key = match key {
            '>' => Key::Right,
            '<' => Key::Left,
            '^' => Key::Home,
            '$' => Key::End,
            '\n' => Key::Enter,
            '~' => Key::Backspace,
            '!' => Key::Escape,
            '\t' => Key::Tab,
            key => Key::Char(key),
        };
        assert_eq!(view.key(key, log), Wish::Stay, "{key:?}");
    }
}

fn pressed(log: &RunLog, keys: &str) -> View {
    let mut view = View::new();
    press(&mut view, log, keys);
    view
}

#[test]
fn steps_go_forward_and_backward_and_no_further() {
    let log = testing::long(6, 30);
    for (keys, step) in [
        (">", 1),
        (">>><", 2),
        ("<<", 0),
        ("$", 30),
        ("$>", 30),
        ("$<", 29),
        ("$^>", 1),
        ("12\n", 12),
        ("g7\n", 7),
        ("77\n", 30),
        ("12~\n", 1),
        ("3\n12!", 3),
        ("3\ng\n", 3),
        ("99999999999999\n", 30),
    ] {
        assert_eq!(pressed(&log, keys).step(), step, "{keys:?}");
    }
    let mut view = pressed(&log, "5\n");
    for (key, step) in [(Key::Down, 15), (Key::Up, 5), (Key::Up, 0), (Key::PageDown, 30), (Key::PageUp, 0)] {
        view.key(key, &log);
        assert_eq!(view.step(), step, "{key:?}");
    }
}

#[test]
fn what_cannot_be_is_said() {
    let log = testing::long(6, 30);
    for (keys, note) in [
        ("77\n", "there is no turn 77"),
        ("/12345\n", "no item 12345"),
        ("/9999999999\n", "no item is as large"),
        ("n", "no item is followed"),
        ("\n", "moved no item"),
        ("r", "no guest crashed"),
    ] {
        let view = pressed(&log, keys);
        assert!(view.note().is_some_and(|it| it.contains(note)), "{keys:?}: {:?}", view.note());
        assert_eq!(pressed(&log, &format!("{keys}<")).note(), None);
    }
}

#[test]
fn it_plays_at_its_speed_and_stops_at_the_end() {
    let log = testing::long(6, 30);
    let second = Duration::from_secs(1);
    let mut view = pressed(&log, " ");
    assert_eq!(view.playing(), Some(4));
    assert!(!view.pass(second / 5, &log) && view.pass(second / 5, &log));
    assert_eq!(view.step(), 1);
    view.pass(second, &log);
    assert_eq!(view.step(), 5);
    press(&mut view, &log, "+ ");
    assert_eq!((view.playing(), view.speed()), (None, 8));
    assert!(!view.pass(second, &log));
    press(&mut view, &log, "--- ");
    assert_eq!(view.playing(), Some(1));
    view.pass(second * 100, &log);
    view.rest_at_end(&log);
    assert_eq!((view.step(), view.playing()), (30, None));
    press(&mut view, &log, " ");
    assert_eq!((view.step(), view.playing()), (0, Some(1)));
    press(&mut view, &log, &"+".repeat(20));
    assert_eq!(view.speed(), 1024);
}

#[test]
fn it_follows_a_run_until_somebody_looks_back() {
    let mut view = View::following();
    view.pass(Duration::ZERO, &testing::long(6, 3));
    assert_eq!((view.step(), view.follows()), (3, true));
    let log = testing::long(6, 9);
    view.pass(Duration::ZERO, &log);
    assert_eq!(view.step(), 9);
    press(&mut view, &log, "<<");
    view.pass(Duration::ZERO, &testing::long(6, 12));
    assert_eq!((view.step(), view.follows()), (7, false));
    press(&mut view, &log, "$");
    view.pass(Duration::ZERO, &testing::long(6, 12));
    assert_eq!((view.step(), view.follows()), (12, true));
}

#[test]
fn an_item_is_followed_from_its_producer_to_its_consumer() {
    // The value 7 is made in turns 1 and 3, and taken once, in turn 2.
    let log = testing::exchange();
    let mut view = pressed(&log, "/7\n");
    let mut stations = vec![view.step()];
    for key in "nnnNNN".chars() {
        press(&mut view, &log, &key.to_string());
        stations.push(view.step());
    }
    assert_eq!(stations, [1, 2, 3, 1, 3, 2, 1]);
    let trace = view.trace().expect("it is followed");
    assert_eq!((trace.place(&log), trace.item(&log).taken), ((1, 2), Some((2, 2))));
    press(&mut view, &log, "x");
    assert_eq!(view.trace(), None);
    // Items that have left the ring by this step are found last.
    assert_eq!(pressed(&log, "3\n/7\n").step(), 3);
    assert_eq!(pressed(&log, "3\n/93\n").step(), 1);
}

#[test]
fn the_items_of_a_turn_can_be_picked_one_after_another() {
    let log = testing::exchange();
    let mut view = pressed(&log, "2\n");
    let mut picked = Vec::new();
    for _ in 0..4 {
        press(&mut view, &log, "\n");
        picked.push(view.trace().map(|trace| trace.item(&log).value));
    }
    assert_eq!((picked, view.step()), (vec![Some(41), Some(7), Some(93), Some(41)], 2));
    press(&mut view, &log, "N");
    assert_eq!(view.step(), 1);
}

#[test]
fn it_is_closed_by_keys_but_not_out_of_a_page_or_a_question() {
    let log = testing::crash();
    for keys in ["", "<", "/7\n", "?q", "?!", "r!", "12!", "/q\n"] {
        let mut view = pressed(&log, keys);
        assert_eq!((view.overlay(), view.prompt()), (None, None), "{keys:?}");
        assert_eq!(view.clone().key(Key::Char('q'), &log), Wish::Close, "{keys:?}");
        assert_eq!(view.key(Key::Escape, &log), Wish::Close, "{keys:?}");
    }
    for keys in ["", "?", "r", "12"] {
        assert_eq!(pressed(&log, keys).key(Key::Interrupt, &log), Wish::Interrupt, "{keys:?}");
    }
}

#[test]
fn a_page_is_scrolled_as_far_as_it_goes() {
    let log = testing::crash();
    let mut view = pressed(&log, "r");
    for _ in 0..100 {
        view.key(Key::Down, &log);
    }
    let last = view.overlay().expect("the report").scroll;
    assert_eq!(usize::from(last) + 1, overlay::lines(Page::Report, &log).len());
    view.key(Key::Up, &log);
    assert_eq!(view.overlay().map(|it| it.scroll), Some(last - 1));
    view.key(Key::Home, &log);
    assert_eq!(view.overlay().map(|it| it.scroll), Some(0));
}

#[test]
fn what_is_printed_is_shown_of_one_vm_after_another() {
    let log = testing::exchange();
    let shown = ["", "\t", "\t\t", "\t\t\t"].map(|keys| pressed(&log, keys).console_of());
    assert_eq!(shown, [None, Some(1), Some(2), None]);
    assert_eq!(pressed(&testing::alone(), "\t").console_of(), None);
}
