//! Grades of a class, as JSON lines: the submissions, and the judgement of each.

use guest_abi::transition::Role;
use serde::{Deserialize, Serialize};

use crate::{
    encoding,
    event::Crash,
    verdict::{Trial, Verdict},
};

/// A submission: one guest of one student. A list of them has one line for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The student's name, or whatever names the submission.
    pub name: String,
    /// Its side of the exchange. It is only missing if there is a problem.
    #[serde(default, with = "encoding::optional_role", skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The path of its image, from the folder of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The reason why there is no image, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Lines about the problem, such as a compiler's messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
}

/// The grade of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// The search found nothing.
    Right,
    /// It never failed, but it does not choose at random, as the assignment asks.
    Finding,
    /// It failed.
    Wrong,
    /// It has no image that runs: it does not compile, or is something else.
    Unusable,
    /// It was not judged: the search did not end. It may be right.
    Undecided,
}

impl Grade {
    /// All grades, the best first.
    pub const ALL: [Self; 5] = [Self::Right, Self::Finding, Self::Wrong, Self::Unusable, Self::Undecided];

    /// Returns the grade's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Finding => "finding",
            Self::Wrong => "wrong",
            Self::Unusable => "unusable",
            Self::Undecided => "undecided",
        }
    }
}

/// The judgement of a submission: a row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The submission's name.
    pub name: String,
    /// Its side of the exchange.
    #[serde(default, with = "encoding::optional_role", skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Its grade.
    pub grade: Grade,
    /// The reason for the grade, in one line.
    pub reason: String,
    /// The kind of failure: the name of a broken rule, of a habit, or of another end of a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// More about the reason: the host's message, or a compiler's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Advice for the guest's author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The smallest trial that fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// The command that repeats the failure, or the search if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The path of the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
    /// The number of trials.
    #[serde(default)]
    pub runs: u64,
}

impl Row {
    /// Returns a row without a search.
    pub fn new(submission: &Submission, grade: Grade, reason: impl Into<String>) -> Self {
        Self {
            name: submission.name.clone(),
            role: submission.role,
            grade,
            reason: reason.into(),
            kind: None,
            details: submission.details.clone(),
            hint: None,
            trial: None,
            command: None,
            recording: None,
            runs: 0,
        }
    }

    /// Returns the row of a submission that was searched for failures. `search` is the command that did it.
    pub fn judged(submission: &Submission, verdict: &Verdict, search: String) -> Self {
        let (row, runs) = (|grade, reason: String| Self::new(submission, grade, reason), verdict.runs);
        let Some(failure) = &verdict.failure else {
            let (grade, reason, kind) = match verdict.findings.as_slice() {
                [] => (Grade::Right, format!("no failure in {runs} runs"), None),
                all @ [first, ..] => {
                    let words: Vec<&str> = all.iter().map(|finding| finding.message.as_str()).collect();
                    (Grade::Finding, words.join("; "), Some(first.finding.clone()))
                }
            };
            return Self { kind, command: Some(search), runs, ..row(grade, reason) };
        };
        let crash = &failure.crash;
        if !failure.repeatable {
            let reason = format!("failed once, and not when the same run was repeated: {}", crash.headline());
            let command = Some(search);
            return Self { kind: Some(crash.kind()), command, runs, ..row(Grade::Undecided, reason) };
        }
        Self {
            kind: Some(crash.broken_rule().unwrap_or(&crash.reason).to_owned()),
            details: Some(crash.message.clone()),
            hint: Some(crash.hint.to_string()).filter(|hint| !hint.is_empty()),
            trial: Some(failure.trial.clone()),
            command: Some(failure.command.clone()),
            recording: failure.recording.clone(),
            runs,
            ..row(Grade::Wrong, in_words(crash, submission.role))
        }
    }
}

/// Returns the failure of a guest in the words of the assignment, with the place in its source if that is known.
fn in_words(crash: &Crash, role: Option<Role>) -> String {
    let rule = crash.broken_rule().and_then(|rule| rule_in_words(rule, role));
    let place = crash.location.as_ref().filter(|place| !crash.message.contains(&place.file));
    let place = place.map_or(String::new(), |place| format!(", at {}:{}", place.file, place.line));
    let words = match (crash.broken_rule(), rule) {
        // The numbers of this rule say more than its words.
        (Some("quota"), Some(rule)) => match crash.headline().split_once("`: ") {
            Some((_, numbers)) => format!("{rule}: {numbers}"),
            None => rule.to_owned(),
        },
        (_, rule) => rule.unwrap_or_else(|| crash.headline()).to_owned(),
    };
    format!("{words}{place}")
}

