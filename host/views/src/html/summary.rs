//! The summary: the run and its end.

use guest_abi::transition::Role;
use maud::{Markup, html};

use super::number::{counted, grouped};
use guestlab_runlog::{
    counters::Counts,
    event::{CheckResult, Guest, Run},
    run_log::RunLog,
    status::Status,
    text::escape_line,
};

/// The class of a role's colour. Classes differ in form, too.
pub(super) fn side(role: Option<Role>) -> &'static str {
    if role == Some(Role::Consumer) { "c" } else { "p" }
}

/// The name of the experiment or of the guest.
pub(super) fn name(log: &RunLog) -> &str {
    let experiment = log.beginning().map(|run| run.experiment.as_str());
    experiment.or(log.only_guest()).unwrap_or("a guest")
}

/// The outcome in a few words, and its class.
pub(super) fn outcome(log: &RunLog) -> (String, &'static str) {
    match (log.status(), log.crash()) {
        (_, Some(crash)) => (crash.kind(), "bad"),
        (None, _) => ("not finished".into(), "open"),
        (Some(Status::Success), _) => ("ok".into(), "good"),
        (Some(_), _) => ("failed".into(), "bad"),
    }
}

/// The head of the page.
pub(super) fn head(log: &RunLog) -> Markup {
    let (word, class) = outcome(log);
    let mark = match class {
        "good" => "✓",
        "bad" => "✗",
        _ => "…",
    };
    html! {
        header {
            h1 { (escape_line(name(log))) " " span class=(format!("outcome {class}")) { (mark) " " (word) } }
            p { (ending(log)) }
        }
        section aria-label="Summary" {
            dl.facts { @for Fact { name, value, text } in facts(log) {
                div { dt { (name) } dd data-fact=(name) data-value=(value) { (text) } }
            } }
            @if let Some(run) = log.beginning() { (guests(log, run)) }
            @for finding in log.ending().map_or(&[][..], |end| &end.findings) {
                p.finding data-vm=(finding.vm) data-finding=(finding.finding) { "Finding: " (finding) "." }
            }
            @for dropped in log.dropped() {
                p { "VM " (dropped.vm) " printed " (counted(dropped.bytes, "byte")) " more than the "
                    (grouped(dropped.limit)) " that it may; they were dropped." }
            }
        }
    }
}

fn ending(log: &RunLog) -> String {
    let turns = counted(log.turns().len() as u64, "turn");
    match (log.crash(), log.status()) {
        (Some(crash), _) => {
            let turn = crash.turn.map_or(String::new(), |turn| format!(", turn {}", grouped(turn)));
            format!("VM {}, {}{turn}: {}", crash.vm, escape_line(&crash.name), crash.headline())
        }
        (None, None) => {
            let after = log.beginning().map_or(String::new(), |_| format!(" after {turns}"));
            format!("The run did not come to its end: it was interrupted or killed{after}.")
        }
        (None, Some(_)) => match log.ending().and_then(|end| end.totals).map(|totals| totals.audit) {
            Some(CheckResult::Ok) => format!("{turns}; what came out is what went in, in order."),
            Some(CheckResult::Failed) => format!("{turns}; what came out is not what went in."),
            None if log.beginning().is_some() => format!("{turns}, and all guests did as they should."),
            None => "The guest ended by itself.".into(),
        },
    }
}

/// The largest number of characters of a fact.
const LONGEST_FACT: usize = 60;

/// A fact in one or two words.
struct Fact {
    name: &'static str,
    /// The value for programs.
    value: String,
    /// The text for people.
    text: String,
}

impl Fact {
    fn number(name: &'static str, number: u64) -> Self {
        Self { name, value: number.to_string(), text: grouped(number) }
    }

    /// A text, cut off if it is long: a written schedule can have any length.
    fn text(name: &'static str, text: &str) -> Self {
        let text = escape_line(text);
        let mut value: String = text.chars().take(LONGEST_FACT).collect();
        if value.len() < text.len() {
            value.push('…');
        }
        Self { name, text: value.clone(), value }
    }
}

