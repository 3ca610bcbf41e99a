//! The page of a run: its figures are those of the run, a browser reports no error, and every end of a run has a page.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::common::{can_run_guests, command, expect, image, pingpong, text};
use serde_json::Value;

/// A folder for pages.
struct Pages(tempfile::TempDir);

impl Pages {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("a path of text").to_owned()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a page")
    }

    /// Runs `guestlab run ARGS --format jsonl --report NAME`, and returns the lines and the page.
    #[track_caller]
    fn run(&self, args: &[&str], name: &str, status: i32) -> (Vec<Value>, String) {
        let path = self.path(name);
        let args = [&["run"], args, &["--format", "jsonl", "--report", &path]].concat();
        let (out, _) = expect(&args, status);
        (lines(&out), self.read(name))
    }
}

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

/// The values of an attribute, wherever it is.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    page.split(&begin).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The value of a fact of the summary.
#[track_caller]
fn fact<'a>(page: &'a str, name: &str) -> &'a str {
    let begin = format!("data-fact=\"{name}\" data-value=\"");
    let rest = page.split(&begin).nth(1).unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split('"').next().expect("the value ends")
}

fn list(numbers: impl Iterator<Item = u64>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

/// The figures on a page of an exchange must be those of its JSON lines.
#[track_caller]
fn figures_are_the_runs(page: &str, lines: &[Value]) {
    let (turns, end) = (of(lines, "turn"), of(lines, "end")[0]);
    let number = |value: &Value| value.as_u64().expect("a number");
    for (name, field) in [("turns", "turns"), ("produced", "produced"), ("left in the ring", "left")] {
        assert_eq!(fact(page, name), end[field].to_string());
    }
    assert_eq!(fact(page, "audit"), end["audit"]);
    assert_eq!(values(page, "data-counts"), [list(turns.iter().map(|turn| number(&turn["count"])))]);
    let moved = |role: &str| {
        let items = |turn: &Value| turn["items"].as_array().expect("items").len() as u64;
        list(turns.iter().map(|turn| if turn["role"] == role { items(turn) } else { 0 }))
    };
    assert_eq!(values(page, "data-made"), [moved("producer")]);
    assert_eq!(values(page, "data-taken"), [moved("consumer")]);
    for guest in of(lines, "run")[0]["guests"].as_array().expect("guests") {
        let mine = turns.iter().filter(|turn| turn["vm"] == guest["vm"]);
        let mine = list(mine.map(|turn| number(&turn["turn"])));
        assert!(values(page, "data-turns").contains(&mine.as_str()), "VM {}: {mine}", guest["vm"]);
        assert!(page.contains(guest["sha256"].as_str().expect("text")));
        let exits = &end["exits"][guest["vm"].to_string()]["total"];
        assert!(page.contains(&format!("data-exits=\"{exits}\"")), "VM {}: {exits}", guest["vm"]);
    }
    let chosen = values(page, "data-items").len();
    let most = number(&of(lines, "run")[0]["capacity"]);
    assert_eq!(
        chosen as u64,
        2 * (most + 1) + of(lines, "run")[0]["guests"].as_array().map_or(0, |g| g.len() as u64)
    );
}

/// The times on a page must be those of its JSON lines.
#[track_caller]
fn times_are_the_runs(page: &str, lines: &[Value]) {
    let vms = of(lines, "stats")[0]["vms"].as_array().expect("VMs").iter();
    let rows: Vec<&Value> = vms.flat_map(|vm| vm["exits"].as_array().expect("rows")).collect();
    for (attribute, field) in [("data-guest-us", "guest_us"), ("data-host-us", "host_us")] {
        let shown: Vec<f64> =
            values(page, attribute).iter().map(|number| number.parse().expect("a number")).collect();
        let told: Vec<f64> = rows.iter().filter_map(|row| row[field].as_f64()).collect();
        assert_eq!(shown, told);
    }
}

#[test]
fn the_figures_are_those_of_the_json_lines() {
    if can_run_guests() {
        let pages = Pages::new();
        let args = ["prodcons", "--seed", "7", "--turns", "60", "--stats"];
        let (lines, page) = pages.run(&args, "two.html", 0);
        figures_are_the_runs(&page, &lines);
        times_are_the_runs(&page, &lines);
        assert!(
            page.contains("cargo xtask run prodcons --capacity 6 --seed 7 --schedule random --turns 60<")
        );
        let args = ["prodcons", "--seed", "7", "--producers", "3", "--consumers", "2", "--capacity", "17"];
        let (lines, page) = pages.run(&args, "five.html", 0);
        figures_are_the_runs(&page, &lines);
        assert!(of(&lines, "stats").is_empty(), "nobody asked for statistics");
        assert!(!values(&page, "data-host-us").is_empty(), "but the page has them");
    }
}

#[test]
fn a_thousand_turns_are_a_page_of_bounded_size() {
    if can_run_guests() {
        let pages = Pages::new();
        for capacity in ["6", "64"] {
            let args = ["prodcons", "--turns", "1000", "--capacity", capacity, "--seed", "7"];
            let (lines, page) = pages.run(&args, "long.html", 0);
            assert!(page.len() < 500_000, "{} bytes", page.len());
            figures_are_the_runs(&page, &lines);
        }
    }
}

#[test]
fn a_page_can_be_made_of_a_file_and_is_the_same() {
    if can_run_guests() {
        let pages = Pages::new();
        let (record, text) = (pages.path("run.rec"), pages.path("run.jsonl"));
        let args = ["prodcons", "--seed", "7", "--mode", "long", "--record", &record, "--stats"];
        let (lines, live) = pages.run(&args, "live.html", 0);
        let told = lines.iter().map(|line| line.to_string() + "\n").collect::<String>();
        fs::write(&text, told).expect("written");
        for (file, page) in [(&record, "recorded.html"), (&text, "told.html")] {
            expect(&["report", file, &pages.path(page)], 0);
            figures_are_the_runs(&pages.read(page), &lines);
        }
        let recorded = pages.read("recorded.html");
        assert!(recorded.contains("has no times") && recorded.contains("run prodcons --mode long"));
        let told = pages.read("told.html");
        times_are_the_runs(&told, &lines);
        assert!(told.contains("no command to repeat it"));
        // All but the exits, which are counted only there, and the command.
        let turns = |page: &str| {
            page.split("id=\"turns-h\"")
                .nth(1)
                .and_then(|rest| rest.split("id=\"exits-h\"").next())
                .map(str::to_owned)
        };
        assert!(turns(&live).is_some() && turns(&live) == turns(&recorded));
    }
}

#[test]
fn a_crash_has_a_page_too() {
    if can_run_guests() {
        let pages = Pages::new();
        let args = [
            "prodcons",
            "--consumer",
            "full-and-turned",
            "--capacity",
            "2",
            "--seed",
            "5",
            "--schedule",
            "string:1212",
        ];
        let (lines, page) = pages.run(&args, "crash.html", 3);
        figures_are_the_runs(&page, &lines);
        let crash = of(&lines, "crash")[0];
        assert_eq!(fact(&page, "exit status"), "3");
        assert!(page.contains("data-vm=\"2\" data-turn=\"4\" data-reason=\"violation\""));
        assert!(page.contains("<path class=\"x\""), "the turn is marked");
        assert!(page.contains(crash["hint"].as_str().expect("a hint")));
        let function = crash["backtrace"][0]["function"].as_str().expect("a function");
        assert!(page.contains(&format!("<code>{function}</code>")), "{function}");
        let command = "cargo xtask run prodcons --consumer full-and-turned --capacity 2 --seed 5 --schedule string:1212<";
        assert!(page.contains(command));

        let (lines, page) = pages.run(&["wild-write"], "alone.html", 3);
        let eip = of(&lines, "crash")[0]["registers"]["eip"].as_u64().expect("a register");
        assert!(page.contains(&format!("{eip:08x}")) && page.contains("span class=\"here\""));
        let (_, page) = pages.run(&["spins", "--timeout", "0.3"], "deadline.html", 4);
        assert_eq!(fact(&page, "exit status"), "4");
    }
}

#[test]
fn guests_without_a_ring_have_pages() {
    if can_run_guests() {
        let pages = Pages::new();
        let file = pingpong();
        let file = file.to_str().expect("a path of text");
        let (lines, page) = pages.run(&["--experiment", file, "--turns", "5", "--seed", "3"], "p.html", 0);
        let mailboxes = of(&lines, "turn").len();
        assert_eq!((fact(&page, "turns"), mailboxes), ("5", 5));
        assert!(page.contains(&format!("cargo xtask run --experiment {file} --turns 5 --seed 3<")));
        assert!(page.contains("ping 0") && !page.contains("id=\"choices-h\""));
        let (_, page) = pages.run(&["hello", "--seed", "3"], "hello.html", 0);
        assert!(page.contains("hello from VM 1") && page.contains("cargo xtask run hello --seed 3"));
    }
}

#[test]
fn a_free_run_says_that_it_cannot_be_repeated() {
    if can_run_guests() {
        let pages = Pages::new();
        let (lines, page) = pages.run(&["prodcons", "--schedule", "free", "--items", "20"], "free.html", 0);
        figures_are_the_runs(&page, &lines);
        assert!(page.contains("this run cannot be repeated") && page.contains("--schedule free --items 20<"));
    }
}

#[test]
fn an_interrupted_run_has_a_page_of_what_happened_until_then() {
    if can_run_guests() {
        let pages = Pages::new();
        let path = pages.path("page.html");
        let args = ["run", "prodcons", "--turns", "1000000", "--format", "jsonl", "--report", &path];
        let mut child = command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let mut told = String::new();
        while told.lines().count() < 10 {
            out.read_line(&mut told).expect("a line");
        }
        // SAFETY: the child has not been waited for, so that its process number is its own.
        unsafe { libc::kill(child.id().cast_signed(), libc::SIGINT) };
        while out.read_line(&mut told).expect("a line") > 0 {}
        child.wait().expect("it ends");
        let page = pages.read("page.html");
        let turns = of(&lines(&told), "turn").len().to_string();
        assert_eq!((fact(&page, "turns"), fact(&page, "exit status")), (turns.as_str(), "none"));
        assert!(page.contains("it was interrupted or killed"));
    }
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_anything_runs() {
    if can_run_guests() {
        for path in ["/", "/no/such/folder/x.html", "/dev/full"] {
            let (out, err) = expect(&["run", "prodcons", "--report", path], 2);
            assert!(err.contains(&format!("cannot write the report {path}: ")) && out.is_empty(), "{err}");
        }
        // A run that never began leaves no page.
        let pages = Pages::new();
        let path = pages.path("page.html");
        expect(&["run", "prodcons", "--producer", "/no/such/image", "--report", &path], 2);
        assert!(!Path::new(&path).exists());
    }
}

#[test]
fn a_file_that_tells_no_run_makes_no_page() {
    let pages = Pages::new();
    let (file, page) = (pages.path("x.jsonl"), pages.path("page.html"));
    fs::write(&file, "{\"event\":\"weather\"}\n").expect("written");
    let (_, err) = expect(&["report", &file, &page], 2);
    assert!(err.contains("no run is told in it") && !Path::new(&page).exists(), "{err}");
    fs::write(&file, "{\"event\":\"console\",\"vm\":1,\"text\":\"x\"}\n").expect("written");
    let (_, err) = expect(&["report", &file, &file], 2);
    assert!(err.contains("the page would replace the run"), "{err}");
}

/// Returns the browser, if there is one. Otherwise prints why the test was skipped.
fn browser() -> Option<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut programs = env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name)));
    let found = programs.find(|program| program.is_file());
    if found.is_none() {
        eprintln!("skipped: there is no Chromium here (Debian's package chromium)");
    }
    found
}

