use std::fmt::Write as _;

use super::*;
use guestlab_runlog::run_log::RunLog;

/// The name and the text of a hostile guest.
const HOSTILE: &str = "</script></style><img src=x onerror=alert(1)>\"'&\u{1b}[2J\u{0}\u{202e}";

const RUN: &str = r#"{"event":"run","experiment":"prodcons","abi":"1.0","seed":7,"capacity":2,"schedule":"alternate","turns":4,"guests":[{"vm":1,"name":"p","role":"producer","sha256":"aa"},{"vm":2,"name":"c","role":"consumer","sha256":"bb"}]}"#;
const TURNS: [&str; 4] = [
    r#"{"event":"turn","turn":1,"vm":1,"role":"producer","items":[5,6],"prod_p":0,"cons_p":0,"count":2,"exits":1}"#,
    r#"{"event":"turn","turn":2,"vm":2,"role":"consumer","items":[5],"prod_p":0,"cons_p":1,"count":1,"exits":2}"#,
    r#"{"event":"turn","turn":3,"vm":1,"role":"producer","items":[7],"prod_p":1,"cons_p":1,"count":2,"exits":3}"#,
    r#"{"event":"turn","turn":4,"vm":2,"role":"consumer","items":[],"prod_p":1,"cons_p":1,"count":2,"exits":4}"#,
];
const END: &str = r#"{"event":"end","turns":4,"produced":3,"consumed":1,"left":2,"audit":"ok","exits":{"1":{"io_in":0,"io_out":4,"total":4},"2":{"io_in":0,"io_out":6,"total":6}}}"#;
const OPTIONS: &str = r#"{"event":"recording","version":1,"options":{"producer":"guest-producer","consumer":"it's mine","producers":1,"consumers":1,"produce":null,"consume":1,"mode":"long","memory":2097152}}"#;

fn log_of(lines: &[&str]) -> RunLog {
    let mut log = RunLog::default();
    lines.iter().for_each(|line| log.add_line(line.as_bytes()).expect("a line of a run"));
    log
}

fn whole() -> RunLog {
    let [one, two, three, four] = TURNS;
    log_of(&[RUN, one, two, three, four, END])
}