fn facts(log: &RunLog) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(run) = log.beginning() {
        facts.push(Fact::number("turns", log.turns().len() as u64));
        if run.ring().is_some() {
            let (produced, consumed) = (log.items().produced(), log.items().consumed());
            facts.push(Fact::number("produced", produced as u64));
            facts.push(Fact::number("consumed", consumed as u64));
            facts.push(Fact::number("left in the ring", (produced - consumed) as u64));
        }
    }
    if !log.exits().is_empty() {
        let totals = log.exits().values().filter_map(|kinds| kinds.get("total"));
        facts.push(Fact::number("exits", totals.fold(0, |sum, total| sum.saturating_add(*total))));
    }
    if let Some(totals) = log.ending().and_then(|end| end.totals) {
        facts.push(Fact::text("audit", if totals.audit == CheckResult::Ok { "ok" } else { "failed" }));
    }
    let status = log.status().map(|status| (status as u8).to_string());
    facts.push(Fact::text("exit status", status.as_deref().unwrap_or("none")));
    if let Some(run) = log.beginning() {
        facts.push(Fact::text("schedule", &run.schedule));
        facts.extend(run.capacity.map(|capacity| Fact::text("capacity", &capacity.to_string())));
        facts.push(Fact::text("seed", &run.seed.to_string()));
    }
    facts
}

fn guests(log: &RunLog, run: &Run) -> Markup {
    let ring = run.ring().is_some();
    html! {
        div.wide { table.guests {
            caption { "Guests (ABI " (run.abi) ")" }
            thead { tr {
                th scope="col" { "VM" } th.text scope="col" { "guest" }
                @if ring { th.text scope="col" { "role" } }
                th scope="col" { "turns" }
                @if ring { th scope="col" { "items" } }
                th scope="col" { "exits" } th.text scope="col" { "SHA-256 of the image" }
            } }
            tbody { @for guest in &run.guests { (row(log, guest, ring)) } }
        } }
    }
}

fn row(log: &RunLog, guest: &Guest, ring: bool) -> Markup {
    let Counts { turns, items, .. } = log.counts(guest.vm, log.turns().len());
    let exits = log.exits().get(&guest.vm).and_then(|kinds| kinds.get("total"));
    let role = guest.role;
    html! {
        tr data-vm=(guest.vm) data-turns=(turns) data-items=(items) data-exits=[exits] {
            td { (guest.vm) }
            td.text { (escape_line(&guest.name)) }
            @if ring { td.text { i class=(side(role)) {} " " (role.map_or("", Role::name)) } }
            td { (grouped(turns as u64)) }
            @if ring { td { (grouped(items as u64)) } }
            td { (exits.map_or("–".into(), |exits| grouped(*exits))) }
            td.text { code.hash { (guest.sha256) } }
        }
    }
}

/// The command that repeats the run.
pub(super) fn again(log: &RunLog) -> Markup {
    html! {
        section aria-labelledby="again-h" {
            h2 id="again-h" { "The same again" }
            @match log.command() {
                Some(command) => {
                    p { (promise(log)) }
                    pre.command { code { (escape_line(&command)) } }
                }
                None => p {
                    "These lines do not tell all options of the run, so that there is no command to repeat it; a \
                    recording (" code { "run prodcons --record FILE" } ") has them."
                }
            }
        }
    }
}

/// The expected result of a repetition.
fn promise(log: &RunLog) -> &'static str {
    if log.beginning().is_some_and(|run| !run.repeatable) {
        return "Every VM ran on a thread of its own: this run cannot be repeated, not even with its seed. This runs \
                the same guests once more:";
    }
    match log.crash().map(|crash| &*crash.reason) {
        Some("deadline" | "turn-timeout") => "This repeats the run, up to where the clock ended it:",
        _ => "This repeats the run:",
    }
}
