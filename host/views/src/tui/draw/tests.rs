//! Screens of views of several logs.

use ratatui::{
    buffer::Cell,
    style::{Color, Modifier},
};

use super::*;
use crate::tui::{Key, View, testing};

/// The rows of a screen.
fn screen(log: &RunLog, view: &View, width: u16, height: u16) -> Vec<String> {
    let buffer = drawn(log, view, width, height);
    let row = |row| (0..width).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    (0..height).map(row).collect()
}

fn drawn(log: &RunLog, view: &View, width: u16, height: u16) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    Scene { log, view, origin: Origin::File }.draw(&mut buffer);
    buffer
}

fn at(log: &RunLog, step: usize) -> View {
    let mut view = View::new();
    view.go(step, log);
    view
}

#[track_caller]
fn assert_shown(screen: &[String], text: &str) {
    assert!(screen.iter().any(|row| row.contains(text)), "{text:?} is not in\n{}", screen.join("\n"));
}

#[test]
fn the_smallest_terminal_shows_everything() {
    let log = testing::exchange();
    let expected = "
 prodcons: ring of 6, string:121, seed 7                     turn 2 of 3 over ‖ 
╭ VMs ─────────────────────────────────────────────────────────────────────────╮
│  VM guest   role      state         turns  items  exits                      │
│   1 p       producer  is next           1      4      1                      │
│▶  2 c       consumer  ended turn 2      1      3      2                      │
╰──────────────────────────────────────────────────────────────────────────────╯
╭ ring ──────────────────────────────────────╮╭ turn 2 ────────────────────────╮
│           ┌0───┐ ┌1───┐ ┌2───┐             ││VM 2, c  2 exits                │
│           │ 41 │ │  7 │ │ 93 │             ││took 3: 41 7 93                 │
│           └────┘ └────┘ └────┘             ││                                │
│                                            ││                                │
│           ┌5───┐ ┌4───┐ ┌3───┐             │╰────────────────────────────────╯
│           │  · │ │  · │ │  5 │             │╭ printed ───────────────────────╮
│           └────┘ └────┘ └────┘             ││1| one                          │
│                  prod_p cons_p             ││2| two                          │
╰────────── cons_p 3  prod_p 4  count 1 of 6 ╯╰────────────────────────────────╯
╭ timeline ────────────────────────────────────────────────────────────────────╮
│ VM 1    4   2                                                                │
│ VM 2      3                                                                  │
│         ▂                                                                    │
│ in ring █ ▂ █                                                                │
│ turn      ▲2                                                                 │
╰─────────────────────────────────────────────────────────── turns 1 to 3 of 3 ╯
 ←→ turn  Space play  +- speed  0-9 go to  / item  n N its way  ? help  q quit  ";
    let screen = screen(&log, &at(&log, 2), 80, 24);
    assert_eq!(screen, expected.lines().skip(1).collect::<Vec<_>>(), "\n{}", screen.join("\n"));
}

#[test]
fn a_large_terminal_has_boxes_for_slots() {
    let log = testing::exchange();
    let screen = screen(&log, &at(&log, 1), 120, 40);
    for text in ["┌0───┐", "│ 41 │", "cons_p", "4 of 6", "made 4: 41 7 93 5", "turn 1 of 3"] {
        assert_shown(&screen, text);
    }
}

#[test]
fn a_terminal_that_is_too_small_is_told_so() {
    let log = testing::exchange();
    for (width, height) in [(79, 24), (80, 23), (30, 3), (1, 1), (0, 0)] {
        let screen = screen(&log, &View::new(), width, height);
        assert_eq!(screen.len(), usize::from(height));
        if width > 20 {
            assert_shown(&screen, &format!("{width}x{height} is too small"));
            assert_shown(&screen, "needed: 80x24");
        }
    }
}

#[test]
fn the_end_has_the_audit_and_all_exits() {
    let log = testing::exchange();
    let screen = screen(&log, &at(&log, usize::MAX), 80, 24);
    for text in ["3 of 3 over", "6 produced, 3 consumed, 3 left", "audit: ok", "4 io_out"] {
        assert_shown(&screen, text);
    }
    // The host ended the run. Neither guest was done: both wait for more turns.
    assert_shown(&screen, "▶  1 p       producer  ended turn 3 ");
    assert_shown(&screen, "   2 c       consumer  waits        ");
    assert!(!screen.concat().contains("done"));
}

