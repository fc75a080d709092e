//! Pages of runs, as a browser shows them to those who see, and to those who have them read out.
//!
//! The recordings are those of `tests/fixtures/runs`. Neither Docker nor a cluster is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::Scenario;
use crate::support::browser::{LOOKS, Reader, one_line};

pub(super) const SCENARIOS: &[Scenario] = &[
    ("a_page_that_asks_or_breaks_or_shuts_somebody_out_is_noticed", noticed),
    ("a_page_of_a_run_shows_all_of_it_to_everybody_and_asks_nobody", shown),
    ("a_page_of_hostile_names_and_logs_has_them_as_text", hostile),
];

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/runs");
/// What no page may have but as text.
const NOTHING_BUT_TEXT: &str = "document.querySelectorAll('script, img, iframe, object, embed, link, form, input, a, base, \
                                [onload], [onerror], [onclick]').length + (window.hostile === undefined ? 0 : 1)";
/// The width at which WCAG wants no scrolling to the side.
const NARROWEST: u32 = 320;
/// How much is folded and cannot be seen.
const UNSEEN: &str =
    "[...document.querySelectorAll('details > :not(summary)')].filter(one => !one.checkVisibility()).length";
/// Heads of columns and rows that do not stand on one line.
const BROKEN_HEADS: &str = "[...document.querySelectorAll('thead th, .times th')].filter(one => { const text = document.createRange(); \
                            text.selectNodeContents(one); return text.getClientRects().length > 1 })\
                            .map(one => one.textContent).join(', ')";
const POLICY: &str = "document.querySelector('meta[http-equiv=\"Content-Security-Policy\"]')?.content ?? ''";

/// A recording as a page.
fn page(folder: &TempDir, recording: &Path) -> PathBuf {
    let name = recording.file_stem().expect("a name");
    let page = folder.path().join(name).with_extension("html");
    let mut show = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    show.args(["runs", "show"]).arg(recording).arg("--report").arg(&page).env_clear().env("HOME", folder.path());
    let output = show.env("SANDBOX_STATE_DIR", folder.path()).output().expect("the binary");
    assert!(output.status.success(), "{}: {}", recording.display(), String::from_utf8_lossy(&output.stderr));
    page
}

fn noticed() {
    let Some(mut reader) = Reader::find() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("page.html");
    let write = |body: &str| {
        let style = "<style>@media (prefers-color-scheme: dark) { body { background: #000; color: #fff } }</style>";
        let head =
            format!("<meta charset=utf-8><meta name=viewport content='width=device-width'><title>t</title>{style}");
        let body =
            format!("<!DOCTYPE html><html lang=en><head>{head}</head><body style='background-color: #fff'>{body}");
        fs::write(
            &page,
            body.replace(" style='background-color: #fff'", "").replace("<style>", "<style>body { background: #fff }"),
        )
        .expect("written");
    };
    write("<main><h1>all is well</h1></main>");
    for look in LOOKS {
        let mut seen = reader.look(&page, look);
        assert_eq!((seen.said.as_slice(), seen.requests.as_slice()), (&[][..], &[][..]));
        assert_eq!((seen.text(), seen.violations()), ("all is well".to_owned(), Vec::new()));
    }
    assert_eq!(reader.asked(), 0, "the browser itself asked for something");

    write("<main><h1>an image</h1><img alt='' src='http://example.com/x.png'></main>");
    assert_eq!(reader.look(&page, LOOKS[0]).requests, ["http://example.com/x.png"]);
    assert_ne!(reader.asked(), 0, "what goes to others does not come by the proxy");
    let so_far = reader.asked();
    write("<main><h1>an image</h1><img alt='' src='http://127.0.0.1:8080/x.png'></main>");
    assert_eq!(reader.look(&page, LOOKS[0]).requests, ["http://127.0.0.1:8080/x.png"]);
    assert_ne!(reader.asked(), so_far, "what goes to this machine does not come by the proxy");
    write("<main><h1>a file</h1><img alt='' src='other.png'></main>");
    assert_eq!(reader.look(&page, LOOKS[0]).requests.len(), 1);

    write("<main><h1>a script</h1><script>console.log('one'); none.of.it</script></main>");
    assert_eq!(reader.look(&page, LOOKS[0]).said.len(), 2);
    write(
        "<main><h1>dim</h1><p style='color: #999; background: #aaa'>hard to read</p><p style='width: 500px'>x</main>",
    );
    let mut seen = reader.look(&page, LOOKS[2]);
    let found = seen.violations();
    assert!(found.len() == 1 && found[0].starts_with("color-contrast, 1 times"), "{found:?}");
    assert_eq!(too_wide(&mut seen), 148);
}

/// By how much the page is wider than its window.
fn too_wide(seen: &mut crate::support::browser::Seen<'_>) -> i64 {
    // A telephone shows a page that is too wide smaller, so `innerWidth` would grow with it.
    seen.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        .as_i64()
        .expect("a number")
}

