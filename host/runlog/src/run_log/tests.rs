use guest_abi::transition::Role;

use super::*;
use crate::items::Item;

const RUN: &str = r#"{"event":"run","experiment":"prodcons","abi":"1.0","seed":7,"capacity":2,"schedule":"alternate","turns":4,"guests":[{"vm":1,"name":"p","role":"producer","sha256":"aa"},{"vm":2,"name":"c","role":"consumer","sha256":"bb"}]}"#;
const TURNS: [&str; 4] = [
    r#"{"event":"turn","turn":1,"vm":1,"role":"producer","items":[5,6],"prod_p":0,"cons_p":0,"count":2,"exits":1}"#,
    r#"{"event":"turn","turn":2,"vm":2,"role":"consumer","items":[5],"prod_p":0,"cons_p":1,"count":1,"exits":2}"#,
    r#"{"event":"turn","turn":3,"vm":1,"role":"producer","items":[7],"prod_p":1,"cons_p":1,"count":2,"exits":3}"#,
    r#"{"event":"turn","turn":4,"vm":2,"role":"consumer","items":[],"prod_p":1,"cons_p":1,"count":2,"exits":4}"#,
];
const END: &str = r#"{"event":"end","turns":4,"produced":3,"consumed":1,"left":2,"audit":"ok","exits":{"1":{"io_in":0,"io_out":4,"total":4},"2":{"io_in":0,"io_out":6,"total":6}}}"#;

fn parse(lines: &[&str]) -> Result<RunLog, (usize, Problem)> {
    RunLog::read((lines.join("\n") + "\n").as_bytes())
}

fn whole() -> RunLog {
    let [one, two, three, four] = TURNS;
    parse(&[RUN, one, two, three, four, END]).expect("a log")
}

#[test]
fn the_ring_is_known_after_every_turn() {
    let log = whole();
    let rings = [vec![None, None], vec![Some(0), Some(1)], vec![None, Some(1)], vec![Some(2), Some(1)]];
    for (turns, ring) in rings.iter().enumerate() {
        assert_eq!(&log.ring(turns), ring, "after {turns}");
    }
    assert_eq!(log.ring(4), rings[3]);
    assert_eq!(log.pointers(3).map(|p| (p.prod_p, p.cons_p, p.count)), Some((1, 1, 2)));
    assert_eq!((1..=4).map(|turn| log.moved(turn)).collect::<Vec<_>>(), [0..2, 0..1, 2..3, 1..1]);
    assert_eq!((log.moved(0), log.moved(5)), (0..0, 0..0));
}

#[test]
fn items_can_be_followed_from_vm_to_vm() {
    let log = whole();
    let items = log.items();
    assert_eq!(items.item(0), Item { value: 5, maker: 1, made: 1, taken: Some((2, 2)) });
    assert_eq!(items.item(2), Item { value: 7, maker: 1, made: 3, taken: None });
    assert_eq!((log.exits_in_turns(1, 2), log.exits_in_turns(1, 4)), (1, 4));
    assert_eq!(log.counts(1, 0), Counts::default());
    assert_eq!(log.counts(1, 3), Counts { turns: 2, items: 3, exits: 4 });
    assert_eq!(log.counts(2, usize::MAX), Counts { turns: 2, items: 1, exits: 6 });
    assert_eq!(log.counts(3, 4), Counts::default());
    assert_eq!(items.values().iter().max(), Some(&items.largest()));
    assert_eq!(log.exits()[&2]["total"], 6);
}

