//! The events of a run, made from machines and their guests.

use crate::{
    cpu::Direction,
    debug::crash_report::Report,
    lab::vm::Vm,
    lab::{failure::GuestError, guest_end::GuestEnd},
    runlog::event::{Crash, Event, ExitCounts, Location, Log, Stats, StatsRow, VmStats},
    vmm::{
        Record,
        stats::{ExitStats, Reason, Row, microseconds},
    },
};

/// Returns the event of a guest's log record.
pub fn log_event<'a>(vm: u32, name: &'a str, record: Record<'a>) -> Log<'a> {
    let Record { level, target, message } = record;
    Log { vm, name: name.into(), level, target: target.into(), message: message.into() }
}

/// Returns the event of a guest's failure.
pub fn crash_event(error: &GuestError) -> Crash {
    let report = error.report();
    let place = report.as_ref().and_then(Report::first_frame);
    let address = report.as_ref().and_then(Report::address);
    let location = match &error.end {
        GuestEnd::Panicked(report) => {
            let file = String::from_utf8_lossy(&report.file).into_owned();
            Some(Location { file, line: report.line, column: report.column })
        }
        _ => place.and_then(|place| {
            let (file, line, column) = (place.file.clone()?, place.line?, place.column.unwrap_or(0));
            Some(Location { file, line, column })
        }),
    };
    let refusal = error.end.refusal();
    Crash {
        vm: error.at.vm,
        name: error.at.name.clone(),
        turn: error.at.turn,
        reason: error.end.name().into(),
        message: error.end.to_string(),
        rule: refusal.map(|refusal| refusal.violation.rule().into()),
        address,
        location,
        hint: error.hint(),
        states: refusal.map(|refusal| (*refusal.states).clone()),
        details: report.map(Report::into_details),
    }
}

/// Returns a machine's exits by kind, and as `total`.
pub fn exits(stats: &ExitStats) -> ExitCounts {
    let kinds = stats.by_kind().into_iter().map(|(kind, count)| (kind.into(), count));
    kinds.chain([("total".into(), stats.total())]).collect()
}

/// Returns the event with the statistics of all machines.
pub fn stats_event(machines: &[Vm]) -> Event<'static> {
    let vms = machines.iter().map(|machine| VmStats {
        vm: machine.vm(),
        name: machine.name().into(),
        exits: machine.stats().rows().map(stats_row).collect(),
    });
    Event::Stats(Stats { vms: vms.collect() })
}

fn stats_row((reason, row): (Reason, Row)) -> StatsRow {
    let port = reason.port();
    StatsRow {
        reason: reason.kind().into(),
        port: port.map(|(port, ..)| port),
        direction: port.map(|(_, direction, _)| if direction == Direction::In { "in" } else { "out" }.into()),
        size: port.map(|(.., size)| size),
        count: row.count,
        guest_us: microseconds(row.guest),
        host_us: microseconds(row.host),
    }
}
