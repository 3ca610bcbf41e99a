//! The transcript: a run as text for people.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use anstyle::{AnsiColor, Style};
use guest_abi::{ring::Ring, transition::Role};
use log::Level;

use guestlab_runlog::{
    event::{
        Action, CheckResult, Console, Dropped, End, Event, ExitCounts, FunctionProfile, Guest, LineProfile,
        Log, Moved, Profile, Run, Screen, Stats, StatsRow, Totals, Turn, TurnsProfile, VmProfile, VmStats,
    },
    sink::Sink,
    text::{LineEnds, Utf8Stream, escape_control, escape_line, screen_text},
};

const PRODUCER: Style = AnsiColor::Green.on_default();
const CONSUMER: Style = AnsiColor::Cyan.on_default();
const VMS: [Style; 4] = [AnsiColor::Magenta.on_default(), PRODUCER, CONSUMER, AnsiColor::Yellow.on_default()];
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// The meaning of the times of `--stats`: without it, the cost of an exit looks like the guest's.
const STATS_NOTE: &str = "The time in the guest includes the entry into it and the exit from it. In a short stay they take most of it.";

/// Writes events for people.
pub struct Transcript<W> {
    writer: W,
    color: bool,
    quiet: bool,
    /// Prints a warning about the output itself.
    warn: fn(&str),
    names: BTreeMap<u32, String>,
    consoles: BTreeMap<u32, (Utf8Stream, LineEnds)>,
    /// In an exchange: the text of each guest since its last newline.
    lines: BTreeMap<u32, String>,
    /// For a guest alone: true if its last line is not ended.
    midline: bool,
    /// The width of a turn's number.
    turn_width: usize,
    /// The width of a sign and a number of items.
    moved_width: usize,
    /// The width of a turn's items.
    items_width: usize,
}

impl<W: Write + Send> Transcript<W> {
    /// Writes to `writer`, with colours or without. `quiet` leaves out all but guests' own text and how
    /// the run ended. `warn` prints warnings about the output itself.
    pub fn new(writer: W, color: bool, quiet: bool, warn: fn(&str)) -> Self {
        let (names, consoles, lines) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self {
            writer,
            color,
            quiet,
            warn,
            names,
            consoles,
            lines,
            midline: false,
            turn_width: 2,
            moved_width: 2,
            items_width: 0,
        }
    }

    /// Returns the writer.
    pub fn into_writer(self) -> W {
        self.writer
    }