/// Returns the document that a browser makes of a page with its script, and the browser's console.
fn browse(browser: &Path, address: &str) -> (String, Vec<String>) {
    let profile = tempfile::tempdir().expect("a folder");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--enable-logging=stderr", "--v=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", address])
        .output()
        .expect("the browser runs");
    let err = String::from_utf8_lossy(&output.stderr);
    let said = err.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    (text(&output.stdout), said)
}

#[test]
fn a_browser_has_nothing_to_complain_of_and_shows_each_turn() {
    let Some(browser) = browser().filter(|_| can_run_guests()) else { return };
    let pages = Pages::new();
    let (lines, page) = pages.run(&["prodcons", "--seed", "7", "--turns", "30"], "page.html", 0);
    let address = format!("file://{}", pages.path("page.html"));
    for number in [1, 17, 30] {
        let (dom, said) = browse(&browser, &format!("{address}#t{number}"));
        assert!(said.is_empty(), "{said:?}");
        figures_are_the_runs(&dom, &lines);
        let turn = of(&lines, "turn")[number - 1];
        let ring = |name: &str| dom.split("id=\"ring\"").nth(1).map(|rest| values(rest, name)[0].to_owned());
        for (attribute, field) in [
            ("data-turn", "turn"),
            ("data-prod_p", "prod_p"),
            ("data-cons_p", "cons_p"),
            ("data-count", "count"),
        ] {
            assert_eq!(ring(attribute), Some(turn[field].to_string()), "{attribute} after turn {number}");
        }
        let items = dom
            .split("<text class=\"item\"")
            .skip(1)
            .filter_map(|rest| rest.split_once('>')?.1.split('<').next()?.parse::<u64>().ok());
        assert_eq!(items.count() as u64, turn["count"].as_u64().expect("a number"), "turn {number}");
    }
    // Without its script a page shows the end.
    let still = page.replace("script-src", "script-src 'none'; x");
    fs::write(pages.path("still.html"), still).expect("written");
    let (dom, _) = browse(&browser, &format!("file://{}", pages.path("still.html")));
    figures_are_the_runs(&dom, &lines);
    assert!(dom.contains("The ring at the end, after 30 turns."));
}

