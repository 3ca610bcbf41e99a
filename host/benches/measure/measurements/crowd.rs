//! Many VMs in one process: the time until each has moved an item, the host's memory that they use besides their own, and
//! the cost of a turn among many VMs.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    ops::Range,
    time::Instant,
};

use guest_abi::{mailbox::Quota, ring::Capacity};
use guestlab::{
    lab::{
        exchange::{Guests, TurnRunner, Vms, boot},
        needs::Needs,
        session::Session,
        vm::{Platform, Vm},
    },
    process::jail::Jail,
    runlog::{ring_check::Orders, sink::Silence},
};
use guestlab_cpu::KVM;

use super::{Outcome, as_f64, clock::cpu_time, exchange, limits, platform, rate, values};

/// The size of a page in bytes.
const PAGE: usize = 4096;

/// The VMs have their turns in pairs: a producer, and the consumer that takes its item.
fn pairs(vms: usize) -> impl Iterator<Item = usize> + Clone {
    (0..vms / 2).flat_map(move |producer| [producer, vms / 2 + producer])
}

/// Many VMs, and a pair of them in the same process to compare a turn's cost with.
pub(super) fn measure(producer: &str, consumer: &str, vms: usize, turns: usize) -> Outcome {
    let platform = platform()?;
    let pair = crowd(&platform, exchange::guests(producer, consumer, 1), turns)?;
    let all = crowd(&platform, exchange::guests(producer, consumer, vms / 2), turns)?;
    Ok(values([
        ("all_moved_ms", all.moved_ms),
        ("overhead_kib", all.overhead_kib),
        ("turns_per_second", all.turns_per_second),
        ("pair_turns_per_second", pair.turns_per_second),
    ]))
}

/// The result.
struct Crowd {
    moved_ms: f64,
    overhead_kib: f64,
    turns_per_second: f64,
}

fn crowd(platform: &Platform, guests: Guests, turns: usize) -> Result<Crowd, Box<dyn Error>> {
    let one = Orders { produce: Quota::Items(1), consume: Quota::Items(1) };
    let guests = Guests { orders: one, ..guests };
    let count = guests.vms();
    let vms = Vms::open(platform, &guests)?;
    let mut silence = Silence;
    let session = Session::start(&limits(), &Jail::Open, Needs::default(), &mut silence)?;
    let mut runner = TurnRunner::new(&vms, one, Capacity::DEFAULT);

    let before = Resident::now()?.total();
    let began = Instant::now();
    let mut machines = vms.start(platform, 1)?;
    machines.iter_mut().try_for_each(|machine| boot(&session, machine))?;
    for vm in pairs(count) {
        runner.turn(&session, &mut machines[vm], vm)?;
    }
    let moved_ms = began.elapsed().as_secs_f64() * 1e3;
    if runner.exchange().ledger().consumed() != count as u64 / 2 {
        return Err("not every VM moved an item".into());
    }
    let overhead = Resident::now()?.beside(&machines)?.saturating_sub(before);

    let began = cpu_time();
    for vm in pairs(count).cycle().take(turns) {
        runner.turn(&session, &mut machines[vm], vm)?;
    }
    let turns_per_second = rate(turns as u64, cpu_time() - began);
    Ok(Crowd { moved_ms, overhead_kib: as_f64(overhead) / as_f64(count as u64), turns_per_second })
}

/// The resident memory of this process by its mappings, in KiB (proc(5), /proc/pid/smaps).
pub(super) struct Resident(Vec<(Range<u64>, u64)>);

impl Resident {
    pub(super) fn now() -> Result<Self, Box<dyn Error>> {
        let mut mappings: Vec<(Range<u64>, u64)> = Vec::new();
        for line in fs::read_to_string("/proc/self/smaps")?.lines() {
            if let Some(range) = address_range(line) {
                mappings.push((range, 0));
            } else if let (Some(size), Some(mapping)) = (line.strip_prefix("Rss:"), mappings.last_mut()) {
                mapping.1 = size.trim().trim_end_matches(" kB").parse()?;
            }
        }
        Ok(Self(mappings))
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|(_, resident)| resident).sum()
    }

    /// Returns the memory of all mappings except these machines' memory.
    fn beside(&self, machines: &[Vm]) -> Result<u64, Box<dyn Error>> {
        match machines.first().map(|machine| machine.engine()) {
            Some(KVM) => self.beside_mappings(machines),
            _ => Ok(self.total().saturating_sub(pages(machines) * (PAGE as u64 / 1024))),
        }
    }

    /// Does it for memory that is mapped. Linux joins neighbouring mappings, but not guest memory with others: only guest
    /// memory is mapped with MAP_NORESERVE.
    fn beside_mappings(&self, machines: &[Vm]) -> Result<u64, Box<dyn Error>> {
        let mut guests = BTreeMap::new();
        for machine in machines {
            for range in machine.layout().plan().ranges {
                let address = machine.cpu().memory().host_address(range.start);
                guests.insert(address.ok_or("memory without an address")?, range.end - range.start);
            }
        }
        let is_guests = |range: &Range<u64>| guests.range(range.clone()).next().is_some();
        Ok(self.0.iter().filter(|(range, _)| !is_guests(range)).map(|(_, resident)| resident).sum())
    }
}

/// Returns the number of pages that an interpreter keeps for these machines. Pages that nobody wrote are one page.
fn pages(machines: &[Vm]) -> u64 {
    let plans = machines.iter().map(|machine| (machine.cpu().memory(), machine.layout().plan()));
    let pages = plans.flat_map(|(memory, plan)| {
        let pages = plan.ranges.into_iter().flat_map(|range| range.step_by(PAGE));
        pages.filter_map(|page| memory.host_address(page))
    });
    pages.collect::<BTreeSet<_>>().len() as u64
}

/// Returns the range of a mapping, if the line begins one.
fn address_range(line: &str) -> Option<Range<u64>> {
    let (start, end) = line.split_whitespace().next()?.split_once('-')?;
    Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
}
