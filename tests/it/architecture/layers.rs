//! The layers: which room of `src` may import which, and that no two files import each other, on whatever way.

use std::collections::{BTreeMap, BTreeSet};

use super::code;

/// Rooms, and the rooms that each may import. A room is a folder or file right in `src`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("yaml", &[]),
    ("stage", &[]),
    ("files", &[]),
    ("deadline", &[]),
    ("digest", &[]),
    ("text", &[]),
    ("reason", &["stage"]),
    ("failure", &["reason", "stage"]),
    ("release", &["yaml"]),
    ("manifest", &["release", "yaml"]),
    ("spec", &["digest", "manifest", "release", "yaml"]),
    ("flyte", &["release", "spec"]),
    ("flytekit", &[]),
    ("render", &["digest", "failure", "flyte", "manifest", "release", "spec", "yaml"]),
    ("plan", &["digest", "flyte", "manifest", "render", "spec"]),
    ("report", &["failure", "stage"]),
    ("limits", &["report"]),
    ("run", &["failure", "limits", "report"]),
    ("process", &["failure", "limits", "run", "text"]),
    ("lock", &["limits", "process"]),
    ("state", &["failure", "files", "limits", "lock", "spec"]),
    ("docker", &["deadline", "digest", "failure", "limits", "manifest", "reason"]),
    ("kubernetes", &["failure", "flyte", "limits", "manifest", "release", "report", "run", "spec"]),
    ("rollout", &["deadline", "failure", "kubernetes", "limits", "manifest", "reason", "report", "run", "text"]),
    (
        "cluster",
        &[
            "deadline",
            "docker",
            "failure",
            "kubernetes",
            "limits",
            "manifest",
            "plan",
            "process",
            "reason",
            "report",
            "rollout",
            "run",
            "spec",
            "text",
            "yaml",
        ],
    ),
    (
        "images",
        &[
            "cluster", "digest", "docker", "failure", "files", "limits", "lock", "manifest", "process", "reason",
            "report", "run", "spec",
        ],
    ),
    ("issuer", &["failure", "limits", "process", "run", "spec"]),
    ("store", &["digest", "failure", "limits", "run", "spec"]),
    ("backup", &["failure", "manifest", "spec"]),
    (
        "preflight",
        &["cluster", "docker", "failure", "images", "limits", "manifest", "plan", "release", "report", "run"],
    ),
    (
        "context",
        &[
            "deadline",
            "failure",
            "flyte",
            "kubernetes",
            "limits",
            "manifest",
            "plan",
            "preflight",
            "render",
            "run",
            "spec",
        ],
    ),
    ("smoke", &["failure", "flyte", "kubernetes", "limits", "report", "rollout", "run", "spec", "store"]),
    ("rehearsal", &["flyte", "kubernetes", "limits", "lock", "manifest", "plan", "spec"]),
    ("timeline", &["report"]),
    ("runs", &["files", "report"]),
    ("page", &["failure", "report", "runs", "timeline"]),
    (
        "evidence",
        &[
            "cluster",
            "docker",
            "failure",
            "files",
            "kubernetes",
            "limits",
            "page",
            "plan",
            "report",
            "run",
            "runs",
            "state",
            "yaml",
        ],
    ),
    (
        "site",
        &[
            "cluster",
            "context",
            "docker",
            "evidence",
            "failure",
            "files",
            "flyte",
            "images",
            "kubernetes",
            "limits",
            "manifest",
            "plan",
            "preflight",
            "process",
            "rehearsal",
            "release",
            "render",
            "report",
            "run",
            "spec",
            "state",
            "text",
        ],
    ),
    (
        "lifecycle",
        &[
            "backup",
            "cluster",
            "digest",
            "docker",
            "evidence",
            "failure",
            "files",
            "flyte",
            "flytekit",
            "images",
            "issuer",
            "kubernetes",
            "limits",
            "manifest",
            "plan",
            "rehearsal",
            "release",
            "render",
            "report",
            "rollout",
            "run",
            "runs",
            "site",
            "smoke",
            "spec",
            "state",
            "store",
        ],
    ),
    (
        "ui",
        &[
            "deadline",
            "digest",
            "failure",
            "flyte",
            "kubernetes",
            "lifecycle",
            "limits",
            "page",
            "report",
            "run",
            "runs",
            "site",
            "spec",
        ],
    ),
    (
        "cli",
        &[
            "cluster",
            "context",
            "deadline",
            "evidence",
            "failure",
            "files",
            "flyte",
            "flytekit",
            "images",
            "issuer",
            "kubernetes",
            "lifecycle",
            "limits",
            "lock",
            "manifest",
            "page",
            "plan",
            "process",
            "rehearsal",
            "release",
            "render",
            "report",
            "run",
            "runs",
            "site",
            "smoke",
            "spec",
            "state",
            "text",
            "timeline",
            "ui",
            "yaml",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Files by the path of their module, such as `["site", "node"]`.
type Modules = BTreeMap<Vec<String>, String>;

/// `use` trees and paths in the code that begin with `crate` or `super`, each whole.
fn paths(code: &str) -> Vec<(Vec<String>, bool)> {
    let mut found = Vec::new();
    for (start, _) in ["crate::", "super::", "flyte_sandbox::"].iter().flat_map(|word| code.match_indices(word)) {
        let before = &code[..start];
        if before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let statement = &before[before.rfind([';', '}', '{']).map_or(0, |at| at + 1)..];
        let facade = statement.trim_start().starts_with("pub") && statement.contains("use ");
        found.extend(expand(&code[start..]).into_iter().map(|path| (path, facade)));
    }
    found
}

/// The paths of a `use` tree, which ends where it does.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let word: String = tree.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '*').collect();
    let rest = &tree[word.len()..];
    let Some(rest) = rest.strip_prefix("::") else { return vec![vec![word]] };
    let tails = match rest.strip_prefix('{') {
        None => expand(rest),
        Some(inner) => branches(inner).into_iter().flat_map(|branch| expand(branch.trim())).collect(),
    };
    tails.into_iter().map(|tail| std::iter::once(word.clone()).chain(tail).collect()).collect()
}

/// What stands between commas up to the brace that closes.
fn branches(inner: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(&inner[from..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&inner[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|branch| !branch.trim().is_empty());
    found
}

/// The module that a file of `src` is.
fn module(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// A path from within a module, from the root.
fn absolute(within: &[String], path: &[String]) -> Vec<String> {
    let mut at = within.to_vec();
    let mut rest = path;
    match rest.first().map(String::as_str) {
        Some("crate" | "flyte_sandbox") => (at, rest) = (Vec::new(), &rest[1..]),
        _ => {
            while rest.first().is_some_and(|word| word == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
    }
    at.into_iter().chain(rest.iter().cloned()).collect()
}

/// The files that files import. A `mod.rs` that hands on what its own files have imports nothing by that, and who takes
/// it from there imports the file that has it.
fn arrows() -> BTreeSet<(String, String)> {
    let code = code();
    let modules: Modules = code.iter().map(|(path, _)| (module(path), path.clone())).collect();
    let mut handed_on: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for (path, text) in code.iter().filter(|(path, _)| path.ends_with("mod.rs")) {
        let here = module(path);
        for line in text.split(';').map(str::trim).filter(|line| line.starts_with("pub")) {
            let Some((_, tree)) = line.split_once("use ") else { continue };
            for target in expand(tree.trim()) {
                if modules.contains_key(&[here.clone(), vec![target[0].clone()]].concat()) {
                    let name = target.last().cloned().unwrap_or_default();
                    handed_on.insert([here.clone(), vec![name]].concat(), [here.clone(), target].concat());
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    for (path, text) in &code {
        let here = module(path);
        for (target, facade) in paths(text) {
            let mut target = absolute(&here, &target);
            // A function and its module may have one name; what is handed on is then within the module.
            while let Some(next) = (1..=target.len()).find_map(|end| {
                let to = handed_on.get(&target[..end]).filter(|to| !target.starts_with(to))?;
                Some([to, &target[end..]].concat())
            }) {
                target = next;
            }
            let file = (1..=target.len()).rev().find_map(|end| modules.get(&target[..end]));
            if let Some(file) = file.filter(|file| *file != path && !facade) {
                found.insert((path.clone(), file.clone()));
            }
        }
    }
    found
}

fn room(path: &str) -> &str {
    path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

#[test]
fn a_room_imports_only_the_rooms_it_may() {
    let may: BTreeMap<_, BTreeSet<_>> =
        MAY_IMPORT.iter().map(|(room, others)| (*room, others.iter().copied().collect())).collect();
    let arrows = arrows();
    let between: BTreeSet<_> =
        arrows.iter().map(|(from, to)| (room(from), room(to))).filter(|(from, to)| from != to).collect();
    let forbidden = |(from, to): &&(&str, &str)| may.get(from).is_none_or(|rooms| !rooms.contains(to));
    let forbidden: Vec<_> = between.iter().filter(forbidden).collect();
    assert!(forbidden.is_empty(), "these imports are not in the table: {forbidden:?}");
    let unused: Vec<_> = MAY_IMPORT
        .iter()
        .flat_map(|(from, others)| others.iter().map(move |to| (*from, *to)))
        .filter(|pair| !between.contains(pair))
        .collect();
    assert!(unused.is_empty(), "take these off the table, nothing imports them: {unused:?}");
}

#[test]
fn the_table_has_no_circle() {
    let mut above = BTreeSet::new();
    for (room, others) in MAY_IMPORT {
        let unknown: Vec<_> = others.iter().filter(|other| !above.contains(**other)).collect();
        assert!(unknown.is_empty(), "{room} may import {unknown:?}, which stand below it in the table");
        above.insert(*room);
    }
}

#[test]
fn no_file_imports_itself_through_others() {
    let arrows = arrows();
    let mut left: BTreeSet<&str> = arrows.iter().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
    // Who imports nothing that is left, or is imported by nothing that is left, is in no circle.
    loop {
        let (importing, imported): (BTreeSet<_>, BTreeSet<_>) = arrows
            .iter()
            .map(|(from, to)| (from.as_str(), to.as_str()))
            .filter(|(from, to)| left.contains(from) && left.contains(to))
            .unzip();
        let before = left.len();
        left.retain(|file| importing.contains(file) && imported.contains(file));
        if left.len() == before {
            break;
        }
    }
    let circle: Vec<_> =
        arrows.iter().filter(|(from, to)| left.contains(from.as_str()) && left.contains(to.as_str())).collect();
    assert!(circle.is_empty(), "these imports are in circles: {circle:#?}");
}

#[test]
fn imports_are_read_as_the_compiler_reads_them() {
    let whole = |text: &str| {
        let mut all: Vec<_> = paths(text).into_iter().map(|(path, _)| path.join("::")).collect();
        all.sort();
        all
    };
    assert_eq!(
        whole("use crate::a::{self, B, c::{D, E as F}};\nfn f() { super::g::h(); }"),
        ["crate::a::B", "crate::a::c::D", "crate::a::c::E", "crate::a::self", "super::g::h"]
    );
    let owned = |path: &[&str]| path.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(absolute(&owned(&["site", "node"]), &owned(&["super", "host", "Host"])), ["site", "host", "Host"]);
    assert_eq!(absolute(&owned(&["site", "node"]), &owned(&["crate", "run", "Run"])), ["run", "Run"]);
    assert!(arrows().contains(&("lifecycle/up.rs".to_owned(), "site/ground.rs".to_owned())));
}
