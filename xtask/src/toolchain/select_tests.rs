//! One test for each state of a machine.

use std::collections::HashMap;

use super::*;

/// A made-up machine. A plain one has rustc without its source, and nothing else.
struct Made {
    named: Option<&'static str>,
    complete: HashMap<&'static str, &'static str>,
    rustup: Rustup,
    private_copy: bool,
    apt: bool,
}

const PLAIN: fn() -> Made = || Made {
    named: None,
    complete: HashMap::new(),
    rustup: Rustup::Absent,
    private_copy: false,
    apt: false,
};

impl Machine for Made {
    fn named(&self) -> Option<PathBuf> {
        self.named.map(PathBuf::from)
    }
    fn active(&self) -> Result<PathBuf, String> {
        Ok("/active".into())
    }
    fn check(&self, sysroot: &Path) -> Result<(), String> {
        let sysroot = sysroot.to_str().unwrap();
        let lacks = || format!("{sysroot} lacks lib/rustlib/src/rust/library/core");
        self.complete.get(sysroot).map(drop).ok_or_else(lacks)
    }
    fn version(&self, sysroot: &Path) -> Result<Version, String> {
        Ok(Version::parse(self.complete[sysroot.to_str().unwrap()]).unwrap())
    }
    fn rustup(&self) -> Rustup {
        self.rustup
    }
    fn private_copy(&self) -> Result<PathBuf, String> {
        self.private_copy.then(|| "/copy".into()).ok_or("there is none yet".into())
    }
    fn can_fetch(&self) -> Result<(), String> {
        if self.apt { Ok(()) } else { Err("apt-get is not on PATH".into()) }
    }
}

fn plan(machine: &Made) -> Plan {
    select(machine, Version::parse("1.95.0").unwrap()).unwrap()
}

fn taken(origin: Origin, sysroot: &str) -> Vec<Attempt> {
    vec![Attempt::Use(origin, sysroot.into())]
}

/// A machine on which every way is open.
fn everything() -> Made {
    Made {
        named: Some("/named"),
        complete: HashMap::from([("/named", "1.95.0"), ("/active", "1.95.0"), ("/usr", "1.96.0")]),
        rustup: Rustup::Available,
        private_copy: true,
        apt: true,
    }
}

#[test]
fn sources_are_tried_in_their_order() {
    let mut machine = everything();
    assert_eq!(plan(&machine).attempts, taken(Origin::Named, "/named"));
    machine.named = None;
    assert_eq!(plan(&machine).attempts, taken(Origin::Active, "/active"));
    machine.complete.remove("/active");
    assert_eq!(plan(&machine).attempts, taken(Origin::Distribution, "/usr"));
    machine.complete.remove("/usr");
    assert_eq!(plan(&machine).attempts[0], Attempt::AddRustSrc);
    machine.rustup = Rustup::Absent;
    assert_eq!(plan(&machine).attempts, taken(Origin::PrivateCopy, "/copy"));
    machine.private_copy = false;
    assert_eq!(plan(&machine).attempts, [Attempt::FetchCopy]);
    machine.apt = false;
    assert_eq!(plan(&machine).attempts, []);
}

#[test]
fn a_named_sysroot_that_lacks_something_is_refused_even_where_others_are_complete() {
    let machine = Made { named: Some("/elsewhere"), ..everything() };
    let error = select(&machine, Version::parse("1.95.0").unwrap()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("/elsewhere") && text.contains("lib/rustlib/src/rust/library/core"), "{text}");
}

#[test]
fn a_named_sysroot_may_be_of_any_version() {
    let machine = Made { named: Some("/old"), complete: HashMap::from([("/old", "1.63.0")]), ..PLAIN() };
    assert_eq!(plan(&machine).attempts, taken(Origin::Named, "/old"));
}

#[test]
fn an_old_compiler_of_the_distribution_is_rejected() {
    let old = Made { complete: HashMap::from([("/usr", "1.63.0")]), apt: true, ..PLAIN() };
    assert_eq!(plan(&old).attempts, [Attempt::FetchCopy]);
    let why = plan(&old).rejected[1].clone();
    assert!(why.contains("1.63.0 is older than 1.95.0"), "{why}");
    let same = Made { complete: HashMap::from([("/usr", "1.95.0")]), ..PLAIN() };
    assert_eq!(plan(&same).attempts, taken(Origin::Distribution, "/usr"));
}

#[test]
fn rustup_is_asked_before_anything_is_copied() {
    let machine = Made { rustup: Rustup::Available, apt: true, ..PLAIN() };
    assert_eq!(plan(&machine).attempts, [Attempt::AddRustSrc, Attempt::FetchCopy]);
    let copied = Made { rustup: Rustup::Available, private_copy: true, ..PLAIN() };
    let expected = [Attempt::AddRustSrc, Attempt::Use(Origin::PrivateCopy, "/copy".into())];
    assert_eq!(plan(&copied).attempts, expected);
}

#[test]
fn rustup_is_not_asked_where_the_user_forbids_it() {
    let machine = Made { rustup: Rustup::Forbidden, apt: true, ..PLAIN() };
    assert_eq!(plan(&machine).attempts, [Attempt::FetchCopy]);
    assert!(plan(&machine).rejected[2].contains("RUSTUP_AUTO_INSTALL=0"));
}

#[test]
fn a_private_copy_needs_neither_apt_nor_rustup() {
    let machine = Made { private_copy: true, ..PLAIN() };
    assert_eq!(plan(&machine).attempts, taken(Origin::PrivateCopy, "/copy"));
}

#[test]
fn the_error_names_every_rejected_source() {
    let text = plan(&PLAIN()).failed(Version::parse("1.95.0").unwrap()).to_string();
    for part in [
        "the active toolchain: /active lacks lib/rustlib/src/rust/library/core",
        "the distribution's compiler: /usr lacks",
        "rustup: not on PATH",
        "Debian's archive: apt-get is not on PATH",
        "rustup component add rust-src",
        "apt install",
        "GUESTLAB_GUEST_TOOLCHAIN",
        "1.95.0",
    ] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}
