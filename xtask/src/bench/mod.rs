//! The measurements: each interleaved with its baseline, round by round.
//!
//! What measures are processes: `measure` (host/benches/measure) for our side, and the C baseline
//! (host/benches/baseline). Here they are built and run, and what they print is summed up.

mod builds;
mod catalog;
mod host_info;
mod programs;
mod report;
mod results;
mod statistics;

use crate::base::output;
use crate::cli::{Bench, BenchFormat};
use crate::error::Error;
use crate::workspace::Workspace;

use catalog::Group;
use host_info::Machine;
use programs::Programs;
use results::{Results, Row};

/// How often each side is measured, after a round that is not counted.
const ROUNDS: usize = 10;
const QUICK_ROUNDS: usize = 3;

/// Measures what the filter names, and prints, saves and compares what was found.
pub(crate) fn run(workspace: &Workspace, wish: &Bench) -> Result<(), Error> {
    let against = wish.against.as_ref().map(|name| Results::load(workspace, name)).transpose()?;
    let is_wanted = |name: &str| wish.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let groups: Vec<Group> = catalog::groups().into_iter().filter(|group| is_wanted(group.name)).collect();
    if groups.is_empty() && !is_wanted(catalog::BUILDS) {
        return Err(Error::bad_input(format_args!(
            "there is no measurement of that name; there are: {}",
            catalog::names().join(", ")
        )));
    }
    let programs = if groups.is_empty() { None } else { Some(Programs::build(workspace)?) };
    let rounds = if wish.quick { QUICK_ROUNDS } else { ROUNDS };
    let mut results = Results { machine: Machine::here(), rounds, rows: Vec::new() };
    for (group, programs) in groups.iter().zip(programs.iter().cycle()) {
        output::note(format_args!("measuring {}", group.name));
        results.rows.extend(measure(group, programs, rounds)?);
    }
    if is_wanted(catalog::BUILDS) {
        output::note(format_args!("measuring {}", catalog::BUILDS));
        results.rows.extend(builds::measure(workspace, rounds, wish.quick)?);
    }
    results.machine.note_load();
    tell(&results, against.as_ref(), wish.format)?;
    wish.save.as_ref().map_or(Ok(()), |name| results.save(workspace, name))
}

/// A round that is not counted, then A B A B ...
fn measure(group: &Group, programs: &Programs, rounds: usize) -> Result<Vec<Row>, Error> {
    let rounds = if group.is_exact { 1 } else { rounds };
    let warm_up = usize::from(!group.is_exact);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..warm_up + rounds {
        let own = programs.run(&group.ours)?;
        let other = group.baseline.as_ref().map(|command| programs.run(command)).transpose()?;
        if round >= warm_up {
            ours.push(own);
            theirs.push(other.unwrap_or_default());
        }
    }
    group.rows.iter().map(|row| Row::of(group, row, &ours, &theirs)).collect()
}

fn tell(results: &Results, against: Option<&Results>, format: BenchFormat) -> Result<(), Error> {
    output::line(match format {
        BenchFormat::Json => results.json()?,
        BenchFormat::Text => report::text(results),
        BenchFormat::Markdown => report::markdown(results),
    });
    if let Some(against) = against {
        let comparison = report::comparison(against, results);
        match format {
            // What a program reads is one object.
            BenchFormat::Json => output::note(comparison),
            BenchFormat::Text | BenchFormat::Markdown => output::line(comparison),
        }
    }
    Ok(())
}