#[test]
fn a_browser_runs_nothing_of_a_guests() {
    let Some(browser) = browser() else { return };
    let pages = Pages::new();
    let hostile = "</script><img src=x onerror='document.title=1'>\u{1b}[2J<script>document.title=1</script>";
    let text = serde_json::to_string(hostile).expect("JSON");
    let run = format!(
        r#"{{"event":"run","experiment":{text},"abi":"1.0","seed":7,"schedule":{text},"turns":1,"guests":[{{"vm":1,"name":{text},"sha256":{text}}}]}}"#
    );
    let rest = format!(
        r#"{{"event":"console","vm":1,"text":{text}}}
{{"event":"turn","turn":1,"vm":1,"mailbox":[1],"exits":1}}
{{"event":"crash","vm":1,"name":{text},"turn":2,"reason":{text},"message":{text},"mode":{text}}}
"#
    );
    let (file, page) = (pages.path("x.jsonl"), pages.path("page.html"));
    fs::write(&file, format!("{run}\n{rest}")).expect("written");
    expect(&["report", &file, &page], 0);
    let (dom, said) = browse(&browser, &format!("file://{page}"));
    assert!(said.is_empty(), "{said:?}");
    assert!(!dom.contains("<img") && dom.matches("<script>").count() == 1, "{dom}");
    assert!(dom.contains("<title>&lt;/script&gt;&lt;img src=x"), "{dom}");
}

#[test]
fn a_guest_that_prints_markup_is_shown_as_it_is() {
    if can_run_guests() {
        // A flat image that prints its text byte by byte, as the course's guests do, and halts.
        let shown = b"</script><img src=x onerror=alert(1)>\x1b[2J";
        let code: Vec<u8> = shown.iter().flat_map(|&byte| [0xB0, byte, 0xE6, 0xE9]).chain([0xF4]).collect();
        let pages = Pages::new();
        let file = pages.path("hostile<b>.bin");
        fs::write(&file, code).expect("written");
        let args = ["--image", &file, "--format", "flat", "--mode", "real"];
        let (_, page) = pages.run(&args, "page.html", 0);
        assert!(page.contains(r"&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;\x1b[2J</pre>"), "{page}");
        assert!(page.contains("hostile&lt;b&gt;") && !page.contains("hostile<b>"));
        assert!(image("hello").exists());
    }
}