fn shown() {
    let Some(mut reader) = Reader::find() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut faults = Vec::new();
    for recording in recordings() {
        let page = page(&folder, &recording);
        let name = recording.file_stem().expect("a name").to_string_lossy().into_owned();
        for look in LOOKS {
            let mut fault = |what: String| faults.push(format!("{name}, {look:?}: {what}"));
            let mut seen = reader.look(&page, look);
            seen.said.iter().for_each(|said| fault(format!("said {said}")));
            seen.requests.iter().for_each(|asked| fault(format!("asked for {asked}")));
            if let wide @ 1.. = too_wide(&mut seen) {
                fault(format!("{wide} pixels too wide"));
            }
            if look.width == LOOKS[0].width && !look.is_dark {
                seen.print();
                let unprinted = seen.evaluate(UNSEEN);
                if unprinted != 0 {
                    fault(format!("does not print what {unprinted} folded parts have"));
                }
            }
            seen.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)");
            if let wide @ 1.. = too_wide(&mut seen) {
                fault(format!("{wide} pixels too wide, once all is open"));
            }
            if look.width < 600 {
                seen.resize(NARROWEST);
                if let wide @ 1.. = too_wide(&mut seen) {
                    fault(format!("{wide} pixels too wide for {NARROWEST}"));
                }
                seen.resize(look.width);
            }
            let broken = seen.evaluate(BROKEN_HEADS);
            if broken != "" {
                fault(format!("breaks the heads of columns and rows: {broken}"));
            }
            seen.violations().into_iter().for_each(&mut fault);
            let elements = seen.evaluate(NOTHING_BUT_TEXT);
            if elements != 0 {
                fault(format!("has {elements} elements that it must not have"));
            }
            let policy = seen.evaluate(POLICY);
            if !policy.as_str().is_some_and(|policy| policy.starts_with("default-src 'none';")) {
                fault(format!("its policy is {policy}"));
            }
            let text = seen.text();
            // What is hostile is left to a test of its own.
            let told = if name == "hostile" { Vec::new() } else { told(&recording) };
            for told in told.iter().filter(|told| !text.contains(told.as_str())) {
                fault(format!("does not show {told}"));
            }
        }
    }
    assert_eq!(reader.asked(), 0, "a page asked somebody");
    faults.sort();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn recordings() -> Vec<PathBuf> {
    let files = fs::read_dir(FIXTURES).expect("recordings").flatten().map(|file| file.path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "ndjson")).collect();
    files.sort();
    assert!(files.len() >= 12, "{files:?}");
    files
}

/// What a page of this recording has to show: how it ended and why, what it warned of, what took time, and every check.
fn told(recording: &Path) -> Vec<String> {
    let text = fs::read_to_string(recording).expect("a recording");
    // The last line may be cut off.
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = events.flat_map(|event| {
        let fields: &[&str] = match event["event"].as_str().unwrap_or_default() {
            "run-started" => &["/command", "/sandbox"],
            "stage-started" => &["/stage"],
            "finding" | "warning" => &["/message"],
            "probe" => &["/id", "/title", "/detail"],
            "applied" => &["/object"],
            "ready" => &["/kubectl", "/endpoints"],
            "run-finished" => &["/summary", "/failure/what", "/failure/object", "/failure/causes", "/failure/evidence"],
            _ => &[],
        };
        fields.iter().filter_map(|field| event.pointer(field)).flat_map(texts).collect::<Vec<_>>()
    });
    told.map(|text| one_line(&text)).collect()
}

/// All texts of a value.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Object(all) => all.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn hostile() {
    let Some(mut reader) = Reader::find() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let recording = Path::new(FIXTURES).join("hostile.ndjson");
    let script = "<script>window.hostile = 1; alert('x')</script>";
    let lines = String::from_utf8_lossy(&fs::read(&recording).expect("a recording")).lines().count();

    // One more line, longer than all that is read of a recording.
    let long = folder.path().join("long.ndjson");
    let mut bytes = fs::read(&recording).expect("a recording");
    let warning = format!("\n{{\"at_ms\":1,\"event\":\"warning\",\"message\":\"{}\"}}\n", "<script>".repeat(1 << 17));
    bytes.extend(warning.into_bytes());
    fs::write(&long, bytes).expect("written");
    println!("hostile: {lines} lines");
    for recording in [recording, long] {
        let page = page(&folder, &recording);
        for look in LOOKS {
            let mut seen = reader.look(&page, look);
            assert_eq!((seen.said.as_slice(), seen.requests.as_slice()), (&[][..], &[][..]));
            assert_eq!(seen.evaluate(NOTHING_BUT_TEXT), 0);
            assert_eq!(seen.evaluate("document.styleSheets.length"), 1);
            seen.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)");
            assert_eq!(too_wide(&mut seen), 0, "{look:?}");
            let text = seen.text();
            // Sandbox, object, causes, evidence, hints, leftovers, folder, warnings, check, finding, objects, endpoint.
            assert!(text.matches(script).count() >= 12, "{text}");
            for said in
                ["</style></title><img src=http://example.com/x onerror=", "panic: <script>", "&lt;b&gt; {{ command }}"]
            {
                assert!(text.contains(said), "no {said}\n{text}");
            }
            let steers = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            assert!(!text.contains(steers), "{text:?}");
            assert!(text.contains(" lines of the recording are of a later version"), "{text}");
        }
    }
    assert_eq!(reader.asked(), 0);
}
