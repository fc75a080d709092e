//! Recordings of runs, as pages and as text. `tests/fixtures/runs/README.md` says where they are from; a browser looks at
//! the same ones in `tests/e2e/scenarios/pages.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/runs");
/// The most bytes of a page.
const MOST: usize = 1_000_000;

fn show(folder: &TempDir, recording: &Path, args: &[&str]) -> Output {
    let mut show = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    show.args(["runs", "show"]).arg(recording).args(args).env_clear().env("SANDBOX_STATE_DIR", folder.path());
    show.current_dir(folder.path()).output().expect("it runs")
}

/// A recording as a page.
#[track_caller]
fn page(recording: &Path) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let output = show(&folder, recording, &["--report", "page.html"]);
    assert!(output.status.success(), "{}: {}", recording.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(fs::read(folder.path().join("page.html")).expect("a page")).expect("UTF-8")
}

/// The recordings, by name.
fn recordings() -> Vec<(String, PathBuf)> {
    let files = fs::read_dir(FIXTURES).expect("recordings").flatten().map(|file| file.path());
    let files = files.filter(|file| file.extension().is_some_and(|ending| ending == "ndjson"));
    let mut files: Vec<_> =
        files.map(|file| (file.file_stem().expect("a name").to_string_lossy().into_owned(), file)).collect();
    files.sort();
    files
}

fn fixture(name: &str) -> String {
    fs::read_to_string(Path::new(FIXTURES).join(name).with_extension("ndjson")).expect("a recording")
}

/// A recording that is this text.
fn recording(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.ndjson");
    fs::write(&file, text).expect("written");
    (folder, file)
}

/// What a page says, a block a line: its text, `#` before headings, and what images are called. Long lines and lists are cut.
fn outline(page: &str) -> String {
    const LONG: usize = 400;
    const LISTED: usize = 10;
    let body = &page[page.find("<body>").expect("a body")..];
    let (mut lines, mut line, mut rest) = (Vec::new(), String::new(), body);
    let (mut is_drawing, mut is_listing) = (false, false);
    let mut end = |line: &mut String| {
        let text = std::mem::take(line);
        if !text.trim_matches([' ', '\n', '|']).is_empty() {
            lines.push(text.trim_end_matches([' ', '\n', '|']).to_owned());
        }
    };
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        if is_listing {
            let all: Vec<_> = text.trim_end().split('\n').collect();
            line.push_str(&all[..all.len().min(LISTED)].join("\n"));
            if all.len() > LISTED {
                line.push_str(&format!("\n… {} more", all.len() - LISTED));
            }
        } else if !is_drawing {
            line.push_str(if text.trim().is_empty() { "" } else { text });
        }
        let close = tag.find('>').expect("a tag ends");
        let (tag, after) = (&tag[1..close], &tag[close + 1..]);
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        let opens = !tag.starts_with('/');
        match name {
            "svg" => {
                is_drawing = opens;
                if let (true, Some((_, label))) = (opens, tag.split_once("aria-label=\"")) {
                    line.push_str(&format!(" [{}]", label.trim_end_matches('"')));
                }
            }
            "pre" => {
                end(&mut line);
                is_listing = opens;
            }
            "h1" | "h2" | "h3" => {
                end(&mut line);
                if opens {
                    line.push_str(&format!("{} ", "#".repeat(name[1..].parse().expect("a level"))));
                }
            }
            "td" | "th" if !opens => line.push_str(" | "),
            "dt" if !opens => line.push_str(": "),
            "div" if !opens => line.push_str("; "),
            "p" | "tr" | "dd" | "li" | "section" | "summary" | "details" | "table" => end(&mut line),
            _ => {}
        }
        rest = after;
    }
    end(&mut line);
    let cut = |line: &str| match line.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}… {} characters more", &line[..at], line[at..].chars().count()),
        None => line.to_owned(),
    };
    let text = lines.iter().flat_map(|line| line.split('\n')).map(cut).collect::<Vec<_>>().join("\n");
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .iter()
        .fold(text, |text, (escaped, is)| text.replace(escaped, is))
}

#[test]
fn a_page_says_what_its_run_said() {
    let all = recordings();
    let stages = ["plan", "preflight", "cluster", "images", "apply", "rollout", "smoke"];
    let failed = stages.map(|stage| format!("failed-{stage}"));
    let kinds = ["up", "smoke-full", "interrupted", "killed", "rehearsal", "projects100", "hostile"].map(str::to_owned);
    for name in failed.iter().chain(&kinds) {
        assert!(all.iter().any(|(known, _)| known == name), "no recording {name}");
    }
    for (name, file) in &all {
        let page = page(file);
        assert!(page.len() <= MOST, "{name} has {} bytes", page.len());
        insta::assert_snapshot!(name.as_str(), outline(&page));
        let body = page.find("<body>").expect("a body");
        if page.len() - body < 3_000 {
            insta::assert_snapshot!(format!("{name}_html"), &page[body..]);
        }
    }
}

