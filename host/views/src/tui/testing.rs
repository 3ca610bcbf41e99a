//! Logs for tests, made from lines as runs write them.

use guestlab_runlog::run_log::RunLog;

const RUN: &str = r#"{"event":"run","experiment":"prodcons","abi":"1.0","seed":7,"capacity":6,"schedule":"string:121","turns":3,"guests":[{"vm":1,"name":"p","role":"producer","sha256":"aa"},{"vm":2,"name":"c","role":"consumer","sha256":"bb"}]}"#;
const FIRST: &str = r#"{"event":"turn","turn":1,"vm":1,"role":"producer","items":[41,7,93,5],"prod_p":4,"cons_p":0,"count":4,"exits":1}"#;

fn log_of(lines: &[&str]) -> RunLog {
    let mut log = RunLog::default();
    lines.iter().for_each(|line| log.add_line(line.as_bytes()).expect(line));
    log
}

/// Three turns of an exchange.
pub(super) fn exchange() -> RunLog {
    log_of(&[
        RUN,
        r#"{"event":"console","vm":1,"name":"p","text":"one\n"}"#,
        FIRST,
        r#"{"event":"console","vm":2,"name":"c","text":"two\n"}"#,
        r#"{"event":"turn","turn":2,"vm":2,"role":"consumer","items":[41,7,93],"prod_p":4,"cons_p":3,"count":1,"exits":2}"#,
        r#"{"event":"turn","turn":3,"vm":1,"role":"producer","items":[7,8],"prod_p":0,"cons_p":3,"count":3,"exits":1}"#,
        r#"{"event":"end","turns":3,"produced":6,"consumed":3,"left":3,"audit":"ok","exits":{"1":{"io_out":3,"total":3},"2":{"io_out":4,"total":4}}}"#,
    ])
}

/// An exchange whose consumer breaks a rule in turn 2.
pub(super) fn crash() -> RunLog {
    log_of(&[
        RUN,
        FIRST,
        r#"{"event":"crash","vm":2,"name":"c","turn":2,"reason":"violation","message":"broke a rule\u001b[2J","address":4096,"hint":"look","mode":"protected","instructions":[{"address":4096,"text":"ud2","here":true}],"registers":{"eax":42},"backtrace":[{"address":4096,"function":"c::main","file":"src/main.rs","line":7}],"exits":["out 0xf4 (EndTurn)"],"last_instructions":["00001000  c::main+0x0              0f0b              ud2"]}"#,
    ])
}

/// An exchange whose consumer takes more than its quota in turn 2.
pub(super) fn refusal() -> RunLog {
    log_of(&[
        RUN,
        FIRST,
        r#"{"event":"crash","vm":2,"name":"c","turn":2,"reason":"violation","message":"broke the ring's rule `quota`: the turn was told to take 1 and the ring held 4: 1 had to move, 4 moved\n  the ring stays:  x\n  it claimed:      y","rule":"quota","states":{"old":{"capacity":6,"prod_p":4,"cons_p":0,"count":4,"slots":[41,7,93,5,0,0]},"claimed":{"capacity":6,"prod_p":4,"cons_p":4,"count":0,"slots":[41,9,93,5,0,0]}}}"#,
    ])
}

/// An exchange whose consumer has a habit.
pub(super) fn finding() -> RunLog {
    log_of(&[
        RUN,
        FIRST,
        r#"{"event":"end","turns":1,"produced":4,"consumed":0,"left":4,"audit":"ok","findings":[{"vm":2,"name":"c","finding":"never-moved","message":"it never took an item"}],"exits":{}}"#,
    ])
}

/// Two turns of an experiment without a ring.
pub(super) fn relay() -> RunLog {
    two_turns_of(2)
}

/// An experiment of three turns that ends after the second: its guest left.
pub(super) fn left() -> RunLog {
    two_turns_of(3)
}

fn two_turns_of(turns: u32) -> RunLog {
    log_of(&[
        &format!(
            r#"{{"event":"run","experiment":"pingpong","abi":"1.0","seed":7,"schedule":"alternate","turns":{turns},"guests":[{{"vm":1,"name":"ping","sha256":"aa"}},{{"vm":2,"name":"pong","sha256":"bb"}}]}}"#
        ),
        r#"{"event":"turn","turn":1,"vm":1,"name":"ping","mailbox":[3,4],"exits":5}"#,
        r#"{"event":"turn","turn":2,"vm":2,"name":"pong","mailbox":[3,9],"exits":5}"#,
        r#"{"event":"end","turns":2,"exits":{}}"#,
    ])
}

/// A guest alone.
pub(super) fn alone() -> RunLog {
    log_of(&[
        r#"{"event":"console","vm":1,"name":"hello","text":"hi there\n\u001b[31mred"}"#,
        r#"{"event":"exit","vm":1,"name":"hello","status":0,"exits":{"io_out":3,"total":3}}"#,
    ])
}

