//! The random choices: the number of items that each role moved, beside the number that it could have moved.

use guest_abi::transition::Role;
use maud::{Markup, html};

use super::{
    figure::{Shape, axis, drawing, key},
    number::{float, grouped, short, thousands},
    summary::side,
};
use guestlab_runlog::run_log::{Action, RunLog};

/// The largest number of labels below the axis; with more, only the ends have labels.
const MOST_LABELS: usize = 17;

/// The number of turns that moved a number of items.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Choice {
    /// The turns that moved that number.
    turns: usize,
    /// The turns that could have moved it.
    possible: usize,
    /// The expected number of turns if each possible number is equally likely.
    expected: f64,
}

/// The choices of a role, from 0 items to the ring's capacity.
fn choices(log: &RunLog, role: Role, capacity: u32) -> Vec<Choice> {
    let slots = capacity as usize + 1;
    let mut all = vec![Choice::default(); slots];
    // The number of turns by the largest possible number of items: possible and expected turns are sums of these.
    let mut limits = vec![0; slots];
    for (number, turn) in (1..).zip(log.turns()) {
        if let (Action::Moved { role: its, items, .. }, Some(possible)) = (&turn.action, log.possible(number))
            && *its == role
        {
            all[*items].turns += 1;
            limits[possible as usize] += 1;
        }
    }
    let (mut possible, mut expected) = (0, 0.0);
    for (items, limit) in limits.into_iter().enumerate().rev() {
        possible += limit;
        expected += float(limit) / (float(items) + 1.0);
        (all[items].possible, all[items].expected) = (possible, expected);
    }
    all
}

/// The figures of both roles; empty without a ring.
pub(super) fn figure(log: &RunLog) -> Markup {
    let Some(capacity) = log.beginning().and_then(|run| run.ring()) else { return html! {} };
    html! {
        section aria-labelledby="choices-h" {
            h2 id="choices-h" { "What was chosen" }
            p { "How many items a turn moved, beside how many it could have moved: a producer at most as many as \
                there was room for, a consumer at most as many as there were." }
            div.pair {
                @for role in [Role::Producer, Role::Consumer] {
                    (of_role(log, role, &choices(log, role, capacity.items())))
                }
            }
        }
    }
}

/// The fixed number of items for every turn of a role, if there is one.
fn told(log: &RunLog, role: Role) -> Option<u32> {
    let options = log.options()?;
    if role == Role::Producer { options.produce } else { options.consume }
}

fn of_role(log: &RunLog, role: Role, choices: &[Choice]) -> Markup {
    let told = told(log, role);
    let chosen = choices.iter().map(|choice| choice.turns).max().unwrap_or(0);
    let likely = choices.iter().map(|choice| choice.expected).filter(|_| told.is_none()).fold(1.0, f64::max);
    let most = likely.max(float(chosen)).ceil();
    let possible = choices.iter().map(|choice| choice.possible).max().unwrap_or(0);
    let ends = if choices.len() > MOST_LABELS { "ends" } else { "ends each" };
    html! {
        figure {
            figcaption {
                h3 { (heading(role)) }
                @if let Some(items) = told { p { "Told to move " (items) " a turn, or as many as it can." } }
            }
            div.plots.histogram {
                (axis("turns", &thousands(&format!("{most:.0}")), "0"))
                (chosen_bars(role, choices, most, told.is_none()))
                (axis("", &grouped(possible as u64), "0"))
                (possible_bars(choices, float(possible.max(1))))
                div class=(ends) { @for label in labels(choices.len()) { span { (label) } } }
                div.under { "items in a turn" }
            }
            p.legend {
                (key(side(Some(role)), "was chosen"))
                @if told.is_none() { (key("tick", "to be expected, were each possible number as likely")) }
                (key("could", "was possible"))
            }
            details { summary { "The numbers" } (table(role.name(), choices, told.is_none())) }
        }
    }
}

fn heading(role: Role) -> &'static str {
    if role == Role::Producer { "Producers" } else { "Consumers" }
}

/// The labels below the axis: all numbers, or only the ends if there are many.
fn labels(len: usize) -> Vec<usize> {
    if len <= MOST_LABELS { (0..len).collect() } else { vec![0, len - 1] }
}

/// The number of turns for each number of items, with the expected number.
fn chosen_bars(role: Role, choices: &[Choice], height: f64, guessed: bool) -> Markup {
    let (mut bars, mut ticks) = (Shape::default(), String::new());
    for (items, choice) in choices.iter().enumerate() {
        let x = float(items);
        bars.bar(x + 0.18, height, 0.64, -float(choice.turns));
        ticks.push_str(&format!("M{} {}h.84", short(x + 0.08), short(height - choice.expected)));
    }
    let content = html! {
        path class=(side(Some(role))) d=(bars.data()) {}
        @if guessed { path.tick d=(ticks) {} }
    };
    let title = format!("How many items {}s moved a turn", role.name());
    drawing("bars", choices.len(), height, &title, content)
}

/// The number of turns in which each number of items was possible.
fn possible_bars(choices: &[Choice], height: f64) -> Markup {
    let mut bars = Shape::default();
    for (items, choice) in choices.iter().enumerate() {
        bars.bar(float(items) + 0.18, height, 0.64, -float(choice.possible));
    }
    let content = html! { path.could d=(bars.data()) {} };
    drawing("bars low", choices.len(), height, "In how many turns so many items were possible", content)
}

fn table(role: &str, choices: &[Choice], guessed: bool) -> Markup {
    html! {
        div.wide { table.numbers data-choices=(role) {
            thead { tr {
                th scope="col" { "items" } th scope="col" { "chosen" } th scope="col" { "possible" }
                @if guessed { th scope="col" { "expected" } }
            } }
            tbody { @for (items, choice) in choices.iter().enumerate() {
                tr data-items=(items) data-turns=(choice.turns) data-possible=(choice.possible)
                    data-expected=(short(choice.expected)) {
                    th scope="row" { (items) }
                    td { (grouped(choice.turns as u64)) }
                    td { (grouped(choice.possible as u64)) }
                    @if guessed { td { (format!("{:.1}", choice.expected)) } }
                }
            } }
        } }
    }
}
