//! A build script that tries what no submission may do. The build fails if one attempt succeeds.

use std::{fs, net::TcpStream, process::Command};

fn main() {
    let mut done = Vec::new();
    for folder in ["CLASS", "GRADES", "GUESTLAB/guest-rt", "/tmp", "/usr", "/dev", "/"] {
        if fs::write(format!("{folder}/guestlab-was-here"), "x").is_ok() {
            done.push(format!("wrote into {folder}"));
        }
    }
    for file in ["CLASS/other-producer/src/main.rs", "GUESTLAB/README.md", "/etc/passwd", "/dev/kvm"] {
        if fs::read(file).is_ok() {
            done.push(format!("read {file}"));
        }
    }
    if TcpStream::connect("ADDRESS").is_ok() {
        done.push("reached this machine's network".into());
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let commands = numbers.filter_map(|number| fs::read_to_string(format!("/proc/{number}/cmdline")).ok());
    if commands.into_iter().any(|command| command.contains("xtask")) {
        done.push("saw processes outside".into());
    }
    if std::env::var_os("GUESTLAB_SECRET").is_some() {
        done.push("saw a variable of the user's".into());
    }
    // What it may do: start programs, and write where cargo wants its output.
    assert!(Command::new("true").status().is_ok_and(|status| status.success()));
    fs::write(format!("{}/x", std::env::var("OUT_DIR").unwrap()), "x").unwrap();
    assert!(done.is_empty(), "the sandbox has a hole: {done:?}");
}