    /// Returns the text in a style, if there is colour.
    fn paint(&self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.into() }
    }

    /// Writes the facts of the experiment and its guests.
    fn run(&mut self, run: &Run) -> io::Result<()> {
        self.names = run.guests.iter().map(|guest| (guest.vm, guest.name.clone())).collect();
        let Run { experiment, capacity, schedule, turns, items, repeatable, seed, abi, .. } = run;
        self.turn_width = turns.map_or(5, |turns| turns.to_string().len()).max(2);
        if let Some(capacity) = capacity {
            self.moved_width = 1 + capacity.to_string().len();
            // Items of two digits fill a ring; longer lists push the rest of their line out.
            self.items_width = (3 * *capacity as usize + 1).min(40);
        }
        if self.quiet {
            return Ok(());
        }
        let facts: Vec<String> = [
            capacity.map(|capacity| format!("ring of {capacity}")),
            Some(format!("schedule {schedule}")),
            turns.map(number_of_turns),
            items.map(|items| format!("until {items} items are consumed")),
            Some(format!("seed {seed} (guest ABI {abi})")),
        ]
        .into_iter()
        .flatten()
        .collect();
        writeln!(self.writer, "{}", escape_line(&format!("{experiment}: {}", facts.join(", "))))?;
        if !repeatable {
            writeln!(
                self.writer,
                "  every VM runs on a thread of its own: this run cannot be repeated, not even with its seed"
            )?;
        }
        for Guest { vm, name, role, sha256 } in &run.guests {
            let role = role.map_or(String::new(), |role| format!("{}, ", role.name()));
            let line = format!("  VM {vm}  {name}, {role}sha256 {}", &sha256[..16.min(sha256.len())]);
            writeln!(self.writer, "{}", self.paint(FAINT, &escape_line(&line)))?;
        }
        writeln!(self.writer)
    }

    fn turn(&mut self, turn: &Turn<'_>) -> io::Result<()> {
        match &turn.action {
            Action::Moved(moved) => self.moved(turn, moved),
            Action::Left { name, mailbox } => self.left(turn, name, mailbox),
        }
    }

    /// A turn in an exchange, for example
    /// `turn  7  producer  +3  [41 7 93]  ring [41  7 93  .  .  .]  cons_p=0 prod_p=3 count=3`.
    fn moved(&mut self, turn: &Turn<'_>, moved: &Moved<'_>) -> io::Result<()> {
        let Turn { turn: number, vm, from, ring, .. } = turn;
        let Moved { role, items, prod_p, cons_p, count } = moved;
        let (style, sign) = match role {
            Role::Producer => (PRODUCER, "+"),
            Role::Consumer => (CONSUMER, "-"),
        };
        let who = match self.names.len() > 2 {
            true => format!("VM {vm:<3}{}", role.name()),
            false => format!("{:<8}", role.name()),
        };
        let moved = if items.is_empty() { "0".into() } else { format!("{sign}{}", items.len()) };
        let who = self.paint(style, &format!("{who}  {moved:>width$}", width = self.moved_width));
        let items = format!("{:<width$}", list(items, from.as_deref()), width = self.items_width);
        let (items, ring) = (self.paint(style, &items), ring.map_or(String::new(), |ring| self.ring(ring)));
        writeln!(
            self.writer,
            "turn {number:>width$}  {who}  {items}  ring {ring}  cons_p={cons_p} prod_p={prod_p} count={count}",
            width = self.turn_width
        )
    }

    /// A turn of an experiment without a ring, for example `turn  7  VM 1 ping  mailbox [6]`.
    fn left(&mut self, turn: &Turn<'_>, name: &str, mailbox: &[u32]) -> io::Result<()> {
        let Turn { turn: number, vm, .. } = turn;
        let who = self.paint(VMS[*vm as usize % VMS.len()], &format!("VM {vm} {}", escape_line(name)));
        writeln!(
            self.writer,
            "turn {number:>width$}  {who}  mailbox {}",
            list(mailbox, None),
            width = self.turn_width
        )
    }

    /// The ring's slots: items, and `.` for an empty slot.
    fn ring(&self, ring: &Ring) -> String {
        let empty = self.paint(FAINT, " .");
        let slot = |slot: Option<u32>| slot.map_or_else(|| empty.clone(), |item| format!("{item:>2}"));
        format!("[{}]", ring.view().map(slot).collect::<Vec<_>>().join(" "))
    }

    /// Totals, exits, and the audit's verdict.
    fn end(&mut self, end: &End) -> io::Result<()> {
        let End { turns, totals, rule, findings, exits } = end;
        if !self.quiet {
            writeln!(self.writer)?;
        }
        write!(self.writer, "{}", number_of_turns(*turns))?;
        match totals {
            Some(Totals { produced, consumed, left, .. }) => {
                writeln!(self.writer, ": {produced} produced, {consumed} consumed, {left} left in the ring")?
            }
            None => writeln!(self.writer)?,
        }
        for (vm, exits) in exits {
            let name = self.names.get(vm).map_or("", String::as_str);
            writeln!(self.writer, "exits of VM {vm}, {}: {}", escape_line(name), list_exits(exits))?;
        }
        let verdict = match totals.map(|totals| totals.audit) {
            None => return Ok(()),
            Some(CheckResult::Ok) => self.paint(GOOD, "ok") + ", what came out is what went in, in order",
            Some(CheckResult::Failed) => {
                let rule = rule.as_ref().map_or(String::new(), |rule| format!(": `{rule}`"));
                self.paint(BAD, "failed") + ", a guest broke the ring's rules" + &rule
            }
        };
        writeln!(self.writer, "audit: {verdict}")?;
        for finding in findings {
            writeln!(self.writer, "{} {finding}", self.paint(BAD, "finding:"))?;
        }
        Ok(())
    }

    /// Writes the content of a guest's text screen.
    fn screen(&mut self, screen: &Screen) -> io::Result<()> {
        write!(self.writer, "{}", escape_control(&screen_text(&screen.lines)))?;
        self.flush()
    }

    /// Warns that a part of a guest's text was dropped. The warning is about the output, and goes to standard error.
    fn dropped(&mut self, dropped: &Dropped) -> io::Result<()> {
        let Dropped { vm, name, bytes, limit } = dropped;
        self.flush()?;
        (self.warn)(&format!(
            "VM {vm}, {name}: printed {bytes} bytes more than the {limit} that --max-output allows; they were dropped"
        ));
        Ok(())
    }

    /// Writes a table of exits: their number, and their time.
    fn stats(&mut self, stats: &Stats) -> io::Result<()> {
        for VmStats { vm, name, exits } in &stats.vms {
            writeln!(self.writer, "\nVM {vm}, {}", escape_line(name))?;
            writeln!(
                self.writer,
                "  {:<18}  {:>9}  {:>13}  {:>13}",
                "exit", "count", "in guest, us", "in host, us"
            )?;
            for row in exits {
                let StatsRow { count, guest_us, host_us, .. } = row;
                let kind = row.to_string();
                writeln!(self.writer, "  {kind:<18}  {count:>9}  {guest_us:>13.1}  {host_us:>13.1}")?;
            }
        }
        writeln!(self.writer, "\n{STATS_NOTE}")
    }

    /// Writes tables of instructions: of the boot, of the turns, and of the functions and lines with the most.
    fn profile(&mut self, profile: &Profile) -> io::Result<()> {
        for VmProfile { vm, name, instructions, boot, turns, functions, lines } in &profile.vms {
            write!(self.writer, "\nVM {vm}, {}: {instructions} instructions", escape_line(name))?;
            if let Some(boot) = boot {
                write!(self.writer, ", {boot} of them to boot")?;
            }
            writeln!(self.writer)?;
            if let Some(TurnsProfile { count, min, median, max, .. }) = turns {
                let turns = number_of_turns(*count);
                writeln!(self.writer, "  {turns}, of {min} to {max} instructions each, median {median}")?;
            }
            let function = |FunctionProfile { function, instructions }: &FunctionProfile| {
                (function.clone().unwrap_or("(no symbol)".into()), *instructions)
            };
            self.counts("function", *instructions, functions.iter().map(function))?;
            let line = |LineProfile { file, line, instructions }: &LineProfile| {
                (format!("{file}:{line}"), *instructions)
            };
            self.counts("line", *instructions, lines.iter().map(line))?;
        }
        Ok(())
    }

    /// Writes a table of the first of these numbers of instructions, which begin with the greatest, and the sum of the
    /// others.
    fn counts(
        &mut self,
        of: &str,
        all: u64,
        mut rows: impl ExactSizeIterator<Item = (String, u64)>,
    ) -> io::Result<()> {
        /// The largest number of rows of the table.
        const MOST: usize = 20;
        if rows.len() == 0 {
            return Ok(());
        }
        writeln!(self.writer, "  {:>12}  {:>6}  {of}", "instructions", "%")?;
        for (name, own) in rows.by_ref().take(MOST) {
            let percent = own as f64 * 100.0 / all as f64;
            writeln!(self.writer, "  {own:>12}  {percent:>6.1}  {}", escape_line(&name))?;
        }
        let others = rows.len();
        match rows.map(|(_, own)| own).sum() {
            0_u64 => Ok(()),
            rest => writeln!(self.writer, "  {rest:>12}          in {others} others"),
        }
    }

    /// Writes a guest's text: unchanged if the guest runs alone, after its name in an exchange.
    fn console(&mut self, console: &Console<'_>) -> io::Result<()> {
        let (characters, ends) = self.consoles.entry(console.vm).or_default();
        let text = ends.push(&characters.push(&console.text));
        if self.names.is_empty() {
            self.midline = !text.ends_with('\n') && (self.midline || !text.is_empty());
            write!(self.writer, "{}", escape_control(&text))?;
            return self.flush();
        }
        let line = self.lines.entry(console.vm).or_default();
        line.push_str(&text);
        let Some(end) = line.rfind('\n') else { return Ok(()) };
        let rest = line.split_off(end + 1);
        let whole = std::mem::replace(line, rest);
        self.write_lines(console.vm, &whole)
    }

    /// Writes a log record, for example `INFO  demo::net: up`; in an experiment after the guest's name.
    fn log(&mut self, log: &Log<'_>) -> io::Result<()> {
        let Log { vm, level, target, message, .. } = log;
        let level = self.paint(level_style(*level), &format!("{level:<5}"));
        // A record is one line: a guest cannot forge others with newlines.
        let line = escape_line(&format!("{target}: {message}"));
        let name = match self.names.is_empty() {
            true => String::new(),
            false => self.paint(FAINT, &format!("{}|", escape_line(&self.label(*vm)))) + " ",
        };
        writeln!(self.writer, "{name}{level} {line}")?;
        self.flush()
    }

    /// The label of a VM's lines: its guest's name, with its number if other guests have that name, too.
    fn label(&self, vm: u32) -> String {
        let name = self.names.get(&vm).map_or("", String::as_str);
        match self.names.values().filter(|other| *other == name).count() {
            0 | 1 => name.into(),
            _ => format!("{name} {vm}"),
        }
    }

    /// Writes lines after the guest's name.
    fn write_lines(&mut self, vm: u32, text: &str) -> io::Result<()> {
        let name = self.paint(FAINT, &format!("{}|", escape_line(&self.label(vm))));
        for line in text.lines() {
            writeln!(self.writer, "{name} {}", escape_control(line))?;
        }
        self.flush()
    }

    /// Writes the rest of incomplete characters.
    fn end_characters(&mut self) -> io::Result<()> {
        let rests: Vec<(u32, &str)> =
            self.consoles.iter_mut().map(|(vm, (stream, _))| (*vm, stream.finish())).collect();
        for (vm, rest) in rests.into_iter().filter(|(_, rest)| !rest.is_empty()) {
            match self.names.is_empty() {
                true => write!(self.writer, "{rest}")?,
                false => self.lines.entry(vm).or_default().push_str(rest),
            }
        }
        Ok(())
    }

    /// Ends the unfinished lines of guests before other output.
    fn end_lines(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.midline) {
            writeln!(self.writer)?;
        }
        for (vm, line) in std::mem::take(&mut self.lines) {
            self.write_lines(vm, &line)?;
        }
        Ok(())
    }
}