#[test]
fn guests_that_had_no_turn_wait_at_the_end() {
    let log = testing::ended(testing::long(6, 0));
    let screen = screen(&log, &at(&log, 0), 80, 24);
    assert_shown(&screen, "   1 p       producer  waits ");
    assert!(!screen.concat().contains("boots"));
}

#[test]
fn an_item_that_is_followed_is_marked_everywhere() {
    let log = testing::exchange();
    let mut view = View::new();
    view.find(7, &log);
    let screen = screen(&log, &view, 80, 24);
    assert_shown(&screen, "item 7 (1 of 2): made in turn 1 ");
    assert_shown(&screen, "by VM 1, taken in turn 2 by VM 2");
    assert_shown(&screen, " turn    ●━●");
    let buffer = drawn(&log, &view, 80, 24);
    let marked = buffer.content().iter().filter(|cell| cell.bg == Color::LightYellow).count();
    // The item's name, its value beside it, its slot, and both ends of its trace, each in its lane and below.
    assert_eq!(marked, "item 7".len() + 1 + "[ 7]".len() + 4);
}

#[test]
fn the_ruler_has_the_number_of_the_step_beside_the_way_of_an_item() {
    let log = testing::long(6, 60);
    let item = log.items().item(log.moved(31).last().expect("an item"));
    let taken = item.taken.expect("it was taken").1;
    let mut view = at(&log, 31);
    view.key(Key::Enter, &log);
    while view.trace().is_some_and(|trace| trace.item(&log) != item) {
        view.key(Key::Enter, &log);
    }
    let ruler =
        |view: &View| screen(&log, view, 80, 24).into_iter().find(|row| row.contains(" turn  ")).expect("it");
    let trace = "━".repeat(2 * (taken - 31) - 1);
    assert!(ruler(&view).contains(&format!(" 31●{trace}●")), "{}", ruler(&view));
    view.key(Key::Char('n'), &log);
    assert!(ruler(&view).contains(&format!(" ●{trace}●{taken} ")), "{}", ruler(&view));
    view.go(40, &log);
    assert!(ruler(&view).contains("▲40 "), "{}", ruler(&view));
    for row in [ruler(&view), ruler(&at(&log, 30))] {
        // The marks of tens are complete.
        let marks: Vec<&str> =
            row.split('╵').skip(1).map(|mark| mark.split(' ').next().unwrap_or("")).collect();
        assert!(
            !marks.is_empty() && marks.iter().all(|mark| mark.len() == 2 && mark.ends_with('0')),
            "{row}"
        );
    }
}

#[test]
fn a_run_that_is_shown_whole_has_no_row_for_the_whole_run() {
    let (short, long) = (testing::long(6, 30), testing::long(6, 300));
    let has_row = |log, origin| {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 120, 40));
        Scene { log, view: &View::new(), origin }.draw(&mut buffer);
        let row = |row| (0..120).map(|column| buffer[(column, row)].symbol()).collect::<String>();
        (0..40).any(|number| row(number).contains("│ all "))
    };
    assert!(!has_row(&short, Origin::File) && has_row(&long, Origin::File));
    // A run that goes on has all the rows that it will need.
    assert!(!has_row(&testing::exchange(), Origin::Running));
}

#[test]
fn the_verdict_is_seen_in_the_smallest_terminal_whatever_the_numbers() {
    let log = testing::ended(testing::long(6, 1000));
    assert_shown(&screen(&log, &at(&log, usize::MAX), 80, 24), "audit: ok");
}

#[test]
fn a_long_line_goes_on_in_the_next_row() {
    let log = testing::talk(&"0123456789".repeat(5));
    let screen = screen(&log, &at(&log, usize::MAX), 80, 24);
    assert_shown(&screen, "│1| 01234567890123456789012345678│");
    assert_shown(&screen, "│   901234567890123456789        │");
}

#[test]
fn of_a_guest_that_runs_alone_nothing_is_said_that_is_not_known() {
    let log = testing::alone_and_crashed();
    let mut view = at(&log, usize::MAX);
    let shown = screen(&log, &view, 80, 24);
    assert_shown(&shown, "  VM guest   state           exits ");
    assert_shown(&shown, "▶  1 deep    stack-overflow      - ");
    view.key(Key::Char('r'), &log);
    assert_shown(&screen(&log, &view, 80, 24), "VM 1, deep: stack-overflow");
}