#[test]
fn a_failure_is_named_by_the_stage_that_its_recording_is_called_after() {
    for (name, _) in recordings().iter().filter(|(name, _)| name.starts_with("failed-")) {
        let stage = &name["failed-".len()..];
        let text = fixture(name);
        let end: Value = serde_json::from_str(text.lines().last().expect("an end")).expect("JSON");
        assert_eq!((&end["event"], &end["failure"]["stage"]), (&"run-finished".into(), &stage.into()), "{name}");
    }
}

#[test]
fn whatever_a_run_says_its_page_stays_small() {
    let waits = |number: usize| {
        let object = format!("deployment/{number}{}", "<".repeat(60));
        let waiting = serde_json::json!([{"object": object, "reason": "<".repeat(120)}]);
        serde_json::json!({"at_ms": number, "event": "rollout-progress", "ready": 0, "total": 1, "waiting": waiting})
    };
    let mut text = fixture("down").lines().next().expect("a head").to_owned();
    for number in 0.. {
        let line = waits(number).to_string();
        // As much as is recorded of a run.
        if text.len() + line.len() >= 100_000 {
            break;
        }
        text.push_str(&format!("\n{line}"));
    }
    let page = page(&recording(&text).1);
    assert!(page.len() <= MOST, "{} bytes", page.len());
}

#[test]
fn lines_of_a_later_version_are_counted_and_the_others_shown() {
    let text = fixture("up");
    let (first, rest) = text.split_once("\n{\"at_ms\":1").expect("a second line");
    let later = "{\"at_ms\":1,\"event\":\"of-tomorrow\",\"told\":\"nobody knows\"}\n{\"at_ms\":1,\"event\":\"stage-started\",\
                 \"stage\":\"of-tomorrow\"}\nnot JSON";
    let (folder, file) = recording(&format!("{first}\n{later}\n{{\"at_ms\":1{rest}"));
    let note = "3 lines of the recording are of a later version of this program, or were cut off.";
    let without = page(&Path::new(FIXTURES).join("up.ndjson"));
    let with = page(&file);
    assert!(with.contains(note) && !without.contains("of a later version"), "{with}");
    let said = with.lines().filter(|line| !line.contains(note)).collect::<Vec<_>>();
    let (said, before) = (outline(&said.join("\n")), outline(&without));
    assert_eq!(said, before, "the rest is as it was");
    let printed = String::from_utf8_lossy(&show(&folder, &file, &[]).stdout).into_owned();
    assert!(printed.ends_with("3 lines are of a later version of this program, or were cut off\n"), "{printed}");
    // A field that is new is no reason to leave out the line.
    let (_folder, file) = recording(&text.replace("\"event\":", "\"of_tomorrow\":{\"x\":[1]},\"event\":"));
    assert_eq!(outline(&page(&file)), before);
}

#[test]
fn a_later_format_is_refused_with_what_to_do() {
    let (folder, file) = recording(&fixture("up").replacen("\"recording\":1", "\"recording\":2", 1));
    let output = show(&folder, &file, &["--report", "page.html"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("its format is 2, and this version reads 1"), "{said}");
    assert!(
        said.contains("hint: what `sandbox runs export` wrote is read by the version of it, and by later ones"),
        "{said}"
    );
    assert!(!folder.path().join("page.html").exists());
    for text in ["", "{}", "{\"recording\":1}", "no JSON", "{\"recording\":1,\"began\":\"yesterday\"}"] {
        let (folder, file) = recording(text);
        assert_eq!(show(&folder, &file, &[]).status.code(), Some(2), "{text}");
    }
}

#[test]
fn what_an_older_version_did_not_record_is_left_out() {
    let bare = |name: &str| {
        let text = fixture(name);
        let lines = text.lines().map(|line| {
            let mut event: Value = serde_json::from_str(line).expect("JSON");
            let (of, young): (&str, &[&str]) = match event["event"].as_str().unwrap_or_default() {
                "finding" => ("", &["hints"]),
                "image-progress" => ("", &["total"]),
                "ready" => ("/endpoints/3", &["credentials"]),
                "run-finished" => {
                    ("/failure", &["object", "causes", "evidence", "hints", "leftovers", "folder", "stage"])
                }
                _ => ("", &[]),
            };
            if let Some(fields) = event.pointer_mut(of).and_then(Value::as_object_mut) {
                young.iter().for_each(|field| drop(fields.remove(*field)));
            }
            event.to_string()
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let (_folder, file) = recording(&text);
        let (with, without) =
            (outline(&page(&Path::new(FIXTURES).join(name).with_extension("ndjson"))), outline(&page(&file)));
        assert!(!without.contains("of a later version"), "{without}");
        let gone: Vec<_> = with.lines().filter(|line| !without.contains(line)).map(str::to_owned).collect();
        (without, gone)
    };
    let (page, gone) = bare("failed-images");
    assert!(page.contains("error[registry-unreachable]"), "{page}");
    let fields = ["on ", "first cause: ", "hint: ", "all evidence: "];
    for field in fields {
        assert!(gone.iter().any(|line| line.starts_with(field)), "{field}: {gone:?}");
    }
    let (page, gone) = bare("up");
    assert!(page.contains("sandbox flyte is ready"), "{page}");
    assert!(gone.iter().all(|line| line.contains("`sandbox credentials")) && gone.len() == 1, "{gone:?}");
}
