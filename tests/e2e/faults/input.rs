//! What users give: a spec, manifests, flags. Whatever it is, it is told with its place, Docker is asked for nothing,
//! and nothing is written.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use flyte_sandbox::failure::Reason::{self, Manifests, Usage};
use flyte_sandbox::release::Release;

use super::expected::fails;
use super::{Fault, fault};
use crate::support::desk::Desk;
use crate::support::running::Running;

/// What is given.
enum Input {
    /// Added to a spec that is good.
    Spec(Vec<u8>),
    /// In place of all manifests.
    Bundle(Vec<u8>),
    Flags(&'static [&'static str]),
}

use Input::{Bundle, Flags, Spec};

type Refused = (&'static str, fn() -> Input, Reason, &'static str);

fn spec(text: &str) -> Input {
    Spec(text.into())
}

fn bundle(text: &str) -> Input {
    Bundle(text.into())
}

const REFUSED: &[Refused] = &[
    ("a_key_that_is_not_known_is_told_with_the_one_meant", || spec("projets: [x]"), Usage, "unknown key `projets`"),
    ("a_key_that_stands_twice_is_told", || spec("name: again"), Usage, "the key `name` stands twice"),
    ("a_number_for_a_list_is_told_with_its_place", || spec("projects: 7"), Usage, "sandbox.yaml:3"),
    ("a_list_for_a_text_is_told_with_its_place", || spec("appid: [1, 2]"), Usage, "sandbox.yaml:3"),
    ("a_text_for_a_mapping_is_told_with_its_place", || spec("storage: minio"), Usage, "sandbox.yaml:3"),
    ("a_null_byte_in_the_spec_is_told", || spec("appid: a\0b"), Usage, "sandbox.yaml"),
    ("a_spec_that_is_no_text_is_told", || Spec(b"appid: \xff\xfe\n".to_vec()), Usage, "UTF-8"),
    ("a_spec_that_is_only_a_list_is_told", || Spec(b"- 1\n- 2\n".to_vec()), Usage, "sandbox.yaml"),
    ("an_alias_within_itself_in_the_spec_is_told", || spec("images: &a {minio: *a}"), Usage, "sandbox.yaml"),
    ("a_billion_laughs_in_the_spec_are_told", || Spec(laughs()), Usage, "sandbox.yaml"),
    ("a_spec_without_end_is_not_read_to_its_end", || Spec(vec![b'#'; 65 << 20]), Usage, "64 MiB"),
    (
        "a_port_beyond_all_ports_is_told",
        || Flags(&["--port-minio", "70000"]),
        Usage,
        "a port is a number from 1 to 65535",
    ),
    ("a_port_of_zero_is_told", || Flags(&["--port-api", "0"]), Usage, "a port is a number from 1 to 65535"),
    ("a_name_that_is_a_path_is_told", || Flags(&["--name", "../../etc"]), Usage, "../../etc"),
    ("a_name_that_is_a_flag_is_told", || Flags(&["--name=--privileged"]), Usage, "--privileged"),
    ("a_name_of_two_lines_is_told", || Flags(&["--name", "a\nb"]), Usage, "name"),
    ("a_name_that_is_too_long_is_told", || Flags(&["--name", "a-name-of-more-than-thirty-two-letters"]), Usage, "32"),
    ("a_name_in_capitals_is_told", || Flags(&["--name", "Flyte"]), Usage, "Flyte"),
    ("a_name_that_is_empty_is_told", || Flags(&["--name", ""]), Usage, "name"),
    ("a_project_that_is_a_path_is_told", || Flags(&["--project", "x,../y"]), Usage, "../y"),
    ("an_image_that_is_a_flag_is_told", || Flags(&["--image", "minio=--privileged"]), Usage, "starts with a dash"),
    ("an_image_with_a_command_in_it_is_told", || Flags(&["--image", "k3s=a$(id)"]), Usage, "a$(id)"),
    (
        "an_image_of_nobody_is_told_with_the_one_meant",
        || Flags(&["--image", "mini=a:1"]),
        Usage,
        "there is no component `mini`",
    ),
    ("a_kubernetes_of_no_version_is_told", || Flags(&["--kubernetes", "latest; rm"]), Usage, "latest; rm"),
    ("a_spec_that_is_a_folder_is_told", || Flags(&["--config", "home"]), Usage, "Is a directory"),
    ("a_spec_that_is_not_there_is_told", || Flags(&["--config", "none.yaml"]), Usage, "No such file"),
    ("manifests_that_are_not_there_are_told", || Flags(&["--manifests", "none.yaml"]), Usage, "No such file"),
    ("an_empty_folder_of_manifests_is_told", || Flags(&["--manifests", "home"]), Manifests, "no Kubernetes objects"),
    ("a_folder_with_a_link_to_itself_is_told", || Flags(&["--manifests", "loop"]), Usage, "symbolic links"),
    ("an_empty_file_of_manifests_is_told", || bundle("---\n# nothing\n"), Manifests, "no Kubernetes objects"),
    ("manifests_that_are_no_yaml_are_told_with_the_place", || bundle("a: 1\nb: [}"), Manifests, "line 2"),
    ("a_null_byte_in_manifests_is_told", || bundle("kind: A\0B"), Manifests, "line 1"),
    ("manifests_that_are_no_text_are_told", || Bundle(b"kind: \xff".to_vec()), Usage, "UTF-8"),
    ("manifests_without_end_are_not_read_to_their_end", || Bundle(vec![b'#'; 65 << 20]), Usage, "64 MiB"),
    ("a_billion_laughs_in_manifests_are_told", || Bundle(laughs()), Manifests, "line"),
    ("an_alias_within_itself_in_manifests_is_told", || bundle("kind: A\ndata: &a [*a]"), Manifests, "line 2"),
    ("brackets_without_end_are_told", || Bundle(vec![b'['; 1 << 20]), Manifests, "line 1"),
    ("a_document_that_is_no_object_is_told_with_its_number", || bundle("--- 1\n--- 2\n"), Manifests, "document 1"),
    ("an_object_that_stands_twice_is_one", || bundle(TWICE), Manifests, "flyteadmin"),
    (
        "an_object_with_a_list_for_metadata_is_told",
        || bundle("{apiVersion: v1, kind: Pod, metadata: []}"),
        Manifests,
        "document 1",
    ),
    ("objects_that_are_no_flyte_are_told", || bundle(CONFIG), Manifests, "flyteadmin"),
    ("ten_thousand_objects_that_are_no_flyte_are_told", || Bundle(crowd()), Manifests, "flyteadmin"),
];