#[test]
fn what_a_turn_took_is_crossed_out() {
    let log = testing::exchange();
    let buffer = drawn(&log, &at(&log, 2), 80, 24);
    let crossed = buffer.content().iter().filter(|cell| cell.modifier.contains(Modifier::CROSSED_OUT));
    assert_eq!(crossed.map(Cell::symbol).collect::<String>(), " 41   7  93 ");
}

#[test]
fn a_broken_rule_is_shown_with_its_message_and_both_rings() {
    let log = testing::refusal();
    let expected = [
        "broke quota",
        "broke the ring's rule `quota`:",
        "4 moved",
        "stays cons_p 0 prod_p 4 count 4",
        "claim cons_p 4 prod_p 4 count 0",
    ];
    for (width, height) in [(80, 24), (110, 36)] {
        let screen = screen(&log, &at(&log, usize::MAX), width, height);
        expected.iter().for_each(|text| assert_shown(&screen, text));
    }
    assert_shown(&screen(&log, &at(&log, usize::MAX), 110, 36), "slots 1: 7 → 9");
}

#[test]
fn findings_are_shown_beside_the_audit() {
    let log = testing::finding();
    let screen = screen(&log, &at(&log, usize::MAX), 110, 36);
    assert_shown(&screen, "audit: ok");
    assert_shown(&screen, "finding: VM 2, c: it never took");
}

#[test]
fn a_crash_is_a_step_with_a_report() {
    let log = testing::crash();
    let mut view = at(&log, usize::MAX);
    let screen_of = |view: &View| screen(&log, view, 80, 24);
    let shown = screen_of(&view);
    for text in
        ["crash after turn 1", "VM 2, c, turn 2:", "broke a rule\\x1b[2J", "violation", "✗", "r shows the"]
    {
        assert_shown(&shown, text);
    }
    view.key(Key::Char('r'), &log);
    let shown = screen_of(&view);
    for text in ["try: look", "> 0x00001000  ud2", "eax    0x2a", "c::main", "src/main.rs:7", "out 0xf4"] {
        assert_shown(&shown, text);
    }
    for _ in 0..9 {
        view.key(Key::Down, &log);
    }
    assert_shown(&screen_of(&view), "00001000 c::main+0x0 0f0b ud2");
}

#[test]
fn an_experiment_without_a_ring_shows_its_mailbox() {
    let log = testing::relay();
    let screen = screen(&log, &at(&log, 2), 80, 24);
    for text in ["mailbox", "│3 9 ", "left 2 words", "VM 1    ●╮", "VM 2     ╰▶●", "▲2", "─ from VM 2 ╯"]
    {
        assert_shown(&screen, text);
    }
    let way = |step: usize| self::screen(&log, &at(&log, step), 80, 24);
    assert_shown(&way(0), "─ to VM 1 ╯");
    assert_shown(&way(1), "─ VM 1 → VM 2 ╯");
}

/// The rows of the timeline that have a VM's lane.
fn lanes(log: &RunLog) -> Vec<String> {
    let lanes = screen(log, &at(log, log.steps()), 80, 24).into_iter().filter(|row| row.starts_with("│ VM "));
    lanes.map(|row| row.chars().skip(10).take(24).collect::<String>().trim_end().to_owned()).collect()
}

#[test]
fn arrows_show_the_way_of_a_mailbox() {
    let log = testing::relay_of(3, &[1, 2, 3, 1, 1, 3]);
    assert_eq!(lanes(&log), ["●╮     ╭▶●─▶●╮", " ╰▶●╮  │     │", "    ╰▶●╯     ╰▶●"]);
    // The VM of a turn that failed had the mailbox, too.
    let mut log = testing::relay_of(2, &[1, 2]);
    let crash = r#"{"event":"crash","vm":1,"name":"g1","turn":3,"reason":"trap-ud","message":"m"}"#;
    log.add_line(crash.as_bytes()).expect("a crash");
    assert_eq!(lanes(&log), ["●╮  ╭▶✗", " ╰▶●╯"]);
    let screen = screen(&log, &at(&log, 3), 80, 24);
    assert_shown(&screen, "─ VM 2 → VM 1 ╯");
    // There is no room for lanes.
    let many = testing::relay_of(32, &[1, 2, 3]);
    assert_shown(&self::screen(&many, &at(&many, 3), 80, 24), "│ VM       1  2  3 ");
}

