//! Coverage of source code: how often guests executed each line, function and branch.

use std::collections::BTreeMap;

/// The coverage of some source files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The files, by path.
    pub files: BTreeMap<String, FileReport>,
}

/// The coverage of one source file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// The number of executions of each line that has code, by line from 1.
    pub lines: BTreeMap<u32, u64>,
    /// The number of calls of each function, by line and name. Places at which it was inlined count as calls.
    pub functions: BTreeMap<(u32, String), u64>,
    /// The branches, by line and number in the line.
    pub branches: BTreeMap<(u32, u32), Branch>,
}

/// The executions of a branch: of a conditional jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// The number of executions.
    pub executed: u64,
    /// The number of those that jumped.
    pub jumped: u64,
}

/// The executed part of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The number of those that were executed.
    pub hit: u64,
    /// The number of all.
    pub all: u64,
}

/// The executed parts of lines, functions and branches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Lines that have code.
    pub lines: Part,
    /// Functions.
    pub functions: Part,
    /// Outcomes of branches, of which each has two.
    pub branches: Part,
}

impl Report {
    /// Adds executions of a line.
    pub fn add_line(&mut self, file: &str, line: u32, executed: u64) {
        add(self.file(file).lines.entry(line).or_default(), executed);
    }

    /// Adds calls of the function with this name that is declared in this line.
    pub fn add_function(&mut self, file: &str, line: u32, name: &str, calls: u64) {
        add(self.file(file).functions.entry((line, name.into())).or_default(), calls);
    }

    /// Adds executions of the branch with this number in a line.
    pub fn add_branch(&mut self, file: &str, line: u32, number: u32, branch: Branch) {
        let found = self.file(file).branches.entry((line, number)).or_default();
        add(&mut found.executed, branch.executed);
        add(&mut found.jumped, branch.jumped);
    }

    fn file(&mut self, path: &str) -> &mut FileReport {
        self.files.entry(path.into()).or_default()
    }

    /// Returns the totals of all files.
    pub fn totals(&self) -> Totals {
        self.files.values().fold(Totals::default(), |sum, file| sum.with(file.totals()))
    }
}

impl FileReport {
    /// Returns the totals of the file.
    pub fn totals(&self) -> Totals {
        Totals {
            lines: Part::of(self.lines.values().copied()),
            functions: Part::of(self.functions.values().copied()),
            branches: Part::of(self.branches.values().flat_map(|branch| branch.outcomes())),
        }
    }
}

impl Branch {
    /// Returns how often it jumped, and how often it did not.
    pub fn outcomes(self) -> [u64; 2] {
        [self.jumped, self.executed.saturating_sub(self.jumped)]
    }
}

impl Part {
    fn of(counts: impl Iterator<Item = u64>) -> Self {
        counts.fold(Self::default(), |Self { hit, all }, count| Self {
            hit: hit + u64::from(count > 0),
            all: all + 1,
        })
    }

    fn with(self, other: Self) -> Self {
        Self { hit: self.hit + other.hit, all: self.all + other.all }
    }

    /// Returns the part in tenths of a percent, rounded down, so that only all of it is 100 %. `None` if there is nothing.
    pub fn per_mille(self) -> Option<u64> {
        self.hit.saturating_mul(1000).checked_div(self.all)
    }
}

impl Totals {
    fn with(self, other: Self) -> Self {
        Self {
            lines: self.lines.with(other.lines),
            functions: self.functions.with(other.functions),
            branches: self.branches.with(other.branches),
        }
    }
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_of_several_images_are_added() {
        let mut report = Report::default();
        for (line, executed) in [(7, 0), (7, 3), (7, u64::MAX), (8, 0)] {
            report.add_line("a.rs", line, executed);
        }
        report.add_function("a.rs", 6, "f", 0);
        report.add_function("b.rs", 1, "g", 1);
        report.add_branch("a.rs", 7, 0, Branch { executed: 4, jumped: 4 });
        report.add_branch("a.rs", 7, 1, Branch::default());
        assert_eq!(report.files["a.rs"].lines, BTreeMap::from([(7, u64::MAX), (8, 0)]));
        let part = |hit, all| Part { hit, all };
        let expected = Totals { lines: part(1, 2), functions: part(1, 2), branches: part(1, 4) };
        assert_eq!(report.totals(), expected);
        report.add_branch("a.rs", 7, 0, Branch { executed: 1, jumped: 0 });
        assert_eq!(report.totals().branches, part(2, 4));
    }

    #[test]
    fn a_part_is_rounded_down() {
        assert_eq!(Part { hit: 1999, all: 2000 }.per_mille(), Some(999));
        assert_eq!(Part { hit: 2000, all: 2000 }.per_mille(), Some(1000));
        assert_eq!(Part::default().per_mille(), None);
    }
}