/// A run of many turns: a producer that fills the ring, a consumer that empties it.
fn long(turns: usize, capacity: usize, item: u32) -> RunLog {
    let mut log = log_of(&[&RUN.replace(r#""capacity":2"#, &format!(r#""capacity":{capacity}"#))]);
    let items = vec![item.to_string(); capacity].join(",");
    for turn in 1..=turns {
        let (vm, role, count) = if turn % 2 == 1 { (1, "producer", capacity) } else { (2, "consumer", 0) };
        let line = format!(
            r#"{{"event":"turn","turn":{turn},"vm":{vm},"role":"{role}","items":[{items}],"prod_p":0,"cons_p":0,"count":{count},"exits":1}}"#
        );
        log.add_line(line.as_bytes()).expect("a turn");
    }
    log
}

/// The values of an attribute in all elements.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    page.split(&begin).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The page without its own style and script.
fn markup(page: &str) -> String {
    let mut text = page.to_owned();
    for (begin, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let (head, rest) = text.split_once(begin).expect("it is there");
        text = format!("{head}{}", rest.split_once(end).expect("it ends").1);
    }
    text
}

#[test]
fn the_figures_have_the_numbers_of_the_run() {
    let page = page(&whole());
    assert_eq!(values(&page, "data-counts"), ["2 1 2 2"]);
    assert_eq!((values(&page, "data-made"), values(&page, "data-taken")), (vec!["2 0 1 0"], vec!["0 1 0 0"]));
    assert_eq!(values(&page, "data-turns")[..], ["2", "2", "1 3", "2 4", "0", "1", "1", "1", "1", "0"]);
    assert_eq!(values(&page, "data-possible"), ["2", "2", "1", "2", "2", "2"]);
    assert_eq!(values(&page, "data-expected"), [".83", ".83", ".33", ".67", ".67", ".67"]);
    assert_eq!(values(&page, "data-exits"), ["4", "6"]);
}

#[test]
fn a_guest_cannot_write_our_page() {
    let text = serde_json::to_string(HOSTILE).expect("JSON");
    let run = RUN.replace(r#""p""#, &text).replace(r#""prodcons""#, &text).replace(r#""aa""#, &text);
    let run = run.replace(r#""alternate""#, &text);
    let console = format!(r#"{{"event":"console","vm":1,"name":"p","text":{text}}}"#);
    let crash = format!(
        r#"{{"event":"crash","vm":2,"name":{text},"turn":3,"reason":{text},"message":{text},"hint":{text},"mode":{text},"file":{text},"exits":[{text}],"backtrace":[{{"address":1,"function":{text},"file":{text}}}],"instructions":[{{"address":1,"text":{text},"here":true}}],"registers":{{{text}:5}}}}"#
    );
    let stats = format!(
        r#"{{"event":"stats","vms":[{{"vm":1,"name":{text},"exits":[{{"reason":{text},"count":1,"guest_us":1,"host_us":2}}]}}]}}"#
    );
    let page = page(&log_of(&[OPTIONS, &run, TURNS[0], TURNS[1], &console, &crash, &stats]));
    let text = markup(&page);
    assert!(!text.contains("<img") && !text.contains("</script>"), "{text}");
    assert!(page.chars().all(|character| character == '\n' || !character.is_control()));
    assert!(!page.contains('\u{202e}') && text.matches(r"\x1b[2J\x00\u{202e}").count() > 12, "{text}");
    for tag in text.split('<').filter_map(|rest| rest.split('>').next()) {
        assert!(!tag.contains("&gt;") || tag.contains('"'), "{tag}");
        assert!(tag.matches('"').count() % 2 == 0, "{tag}");
    }
}

#[test]
fn no_element_has_an_attribute_twice() {
    let page = page(&whole());
    for tag in markup(&page).split('<').filter_map(|rest| rest.split('>').next()) {
        let mut names: Vec<&str> = tag.split("=\"").filter_map(|part| part.rsplit(' ').next()).collect();
        names.pop();
        let len = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), len, "{tag}");
    }
}

#[test]
fn what_is_on_the_page_is_allowed_and_nothing_else() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use sha2::Digest as _;
    let page = page(&whole());
    let policy = values(&page, "content")[0];
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    for (name, begin, end) in [("style", "<style>", "</style>"), ("script", "<script>", "</script>")] {
        let text = page.split(begin).nth(1).and_then(|rest| rest.split(end).next()).expect("it is there");
        let hash = BASE64_STANDARD.encode(sha2::Sha256::digest(text));
        assert!(policy.contains(&format!("{name}-src 'sha256-{hash}'")), "{name}: {policy}");
    }
    let text = markup(&page);
    assert!(!text.contains(" style=") && !text.contains(" onclick=") && !text.contains("http://"), "{text}");
    assert!(!text.contains("https://") && !text.contains(" src="), "{text}");
}

#[test]
fn a_run_of_any_length_is_a_page_of_bounded_size() {
    for (turns, capacity, item) in [(1000, 6, 99), (1000, 64, 99), (2000, 64, u32::MAX), (30_001, 2, 1)] {
        let page = page(&long(turns, capacity, item));
        assert!(page.len() < 500_000, "{turns} turns, ring of {capacity}: {} bytes", page.len());
        assert!(page.contains(&format!(r#"id="t{turns}""#)), "the last turn is there");
    }
}

#[test]
fn turns_that_share_columns_are_all_counted() {
    let page = page(&long(30_001, 2, 1));
    assert!(page.contains("too many to be told apart, so that a column stands for 51 of them"));
    assert!(page.contains(" lines left out here"));
    assert_eq!(values(&page, "data-count")[..2], ["15001", "15000"]);
    let numbers = |name| -> Vec<f64> {
        let text = values(&page, name)[0];
        text.split(' ').map(|number| number.parse().expect("a number")).collect()
    };
    assert_eq!(numbers("data-most").len(), 30_001_usize.div_ceil(51));
    assert!(numbers("data-least").iter().all(|&least| least == 0.0));
    let made: f64 = numbers("data-made").iter().sum();
    assert!((made * 51.0 - 30_002.0).abs() < 300.0, "about as many as were made: {made}");
}

const CRASH: &str = r#"{"event":"crash","vm":2,"name":"c","turn":3,"reason":"violation","message":"broke the ring's rule `quota`: <told> 1\n  the ring stays"}"#;

/// The lines of the transcript, without their elements.
fn transcript(page: &str) -> Vec<String> {
    let table =
        page.split(r#"<table class="transcript">"#).nth(1).and_then(|rest| rest.split("</table>").next());
    let rows = table.expect("a transcript").split("<tr").skip(2);
    let text = |row: &str| {
        row.split('>').skip(1).filter_map(|part| part.split('<').next()).collect::<Vec<_>>().join(" ")
    };
    rows.map(|row| text(row).split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_turn_that_failed_is_the_last_line_of_the_transcript() {
    let page = page(&log_of(&[RUN, TURNS[0], TURNS[1], CRASH]));
    let expected = ["1 1 +2 5 6 5 6", "2 2 −1 5 . 6", "3 2 ✗ broke the ring's rule `quota`: &lt;told&gt; 1"];
    assert_eq!(transcript(&page), expected);
    assert!(page.contains(r#"<tr class="failed turn" id="t3" data-vm="2">"#), "{page}");
    // A failure outside of a turn, and one whose number does not follow, cannot be selected.
    for (turn, shown) in [("null", "boot"), ("1", "1")] {
        let page = super::page(&log_of(&[
            RUN,
            TURNS[0],
            &CRASH.replace(r#""turn":3"#, &format!(r#""turn":{turn}"#)),
        ]));
        assert!(page.contains(r#"<tr class="failed" data-vm="2">"#), "{page}");
        assert!(transcript(&page)[1].starts_with(&format!("{shown} 2 ✗ broke")), "{page}");
    }
    let first = super::page(&log_of(&[RUN, &CRASH.replace(r#""turn":3"#, r#""turn":1"#)]));
    assert_eq!(transcript(&first).len(), 1);
    let boot = super::page(&log_of(&[RUN, &CRASH.replace(r#""turn":3"#, r#""turn":null"#)]));
    assert!(boot.contains("<h2>Before the first turn</h2>") && transcript(&boot).len() == 1, "{boot}");
}

#[test]
fn the_source_line_of_a_panic_is_on_the_page() {
    let place = r#","file":"guest/src/main.rs","line":12,"column":5"#;
    let crash =
        CRASH.replace("violation", "panic").replace(r#","message""#, &format!(r#"{place},"message""#));
    assert!(
        page(&log_of(&[RUN, TURNS[0], TURNS[1], &crash])).contains("<code>guest/src/main.rs:12:5</code>")
    );
}

/// An experiment without a ring: turns of these VMs.
fn relay(vms: &[u32]) -> RunLog {
    let run = RUN
        .replace(r#""capacity":2,"#, "")
        .replace(r#","role":"producer""#, "")
        .replace(r#","role":"consumer""#, "");
    let mut log = log_of(&[&run]);
    for (turn, vm) in (1..).zip(vms) {
        let line = format!(r#"{{"event":"turn","turn":{turn},"vm":{vm},"mailbox":[7],"exits":1}}"#);
        log.add_line(line.as_bytes()).expect("a turn");
    }
    log
}

#[test]
fn arrows_show_the_way_of_a_mailbox() {
    let log = relay(&[1, 2, 2, 1]);
    let lines = |page: &str| page.matches("<line ").count();
    let shown = page(&log);
    assert_eq!((lines(&shown), values(&shown, "data-vms")), (3, vec!["1 2 2 1"]));
    // From the right of the first bar in the first lane to the left of the second one in the second lane.
    assert!(
        shown.contains(r#"<line x1="18.75%" y1="14" x2="31.25%" y2="45" marker-end="url(#tip)">"#),
        "{shown}"
    );
    // The VM of the turn that failed had the mailbox, too.
    let mut failed = log.clone();
    failed.add_line(CRASH.replace(r#""turn":3"#, r#""turn":5"#).as_bytes()).expect("a crash");
    assert_eq!(values(&page(&failed), "data-vms"), ["1 2 2 1 2"]);
    // A file may name a VM that does not exist.
    let mut other = log;
    let crash = CRASH.replace(r#""turn":3"#, r#""turn":5"#).replace(r#""vm":2"#, r#""vm":4000000000"#);
    other.add_line(crash.as_bytes()).expect("a crash");
    assert_eq!(values(&page(&other), "data-vms"), ["1 2 2 1"]);
    let many = page(&relay(&[1, 2].repeat(31)));
    assert!(lines(&many) == 0 && !many.contains("the mailbox goes"), "too many to be told apart");
    assert!(lines(&page(&whole())) == 0, "a ring goes to every VM");
}

#[test]
fn text_without_end_is_cut_off() {
    let console = format!(r#"{{"event":"console","vm":1,"name":"p","text":"{}"}}"#, "x".repeat(1_000_000));
    let alone = r#"{"event":"exit","vm":1,"name":"p","status":0,"exits":{"total":1}}"#;
    for log in [log_of(&[RUN, &console, TURNS[0]]), log_of(&[&console, alone])] {
        let page = page(&log);
        assert!(page.len() < 100_000 && page.contains("[984,000 more bytes left out]"));
    }
}

#[test]
fn the_command_has_every_option_that_matters() {
    let log = log_of(&[OPTIONS, RUN]);
    let command = "cargo xtask run prodcons --consumer &quot;it's mine&quot; --consume 1 --mode long --capacity 2 --seed 7 --schedule alternate --turns 4";
    assert!(page(&log).contains(command), "{:?}", log.command());
    let written =
        RUN.replace("alternate", "string:1212").replace(r#""seed":7"#, r#""repeatable":false,"seed":7"#);
    let page = page(&log_of(&[OPTIONS, &written]));
    assert!(page.contains("--schedule string:1212</code>") && page.contains("this run cannot be repeated"));
    assert!(super::page(&log_of(&[RUN])).contains("there is no command to repeat it"));
}

#[test]
fn every_way_to_end_is_said() {
    let crash = r#"{"event":"crash","vm":2,"name":"c","turn":5,"reason":"deadline","message":"still running","hint":"h"}"#;
    let [one, two, three, four] = TURNS;
    let ends = [
        (log_of(&[RUN, one]), "not finished", "none"),
        (whole(), "ok", "0"),
        (log_of(&[RUN, one, two, three, four, crash]), "deadline", "4"),
        (log_of(&[&crash.replace("deadline", "panic")]), "panic", "1"),
    ];
    for (log, word, status) in ends {
        let page = page(&log);
        assert!(page.contains(&format!(": {word}</title>")), "{word}");
        assert!(page.contains(&format!(r#"data-fact="exit status" data-value="{status}""#)), "{word}");
    }
}

#[test]
fn half_a_crash_report_is_shown_as_far_as_it_goes() {
    for rest in ["", r#","registers":5"#, r#","states":{}"#, r#","backtrace":[{}],"address":null"#] {
        let crash = format!(
            r#"{{"event":"crash","vm":1,"name":"g","turn":null,"reason":"trap","message":"it went wrong"{rest}}}"#
        );
        assert!(page(&log_of(&[&crash])).contains("it went wrong"), "{rest}");
    }
}

#[test]
fn a_guest_with_exits_of_every_kind_does_not_fill_the_page() {
    let mut rows = String::new();
    for port in 0..60_000 {
        let comma = if port == 0 { "" } else { "," };
        write!(rows, r#"{comma}{{"reason":"io_out","port":{port},"direction":"out","size":1,"count":2,"guest_us":1,"host_us":1e300}}"#)
            .expect("a String takes all text");
    }
    let stats = format!(r#"{{"event":"stats","vms":[{{"vm":1,"name":"g","exits":[{rows}]}}]}}"#);
    let page = page(&log_of(&[RUN, &stats]));
    assert!(page.len() < 60_000 && page.contains("59985 other kinds"));
    assert_eq!(
        values(&page, "data-count").iter().filter_map(|count| count.parse::<u64>().ok()).sum::<u64>(),
        120_000
    );
}
