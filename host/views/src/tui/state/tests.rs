use super::*;
use crate::tui::testing;

fn press(view: &mut View, story: &Story, keys: &str) {
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
        assert_eq!(view.key(key, story), Wish::Stay, "{key:?}");
    }
}

fn pressed(story: &Story, keys: &str) -> View {
    let mut view = View::new();
    press(&mut view, story, keys);
    view
}

#[test]
fn steps_go_forward_and_backward_and_no_further() {
    let story = testing::long(6, 30);
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
        assert_eq!(pressed(&story, keys).step(), step, "{keys:?}");
    }
    let mut view = pressed(&story, "5\n");
    for (key, step) in [(Key::Down, 15), (Key::Up, 5), (Key::Up, 0), (Key::PageDown, 30), (Key::PageUp, 0)] {
        view.key(key, &story);
        assert_eq!(view.step(), step, "{key:?}");
    }
}

#[test]
fn what_cannot_be_is_said() {
    let story = testing::long(6, 30);
    for (keys, note) in [
        ("77\n", "there is no turn 77"),
        ("/12345\n", "no item 12345"),
        ("/9999999999\n", "no item is as large"),
        ("n", "no item is followed"),
        ("\n", "moved no item"),
        ("r", "no guest crashed"),
    ] {
        let view = pressed(&story, keys);
        assert!(view.note().is_some_and(|it| it.contains(note)), "{keys:?}: {:?}", view.note());
        assert_eq!(pressed(&story, &format!("{keys}<")).note(), None);
    }
}

#[test]
fn it_plays_at_its_speed_and_stops_at_the_end() {
    let story = testing::long(6, 30);
    let second = Duration::from_secs(1);
    let mut view = pressed(&story, " ");
    assert_eq!(view.playing(), Some(4));
    assert!(!view.pass(second / 5, &story) && view.pass(second / 5, &story));
    assert_eq!(view.step(), 1);
    view.pass(second, &story);
    assert_eq!(view.step(), 5);
    press(&mut view, &story, "+ ");
    assert_eq!((view.playing(), view.speed()), (None, 8));
    assert!(!view.pass(second, &story));
    press(&mut view, &story, "--- ");
    assert_eq!(view.playing(), Some(1));
    view.pass(second * 100, &story);
    view.rest_at_end(&story);
    assert_eq!((view.step(), view.playing()), (30, None));
    press(&mut view, &story, " ");
    assert_eq!((view.step(), view.playing()), (0, Some(1)));
    press(&mut view, &story, &"+".repeat(20));
    assert_eq!(view.speed(), 1024);
}

#[test]
fn it_follows_a_run_until_somebody_looks_back() {
    let mut view = View::following();
    view.pass(Duration::ZERO, &testing::long(6, 3));
    assert_eq!((view.step(), view.follows()), (3, true));
    let story = testing::long(6, 9);
    view.pass(Duration::ZERO, &story);
    assert_eq!(view.step(), 9);
    press(&mut view, &story, "<<");
    view.pass(Duration::ZERO, &testing::long(6, 12));
    assert_eq!((view.step(), view.follows()), (7, false));
    press(&mut view, &story, "$");
    view.pass(Duration::ZERO, &testing::long(6, 12));
    assert_eq!((view.step(), view.follows()), (12, true));
}

#[test]
fn an_item_is_followed_from_its_producer_to_its_consumer() {
    // The value 7 is made in turns 1 and 3, and taken once, in turn 2.
    let story = testing::exchange();
    let mut view = pressed(&story, "/7\n");
    let mut stations = vec![view.step()];
    for key in "nnnNNN".chars() {
        press(&mut view, &story, &key.to_string());
        stations.push(view.step());
    }
    assert_eq!(stations, [1, 2, 3, 1, 3, 2, 1]);
    let way = view.way().expect("it is followed");
    assert_eq!((way.place(&story), way.item(&story).taken), ((1, 2), Some((2, 2))));
    press(&mut view, &story, "x");
    assert_eq!(view.way(), None);
    // From where one looks, what is gone is not found first.
    assert_eq!(pressed(&story, "3\n/7\n").step(), 3);
    assert_eq!(pressed(&story, "3\n/93\n").step(), 1);
}

#[test]
fn the_items_of_a_turn_can_be_picked_one_after_another() {
    let story = testing::exchange();
    let mut view = pressed(&story, "2\n");
    let mut picked = Vec::new();
    for _ in 0..4 {
        press(&mut view, &story, "\n");
        picked.push(view.way().map(|way| way.item(&story).value));
    }
    assert_eq!((picked, view.step()), (vec![Some(41), Some(7), Some(93), Some(41)], 2));
    press(&mut view, &story, "N");
    assert_eq!(view.step(), 1);
}

#[test]
fn it_is_closed_by_keys_but_not_out_of_a_page_or_a_question() {
    let story = testing::crash();
    for keys in ["", "<", "/7\n", "?q", "?!", "r!", "12!", "/q\n"] {
        let mut view = pressed(&story, keys);
        assert_eq!((view.overlay(), view.prompt()), (None, None), "{keys:?}");
        assert_eq!(view.clone().key(Key::Char('q'), &story), Wish::Close, "{keys:?}");
        assert_eq!(view.key(Key::Escape, &story), Wish::Close, "{keys:?}");
    }
    for keys in ["", "?", "r", "12"] {
        assert_eq!(pressed(&story, keys).key(Key::Interrupt, &story), Wish::Interrupt, "{keys:?}");
    }
}

#[test]
fn a_page_is_scrolled_as_far_as_it_goes() {
    let story = testing::crash();
    let mut view = pressed(&story, "r");
    for _ in 0..100 {
        view.key(Key::Down, &story);
    }
    let last = view.overlay().expect("the report").scroll;
    assert_eq!(usize::from(last) + 1, overlay::lines(Page::Report, &story).len());
    view.key(Key::Up, &story);
    assert_eq!(view.overlay().map(|it| it.scroll), Some(last - 1));
    view.key(Key::Home, &story);
    assert_eq!(view.overlay().map(|it| it.scroll), Some(0));
}

#[test]
fn what_is_printed_is_shown_of_one_vm_after_another() {
    let story = testing::exchange();
    let shown = ["", "\t", "\t\t", "\t\t\t"].map(|keys| pressed(&story, keys).console_of());
    assert_eq!(shown, [None, Some(1), Some(2), None]);
    assert_eq!(pressed(&testing::alone(), "\t").console_of(), None);
}
