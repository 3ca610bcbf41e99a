//! The VMs: their guests, their state, and their counters.

use std::fmt::Display;

use guest_abi::transition::Role;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Widget,
};

use guestlab_runlog::{
    counters::Counts,
    event::{Crash, ExitCounts, Guest},
    run_log::RunLog,
};

use crate::tui::{
    draw::scene::Scene,
    theme::{self, BAD, FAINT, GOOD, STRONG, clean},
};

/// The largest number of characters of a guest's name and of a crash's reason.
const LONGEST: usize = 22;

/// A VM, for the table.
struct Vm {
    number: u32,
    name: String,
    role: Option<Role>,
}

/// The VMs of a run. A guest that runs alone is one VM.
fn vms(log: &RunLog) -> Vec<Vm> {
    let name = |name: &str| clean(name).chars().take(LONGEST).collect();
    let vm = |guest: &Guest| Vm { number: guest.vm, name: name(&guest.name), role: guest.role };
    match log.beginning() {
        Some(run) => run.guests.iter().map(vm).collect(),
        None => vec![Vm { number: 1, name: name(log.only_guest().unwrap_or_default()), role: None }],
    }
}

/// The number of rows of the table.
pub(super) fn rows(log: &RunLog) -> u16 {
    let vms = log.beginning().map_or(1, |run| run.guests.len());
    u16::try_from(vms + 1).unwrap_or(u16::MAX)
}

/// Draws the table into the inside of its frame.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: &Scene<'_>) {
    let vms = vms(scene.log);
    let table = Table::new(scene, &vms, usize::from(area.width));
    let shown = usize::from(area.height.saturating_sub(1));
    // If there are more VMs than rows, the VM of the turn must be visible.
    let current = scene.actor().and_then(|vm| vms.iter().position(|it| it.number == vm)).unwrap_or(0);
    let first = (current + 1).saturating_sub(shown).min(vms.len());
    let lines = vms[first..].iter().map(|vm| table.row(vm));
    for (row, line) in area.rows().zip([table.head()].into_iter().chain(lines)) {
        line.render(row, buffer);
    }
}

/// The columns. They are the same in all steps, so that nothing moves.
struct Table<'a> {
    scene: &'a Scene<'a>,
    name: usize,
    role: usize,
    state: usize,
    has_turns: bool,
    number: usize,
    /// The columns that are left for the kinds of exits.
    rest: usize,
}

impl<'a> Table<'a> {
    fn new(scene: &'a Scene<'a>, vms: &[Vm], width: usize) -> Self {
        let log = scene.log;
        let name = vms.iter().map(|vm| vm.name.chars().count()).max().unwrap_or(0).max(6);
        let role = if log.pointers(0).is_some() { 10 } else { 0 };
        let turns = log.beginning().and_then(|run| run.turns).unwrap_or(log.turns().len() as u64);
        let ended = ended(turns.max(log.turns().len() as u64)).len();
        let reason = log.crash().map_or(0, |crash| state_of(crash).chars().count().min(LONGEST));
        let (has_turns, number) = (log.beginning().is_some(), 7);
        let numbers = 1 + usize::from(has_turns) + usize::from(role > 0);
        // The arrow and the number take five columns, the spaces before state and kinds two each.
        let others = 5 + name + role + 2 + number * numbers + 2;
        // Numbers are more important than a long name of a rule.
        let state = reason.min(width.saturating_sub(others)).max(ended);
        Self { scene, name, role, state, has_turns, number, rest: width.saturating_sub(others + state) }
    }

    fn head(&self) -> Line<'static> {
        let Self { name, role, state, .. } = *self;
        let role_name = if role > 0 { "  role" } else { "" };
        let numbers = self.numbers("turns", "items", "exits");
        Line::styled(format!("  VM {:<name$}{role_name:role$}  {:<state$}{numbers}", "guest", "state"), FAINT)
    }

    /// The columns with numbers.
    fn numbers(&self, turns: impl Display, items: impl Display, exits: impl Display) -> String {
        let number = self.number;
        let column = |exists: bool, value: &dyn Display| match exists {
            true => format!("{:>number$}", value.to_string()),
            false => String::new(),
        };
        column(self.has_turns, &turns) + &column(self.role > 0, &items) + &column(true, &exits)
    }

    fn row(&self, vm: &Vm) -> Line<'static> {
        let Self { scene, name, role, state, rest, .. } = *self;
        let Counts { turns, items, exits } = scene.log.counts(vm.number, scene.turn());
        let total = scene.exits(vm.number);
        let exits = total.and_then(|exits| exits.get("total").copied()).or(self.has_turns.then_some(exits));
        let exits = exits.map_or("-".into(), |exits| exits.to_string());
        let kinds = total.map_or(String::new(), kinds);
        let kinds = if kinds.chars().count() > rest { String::new() } else { kinds };
        let role_name = vm.role.map_or(String::new(), |role| format!("  {}", role.name()));
        let (now, style) = now(scene, vm.number);
        let now: String = now.chars().take(state).collect();
        let arrow = if scene.actor() == Some(vm.number) { "▶" } else { " " };
        Line::from(vec![
            Span::styled(format!("{arrow}{:>3} ", vm.number), STRONG),
            Span::styled(format!("{:<name$}{role_name:<role$}  ", vm.name), theme::vm(vm.number)),
            Span::styled(format!("{now:<state$}"), style),
            Span::raw(format!("{}  ", self.numbers(turns, items, exits))),
            Span::styled(kinds, FAINT),
        ])
    }
}

fn ended(turn: u64) -> String {
    format!("ended turn {turn}")
}

/// The state of the VM that a crash ended: the reason, or the rule of the ring that was broken.
fn state_of(crash: &Crash) -> String {
    clean(&crash.broken_rule().map_or_else(|| crash.reason.to_string(), |rule| format!("broke {rule}")))
}

/// The state of a VM after the step. Guests with turns are never done by themselves: the host ends the run.
fn now(scene: &Scene<'_>, vm: u32) -> (String, Style) {
    let log = scene.log;
    let crash = log.crash_at(scene.view.step());
    let is_over = scene.is_at_end() && (log.ending().is_some() || !log.exits().is_empty());
    let is_next = || log.turns().get(scene.turn()).is_some_and(|turn| turn.vm == vm);
    match (crash, scene.this_turn()) {
        (Some(crash), _) if crash.vm == vm => (state_of(crash), BAD),
        (None, _) if log.beginning().is_none() && is_over => ("done".into(), GOOD),
        _ if log.beginning().is_none() => ("runs".into(), Style::new()),
        (None, _) if is_over && log.leaver() == Some(vm) => ("left".into(), GOOD),
        (None, Some(turn)) if turn.vm == vm => (ended(scene.turn() as u64), STRONG),
        (None, None) if log.turns().is_empty() && !is_over => ("boots".into(), Style::new()),
        (None, _) if is_next() => ("is next".into(), Style::new()),
        _ => ("waits".into(), FAINT),
    }
}

/// The kinds of a VM's exits, for example `22 io_out`.
fn kinds(exits: &ExitCounts) -> String {
    let happened = exits.iter().filter(|&(kind, &count)| kind != "total" && count > 0);
    let kinds = happened.map(|(kind, count)| format!("{count} {}", clean(kind)));
    kinds.collect::<Vec<_>>().join(", ")
}
