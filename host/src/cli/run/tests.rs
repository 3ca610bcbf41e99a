use std::time::Duration;

use clap::Parser;
use guest_abi::{layout::DEFAULT_MEMORY, mailbox::Quota};

use super::{RunArgs, RunConfig, check::instead_of};
use crate::{
    cli::{Cli, Command},
    lab::{error::Error, exchange, limits::Limits, schedule::ScheduleSpec},
    runlog::ring_check::Orders,
};

fn parse(args: &[&str]) -> RunArgs {
    let args = ["guestlab", "run"].iter().chain(args);
    match Cli::try_parse_from(args).expect("valid usage").command {
        Command::Run(args) => *args,
        _ => unreachable!("it is `run`"),
    }
}

fn prodcons(args: &[&str]) -> exchange::ExchangeConfig {
    match parse(args).config().expect("a configuration") {
        RunConfig::Exchange(config) => config,
        RunConfig::Single(_) | RunConfig::Pipeline(_) => panic!("not an exchange"),
    }
}

#[test]
fn the_command_line_is_well_formed() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn the_defaults_are_the_contracts() {
    let config = prodcons(&["prodcons"]);
    assert_eq!(config.schedule, ScheduleSpec::Random);
    assert_eq!(config.capacity.items(), 6);
    assert_eq!(config.guests.orders, Orders::RANDOM);
    assert_eq!((config.turns, config.guests.memory), (None, DEFAULT_MEMORY));
    assert_eq!(config.limits, Limits::deadline(Duration::from_secs(60)));
}

#[test]
fn a_preset_is_a_set_of_options_that_still_win() {
    let config = prodcons(&["prodcons", "--preset", "bursty"]);
    assert_eq!((config.schedule, config.guests.orders.produce), (ScheduleSpec::Burst(3), Quota::Items(1)));
    let config = prodcons(&["prodcons", "--preset", "mass", "--consume", "random"]);
    assert_eq!(config.guests.orders, Orders { produce: Quota::Items(5), consume: Quota::Random });
}

#[test]
fn a_run_says_which_images_it_needs() {
    let names = |args: &[&str]| -> Vec<String> {
        parse(args).needs().expect("valid").into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&["prodcons"]), ["guest-producer", "guest-consumer"]);
    assert_eq!(names(&["prodcons", "--producer", "x.elf"]), ["guest-consumer"]);
    assert_eq!(names(&["prodcons", "--consumer", "overdraws"]), ["guest-producer", "overdraws"]);
    assert_eq!(names(&["hello"]), ["hello"]);
    assert!(names(&["--image", "x.elf"]).is_empty());
}

#[test]
fn a_file_in_the_place_of_a_guest_is_told_its_option() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let file = file.path().to_str().expect("a plain path");
    for (name, advice) in [
        (file, format!("an image in a file is run with --image {file}")),
        ("x/y.toml", "an experiment's file is run with --experiment x/y.toml".into()),
        ("run.jsonl", "a recording is run again by `cargo xtask replay run.jsonl`".into()),
        ("guest-rt/examples/hello.rs", "a guest is run by its name: hello".into()),
        ("hello.elf", "there is no such file; a guest is run by its name: hello".into()),
        ("../host/", "it is a folder; a guest is run by its name: host".into()),
        ("no/such", "there is no such file; `cargo xtask build-guests` lists the guests".into()),
    ] {
        assert_eq!(instead_of(name), advice, "{name}");
    }
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    for args in [
        &["hello", "--turns", "3"][..],
        &["prodcons", "--entry", "5"],
        &["prodcons", "--pc"],
        &["hello", "--pc"],
        &["--experiment", "x", "--pc"],
        &["hello", "--entry", "5"],
        &["prodcons", "--record", "x", "--report", "x"],
        &["--image", "x", "--schedule", "random"],
        &["prodcons", "--", "argument"],
        &[],
    ] {
        let refused = |error| matches!(error, Error::Usage(_) | Error::SameFile(_));
        assert!(parse(args).config().is_err_and(refused), "{args:?}");
        assert!(parse(args).needs().is_err_and(refused), "{args:?}");
    }
}

#[test]
fn what_goes_without_saying_is_run_where_nothing_else_is_named() {
    let needs = |args: &[&str]| {
        let needs = parse(&[&["--default-guest", "demo"], args].concat()).needs().expect("needs");
        needs.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(needs(&[]), ["demo"]);
    assert_eq!(needs(&["hello"]), ["hello"]);
    assert_eq!(needs(&["prodcons"]), ["guest-producer", "guest-consumer"]);
    assert!(needs(&["--image", "x"]).is_empty());
}

#[test]
fn what_follows_two_dashes_is_the_guests() {
    for args in [
        &["hello", "--quiet", "--", "--turns", "-x", "", "--"][..],
        &["--image", "x", "--", "--turns", "-x", "", "--"],
    ] {
        let RunConfig::Single(config) = parse(args).config().expect("a configuration") else {
            panic!("{args:?}")
        };
        assert_eq!(config.arguments, ["--turns", "-x", "", "--"]);
    }
}

#[test]
fn bad_values_are_refused() {
    for (option, value) in [
        ("--capacity", "0"),
        ("--capacity", "65"),
        ("--capacity", "-1"),
        ("--capacity", "abc"),
        ("--produce", "65"),
        ("--consume", "some"),
        ("--memory", "2T"),
        ("--memory", "5G"),
        ("--memory", ""),
        ("--timeout", "0"),
        ("--timeout", "-1"),
        ("--timeout", "nan"),
        ("--turn-timeout", "0"),
        ("--max-exits", "0"),
        ("--max-exits", "-1"),
        ("--max-output", "lots"),
        ("--log", "net=loud"),
        ("--schedule", "burst:0"),
        ("--turns", "-1"),
        ("--producers", "0"),
        ("--consumers", "17"),
        ("--seed", "x"),
        ("--format", "xml"),
        ("--mode", "virtual"),
    ] {
        let args = ["guestlab", "run", "prodcons", option, value];
        let error = Cli::try_parse_from(args).expect_err(option);
        assert_eq!(error.exit_code(), 2, "{option} {value}");
    }
}
