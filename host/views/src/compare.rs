//! `compare`: two runs side by side: the first difference, and their figures.

use std::{
    collections::BTreeSet,
    fmt::{Display, Write as _},
};

use serde::Serialize;

use guestlab_runlog::{
    event::{Crash, Finding},
    run_log::{Action, RunLog, Turn},
    text::escape_line,
};

/// The longest value in the table, in characters. A schedule may have thousands, and a line must fit into 80 columns.
const MAX_WIDTH: usize = 25;

/// Two runs, compared.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "compare")]
pub struct Comparison {
    /// True if the runs are equal in everything that does not depend on time.
    identical: bool,
    /// The first turn that differs, from 1.
    parts_at: Option<usize>,
    /// That turn in each run, in words.
    turns: [Option<String>; 2],
    /// The crash that ended each run, in words: the guest, the turn, and the message.
    crashes: [Option<String>; 2],
    /// The figures and facts of both runs.
    figures: Vec<Figure>,
}

/// A figure of both runs, or a fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figure {
    name: String,
    values: [Option<String>; 2],
    differs: bool,
}

impl Comparison {
    /// Compares two logs.
    pub fn of(logs: &[RunLog; 2]) -> Self {
        let [one, other] = logs;
        let longer = one.turns().len().max(other.turns().len());
        let parts_at = (1..=longer).find(|&turn| told(one, turn) != told(other, turn));
        let ended = |log: &RunLog, turn: usize| {
            log.crash().filter(|crash| crash.turn == Some(turn as u64)).map(crash)
        };
        let said = |log: &RunLog, turn| shown(log, turn).or_else(|| ended(log, turn));
        let turns = logs.each_ref().map(|log| parts_at.and_then(|turn| said(log, turn)));
        let crashes = logs.each_ref().map(|log| log.crash().map(crash_in_words));
        let figures = figures(logs);
        let identical =
            parts_at.is_none() && crashes[0] == crashes[1] && !figures.iter().any(|figure| figure.differs);
        Self { identical, parts_at, turns, crashes, figures }
    }

    /// The comparison for people, in which the runs have these names.
    pub fn text(&self, names: [&str; 2]) -> String {
        let [a, b] = names.map(escape_line);
        let mut text = format!("A  {a}\nB  {b}\n\n");
        self.write_parting(&mut text)
            .and_then(|()| self.write_crashes(&mut text))
            .and_then(|()| self.write_figures(&mut text))
            .expect("a String takes all text");
        text
    }

    fn write_parting(&self, text: &mut String) -> std::fmt::Result {
        match (self.identical, self.parts_at) {
            (true, _) => writeln!(text, "identical"),
            (false, None) => writeln!(text, "the same turns; what differs is marked"),
            (false, Some(turn)) => {
                writeln!(text, "they part at turn {turn}; what else differs is marked")?;
                ["A", "B"].into_iter().zip(&self.turns).try_for_each(|(name, turn)| {
                    writeln!(text, "  {name}  {}", escape_line(turn.as_deref().unwrap_or("no such turn")))
                })
            }
        }
    }

    /// Writes the crash of each run. Every line is indented: the message may come from a file.
    fn write_crashes(&self, text: &mut String) -> std::fmt::Result {
        let named: &[_] = match &self.crashes {
            [one, other] if one == other => &[("both", one)],
            [one, other] => &[("A", one), ("B", other)],
        };
        for (name, crash) in named {
            let Some(crash) = crash else { continue };
            writeln!(text, "\n{name} ended in a crash")?;
            crash.lines().try_for_each(|line| writeln!(text, "  {line}"))?;
        }
        Ok(())
    }

    fn write_figures(&self, text: &mut String) -> std::fmt::Result {
        let cells = |figure: &Figure| figure.values.each_ref().map(|value| cell(value.as_deref()));
        let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let names = width(&mut self.figures.iter().map(|figure| figure.name.chars().count()));
        let values = width(&mut self.figures.iter().map(|figure| cells(figure)[0].chars().count()));
        writeln!(text, "\n  {:<names$}  {:<values$}  B", "", "A")?;
        for figure in &self.figures {
            let mark = if figure.differs { '*' } else { ' ' };
            let [a, b] = cells(figure);
            writeln!(text, "{mark} {:<names$}  {a:<values$}  {b}", escape_line(&figure.name))?;
        }
        Ok(())
    }
}

