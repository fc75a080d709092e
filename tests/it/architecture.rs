//! The house plan, held against the code: who may name what, and that every file has its place on the map.

mod layers;
mod waits;

use std::fs;
use std::path::{Path, PathBuf};

use flyte_sandbox::failure::Reason;

/// What only some may name: the words, and the files or folders of `src` that may.
const RESERVED: &[(&[&str], &[&str])] = &[
    (&["serde_saphyr"], &["yaml.rs"]),
    (&["bollard::"], &["docker/"]),
    (&["base64::"], &["docker/login.rs", "render/transforms/secret_settings.rs", "rehearsal/api/validate/others.rs"]),
    (&["reqwest"], &["issuer/", "smoke/", "store/"]),
    (&["ring::"], &["digest.rs", "store/"]),
    (&["argon2"], &["store/seal.rs"]),
    (&["axum"], &["rehearsal/", "ui/"]),
    (&["http_body"], &["store/objects.rs"]),
    (&["quick_junit"], &["report/junit.rs"]),
    (&["indicatif"], &["report/live.rs", "report/human.rs"]),
    (&["use console::"], &["report/", "cli/session.rs"]),
    (
        &["schemars"],
        &["spec/file.rs", "report/event.rs", "report/json.rs", "failure.rs", "reason/catalogue.rs", "stage.rs"],
    ),
    (&["regex::"], &["evidence/mask.rs"]),
    (
        &["use tar::", "tar::Archive", "tar::Builder"],
        &["docker/container.rs", "evidence/archive.rs", "images/pack.rs", "images/unpack.rs", "backup/"],
    ),
    (&["zstd::"], &["backup/", "evidence/archive.rs", "images/bundle.rs"]),
    (&["similar::"], &["cli/commands/render.rs"]),
    (&["strsim"], &["spec/rules.rs"]),
    (
        &["rustix"],
        &[
            "process.rs",
            "docker/client.rs",
            "preflight/machine.rs",
            "preflight/holder/macos.rs",
            "files.rs",
            "cli/terminal.rs",
        ],
    ),
    (&["tempfile::"], &["files.rs", "evidence/folder.rs", "lifecycle/doctor.rs"]),
    (&["try_lock("], &["lock.rs"]),
    (&["kube::"], &["kubernetes/", "rollout/", "smoke/", "cluster/", "context/", "lifecycle/", "site/", "evidence/"]),
    (
        &["k8s_openapi"],
        &[
            "kubernetes/",
            "rollout/",
            "smoke/",
            "cluster/",
            "context/",
            "rehearsal/flyte/mod.rs",
            "rehearsal/api/schema.rs",
        ],
    ),
    (&["tokio::process", "process::Command"], &["process.rs"]),
    (&["clap::", "clap_complete", "clap_mangen", "etcetera", "tracing_subscriber"], &["cli/"]),
    (&["std::env::", "tokio::signal", "process::exit", "process::ExitCode"], &["cli/", "main.rs"]),
    (&["io::stdin", "io::stdout", "io::stderr"], &["cli/"]),
    (
        &[
            "propeller-leader-",
            "flytepropeller-{",
            "flyte-propeller-config-",
            "sandbox.flyte/name",
            "sandbox.flyte/workflow-namespace",
            "app.kubernetes.io/managed-by",
            "\"execution-id\"",
            "flyte.lyft.com/v1",
            "\"minio-direct\"",
            "control-plane.alpha.kubernetes.io/leader",
        ],
        &["flyte/"],
    ),
    (&["println!", "eprintln!", "print!(", "dbg!"], &[]),
];

/// Stages that are functions of text.
const PURE: &[&str] = &[
    "spec/",
    "flyte/",
    "flytekit/inputs.rs",
    "flytekit/module.rs",
    "flytekit/registration.rs",
    "manifest/",
    "render/",
    "plan/",
    "yaml.rs",
    "failure.rs",
    "reason/",
    "stage.rs",
    "evidence/mask.rs",
    "context/rights.rs",
    "context/admin.rs",
];

/// What a pure stage has not in it.
const EFFECTS: &[&str] = &["async ", ".await", "tokio", "std::fs", "std::net", "std::time::Instant", "SystemTime"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Files below `folder`, tests and snapshots aside.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let is_test = |path: &Path| ["tests", "tests.rs", "snapshots"].iter().any(|name| path.ends_with(name));
    let all = entries(folder).into_iter().filter(|path| !is_test(path));
    all.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The text without what only tests have: the item after each `#[cfg(test)]`.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let mut opened = false;
        for line in lines.by_ref() {
            if line == close || (!opened && line.ends_with(';')) {
                break;
            }
            opened |= line.ends_with('{');
        }
    }
    kept
}