#[test]
fn only_the_guest_that_left_is_said_to_have_left() {
    let log = testing::left();
    let screen = screen(&log, &at(&log, log.steps()), 80, 24);
    let state = |vm: &str| screen.iter().find(|line| line.contains(vm)).cloned().unwrap_or_default();
    assert!(state(" 1 ping").contains("waits"), "{screen:#?}");
    assert!(state(" 2 pong").contains("left"), "{screen:#?}");
    assert!(!screen.concat().contains("done"), "{screen:#?}");
}

#[test]
fn a_guest_that_runs_alone_shows_what_it_printed() {
    let log = testing::alone();
    let screen = screen(&log, &View::following(), 80, 24);
    for text in [" hello ", "hi there", "\\x1b[31mred", "done", "3 io_out"] {
        assert_shown(&screen, text);
    }
}

#[test]
fn nothing_of_a_guests_or_a_files_drives_the_terminal() {
    let log = testing::hostile();
    for (width, height) in [(80, 24), (120, 40)] {
        for step in 0..=log.steps() {
            let mut view = at(&log, step);
            for _ in 0..2 {
                let buffer = drawn(&log, &view, width, height);
                let is_safe = |cell: &Cell| !cell.symbol().chars().any(char::is_control);
                assert!(buffer.content().iter().all(is_safe), "{width}x{height}, step {step}");
                view.key(Key::Char('r'), &log);
            }
        }
    }
}

#[test]
fn a_run_without_guests_and_one_with_many_have_their_place() {
    for guests in [0, 1, 5, 32, 1000] {
        let log = testing::crowd(guests);
        for (width, height) in [(80, 24), (120, 40)] {
            for step in 0..=log.steps() {
                let screen = screen(&log, &at(&log, step), width, height);
                match step {
                    0 => assert_shown(&screen, "turn 0 of"),
                    _ if step == log.steps() => assert_shown(&screen, "crash after turn"),
                    // The VM of the turn is always visible.
                    _ => assert_shown(&screen, &format!("▶{step:>3} g{step}")),
                }
            }
        }
    }
}

#[test]
fn every_step_of_every_ring_can_be_drawn() {
    for capacity in [1, 2, 3, 6, 12, 33, 64] {
        let log = testing::long(capacity, 30);
        for (width, height) in [(80, 24), (81, 25), (100, 30), (200, 60)] {
            for step in [0, 1, 2, 15, 29, 30] {
                let screen = screen(&log, &at(&log, step), width, height);
                let ring = log.pointers(step).expect("a ring");
                assert_shown(&screen, &format!("count {} of {capacity}", ring.count));
            }
        }
    }
}

#[test]
fn a_ring_is_a_rectangle_where_there_is_room_and_rows_where_there_is_not() {
    let (small, large) = (testing::long(20, 30), testing::long(64, 30));
    let rectangle = screen(&small, &at(&small, 30), 160, 40);
    assert_shown(&rectangle, "┌19──┐ ┌18──┐");
    let bracketed = screen(&small, &at(&small, 30), 80, 24);
    assert!(bracketed.iter().filter(|row| row.contains("] [")).count() == 2, "{}", bracketed.join("\n"));
    let rows = screen(&large, &at(&large, 30), 80, 24);
    assert!(rows.iter().filter(|row| row.contains("] [")).count() >= 7, "{}", rows.join("\n"));
}

#[test]
fn a_picture_is_whole_and_the_same_every_time() {
    let log = testing::crash();
    let buffer = drawn(&log, &at(&log, usize::MAX), 80, 24);
    let svg = crate::tui::svg(&buffer);
    assert_eq!(svg, crate::tui::svg(&buffer));
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains(" crash "));
    assert!(!svg.contains('\x1b'), "{svg}");
    let (open, closed) = (svg.matches("<tspan").count(), svg.matches("</tspan>").count());
    assert!(open == closed && open > 40, "{open} {closed}");
}