/// A value, formatted for the table.
fn cell(value: Option<&str>) -> String {
    let value = value.unwrap_or("-").replace('\n', " ");
    match value.chars().count() > MAX_WIDTH {
        true => value.chars().take(MAX_WIDTH - 3).chain("...".chars()).collect(),
        false => value,
    }
}

/// Returns a turn, from 1, and its items, for the comparison.
fn told(log: &RunLog, turn: usize) -> Option<(&Turn, Vec<u32>)> {
    log.turns().get(turn - 1).map(|it| (it, items(log, turn)))
}

/// The items that a turn, from 1, moved.
fn items(log: &RunLog, turn: usize) -> Vec<u32> {
    log.items().values()[log.moved(turn)].to_vec()
}

/// A turn in words.
fn shown(log: &RunLog, turn: usize) -> Option<String> {
    let Turn { vm, exits, action } = log.turns().get(turn - 1)?;
    let what = match action {
        Action::Moved { role, pointers, .. } => format!(
            "{} {:?}, prod_p={} cons_p={} count={}",
            role.name(),
            items(log, turn),
            pointers.prod_p,
            pointers.cons_p,
            pointers.count
        ),
        Action::Left(words) => format!("mailbox {words:?}"),
    };
    Some(format!("VM {vm} {what}, exits {exits}"))
}

/// Returns the figures that at least one of the logs has.
fn figures(logs: &[RunLog; 2]) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: &str, fact: &dyn Fn(&RunLog) -> Option<String>| {
        let values = logs.each_ref().map(fact);
        if values.iter().any(Option::is_some) {
            let differs = values[0] != values[1];
            figures.push(Figure { name: name.into(), values, differs });
        }
    };
    add("experiment", &|log| Some(log.beginning()?.experiment.clone()));
    add("guest ABI", &|log| Some(log.beginning()?.abi.clone()));
    add("seed", &|log| text(log.beginning()?.seed));
    add("capacity", &|log| text(log.beginning()?.capacity?));
    add("schedule", &|log| Some(log.beginning()?.schedule.clone()));
    for vm in both(logs, |log| log.beginning().into_iter().flat_map(|run| run.guests.iter().map(|g| g.vm))) {
        add(&format!("VM {vm}"), &|log| {
            let guest = log.beginning()?.guest(vm)?;
            Some(format!("{} {}", guest.name, guest.sha256))
        });
    }
    add("turns", &|log| log.beginning().and_then(|_| text(log.turns().len())));
    add("produced", &|log| text(log.pointers(0).map(|_| log.items().produced())?));
    add("consumed", &|log| text(log.pointers(0).map(|_| log.items().consumed())?));
    add("left in the ring", &|log| text(log.pointers(log.turns().len())?.count));
    add("items a turn", &|log| per_turn(log, log.items().produced() + log.items().consumed()));
    add("items in the ring, mean", &|log| {
        let counts = (1..=log.turns().len()).filter_map(|turns| log.pointers(turns));
        per_turn(log, counts.map(|pointers| pointers.count as usize).sum())
    });
    add("audit", &|log| Some(format!("{:?}", log.ending()?.totals?.audit).to_lowercase()));
    add("findings", &|log| findings(&log.ending()?.findings));
    add("crash", &|log| log.crash().map(crash));
    add("broken rule", &|log| log.crash()?.broken_rule().map(str::to_owned));
    for (vm, kind) in both(logs, |log| {
        log.exits().iter().flat_map(|(vm, kinds)| {
            // Exits that never happened are not compared.
            let happened = kinds.iter().filter(|&(_, &count)| count > 0);
            happened.map(|(kind, _)| (*vm, kind.clone()))
        })
    }) {
        add(&format!("exits of VM {vm}, {kind}"), &|log| text(log.exits().get(&vm)?.get(&kind)?));
    }
    figures
}

/// Returns the elements of both logs, in order.
fn both<'a, T: Ord, I: Iterator<Item = T>>(
    logs: &'a [RunLog; 2],
    of: impl Fn(&'a RunLog) -> I,
) -> BTreeSet<T> {
    logs.iter().flat_map(of).collect()
}