#[test]
fn code_behind_a_test_module_is_looked_at() {
    let text = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\n#[allow(x)]\nmod more {\n    fn f() {}\n}\nc\n";
    assert_eq!(without_tests(text), "a\nb\nc\n");
}

/// Every source file by its path in `src`, without comments and tests.
fn code() -> Vec<(String, String)> {
    let src = root().join("src");
    let files = sources(&src).into_iter().map(|path| {
        let text = fs::read_to_string(&path).expect("text");
        let text = without_tests(&text);
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n");
        (path.strip_prefix(&src).expect("within src").display().to_string(), code)
    });
    files.collect()
}

fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| if place.ends_with('/') { path.starts_with(place) } else { path == *place })
}

/// Whether the code names the word, and not a longer one that ends with it.
fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && before != '_')
    })
}

#[test]
fn only_its_own_module_names_a_dependency_or_the_outside_world() {
    let mut found = Vec::new();
    for (path, code) in code() {
        for (words, places) in RESERVED {
            let named = words.iter().filter(|word| names(&code, word));
            found.extend(named.filter(|_| !is_in(&path, places)).map(|word| format!("src/{path} names {word}")));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_reserved_word_is_in_use_where_it_may_be() {
    let code = code();
    for (words, places) in RESERVED.iter().filter(|(_, places)| !places.is_empty()) {
        for place in *places {
            let here = code.iter().filter(|(path, _)| is_in(path, &[place]));
            let used = here.flat_map(|(_, code)| words.iter().filter(|word| names(code, word))).next();
            assert!(used.is_some(), "nothing in src/{place} names any of {words:?}: take it off the list");
        }
    }
}

/// reqwest reads `HTTP_PROXY` and its like by itself; the environment is the command line's to read.
#[test]
fn no_http_client_takes_the_proxies_of_the_process() {
    for (path, code) in code().iter().filter(|(_, code)| names(code, "reqwest")) {
        let count = |word: &str| code.matches(word).count();
        assert_eq!(count("Client::builder()"), count(".no_proxy()"), "src/{path}");
        assert_eq!(count("Client::new()") + count("reqwest::get"), 0, "src/{path}");
    }
}

#[test]
fn pure_stages_have_no_effects() {
    let mut found = Vec::new();
    for (path, code) in code().iter().filter(|(path, _)| is_in(path, PURE)) {
        let effects = EFFECTS.iter().filter(|effect| code.contains(**effect));
        found.extend(effects.map(|effect| format!("src/{path} has {effect:?}")));
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_reason_arises_somewhere() {
    let code = code();
    let elsewhere: String =
        code.iter().filter(|(path, _)| path != "reason/catalogue.rs").map(|(_, code)| code.as_str()).collect();
    let unused = Reason::ALL.iter().filter(|reason| {
        let name = format!("Reason::{reason:?}");
        let ends = |at: usize| elsewhere[at..].chars().next().is_none_or(|next| !next.is_alphanumeric());
        !elsewhere.match_indices(&name).any(|(at, name)| ends(at + name.len()))
    });
    assert_eq!(unused.collect::<Vec<_>>(), Vec::<&Reason>::new());
}

#[test]
fn the_house_plan_names_every_module() {
    let plan = read("docs/architecture.md");
    let root_docs = read("src/lib.rs");
    for path in entries(&root().join("src")) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if ["lib.rs", "main.rs"].contains(&name.as_str()) {
            continue;
        }
        assert!(plan.contains(&format!("`src/{name}`")), "docs/architecture.md does not name src/{name}");
        let module = name.trim_end_matches(".rs");
        assert!(root_docs.contains(&format!("pub mod {module};")), "src/lib.rs has no module {module}");
    }
}

#[test]
fn every_folder_has_a_map_of_its_files() {
    let mut missing = Vec::new();
    let maps = sources(&root().join("src")).into_iter().filter(|path| path.ends_with("mod.rs"));
    for map in maps {
        let folder = map.parent().expect("a folder");
        let text = fs::read_to_string(&map).expect("text");
        let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let one_a_command = header.contains("One file per command") || header.contains("one file per command");
        for path in entries(folder).into_iter().filter(|path| *path != map && !one_a_command) {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            // Tests and their files lie beside what they test, and a folder of a file's name is that file's.
            let of_tests = ["tests", "tests.rs", "snapshots"].contains(&name.as_str());
            let of_a_file = path.is_dir() && path.with_extension("rs").exists();
            let shown = if path.is_dir() { format!("`{name}/`") } else { format!("`{name}`") };
            if !of_tests && !of_a_file && !header.contains(&shown) {
                missing.push(format!("{} lacks {shown}", map.display()));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}
