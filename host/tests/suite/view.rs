//! The view in a real terminal, that of tmux: the text on the screen, and the state of the terminal afterwards.

use std::{
    env,
    fs::{self, File},
    io::{Read, Write},
    mem::MaybeUninit,
    os::{
        fd::AsRawFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::common::{self, can_run_guests};
use guestlab::{
    cli::terminal,
    runlog::{event, sink::Sink},
};
use tempfile::TempDir;

/// The most time until a text is on the screen. The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// A shell script around a program. It saves the terminal's modes before and after the program, and the status, in the
/// folder of the first argument.
const SCRIPT: &str = r#"cd "$1"; shift; stty -a > before
sh -c 'echo $$ > pid; exec "$@"' sh "$@"; echo "status=$?"; stty -a > after; echo all over; exec sleep 1000"#;

/// A terminal with a program in it.
struct Terminal {
    folder: TempDir,
}

impl Terminal {
    /// Returns a terminal of this size in which a program runs. Without tmux, prints that and returns `None`.
    fn open(width: u16, height: u16, program: &[&str]) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("skipped: there is no tmux here");
            return None;
        }
        let terminal = Self { folder: tempfile::tempdir().expect("a folder") };
        let (x, y) = (width.to_string(), height.to_string());
        let folder = terminal.folder.path().to_str().expect("a path of text").to_owned();
        let mut new = terminal.tmux(&["new-session", "-d", "-x", &x, "-y", &y]);
        new.args(["sh", "-c", SCRIPT, "sh", &folder]).args(program);
        assert!(new.status().expect("tmux runs").success());
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.path("socket")).args(["-f", "/dev/null"]).args(arguments);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ask(&self, arguments: &[&str]) -> String {
        common::text(&self.tmux(arguments).output().expect("tmux runs").stdout)
    }

    fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"])
    }

    fn press(&self, keys: &[&str]) {
        self.ask(&[&["send-keys"], keys].concat());
    }

    fn resize(&self, width: u16, height: u16) {
        self.ask(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// Waits until this text is on the screen.
    #[track_caller]
    fn expect(&self, text: &str) {
        self.expect_that(text, |screen| screen.contains(text));
    }

    #[track_caller]
    fn expect_that(&self, what: &str, is_there: impl Fn(&str) -> bool) {
        let begin = Instant::now();
        loop {
            let screen = self.screen();
            if is_there(&screen) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{what:?} does not come; there is\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses keys, and waits until this text is on the screen.
    #[track_caller]
    fn press_for(&self, keys: &[&str], text: &str) {
        self.press(keys);
        self.expect(text);
    }

    /// The number of the process.
    fn pid(&self) -> String {
        fs::read_to_string(self.path("pid")).expect("a number").trim().to_owned()
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid()]).status().expect("kill runs").success());
    }

    /// Checks that the program has ended with a status, and that the terminal is as before.
    #[track_caller]
    fn expect_restored(&self, status: &str) {
        self.expect("all over");
        self.expect(&format!("status={status}\n"));
        let modes = |name| fs::read_to_string(self.path(name)).expect("modes");
        assert_eq!(modes("before"), modes("after"));
        assert!(modes("after").contains(" echo ") && modes("after").contains(" icanon "));
        assert_eq!(self.ask(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]), "0 1\n");
        assert!(!self.screen().contains('╭'), "{}", self.screen());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.ask(&["kill-server"]);
    }
}

const GUESTLAB: &str = env!("CARGO_BIN_EXE_guestlab");

