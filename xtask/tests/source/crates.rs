//! The dependencies between the crates of the workspace, which point one way: ARCHITECTURE.md has the picture.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use crate::common::{self, elements, field};
use serde_json::Value;

/// The members that each member may depend on. Any other member is a user's guest.
const EDGES: [(&str, &[&str]); 16] = [
    ("guest-abi", &[]),
    ("guest-rt", &["guest-abi"]),
    ("guest-c", &["guest-rt"]),
    ("guest-c-build", &[]),
    ("guest-producer", GUEST),
    ("guest-consumer", GUEST),
    ("guestlab-cpu", &["guest-abi"]),
    ("guestlab-kvm", &["guestlab-cpu", "guest-abi"]),
    ("guestlab-soft", &["guestlab-cpu", "guest-abi"]),
    ("guestlab-vmm", &["guestlab-cpu", "guest-abi"]),
    ("guestlab-runlog", &["guest-abi"]),
    ("guestlab-process", &[]),
    ("guestlab-debug", &["guestlab-vmm", "guestlab-cpu", "guestlab-runlog", "guestlab-process", "guest-abi"]),
    ("guestlab-views", &["guestlab-runlog", "guest-abi"]),
    (
        "guestlab",
        &[
            "guestlab-cpu",
            "guestlab-kvm",
            "guestlab-soft",
            "guestlab-vmm",
            "guestlab-runlog",
            "guestlab-process",
            "guestlab-debug",
            "guestlab-views",
            "guest-abi",
        ],
    ),
    ("xtask", &[]),
];
const GUEST: &[&str] = &["guest-rt", "guest-c"];

/// The packages that have KVM's types, and the only member that may depend on them.
const KVM: [&str; 2] = ["kvm-ioctls", "kvm-bindings"];
const KVM_USER: &str = "guestlab-kvm";

/// Members that depend on no engine and no operating system, directly or by way of others.
const PURE: [&str; 2] = ["guestlab-cpu", "guestlab-vmm"];
const IMPURE: [&str; 8] =
    ["guestlab-kvm", "guestlab-soft", "kvm-ioctls", "kvm-bindings", "libc", "clap", "seccompiler", "ratatui"];

/// Members for other people's programs, built without optional features: packages that must not be built with them.
const LIBRARIES: [(&str, &[&str]); 3] = [
    ("guestlab-vmm", &["ratatui", "clap", "maud", "gdbstub", "iced-x86", "libc"]),
    ("guestlab-kvm", &["ratatui", "clap", "maud", "gdbstub", "iced-x86"]),
    ("guestlab-soft", &["ratatui", "clap", "maud", "gdbstub", "libc"]),
];

/// The names of the packages that each member depends on, tests and build scripts apart.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = common::metadata(&["--no-deps"]);
    let of = |package: &Value| {
        let normal = elements(&package["dependencies"]).filter(|it| it["kind"].is_null());
        normal.map(|it| field(it, "name").to_owned()).collect()
    };
    elements(&metadata["packages"]).map(|package| (field(package, "name").to_owned(), of(package))).collect()
}

#[test]
fn members_depend_on_those_below_them_only() {
    let dependencies = dependencies();
    for (member, found) in &dependencies {
        let edges = EDGES.iter().find(|(name, _)| name == member);
        let allowed = edges.map_or(GUEST, |(_, allowed)| allowed);
        for other in found.iter().filter(|name| dependencies.contains_key(*name)) {
            assert!(allowed.contains(&other.as_str()), "{member} must not depend on {other}");
        }
    }
}

#[test]
fn one_member_has_the_types_of_kvm() {
    for (member, found) in dependencies() {
        let uses = KVM.iter().find(|name| found.contains(**name));
        assert!(uses.is_none() || member == KVM_USER, "{member} must not depend on {uses:?}");
    }
}

#[test]
fn pure_members_reach_no_engine_and_no_operating_system() {
    let metadata = common::metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let names: BTreeMap<&str, &str> = elements(&metadata["packages"])
        .map(|package| (field(package, "id"), field(package, "name")))
        .collect();
    let graph: BTreeMap<&str, Vec<&str>> =
        elements(&metadata["resolve"]["nodes"]).map(|node| (field(node, "id"), normal_edges(node))).collect();
    for (id, member) in names.iter().filter(|(_, name)| PURE.contains(*name)) {
        let reached = reached(&graph, id);
        let impure = reached.iter().map(|id| names[id]).find(|name| IMPURE.contains(name));
        assert_eq!(impure, None, "reached from {member}");
        assert!(reached.len() > 3, "{member} has dependencies: {reached:?}");
    }
}

#[test]
fn libraries_are_built_without_the_programs_dependencies() {
    for (member, excluded) in LIBRARIES {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["tree", "--package", member, "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
        let output = cargo.current_dir(common::root()).output().expect("cargo runs");
        let tree = common::text(&output.stdout);
        let packages: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(packages.contains(&"guestlab-cpu"), "{member}: {packages:?}");
        let found = packages.iter().find(|name| excluded.contains(name));
        assert_eq!(found, None, "{member} is built with it");
    }
}

/// The packages that a node of the graph is linked with.
fn normal_edges(node: &Value) -> Vec<&str> {
    let is_normal = |edge: &&Value| elements(&edge["dep_kinds"]).any(|it| it["kind"].is_null());
    elements(&node["deps"]).filter(is_normal).map(|edge| field(edge, "pkg")).collect()
}

fn reached<'a>(graph: &BTreeMap<&'a str, Vec<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(id) = next.pop() {
        if reached.insert(id) {
            next.extend(&graph[id]);
        }
    }
    reached
}

/// The packages that cargo builds for a selection, each with its features.
fn features(selection: &[&str]) -> BTreeSet<(String, String)> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--prefix", "none", "--format", "{p}\t{f}", "--edges"]).args(selection);
    let output = tree.current_dir(common::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let packages = text.lines().filter_map(|line| line.split_once('\t'));
    let package = |name: &str| name.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    packages.map(|(name, features)| (package(name), features.trim_end_matches(" (*)").into())).collect()
}

/// Packages with other features are compiled again: that costs the first run and the tests many seconds.
#[test]
fn xtask_the_host_and_the_tests_share_what_is_compiled() {
    let xtask = features(&["normal,build", "--package", "xtask"]);
    let host = features(&["normal,build", "--package", "guestlab"]);
    let tests = features(&["normal,build,dev"]);
    for (some, others) in [(&xtask, &host), (&host, &tests)] {
        let again = some.difference(others).filter(|(name, _)| others.iter().any(|(other, _)| other == name));
        let again: Vec<_> = again.collect();
        assert!(again.is_empty(), "other features, so these are compiled twice: {again:?}");
    }
}