/// A guest that crashes alone.
pub(super) fn alone_and_crashed() -> RunLog {
    log_of(&[
        r#"{"event":"crash","vm":1,"name":"deep","turn":null,"reason":"stack-overflow","message":"too deep"}"#,
    ])
}

/// The exchange with its end.
pub(super) fn ended(mut log: RunLog) -> RunLog {
    let (turns, made, taken) = (log.turns().len(), log.items().produced(), log.items().consumed());
    let line = format!(
        r#"{{"event":"end","turns":{turns},"produced":{made},"consumed":{taken},"left":{},"audit":"ok","exits":{{}}}}"#,
        made - taken
    );
    log.add_line(line.as_bytes()).expect("an end");
    log
}

/// An exchange with one turn, in which a guest printed a line.
pub(super) fn talk(text: &str) -> RunLog {
    let line = format!(r#"{{"event":"console","vm":1,"name":"p","text":"{text}\n"}}"#);
    log_of(&[RUN, &line, FIRST])
}

/// A log in which every text tries to control the terminal.
pub(super) fn hostile() -> RunLog {
    let evil = r"\u001b[2J\u009b\r\n\t\u202e\u0007";
    let text = |line: &str| line.replace("EVIL", evil);
    log_of(&[
        &text(&RUN.replace("string:121", "EVIL").replace("prodcons", "EVIL").replace(r#""p""#, r#""EVIL""#)),
        &text(r#"{"event":"console","vm":1,"name":"EVIL","text":"EVIL and EVIL\n"}"#),
        FIRST,
        &text(
            r#"{"event":"crash","vm":1,"name":"EVIL","turn":2,"reason":"EVIL","message":"EVIL","hint":"EVIL","instructions":[{"address":1,"text":"EVIL"}],"registers":{"EVIL":42},"backtrace":[{"address":4096,"function":"EVIL","file":"EVIL","line":7}],"exits":["EVIL"]}"#,
        ),
        &text(r#"{"event":"exit","vm":1,"name":"EVIL","status":0,"exits":{"EVIL":3,"total":3}}"#),
    ])
}

/// An exchange with this number of turns. Producers fill the ring except for one slot, and consumers take half.
pub(super) fn long(capacity: u32, turns: u64) -> RunLog {
    let run = RUN.replace(r#""capacity":6"#, &format!(r#""capacity":{capacity}"#));
    let mut log = log_of(&[&run]);
    let (mut made, mut taken) = (0, 0);
    for turn in 1..=turns {
        let (vm, role, items) = match turn % 2 {
            1 => {
                let until = (taken + capacity).saturating_sub(1).max(made + 1).min(taken + capacity);
                (1, "producer", std::mem::replace(&mut made, until)..until)
            }
            _ => {
                let until = taken + (made - taken).div_ceil(2);
                (2, "consumer", std::mem::replace(&mut taken, until)..until)
            }
        };
        let items: Vec<u32> = items.map(|item| item % 100).collect();
        let (prod_p, cons_p, count) = (made % capacity, taken % capacity, made - taken);
        let line = format!(
            r#"{{"event":"turn","turn":{turn},"vm":{vm},"role":"{role}","items":{items:?},"prod_p":{prod_p},"cons_p":{cons_p},"count":{count},"exits":1}}"#
        );
        log.add_line(line.as_bytes()).expect("a turn");
    }
    log
}

/// An experiment without a ring, with this number of guests, and turns of these VMs.
pub(super) fn relay_of(guests: u32, turns: &[u32]) -> RunLog {
    let guest = |vm| format!(r#"{{"vm":{vm},"name":"g{vm}","sha256":""}}"#);
    let list: Vec<String> = (1..=guests).map(guest).collect();
    let run = r#"{"event":"run","experiment":"crowd","abi":"1.0","seed":7,"schedule":"alternate","turns":40,"guests":[GUESTS]}"#;
    let mut log = log_of(&[&run.replace("GUESTS", &list.join(","))]);
    for (turn, vm) in (1..).zip(turns) {
        let line = format!(r#"{{"event":"turn","turn":{turn},"vm":{vm},"mailbox":[{turn}],"exits":1}}"#);
        log.add_line(line.as_bytes()).expect("a turn");
    }
    log
}

/// The same with a turn of each of the first guests. Then the first one crashes.
pub(super) fn crowd(guests: u32) -> RunLog {
    let mut log = relay_of(guests, &(1..=guests.min(40)).collect::<Vec<_>>());
    let crash = r#"{"event":"crash","vm":1,"name":"g1","turn":null,"reason":"trap-ud","message":"m"}"#;
    log.add_line(crash.as_bytes()).expect("a crash");
    log
}