fn text(value: impl Display) -> Option<String> {
    Some(value.to_string())
}

/// Divides a sum by the number of turns, if there is a ring.
fn per_turn(log: &RunLog, sum: usize) -> Option<String> {
    log.pointers(0)?;
    let turns = log.turns().len();
    #[expect(clippy::cast_precision_loss, reason = "it is a mean for people")]
    let mean = sum as f64 / turns as f64;
    (turns > 0).then(|| format!("{mean:.2}"))
}

/// For example `VM 2 never-moved`.
fn findings(findings: &[Finding]) -> Option<String> {
    let names = findings.iter().map(|finding| format!("VM {} {}", finding.vm, finding.finding));
    (!findings.is_empty()).then(|| names.collect::<Vec<_>>().join(", "))
}

/// For example `VM 2, c, turn 3: broke the ring's rule ...`, with the lines that the message has.
fn crash_in_words(Crash { vm, name, turn, message, .. }: &Crash) -> String {
    let turn = turn.map_or(String::new(), |turn| format!(", turn {turn}"));
    format!("VM {vm}, {}{turn}: {message}", name.replace('\n', "\\n"))
}

/// For example `violation: VM 2, turn 3`.
fn crash(Crash { vm, turn, reason, .. }: &Crash) -> String {
    let turn = turn.map_or(String::new(), |turn| format!(", turn {turn}"));
    format!("{reason}: VM {vm}{turn}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"event":"run","experiment":"prodcons","abi":"1.0","seed":7,"capacity":2,"schedule":"alternate","turns":2,"guests":[{"vm":1,"name":"p","role":"producer","sha256":"aa"},{"vm":2,"name":"c","role":"consumer","sha256":"bb"}]}"#;
    const ONE: &str = r#"{"event":"turn","turn":1,"vm":1,"role":"producer","items":[5,6],"prod_p":0,"cons_p":0,"count":2,"exits":1}"#;
    const TWO: &str = r#"{"event":"turn","turn":2,"vm":2,"role":"consumer","items":[5],"prod_p":0,"cons_p":1,"count":1,"exits":1}"#;

    fn compared(one: &[&str], other: &[&str]) -> Comparison {
        let log = |lines: &[&str]| {
            let mut log = RunLog::default();
            lines.iter().try_for_each(|line| log.add_line(line.as_bytes())).expect("a log");
            log
        };
        Comparison::of(&[log(one), log(other)])
    }

    fn marked(comparison: &Comparison) -> Vec<&str> {
        comparison.figures.iter().filter(|figure| figure.differs).map(|figure| figure.name.as_str()).collect()
    }

    #[test]
    fn a_run_is_identical_to_itself() {
        let same = compared(&[RUN, ONE, TWO], &[RUN, ONE, TWO]);
        assert!(same.identical && same.parts_at.is_none() && marked(&same).is_empty());
    }

    #[test]
    fn runs_part_at_the_first_turn_that_differs() {
        let edited = ONE.replace("[5,6]", "[5,7]");
        let items = compared(&[RUN, ONE, TWO], &[RUN, &edited, TWO]);
        assert_eq!((items.parts_at, items.identical), (Some(1), false));
        assert_eq!(
            items.turns[1].as_deref(),
            Some("VM 1 producer [5, 7], prod_p=0 cons_p=0 count=2, exits 1")
        );
        let shorter = compared(&[RUN, ONE, TWO], &[RUN, ONE]);
        assert_eq!((shorter.parts_at, &shorter.turns[1]), (Some(2), &None));
        assert_eq!(
            marked(&shorter),
            ["turns", "consumed", "left in the ring", "items a turn", "items in the ring, mean"]
        );
    }

    #[test]
    fn how_they_began_is_compared_too() {
        let other = RUN.replace("\"seed\":7", "\"seed\":8").replace("\"sha256\":\"bb\"", "\"sha256\":\"cc\"");
        let begun = compared(&[RUN, ONE], &[&other, ONE]);
        assert_eq!((begun.parts_at, marked(&begun)), (None, vec!["seed", "VM 2"]));
        assert!(!begun.identical);
    }

    const REFUSED: &str = r#"{"event":"crash","vm":2,"name":"c","turn":2,"reason":"violation","rule":"quota","message":"broke the ring's rule `quota`: told 1\n  the ring stays:  x\n  it claimed:      y"}"#;

    fn texts(one: &[&str], other: &[&str]) -> String {
        compared(one, other).text(["a", "b"])
    }

    #[test]
    fn a_broken_rule_is_named_with_its_message_and_both_rings() {
        let text = texts(&[RUN, ONE, TWO], &[RUN, ONE, REFUSED]);
        assert!(
            text.contains("\nB ended in a crash\n  VM 2, c, turn 2: broke the ring's rule `quota`: told 1\n    the ring stays:  x\n    it claimed:      y\n"),
            "{text}"
        );
        assert!(text.contains("\n* broken rule              -          quota\n"), "{text}");
        assert!(!text.contains("A ended"), "{text}");
        // Older hosts named the rule in the message only.
        let older = REFUSED.replace(r#""rule":"quota","#, "");
        assert_eq!(texts(&[RUN, ONE, TWO], &[RUN, ONE, &older]), text);
        let same = texts(&[RUN, ONE, REFUSED], &[RUN, ONE, &older]);
        assert!(same.contains("\nidentical\n\nboth ended in a crash\n  VM 2, c, turn 2: broke"), "{same}");
    }

    #[test]
    fn runs_that_end_in_different_crashes_are_not_identical() {
        for (old, new) in [("told 1", "told 2"), ("rule `quota`", "rule `slot`")] {
            let other = compared(&[RUN, ONE, REFUSED], &[RUN, ONE, &REFUSED.replace(old, new)]);
            assert!(!other.identical && other.parts_at.is_none(), "{new}");
        }
    }

    #[test]
    fn a_message_cannot_forge_a_line() {
        let crash =
            REFUSED.replace("told 1", r"told\nidentical\nB  ").replace(r#""name":"c""#, r#""name":"c\nA""#);
        let text = texts(&[RUN, ONE, TWO], &[RUN, ONE, &crash]);
        assert!(!text.lines().any(|line| line == "identical" || line.starts_with("A:")), "{text}");
        assert!(text.contains(r"  VM 2, c\nA, turn 2: broke"), "{text}");
    }

    #[test]
    fn findings_are_compared() {
        let end = |findings: &str| {
            format!(
                r#"{{"event":"end","turns":1,"produced":2,"consumed":0,"left":2,"audit":"ok"{findings},"exits":{{}}}}"#
            )
        };
        let found = end(r#","findings":[{"vm":2,"name":"c","finding":"never-moved","message":"m"}]"#);
        let text = texts(&[RUN, ONE, &end("")], &[RUN, ONE, &found]);
        assert!(text.contains("\n* findings                 -          VM 2 never-moved\n"), "{text}");
    }

    #[test]
    fn what_never_happened_is_left_out_and_lines_have_room() {
        let run = RUN.replace("\"aa\"", &format!("\"{}\"", "aa".repeat(32)));
        let end = r#"{"event":"end","turns":1,"exits":{"1":{"io_in":0,"io_out":3,"total":3}}}"#;
        let crash =
            r#"{"event":"crash","vm":2,"name":"c","turn":1000,"reason":"stack-overflow","message":"m"}"#;
        let comparison = compared(&[&run, ONE, end], &[&run, ONE, crash]);
        let names: Vec<&str> = comparison.figures.iter().map(|figure| figure.name.as_str()).collect();
        assert!(names.contains(&"exits of VM 1, io_out") && !names.contains(&"exits of VM 1, io_in"));
        let mut table = String::new();
        comparison.write_figures(&mut table).expect("a String takes all text");
        assert!(table.lines().all(|line| line.chars().count() < 80), "{table}");
        assert!(table.contains("stack-overflow: VM 2, ..."), "{table}");
        assert_eq!(
            compared(&[&run, ONE, TWO], &[&run, ONE, &crash.replace("1000", "2")]).turns[1].as_deref(),
            Some("stack-overflow: VM 2, turn 2")
        );
    }

    #[test]
    fn long_values_are_cut_off_in_the_table() {
        let long = "1".repeat(100);
        assert_eq!(cell(Some(&long)).len(), MAX_WIDTH);
        assert_eq!((cell(Some("a\nb")), cell(None)), ("a b".into(), "-".into()));
    }
}
