//! Results for people.

use super::catalog::Target;
use super::results::{Results, Row};
use super::statistics::Summary;

const HEADINGS: [&str; 7] = ["what", "engine", "ours", "beside", "ratio", "target", "met"];

pub(crate) fn text(results: &Results) -> String {
    let lines = results.machine.lines();
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: String = lines.into_iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect();
    let rows: Vec<_> = results.rows.iter().map(cells).collect();
    format!("{lines}{}\n\n{}", legend(results), aligned(&HEADINGS, &rows))
}

pub(crate) fn markdown(results: &Results) -> String {
    let lines = results.machine.lines().into_iter().map(|(name, value)| format!("- {name}: {value}\n"));
    let rule = HEADINGS.map(|_| "---".to_owned());
    let rows = [HEADINGS.map(String::from), rule].into_iter().chain(results.rows.iter().map(cells));
    let rows: Vec<String> = rows.map(|cells| format!("| {} |", cells.join(" | "))).collect();
    format!("{}\n{}\n\n{}", lines.collect::<String>(), legend(results), rows.join("\n"))
}

fn legend(results: &Results) -> String {
    format!(
        "Medians of {} rounds, with the quartiles; the ratio is our value divided by the other one. Our guests are compiled with \
         overflow checks, C has none.",
        results.rounds
    )
}

fn cells(row: &Row) -> [String; 7] {
    let ratio = row.ratio.map(|Summary { low, median, high }| format!("{median:.3} ({low:.3} to {high:.3})"));
    let beside = row.beside.as_ref().map(|(name, values)| format!("{name} {}", shown(values, &row.unit)));
    let target = row.target.map(|target| match target {
        Target::RatioAtMost(most) => format!("ratio at most {most}"),
        Target::RatioAtLeast(least) => format!("ratio at least {least}"),
        Target::Below(limit) => format!("below {limit} {}", row.unit),
        Target::AtLeast(limit) => format!("at least {limit} {}", row.unit),
    });
    let met = row.is_met().map(|is_met| if is_met { "yes" } else { "NO" }.to_owned());
    let name = format!("{}: {}", row.group, row.name);
    let [beside, ratio, target, met] = [beside, ratio, target, met].map(Option::unwrap_or_default);
    [name, row.engine.name().into(), shown(&row.ours, &row.unit), beside, ratio, target, met]
}

fn shown(Summary { low, median, high }: &Summary, unit: &str) -> String {
    let spread = if low == high { String::new() } else { format!(" ({} to {})", short(*low), short(*high)) };
    format!("{} {unit}", short(*median)).trim_end().to_owned() + &spread
}

fn short(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

/// Compares with earlier results. If both have a ratio to a baseline, the ratios are compared: a slower machine is
/// slower for both sides.
pub(crate) fn comparison(before: &Results, now: &Results) -> String {
    let same = |row: &Row, other: &Row| {
        (&row.group, row.engine, &row.name) == (&other.group, other.engine, &other.name)
    };
    let old = |row: &Row| before.rows.iter().find(|old| same(old, row));
    let rows = now.rows.iter().filter_map(|row| Some(changed(old(row)?, row)));
    let is_same = before.machine.cpu == now.machine.cpu && before.machine.kernel == now.machine.kernel;
    let note = if is_same { "" } else { "\nThe earlier results are another machine's.\n" };
    let head = ["what", "before", "now", "change", ""];
    format!("{note}\n{}", aligned(&head, &rows.collect::<Vec<_>>()))
}

fn changed(before: &Row, now: &Row) -> [String; 5] {
    let (then, today, unit) = match (before.ratio, now.ratio) {
        (Some(then), Some(today)) => (then, today, "x"),
        _ => (before.ours, now.ours, now.unit.as_str()),
    };
    let change = 100.0 * (today.median / then.median - 1.0);
    let verdict = match (then.overlaps(&today), (change > 0.0) == now.less_is_better) {
        (true, _) => "",
        (false, true) => "WORSE",
        (false, false) => "better",
    };
    let name = format!("{} ({}): {}", now.group, now.engine.name(), now.name);
    [name, shown(&then, unit), shown(&today, unit), format!("{change:+.1} %"), verdict.to_owned()]
}

fn aligned<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> String {
    let rows = [&[head.map(String::from)], rows].concat();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::host_info::Machine;
    use super::super::results::tests::row;
    use super::*;

    fn results(row: Row) -> Results {
        Results { machine: Machine::here(), rounds: 2, rows: vec![row] }
    }

    #[test]
    fn a_table_says_whether_targets_are_met() {
        let results = results(row(&[2.0, 2.0], &[1.0, 1.0], Some(Target::RatioAtMost(1.05))));
        let text = text(&results);
        assert!(text.contains("group: thing  kvm     2.00 µs  C 1.00 µs  2.000 (2.000 to 2.000)"), "{text}");
        assert!(text.ends_with("ratio at most 1.05  NO"), "{text}");
        let markdown = markdown(&results);
        assert!(markdown.ends_with("| ratio at most 1.05 | NO |"), "{markdown}");
    }

    #[test]
    fn a_slower_host_is_worse_and_a_slower_machine_is_not() {
        let before = results(row(&[1.0, 1.1], &[1.0, 1.1], None));
        let slower_machine = results(row(&[3.0, 3.3], &[3.0, 3.3], None));
        let slower_host = results(row(&[1.3, 1.4], &[1.0, 1.1], None));
        assert!(!comparison(&before, &slower_machine).contains("WORSE"));
        let text = comparison(&before, &slower_host);
        assert!(text.contains("+28.6 %  WORSE"), "{text}");
        assert!(comparison(&slower_host, &before).contains("better"));
    }
}
