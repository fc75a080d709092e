//! Waits: every limit is in one table, and one module ends what takes too long.

use super::code;

/// What a pause between two tries is called, or between two looks at something that goes on by itself.
const PAUSES: &[&str] = &["POLL", "PAUSE", "FIRST_PAUSE", "LONGEST_PAUSE", "TICK"];

/// Times that are no limit of a wait: the file, the constant, and what it is.
const OTHER_TIMES: &[(&str, &str, &str)] = &[
    ("cli/args.rs", "YEAR", "a unit"),
    ("cluster/crash.rs", "BEFORE", "how old an event may be"),
    ("deadline.rs", "LONGEST_TICK", "how a stop of the process is told"),
    ("deadline.rs", "FAR", "for ever"),
    ("evidence/folder.rs", "ABANDONED", "the age of a file"),
    ("images/claim.rs", "CLOCKS", "how far clocks are apart"),
    ("issuer/mod.rs", "LEAST", "how long keys must last"),
    ("lifecycle/diagnose.rs", "BEFORE", "how old an event may be"),
    ("lifecycle/prepare.rs", "SOON", "how long keys must last"),
    ("page/chart.rs", "SEEN", "how wide a bar is"),
    ("rehearsal/controllers.rs", "START", "how long a simulated pod takes"),
    ("rehearsal/node.rs", "SETTLED", "when a simulation rests"),
    ("report/live.rs", "FRAME", "how often the screen changes"),
    ("report/plain.rs", "NOTE_EVERY", "how often a line is written"),
    ("report/plain.rs", "REPEAT_AFTER", "how often a line is written"),
    ("report/stall.rs", "QUIET", "when a warning is written"),
    ("runs/bounds.rs", "COUNT", "how often a line is written"),
    ("runs/bounds.rs", "LOOK", "how often a line is written"),
    ("smoke/s3.rs", "SIGNED_FOR", "how long a signature is valid"),
    ("store/objects.rs", "SIGNED_FOR", "how long a signature is valid"),
];

/// The constants of type `Duration` in this code.
fn times(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let (before, _) = line.split_once(": Duration =")?;
        before.rsplit_once(' ').filter(|(before, _)| before.ends_with("const")).map(|(_, name)| name)
    })
}

/// Lines that give a length of time in figures, constants aside.
fn figures(code: &str) -> impl Iterator<Item = &str> {
    let in_figures = |line: &str| {
        let units = ["Duration::from_secs(", "Duration::from_millis("];
        units.iter().any(|unit| line.split(unit).skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
    };
    code.lines().filter(move |line| in_figures(line) && !line.contains(": Duration ="))
}

/// Calls of tokio's `timeout`, whatever path they name it by.
fn timeouts(code: &str) -> usize {
    let calls = ["timeout(", "timeout_at("].into_iter().flat_map(|word| code.match_indices(word));
    let free = calls.filter(|(at, _)| {
        let before = code[..*at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && !['_', '.'].contains(&before))
    });
    free.count()
}

#[test]
fn what_the_tests_of_waits_look_for_is_seen() {
    let code =
        "pub const A: Duration = minutes(1);\n    const B: Duration = Duration::from_secs(3);\nlet c: Duration = d;";
    assert_eq!(times(code).collect::<Vec<_>>(), ["A", "B"]);
    let code = "const B: Duration = Duration::from_secs(3);\nsleep(Duration::from_millis(3));\nDuration::from_secs(x)";
    assert_eq!(figures(code).collect::<Vec<_>>(), ["sleep(Duration::from_millis(3));"]);
    let code = "timeout(a); tokio::time::timeout(b); time::timeout_at(c); Client::timeout(d)";
    assert_eq!(timeouts(code), 4);
    assert_eq!(timeouts("x.timeout(a); x.connect_timeout(b); fn is_timeout(); recv_timeout(c)"), 0);
}

#[test]
fn every_limit_of_a_wait_is_in_the_table_of_limits() {
    let code = code();
    let elsewhere = || code.iter().filter(|(path, _)| path != "limits.rs");
    let mut found = Vec::new();
    for (path, code) in elsewhere() {
        let known = |name: &str| OTHER_TIMES.iter().any(|(file, other, _)| file == path && *other == name);
        let limits = times(code).filter(|name| !PAUSES.contains(name) && !known(name));
        found.extend(limits.map(|name| format!("src/{path} has {name}")));
        found.extend(figures(code).map(|line| format!("src/{path} has {}", line.trim())));
    }
    assert_eq!(found, Vec::<String>::new());
    for (path, name, what) in OTHER_TIMES {
        let is_there = elsewhere().any(|(file, code)| file == path && times(code).any(|other| other == *name));
        assert!(is_there, "src/{path} has no {name} ({what}): take it off the list");
    }
}

#[test]
fn one_module_ends_what_takes_too_long() {
    let code = code();
    let calling = code.iter().filter(|(_, code)| timeouts(code) > 0);
    assert_eq!(calling.map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["deadline.rs"]);
}

/// A message that names `--timeout` is about what the user gave.
#[test]
fn only_the_command_line_makes_a_deadline_of_a_flag() {
    let code = code();
    let making = code.iter().filter(|(_, code)| code.contains("Deadline::after("));
    assert_eq!(making.map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["cli/args.rs"]);
}