impl<W: Write + Send> Sink for Transcript<W> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            // A guest that ends without an error may leave its last line unfinished.
            Event::Console(_) => {}
            Event::Exit(_) => self.end_characters()?,
            Event::Screen(_) => {
                self.end_characters()?;
                self.end_lines()?;
            }
            _ => self.end_lines()?,
        }
        match event {
            Event::Run(run) => self.run(run),
            Event::Console(console) => self.console(console),
            Event::Log(log) => self.log(log),
            Event::Turn(_) if self.quiet => Ok(()),
            Event::Turn(turn) => self.turn(turn),
            Event::End(end) => self.end(end),
            Event::Screen(screen) => self.screen(screen),
            Event::Dropped(dropped) => self.dropped(dropped),
            Event::Stats(stats) => self.stats(stats),
            Event::Profile(profile) => self.profile(profile),
            // The error on standard error reports how a guest ended.
            Event::Crash(_) | Event::Exit(_) | Event::Recording(_) | Event::Other => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn level_style(level: Level) -> Style {
    match level {
        Level::Error => BAD,
        Level::Warn => AnsiColor::Yellow.on_default(),
        Level::Info => AnsiColor::Green.on_default(),
        Level::Debug => AnsiColor::Blue.on_default(),
        Level::Trace => FAINT,
    }
}

fn number_of_turns(turns: u64) -> String {
    format!("{turns} turn{}", if turns == 1 { "" } else { "s" })
}

/// For example `[41 7 93]`; or `[41<1 7<2]` with the VMs that made the items.
fn list(items: &[u32], makers: Option<&[u32]>) -> String {
    let maker = |index: usize| makers.and_then(|makers| makers.get(index));
    let item = |(index, item)| match maker(index) {
        Some(maker) => format!("{item}<{maker}"),
        None => format!("{item}"),
    };
    format!("[{}]", items.iter().enumerate().map(item).collect::<Vec<_>>().join(" "))
}

/// For example `22 (22 io_out)`.
fn list_exits(exits: &ExitCounts) -> String {
    let happened = exits.iter().filter(|&(kind, &count)| kind != "total" && count > 0);
    let kinds: Vec<String> = happened.map(|(kind, count)| format!("{count} {kind}")).collect();
    match kinds.is_empty() {
        true => "none".into(),
        false => format!("{} ({})", exits.get("total").unwrap_or(&0), kinds.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use guest_abi::ring::Capacity;

    use super::*;

    fn written(color: bool, quiet: bool, events: &[Event<'_>]) -> String {
        let mut bytes = Vec::new();
        let mut sink = Transcript::new(&mut bytes, color, quiet, |_| {});
        events.iter().try_for_each(|event| sink.event(event)).expect("a Vec takes all");
        String::from_utf8(bytes).expect("text")
    }

    fn turn<'a>(ring: &'a Ring, items: &'a [u32], role: Role) -> Event<'a> {
        let p = ring.pointers();
        let moved = Moved { role, items: items.into(), prod_p: p.prod_p, cons_p: p.cons_p, count: p.count };
        let action = Action::Moved(moved);
        Event::Turn(Turn { turn: 7, vm: 1, action, exits: 1, from: None, ring: Some(ring) })
    }

    fn ring(items: &[u32]) -> Ring {
        let mut ring = Ring::new(Capacity::DEFAULT);
        items.iter().for_each(|&item| ring.push(item).expect("room"));
        ring
    }

    #[test]
    fn a_turn_shows_who_moved_what_and_the_ring() {
        let full = ring(&[41, 7, 93]);
        assert_eq!(
            written(false, false, &[turn(&full, &[41, 7, 93], Role::Producer)]),
            "turn  7  producer  +3  [41 7 93]  ring [41  7 93  .  .  .]  cons_p=0 prod_p=3 count=3\n"
        );
        let empty = ring(&[]);
        assert_eq!(
            written(false, false, &[turn(&empty, &[], Role::Consumer)]),
            "turn  7  consumer   0  []  ring [ .  .  .  .  .  .]  cons_p=0 prod_p=0 count=0\n"
        );
    }

    #[test]
    fn there_is_colour_only_where_it_is_wanted() {
        let ring = ring(&[1]);
        assert!(written(true, false, &[turn(&ring, &[1], Role::Producer)]).contains("\x1b["));
        assert!(!written(false, false, &[turn(&ring, &[1], Role::Producer)]).contains('\x1b'));
    }

    #[test]
    fn quiet_leaves_the_turns_out() {
        let ring = ring(&[1]);
        assert_eq!(written(false, true, &[turn(&ring, &[1], Role::Producer)]), "");
    }

    #[test]
    fn in_an_exchange_a_guests_lines_are_whole_and_beside_its_name() {
        let full = ring(&[1]);
        let guests =
            vec![Guest { vm: 1, name: "g".into(), role: Some(Role::Producer), sha256: String::new() }];
        let run = Run {
            engine: "kvm".into(),
            experiment: "prodcons".into(),
            abi: String::new(),
            seed: 1,
            capacity: Some(6),
            schedule: String::new(),
            turns: Some(1),
            items: None,
            repeatable: true,
            guests,
        };
        let print =
            |text: &'static [u8]| Event::Console(Console { vm: 1, name: "g".into(), text: text.into() });
        let events = [
            Event::Run(Box::new(run)),
            print(b"h"),
            print(b"i\nthe"),
            print(b"re"),
            turn(&full, &[1], Role::Producer),
        ];
        let text = written(false, false, &events);
        assert!(text.contains("\n\ng| hi\ng| there\nturn  7  producer"), "{text}");
    }

    #[test]
    fn a_guest_cannot_drive_the_terminal() {
        let console = Event::Console(Console { vm: 1, name: "g".into(), text: b"\x1b[2Jhello\n".into() });
        assert_eq!(written(true, false, &[console]), "\\x1b[2Jhello\n");
    }
}
