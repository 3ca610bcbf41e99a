//! Coverage as text: in lcov's format for other programs, and as a table for people.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use guestlab_runlog::{
    coverage::{FileReport, Part, Report, Totals},
    text::escape_line,
};

/// Returns a report in lcov's format (the file `.info` of geninfo(1)), which `genhtml`, editors and services for coverage read.
pub fn lcov(report: &Report) -> String {
    let mut text = String::new();
    for (path, file) in &report.files {
        // A text takes all that is written to it.
        let _ = write_record(&mut text, path, file);
    }
    text
}

fn write_record(text: &mut String, path: &str, file: &FileReport) -> fmt::Result {
    let Totals { lines, functions, branches } = file.totals();
    writeln!(text, "TN:\nSF:{}", escape_line(path))?;
    let named = names(file);
    for ((line, _), name) in file.functions.keys().zip(&named) {
        writeln!(text, "FN:{line},{name}")?;
    }
    for (calls, name) in file.functions.values().zip(&named) {
        writeln!(text, "FNDA:{calls},{name}")?;
    }
    writeln!(text, "FNF:{}\nFNH:{}", functions.all, functions.hit)?;
    for ((line, number), branch) in &file.branches {
        for (outcome, count) in branch.outcomes().into_iter().enumerate() {
            // A branch that was never reached has no count.
            let count = if branch.executed == 0 { "-".into() } else { count.to_string() };
            writeln!(text, "BRDA:{line},{number},{outcome},{count}")?;
        }
    }
    writeln!(text, "BRF:{}\nBRH:{}", branches.all, branches.hit)?;
    for (line, executed) in &file.lines {
        writeln!(text, "DA:{line},{executed}")?;
    }
    writeln!(text, "LF:{}\nLH:{}\nend_of_record", lines.all, lines.hit)
}

/// Returns a name for each function of a file. lcov takes functions with one name for one, so that the others have their line, too.
/// For older versions a name ends at a comma.
fn names(file: &FileReport) -> Vec<String> {
    let mut uses: BTreeMap<&str, u32> = BTreeMap::new();
    file.functions.keys().for_each(|(_, name)| *uses.entry(name).or_default() += 1);
    let named = |(line, name): &(u32, String)| match uses[&**name] {
        1 => escape_line(name).replace(',', ";"),
        _ => format!("{} (line {line})", escape_line(name).replace(',', ";")),
    };
    file.functions.keys().map(named).collect()
}

/// Returns a table: a row for each file, and one for all of them.
pub fn table(report: &Report) -> String {
    let paths = report.files.iter().map(|(path, file)| (escape_line(path), file.totals()));
    let rows: Vec<(String, Totals)> = paths.chain([("all".into(), report.totals())]).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text =
        format!("{:width$}  {:>18}  {:>18}  {:>18}\n", "coverage", "lines", "functions", "branches");
    for (name, Totals { lines, functions, branches }) in rows {
        let [lines, functions, branches] = [lines, functions, branches].map(cell);
        let _ = writeln!(text, "{name:width$}  {lines:>18}  {functions:>18}  {branches:>18}");
    }
    text.truncate(text.trim_end().len());
    text
}

/// For example `45/60   75.0 %`.
fn cell(part: Part) -> String {
    match percent(part) {
        Some(percent) => format!("{}/{} {percent:>7}", part.hit, part.all),
        None => "-".into(),
    }
}

/// For example `75.0 %`.
pub(crate) fn percent(part: Part) -> Option<String> {
    part.per_mille().map(|tenths| format!("{}.{} %", tenths / 10, tenths % 10))
}

#[cfg(test)]
mod tests {
    use guestlab_runlog::coverage::Branch;

    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        for (line, executed) in [(4, 3), (5, 0), (9, 1)] {
            report.add_line("src/main.rs", line, executed);
        }
        report.add_function("src/main.rs", 3, "main<A, B>", 1);
        report.add_function("src/main.rs", 7, "f<T>", 0);
        report.add_function("src/main.rs", 8, "f<T>", 2);
        report.add_branch("src/main.rs", 4, 0, Branch { executed: 3, jumped: 1 });
        report.add_branch("src/main.rs", 5, 0, Branch::default());
        report
    }

    #[test]
    fn a_record_of_lcov_has_functions_branches_and_lines() {
        let expected = "\
TN:\nSF:src/main.rs\n\
FN:3,main<A; B>\nFN:7,f<T> (line 7)\nFN:8,f<T> (line 8)\n\
FNDA:1,main<A; B>\nFNDA:0,f<T> (line 7)\nFNDA:2,f<T> (line 8)\nFNF:3\nFNH:2\n\
BRDA:4,0,0,1\nBRDA:4,0,1,2\nBRDA:5,0,0,-\nBRDA:5,0,1,-\nBRF:4\nBRH:2\n\
DA:4,3\nDA:5,0\nDA:9,1\nLF:3\nLH:2\nend_of_record\n";
        assert_eq!(lcov(&report()), expected);
    }

    #[test]
    fn names_cannot_add_records() {
        let mut report = Report::default();
        report.add_line("a\nend_of_record\nSF:b", 1, 1);
        report.add_function("a\nend_of_record\nSF:b", 1, "f\nDA:2,2", 1);
        let text = lcov(&report);
        assert_eq!(text.lines().filter(|line| line.starts_with("SF:")).count(), 1, "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("DA:")).count(), 1, "{text}");
    }

    #[test]
    fn the_table_has_a_row_for_each_file_and_one_for_all() {
        let mut report = report();
        report.add_line("b.rs", 1, 1);
        let table = table(&report);
        let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(cells[1], ["b.rs", "1/1", "100.0", "%", "-", "-"]);
        assert_eq!(cells[2], ["src/main.rs", "2/3", "66.6", "%", "2/3", "66.6", "%", "2/4", "50.0", "%"]);
        assert_eq!(cells[3][..4], ["all", "3/4", "75.0", "%"]);
        let widths: Vec<usize> = table.lines().map(str::len).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
    }
}