/// Makes a recording of eight turns, or of this many pairs of turns: three items are made, then taken.
fn recording(folder: &Path, pairs: u64) -> String {
    let mut lines = vec![
        r#"{"event":"run","experiment":"prodcons","abi":"1.0","seed":7,"capacity":6,"schedule":"alternate","turns":8,"guests":[{"vm":1,"name":"maker","role":"producer","sha256":"aa"},{"vm":2,"name":"taker","role":"consumer","sha256":"bb"}]}"#.to_owned(),
    ];
    for pair in 0..pairs {
        let (turn, items) = (2 * pair + 1, [10 * pair + 1, 10 * pair + 2, 10 * pair + 3]);
        let (from, to) = (3 * pair % 6, 3 * (pair + 1) % 6);
        lines.push(format!(r#"{{"event":"turn","turn":{turn},"vm":1,"role":"producer","items":{items:?},"prod_p":{to},"cons_p":{from},"count":3,"exits":1}}"#));
        lines.push(format!(r#"{{"event":"turn","turn":{},"vm":2,"role":"consumer","items":{items:?},"prod_p":{to},"cons_p":{to},"count":0,"exits":1}}"#, turn + 1));
    }
    let path = folder.join("run.jsonl");
    fs::write(&path, lines.join("\n") + "\n").expect("written");
    path.to_str().expect("a path of text").to_owned()
}

/// A file that is shown in a terminal.
fn shown(width: u16, height: u16, pairs: u64) -> Option<(Terminal, TempDir)> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), pairs);
    let terminal = Terminal::open(width, height, &[GUESTLAB, "view", &file])?;
    terminal.expect("turn 0 of ");
    Some((terminal, folder))
}

#[test]
fn a_run_is_looked_at_forwards_and_backwards() {
    let Some((terminal, _folder)) = shown(80, 24, 4) else { return };
    terminal.expect("before the first turn");
    terminal.press_for(&["Right"], "made 3: 1 2 3");
    terminal.expect("cons_p 0  prod_p 3  count 3 of 6");
    terminal.press_for(&["Right"], "took 3: 1 2 3");
    terminal.press_for(&["Left"], "turn 1 of 8");
    terminal.press_for(&["6", "Enter"], "took 3: 21 22 23");
    terminal.press_for(&["End"], "turn 8 of 8");
    terminal.press_for(&["Home"], "turn 0 of 8");
    terminal.press_for(&["/", "2", "2", "Enter"], "item 22: made in turn 5 by VM 1");
    terminal.expect("turn 5 of 8");
    terminal.press_for(&["n"], "turn 6 of 8");
    terminal.press_for(&["N"], "turn 5 of 8");
    terminal.press_for(&["/", "9", "9", "Enter"], "no item 99 was made");
    terminal.press_for(&["?"], "play and pause");
    terminal.press_for(&["Escape"], "turn 5 of 8");
    terminal.press_for(&["Home"], "turn 0 of 8");
    // Played to the end.
    terminal.press_for(&["+", "+", "Space"], "turn 8 of 8");
    terminal.press(&["q"]);
    terminal.expect_restored("0");
}

#[test]
fn it_takes_whatever_size_the_terminal_has() {
    let Some((terminal, _folder)) = shown(80, 24, 4) else { return };
    terminal.press_for(&["Right"], "│  1 │");
    terminal.resize(120, 40);
    terminal.expect("┌0───┐");
    terminal.resize(60, 20);
    terminal.expect("60x20 is too small");
    terminal.resize(200, 60);
    terminal.expect("┌0───┐");
    terminal.resize(80, 24);
    terminal.expect("│  1 │");
    terminal.expect_that("one frame at the left of 24 rows", |screen| {
        screen.lines().filter(|line| line.starts_with(['╭', '│', '╰'])).count() == 22
    });
    terminal.press(&["Escape"]);
    terminal.expect_restored("0");
}

#[test]
fn the_terminal_is_given_back_on_every_way_out() {
    let orderly = [("q", "0"), ("C-c", "0"), ("-TERM", "143"), ("-INT", "130"), ("-HUP", "129")];
    let at_once = [
        ("-QUIT", "131"),
        ("-ABRT", "134"),
        ("-BUS", "135"),
        ("-SEGV", "139"),
        ("-USR1", "138"),
        ("-XCPU", "152"),
        ("-64", "192"),
    ];
    for (way, status) in orderly.into_iter().chain(at_once) {
        let Some((terminal, _folder)) = shown(80, 24, 1) else { return };
        match way.starts_with('-') {
            true => terminal.signal(way),
            false => terminal.press(&[way]),
        }
        terminal.expect_restored(status);
    }
}

/// A process without a terminal must end by itself: no user can end it.
#[test]
fn the_view_ends_with_its_terminal() {
    for ignored in ["", "HUP"] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = recording(folder.path(), 1);
        let script = format!("trap '' {ignored}; exec \"$@\"").replace("trap '' ;", "");
        let program = ["sh", "-c", &script, "sh", GUESTLAB, "view", &file];
        let Some(terminal) = Terminal::open(80, 24, &program) else { return };
        terminal.expect("turn 0 of ");
        let process = PathBuf::from(format!("/proc/{}", terminal.pid()));
        assert!(process.exists());
        terminal.ask(&["kill-server"]);
        let begin = Instant::now();
        while process.exists() {
            assert!(begin.elapsed() < PATIENCE, "it goes on without a terminal, ignoring {ignored:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_file_that_is_no_run_and_no_terminal_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = recording(folder.path(), 1);
    let (_, err) = common::expect(&["view", &file], 2);
    assert!(err.contains("a view needs a terminal") && err.contains("--svg"), "{err}");
    for command in [&["run", "prodcons", "--tui"][..], &["run", "prodcons", "--tui", "--format", "jsonl"]] {
        let (_, err) = common::expect(command, 2);
        assert!(err.contains("--tui"), "{err}");
    }
    let picture = folder.path().join("picture.svg");
    let picture = picture.to_str().expect("a path of text");
    common::expect(&["view", &file, "--at", "1", "--svg", picture], 0);
    assert!(fs::read_to_string(picture).expect("a picture").contains(">maker "));
    fs::write(&file, "hello\n").expect("written");
    let (_, err) = common::expect(&["view", &file, "--svg", picture], 2);
    assert!(err.contains("line 1: not a line that tells of a run"), "{err}");
}

#[test]
fn a_run_that_goes_on_is_shown_and_ended() {
    if can_run_guests() {
        let long = ["run", "prodcons", "--tui", "--seed", "7", "--turns", "900000", "--timeout", "1000"];
        let program = [&[GUESTLAB][..], &long].concat();
        let Some(terminal) = open_with_images(&program) else { return };
        terminal.expect("live");
        terminal.press_for(&["Left"], ", the run is at ");
        terminal.press_for(&["3", "Enter"], "turn 3, the run is at ");
        terminal.press_for(&["End"], "live");
        terminal.press(&["q"]);
        terminal.expect("the view was closed, and the run ended: VM ");
        terminal.expect_restored("0");
        for (way, status) in [("C-c", "130"), ("-TERM", "143")] {
            let Some(terminal) = open_with_images(&program) else { return };
            terminal.expect("live");
            match way.starts_with('-') {
                true => terminal.signal(way),
                false => terminal.press(&[way]),
            }
            terminal.expect("interrupted by SIG");
            terminal.expect_restored(status);
        }
    }
}

#[test]
fn a_run_that_is_shown_has_its_page_and_its_trace_too() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_str().expect("a path of text").to_owned();
        let (page, trace) = (path("page.html"), path("trace.json"));
        let told = ["--tui", "--report", &page, "--trace", &trace];
        let read = |path: &str| fs::read_to_string(path).expect("a file");

        let program = [&[GUESTLAB, "run", "prodcons", "--seed", "7", "--turns", "6"][..], &told].concat();
        let Some(terminal) = open_with_images(&program) else { return };
        terminal.expect("turn 6 of 6 over");
        terminal.press(&["q"]);
        terminal.expect_restored("0");
        assert!(read(&page).contains("<title>prodcons: ok</title>") && read(&page).contains("--seed 7 "));
        let events: Vec<serde_json::Value> = serde_json::from_str(&read(&trace)).expect("a whole trace");
        assert_eq!(events.iter().filter(|event| event["name"] == "items in the ring").count(), 7);

        // A run that the view ended has a page of what there was.
        let long = ["--turns", "900000", "--timeout", "1000"];
        let program = [&[GUESTLAB, "run", "prodcons"][..], &long, &told].concat();
        let Some(terminal) = open_with_images(&program) else { return };
        terminal.expect("live");
        terminal.press(&["q"]);
        terminal.expect_restored("0");
        assert!(read(&page).contains("<title>prodcons: not finished</title>"));
        serde_json::from_str::<Vec<serde_json::Value>>(&read(&trace)).expect("a whole trace");
    }
}

#[test]
fn a_run_that_is_over_stays_and_then_says_how_it_ended() {
    if can_run_guests() {
        let program = [GUESTLAB, "run", "prodcons", "--tui", "--seed", "7", "--turns", "6"];
        let Some(terminal) = open_with_images(&program) else { return };
        terminal.expect("turn 6 of 6 over");
        terminal.press_for(&["Left"], "turn 5 of 6 over");
        terminal.press(&["q"]);
        terminal.expect("audit: ok");
        terminal.expect_restored("0");

        let crash = ["--consumer", "full-and-turned", "--capacity", "2", "--seed", "5"];
        let program = [&[GUESTLAB, "run", "prodcons", "--tui"][..], &crash, &["--schedule", "string:1212"]];
        let Some(terminal) = open_with_images(&program.concat()) else { return };
        terminal.expect("broke the ring's rule");
        terminal.press(&["q"]);
        terminal.expect("audit: failed");
        terminal.expect("guestlab: VM 2, full-and-turned, turn 4");
        terminal.expect_restored("3");

        let Some(terminal) = open_with_images(&[GUESTLAB, "run", "hello", "--tui"]) else { return };
        terminal.expect("hello from VM 1");
        terminal.press(&["q"]);
        // What the host had to say waited for its screen.
        terminal.expect("VM 1 asks where its memory is");
        terminal.expect_restored("0");
    }
}

#[test]
fn a_terminal_that_is_not_read_does_not_hold_an_interruption() {
    // The run goes on in the first case, and is over in the second: there the end is yet to be printed.
    for turns in ["9000000", "20000"] {
        is_not_held(turns);
    }
}

/// Fills a terminal until it takes no more, and sends a signal.
#[track_caller]
fn is_not_held(turns: &str) {
    if can_run_guests() {
        let Some((mut ours, theirs)) = common::terminal(200, 60) else {
            eprintln!("skipped: there is no terminal to be had here");
            return;
        };
        let mut command =
            common::command(&["run", "prodcons", "--tui", "--turns", turns, "--timeout", "1000"]);
        let copy = || theirs.try_clone().expect("a copy");
        // What is said at last waits for its reader.
        command.stdin(copy()).stdout(copy()).stderr(Stdio::null());
        let mut child = command.spawn().expect("guestlab runs");
        // With ours the program's are the last: its end is that of the output.
        drop((command, theirs));
        let (mut shown, mut bytes) = (String::new(), [0; 4096]);
        while !shown.contains("live") {
            let length = ours.read(&mut bytes).expect("output");
            shown += &String::from_utf8_lossy(&bytes[..length]);
        }
        // Time to fill what is between the two; without that the test is easier to pass.
        thread::sleep(Duration::from_secs(3));
        let status = Command::new("kill").arg(child.id().to_string()).status().expect("kill runs");
        assert!(status.success());
        let begin = Instant::now();
        while child.try_wait().expect("it is our child").is_none() {
            assert!(begin.elapsed() < PATIENCE, "it is held by its terminal");
            thread::sleep(Duration::from_millis(20));
        }
        let status = child.wait().expect("it has ended");
        assert_eq!(status.signal(), Some(libc::SIGTERM));
    }
}

fn open_with_images(program: &[&str]) -> Option<Terminal> {
    let images = format!("GUESTLAB_IMAGES={}", common::images().display());
    Terminal::open(80, 24, &[&["env", &images][..], program].concat())
}

/// Shows a file in a terminal of any size. Returns `None` if the system has no terminal left.
struct Raw {
    ours: File,
    child: Child,
    shown: String,
    _folder: TempDir,
}

impl Raw {
    fn open(columns: u16, rows: u16, name: &str) -> Option<Self> {
        let Some((ours, theirs)) = common::terminal(columns, rows) else {
            eprintln!("skipped: there is no terminal to be had here");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = common::command(&["view", &recording(folder.path(), 4)]);
        let copy = || theirs.try_clone().expect("a copy");
        // A process stops only if another of its session, in another group, could have it go on.
        command.process_group(0).env("TERM", name).stdin(copy()).stdout(copy()).stderr(copy());
        let child = command.spawn().expect("guestlab runs");
        Some(Self { ours, child, shown: String::new(), _folder: folder })
    }

    /// Reads until this text has come, after all earlier expected texts.
    #[track_caller]
    fn expect(&mut self, text: &str) {
        let mut bytes = [0; 4096];
        loop {
            if let Some((_, rest)) = self.shown.split_once(text) {
                self.shown = rest.into();
                return;
            }
            match self.ours.read(&mut bytes) {
                Ok(length @ 1..) => self.shown += &String::from_utf8_lossy(&bytes[..length]),
                _ => panic!("{text:?} does not come; there is {:?}", self.shown),
            }
        }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for.
        unsafe { libc::kill(self.child.id().cast_signed(), signal) };
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the pointer is to a size.
        unsafe { libc::ioctl(self.ours.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    }

    /// Returns true if keys arrive at once, and not with the line.
    fn is_raw(&self) -> bool {
        let mut modes = MaybeUninit::<libc::termios>::zeroed();
        // SAFETY: the pointer is to room for modes.
        assert_eq!(unsafe { libc::tcgetattr(self.ours.as_raw_fd(), modes.as_mut_ptr()) }, 0);
        // SAFETY: they have been filled.
        unsafe { modes.assume_init() }.c_lflag & libc::ICANON == 0
    }

    /// Closes the view. It must end with status 0.
    #[track_caller]
    fn quit(mut self) {
        self.ours.write_all(b"q").expect("a key");
        self.expect("\x1b[?1049l");
        let mut bytes = [0; 4096];
        // What is left is read, so that nothing waits.
        while let Ok(1..) = self.ours.read(&mut bytes) {}
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0), "{}", self.shown);
    }
}

#[test]
fn a_view_that_is_stopped_gives_the_terminal_back_and_takes_it_again() {
    for signal in [libc::SIGTSTP, libc::SIGSTOP] {
        let Some(mut raw) = Raw::open(80, 24, "xterm") else { return };
        raw.expect("turn 0 of ");
        assert!(raw.is_raw());
        raw.signal(signal);
        let mut status = 0;
        // SAFETY: it is our child, and the pointer is to a number.
        unsafe { libc::waitpid(raw.child.id().cast_signed(), &raw mut status, libc::WUNTRACED) };
        assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == signal, "{status}");
        if signal == libc::SIGTSTP {
            raw.expect("\x1b[?1049l");
            assert!(!raw.is_raw());
        }
        raw.signal(libc::SIGCONT);
        raw.expect("\x1b[?1049h");
        raw.expect("turn 0 of ");
        assert!(raw.is_raw());
        raw.quit();
    }
}

#[test]
fn a_terminal_may_have_any_size_and_change_it_at_any_time() {
    let sizes = [(0, 0), (1, 1), (65535, 1), (1, 65535), (65535, 65535), (80, 24)];
    for (columns, rows) in sizes {
        let Some(mut raw) = Raw::open(columns, rows, "xterm") else { return };
        raw.expect("\x1b[?1049h");
        for _ in 0..5 {
            for (columns, rows) in sizes {
                raw.resize(columns, rows);
                thread::sleep(Duration::from_millis(3));
            }
        }
        raw.expect("turn 0 of ");
        raw.quit();
    }
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_has_no_view() {
    let Some(mut raw) = Raw::open(80, 24, "dumb") else { return };
    raw.expect("a view needs a terminal, and the one here cannot move its cursor (TERM is dumb)");
    assert_eq!(raw.child.wait().expect("it ends").code(), Some(2));
}

/// Panics in a view: for the test below, which runs it in a terminal.
#[test]
#[ignore = "it panics, in a terminal"]
fn panics_in_a_view() {
    let outcome = terminal::live(|sink: &mut dyn Sink| {
        let run = event::Run {
            engine: "kvm".into(),
            experiment: "prodcons".into(),
            abi: String::new(),
            seed: 1,
            capacity: Some(6),
            schedule: String::new(),
            turns: Some(1),
            items: None,
            repeatable: true,
            guests: Vec::new(),
        };
        sink.event(&event::Event::Run(Box::new(run))).expect("told");
        let file = PathBuf::from(env::var_os("PANICS_AT").expect("a file's name"));
        while !file.exists() {
            thread::sleep(Duration::from_millis(5));
        }
        panic!("a panic in a view");
    });
    assert!(outcome.is_err());
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("now");
    let panics_at = format!("PANICS_AT={}", file.display());
    let this = env::current_exe().expect("this program");
    let this = this.to_str().expect("a path of text");
    let program = [
        "env",
        "RUST_BACKTRACE=0",
        &panics_at,
        this,
        "--ignored",
        "--exact",
        "view::panics_in_a_view",
        "--nocapture",
    ];
    let Some(terminal) = Terminal::open(80, 24, &program) else { return };
    terminal.expect("live");
    fs::write(&file, "").expect("written");
    terminal.expect("a panic in a view");
    terminal.expect_restored("0");
}
