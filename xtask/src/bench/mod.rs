//! The measurements, each interleaved with its baseline, round by round.
//!
//! Processes measure: `measure` (host/benches/measure) for our side, and the C baseline (host/benches/baseline).

mod builds;
mod catalog;
mod host_info;
mod programs;
mod report;
mod results;
mod statistics;

use crate::cli::{Bench, BenchFormat};
use crate::{base::output, error::Error, workspace::Workspace};

use catalog::{Engine, Group};
use host_info::Machine;
use programs::Programs;
use results::{Results, Row};

/// The number of measurements of each side, after a round that does not count.
const ROUNDS: usize = 10;
const QUICK_ROUNDS: usize = 3;

/// Runs the measurements that match the filter, and prints, saves and compares the results.
pub(crate) fn run(workspace: &Workspace, options: &Bench) -> Result<(), Error> {
    let against = options.against.as_ref().map(|name| Results::load(workspace, name)).transpose()?;
    let is_wanted = |name: &str| options.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let groups: Vec<Group> = catalog::groups()
        .into_iter()
        .filter(|group| is_wanted(group.name) || is_wanted(group.engine.name()))
        .collect();
    if groups.is_empty() && !is_wanted(catalog::BUILDS) {
        let names = catalog::names().join(", ");
        return Err(Error::bad_input(format_args!(
            "there is no measurement of that name; there are: {names}"
        )));
    }
    let programs = if groups.is_empty() { None } else { Some(Programs::build(workspace)?) };
    let rounds = if options.quick { QUICK_ROUNDS } else { ROUNDS };
    let mut results = Results { machine: Machine::here(), rounds, rows: Vec::new() };
    for (group, programs) in groups.iter().zip(programs.iter().cycle()) {
        output::note(format_args!("measuring {} on {}", group.name, group.engine.name()));
        results.rows.extend(measure(group, programs, rounds)?);
    }
    if is_wanted(catalog::BUILDS) {
        output::note(format_args!("measuring {}", catalog::BUILDS));
        results.rows.extend(builds::measure(workspace, rounds, options.quick)?);
    }
    results.machine.load.push(host_info::load());
    print(&results, against.as_ref(), options.format)?;
    options.save.as_ref().map_or(Ok(()), |name| results.save(workspace, name))
}

/// Measures a round that does not count, then A B A B ...
fn measure(group: &Group, programs: &Programs, rounds: usize) -> Result<Vec<Row>, Error> {
    let (warm_up, rounds) = if group.is_exact { (0, 1) } else { (1, rounds) };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..warm_up + rounds {
        let own = programs.run(group.program, group.engine, &group.words)?;
        let other =
            group.baseline.map(|baseline| programs.run(baseline, Engine::Kvm, &group.words)).transpose()?;
        if round >= warm_up {
            ours.push(own);
            theirs.push(other.unwrap_or_default());
        }
    }
    group.rows.iter().map(|row| Row::of(group, row, &ours, &theirs)).collect()
}

fn print(results: &Results, against: Option<&Results>, format: BenchFormat) -> Result<(), Error> {
    output::line(match format {
        BenchFormat::Json => results.json()?,
        BenchFormat::Text => report::text(results),
        BenchFormat::Markdown => report::markdown(results),
    });
    let comparison = against.map(|against| report::comparison(against, results));
    match format {
        // Programs read one object on stdout.
        BenchFormat::Json => comparison.into_iter().for_each(output::note),
        BenchFormat::Text | BenchFormat::Markdown => comparison.into_iter().for_each(output::line),
    }
    Ok(())
}