const CONFIG: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: a}}\n";
const TWICE: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: a}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: a}}\n";

fn laughs() -> Vec<u8> {
    let mut text = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
    for level in 1..10 {
        let again = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{again}]\n"));
    }
    text.into_bytes()
}

fn crowd() -> Vec<u8> {
    let one = |number: usize| {
        format!(
            "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c{number}, namespace: 103020-flytepoc-dev}}}}\n"
        )
    };
    (0..10_000).map(one).collect::<String>().into_bytes()
}

pub(super) fn all() -> Vec<Fault> {
    let refused = REFUSED.iter().map(|(sentence, input, reason, cause)| {
        let (input, reason, cause) = (*input, *reason, *cause);
        fault(*sentence, move || is_refused(&input(), reason, cause))
    });
    let mut all: Vec<Fault> = refused.collect();
    all.push(fault("a_name_that_is_no_text_is_told", no_text));
    all.push(fault("a_flyte_with_parts_of_the_wrong_kind_is_no_panic", wrong_kinds));
    all.push(fault("what_is_unusual_and_right_is_taken", taken));
    all
}

/// By every command that reads it, for people and for programs.
fn is_refused(input: &Input, reason: Reason, cause: &str) {
    let desk = Desk::new("input");
    std::fs::create_dir(desk.path("loop")).expect("a folder");
    symlink(desk.path("loop/a.yaml"), desk.path("loop/a.yaml")).expect("a link");
    let flags: &[&str] = match input {
        Spec(more) if more.starts_with(b"-") => {
            desk.write("sandbox.yaml", more);
            &[]
        }
        Spec(more) => {
            desk.write("sandbox.yaml", [desk.bare_spec().as_bytes(), more].concat());
            &[]
        }
        Bundle(text) => {
            desk.write("bundle.yaml", text);
            &["--manifests", "bundle.yaml"]
        }
        Flags(flags) => flags,
    };
    let expected = fails(reason, cause);
    for command in [&["up"][..], &["up", "--output", "json"], &["plan"]] {
        expected.told_by(&desk.run(&[command, flags].concat()));
    }
    desk.assert_docker_not_asked();
    desk.assert_no_state();
}

/// Our own manifests, with a value of another kind at a time: it is placed, refused or left to the API, and told.
fn wrong_kinds() {
    let desk = Desk::new("input");
    let own = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests")).expect("manifests").flatten();
    let own = own.map(|entry| std::fs::read_to_string(entry.path()).expect("text"));
    let own = own.chain(Release::default().manifests().iter().map(|(_, text)| (*text).to_owned()));
    let own = own.collect::<Vec<_>>().join("\n---\n");
    for (from, to) in [
        ("      containers:\n", "      containers: {}\n      were:\n"),
        ("      initContainers:\n", "      initContainers: 7\n      were:\n"),
        ("  template:\n", "  template: []\n  was:\n"),
        ("spec:\n", "spec: text\nwas:\n"),
        ("  labels:\n", "  labels: [a]\n  were:\n"),
        ("data:\n", "data: [a, b]\nwas:\n"),
        ("rules:\n", "rules: yes\nwere:\n"),
    ] {
        assert!(own.contains(from), "{from:?}");
        desk.write("bundle.yaml", own.replace(from, to));
        let ran = desk.run(&["render", "--manifests", "bundle.yaml"]);
        assert!([Some(0), Some(7)].contains(&ran.status.code()), "{from:?}: {ran:?}");
        if ran.status.code() == Some(7) {
            fails(Manifests, "").told_by(&ran);
        }
    }
    desk.assert_docker_not_asked();
    desk.assert_no_state();
}

fn no_text() {
    let desk = Desk::new("input");
    let mut command = desk.command(&["up", "--name"]);
    command.arg(std::ffi::OsStr::from_bytes(b"fl\xffyte"));
    Running::start(command, &["up", "--name", "?"]).end().exits(2).says("invalid UTF-8");
    desk.assert_docker_not_asked();
    desk.assert_no_state();
}

/// An empty spec, lines that end as Windows ends them, a mark of the byte order, an anchor, ten thousand objects more.
fn taken() {
    let desk = Desk::new("input");
    let plain = desk.bare_spec();
    for text in [
        String::new(),
        plain.replace('\n', "\r\n"),
        format!("\u{feff}{plain}"),
        format!("{plain}projects: [&a x, y]\n# the end"),
    ] {
        desk.write("sandbox.yaml", &text);
        desk.run(&["render"]).exits(0);
    }
    let rendered = desk.run(&["render"]).exits(0).out;
    let many: Vec<u8> = [rendered.as_bytes(), b"\n", &crowd()].concat();
    desk.write("many.yaml", &many);
    desk.run(&["render", "--manifests", "many.yaml"]).exits(0);
    desk.assert_docker_not_asked();
    desk.assert_no_state();
}