/// Returns what a guest did that broke a rule of the ring.
fn rule_in_words(rule: &str, role: Option<Role>) -> Option<&'static str> {
    let is_consumer = role == Some(Role::Consumer);
    Some(match rule {
        "capacity" => "changed the ring's capacity",
        "pointer-range" => "moved its pointer out of the ring",
        "count-range" if is_consumer => "took from an empty ring",
        "count-range" => "pushed into a full ring",
        "foreign-pointer" => "moved the other side's pointer",
        "count-direction" if is_consumer => "added to the count, although it only takes items",
        "count-direction" => "lowered the count, although it only adds items",
        "count-pointer" => "moved its pointer and the count by different numbers of items",
        "slot" if is_consumer => "wrote into the ring, although it only takes items",
        "slot" => "wrote a slot that was not free, or that it did not add",
        "digest" if is_consumer => "lost, repeated, swapped or misread items",
        "digest" => "counted other items than it pushed",
        "quota" => "moved another number of items than it was told",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use guest_abi::{digest::Digest, transition::Violation};

    use super::*;

    fn submission() -> Submission {
        let line = r#"{"name":"ada","role":"producer","image":"ada.elf"}"#;
        serde_json::from_str(line).expect("a submission")
    }

    fn verdict(more: &serde_json::Value) -> Verdict {
        let mut verdict = serde_json::json!({
            "event": "verdict", "experiment": "prodcons", "verdict": "ok", "abi": "1.1", "seed": 1, "depth": 6,
            "capacities": [1, 64], "guests": [], "searched": {"short": 1, "of": 1, "ordered": 0, "random": 0},
            "runs": 7, "turns": 8, "moved": {"1": 3}, "findings": [], "seconds": 0.1, "guest_seconds": 0.1,
            "runs_per_second": 1.0, "failure": null
        });
        let more = more.as_object().expect("an object").clone();
        verdict.as_object_mut().expect("an object").extend(more);
        serde_json::from_value(verdict).expect("a verdict")
    }

    fn failure(repeatable: bool) -> Verdict {
        let trial =
            serde_json::json!({"capacity": 2, "seed": 9, "produce": 1, "consume": null, "schedule": "111"});
        let crash = serde_json::json!({
            "vm": 1, "name": "ada", "turn": 3, "reason": "violation", "rule": "count-range",
            "message": "broke the ring's rule `count-range`: x\n  the ring stays", "hint": "look at count",
            "file": "ada/src/main.rs", "line": 12
        });
        let mut failure = trial.clone();
        let more = serde_json::json!({"shortest": true, "first": trial, "found_in_run": 4, "repeatable": repeatable,
            "crash": crash, "command": "cargo xtask run", "recording": "r.jsonl"});
        failure.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        verdict(&serde_json::json!({"failure": failure}))
    }

    #[test]
    fn a_search_without_a_failure_is_right_or_has_a_finding() {
        let row = Row::judged(&submission(), &verdict(&serde_json::json!({})), "search".into());
        assert_eq!((row.grade, &*row.reason, row.runs), (Grade::Right, "no failure in 7 runs", 7));
        let findings = serde_json::json!({"findings": [
            {"vm": 1, "name": "ada", "finding": "never-moves", "message": "never moved an item"}]});
        let row = Row::judged(&submission(), &verdict(&findings), "search".into());
        assert_eq!((row.grade, &*row.reason), (Grade::Finding, "never moved an item"));
        assert_eq!((row.kind.as_deref(), row.command.as_deref()), (Some("never-moves"), Some("search")));
    }

    #[test]
    fn a_broken_rule_is_told_in_words_with_its_place() {
        let row = Row::judged(&submission(), &failure(true), String::new());
        assert_eq!((row.grade, row.kind.as_deref()), (Grade::Wrong, Some("count-range")));
        assert_eq!(row.reason, "pushed into a full ring, at ada/src/main.rs:12");
        assert_eq!(row.trial.map(|trial| trial.schedule).as_deref(), Some("111"));
        let row = Row::judged(&submission(), &failure(false), String::new());
        assert_eq!((row.grade, row.recording), (Grade::Undecided, None));
    }

    #[test]
    fn every_rule_has_words_for_each_side() {
        let digest = Digest::default();
        let all = [
            Violation::Capacity { claimed: 0 },
            Violation::PointerRange { pointer: "prod_p", claimed: 0 },
            Violation::CountRange { claimed: 0 },
            Violation::ForeignPointer { pointer: "prod_p", claimed: 0 },
            Violation::CountDirection { claimed: 0 },
            Violation::CountPointer { count: 0, pointer: 0, expected: 0 },
            Violation::Slot { slot: 0, claimed: 0 },
            Violation::Digest { claimed: digest, expected: digest },
            Violation::Quota { role: Role::Producer, ordered: 0, possible: 0, moved: 0 },
        ];
        for role in [Role::Producer, Role::Consumer] {
            let words: BTreeSet<_> =
                all.iter().map(|it| rule_in_words(it.rule(), Some(role)).expect("words")).collect();
            assert_eq!(words.len(), all.len(), "each rule has words of its own");
        }
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let row = Row::judged(&submission(), &failure(true), String::new());
        let text = crate::json::text(&row);
        assert_eq!(serde_json::from_str::<Row>(&text).expect("a row"), row);
        assert!(
            text.starts_with(r#"{"name":"ada","role":"producer","grade":"wrong","reason":"pushed"#),
            "{text}"
        );
    }
}
