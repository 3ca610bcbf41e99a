//! The rows as a table for people.

use crate::runlog::{
    grade::{Grade, Row},
    text::escape_line,
};

/// The widest column of names, in characters.
const WIDEST: usize = 32;

/// Returns the table: a line for each row, below it the command that repeats a failure, and a line of counts.
pub(super) fn text(rows: &[&Row]) -> String {
    let names: Vec<String> = rows.iter().map(|row| escape_line(&row.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(WIDEST);
    let lines: Vec<String> = rows.iter().zip(&names).map(|(row, name)| line(row, name, width)).collect();
    format!("{}\n\n{}", lines.join("\n"), counts(rows))
}

fn line(row: &Row, name: &str, width: usize) -> String {
    let role = row.role.map_or("", |role| role.name());
    let mut line = format!("{name:width$}  {role:8}  {:9}  {}", row.grade.name(), escape_line(&row.reason));
    if let Some(trial) = &row.trial {
        let schedule = if trial.schedule.is_empty() { "before the first turn" } else { &trial.schedule };
        line += &format!("\n{:width$}  capacity {}, schedule {schedule}", "", trial.capacity);
        if let Some(command) = &row.command {
            line += &format!("\n{:width$}  {}", "", escape_line(command));
        }
    }
    line
}

/// Returns the number of rows with each grade, such as `3 right, 1 wrong`.
fn counts(rows: &[&Row]) -> String {
    let count = |grade| rows.iter().filter(|row| row.grade == grade).count();
    let counts = Grade::ALL.map(|grade| (grade.name(), count(grade)));
    let counts: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runlog::{grade::Submission, verdict::Trial};

    #[test]
    fn a_row_has_its_schedule_and_its_command() {
        let submission: Submission =
            serde_json::from_str(r#"{"name":"ada","role":"producer"}"#).expect("one");
        let right = Row::new(&submission, Grade::Right, "no failure in 7 runs");
        let trial = Trial { capacity: 2, seed: 1, produce: None, consume: None, schedule: "11".into() };
        let command = Some("cargo xtask run".into());
        let wrong = Row { trial: Some(trial), command, ..Row::new(&submission, Grade::Wrong, "hangs\u{1b}") };
        let expected = "ada  producer  right      no failure in 7 runs\n\
                        ada  producer  wrong      hangs\\x1b\n     capacity 2, schedule 11\n     cargo xtask run\n\n\
                        1 right, 1 wrong";
        assert_eq!(text(&[&right, &wrong]), expected);
    }
}
