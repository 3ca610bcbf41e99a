//! Measures one thing and prints one JSON object of names and numbers. `cargo xtask bench` runs it repeatedly, alternating
//! with the baseline in C, which takes the same arguments.

mod measurements;

use std::process::ExitCode;

use guestlab::process::jail::{self, Jail};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // In the jail, as guests run.
    jail::share_one_arena();
    match measurements::measure(&words, &Jail::new(true)) {
        Ok(values) => {
            println!("{}", serde_json::Value::from(values));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("measure: {error}");
            ExitCode::FAILURE
        }
    }
}