#[test]
fn an_experiment_without_a_ring_leaves_words() {
    let run = RUN.replace(r#""capacity":2,"#, "").replace(r#""role":"producer","#, "");
    let run = run.replace(r#""role":"consumer","#, "");
    let turn = r#"{"event":"turn","turn":1,"vm":2,"name":"c","mailbox":[3,4],"exits":5}"#;
    let end = r#"{"event":"end","turns":1,"exits":{}}"#;
    let log = parse(&[&run, turn, end]).expect("a log");
    assert_eq!(log.turns()[0], Turn { vm: 2, exits: 5, action: Action::Left(vec![3, 4]) });
    assert_eq!((log.ring(1), log.pointers(1)), (vec![], None));
    assert!(parse(&[RUN, turn]).is_err() && parse(&[&run, TURNS[0]]).is_err());
}

#[test]
fn what_guests_printed_has_its_place_between_turns() {
    let console = r#"{"event":"console","vm":2,"name":"c","text":"hi\u001b\n"}"#;
    let log = r#"{"event":"log","vm":1,"name":"p","level":"warn","target":"disk","message":"two\nlines"}"#;
    let log = parse(&[RUN, TURNS[0], console, console, log, TURNS[1], console]).expect("a log");
    let output = |turns, vm, text: &str| Output { turns, vm, text: text.into() };
    let expected = [
        output(1, 2, "hi\x1b\nhi\x1b\n"),
        output(1, 1, "WARN  disk: two\\nlines\n"),
        output(2, 2, "hi\x1b\n"),
    ];
    assert_eq!(log.outputs(), expected);
}

#[test]
fn a_crash_is_kept_with_all_that_is_said_of_it() {
    let crash = r#"{"event":"crash","vm":2,"name":"c","turn":1,"reason":"trap","message":"m","hint":"h","mode":"long"}"#;
    let log = parse(&[RUN, crash]).expect("a log");
    let crash = log.crash().expect("a crash");
    assert_eq!(
        (crash.turn, &*crash.hint, crash.details.as_ref().map(|it| &*it.mode)),
        (Some(1), "h", Some("long"))
    );
}

#[test]
fn lines_of_another_version_are_passed_over_and_half_a_line_too() {
    let mut text = [RUN, r#"{"event":"weather","sun":true}"#, TURNS[0]].join("\n");
    text += "\n{\"event\":\"tu";
    assert_eq!(RunLog::read(text.as_bytes()).expect("a log").turns().len(), 1);
}

#[test]
fn what_was_edited_is_named_with_its_line() {
    let line = |lines: &[&str]| parse(lines).map(|_| ()).map_err(|(line, _)| line).expect_err("edited");
    let [one, two, three, _] = TURNS;
    assert_eq!(line(&["hello"]), 1);
    assert_eq!(line(&[RUN, RUN]), 2);
    assert_eq!(line(&[&RUN.replace(r#""capacity":2"#, r#""capacity":0"#)]), 1);
    assert_eq!(line(&[one]), 1);
    assert_eq!(line(&[RUN, two]), 2);
    assert_eq!(line(&[RUN, &one.replace(r#""vm":1"#, r#""vm":3"#)]), 2);
    assert_eq!(line(&[RUN, &one.replace("producer", "consumer")]), 2);
    assert_eq!(line(&[RUN, &one.replace("[5,6]", "[5,6,7]")]), 2);
    assert_eq!(line(&[RUN, one, &two.replace("[5]", "[6]")]), 3);
    assert_eq!(line(&[RUN, one, &two.replace("[5]", "[5,6,7]")]), 3);
    assert_eq!(line(&[RUN, one, &two.replace(r#""count":1"#, r#""count":2"#)]), 3);
    assert_eq!(line(&[RUN, one, three]), 3);
    assert_eq!(line(&[RUN, one, END]), 3);
}

#[test]
fn a_turn_that_is_refused_changes_nothing() {
    let mut log = parse(&[RUN, TURNS[0]]).expect("a log");
    let edited = TURNS[1].replace(r#""cons_p":1"#, r#""cons_p":0"#);
    assert!(log.add_line(edited.as_bytes()).is_err());
    assert_eq!((log.turns().len(), log.items().consumed()), (1, 0));
    log.add_line(TURNS[1].as_bytes()).expect("the right one");
    assert_eq!(log.turns()[1].action.role(), Some(Role::Consumer));
}
