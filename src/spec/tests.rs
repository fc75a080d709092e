//! The rules of a spec, by table.

use std::collections::BTreeMap;

use super::*;

const KEY: MachineKey = MachineKey::new([7; MachineKey::LENGTH]);

fn from_file(text: &str) -> Result<Resolved, Vec<Problem>> {
    resolve([parse(text, "sandbox.yaml").map_err(|problem| vec![problem])?], &KEY)
}

fn complaints(text: &str) -> Vec<String> {
    let problems = from_file(text).expect_err("the file was accepted");
    let line = |problem: &Problem| match &problem.hint {
        Some(hint) => format!("{problem} ({hint})"),
        None => problem.to_string(),
    };
    problems.iter().map(line).collect()
}

#[test]
fn the_built_in_spec_is_the_documented_one() {
    let Resolved { spec, provenance } = resolve([], &KEY).expect("valid");
    assert_eq!(spec.system_namespace(), "103020-flytepoc-dev");
    let namespaces: Vec<_> = spec.workflow_namespaces().into_iter().map(|namespace| namespace.name).collect();
    assert_eq!(
        namespaces,
        [
            "103020-flytepoc-x-d-dev",
            "103020-flytepoc-x-t-dev",
            "103020-flytepoc-x-p-dev",
            "103020-flytepoc-y-d-dev",
            "103020-flytepoc-y-t-dev",
            "103020-flytepoc-y-p-dev"
        ]
    );
    assert_eq!(spec.namespace_template(), "103020-flytepoc-{{ project }}-{{ domain }}");
    assert_eq!(spec.node_image.as_str(), "rancher/k3s:v1.21.2-k3s1");
    let (secret, others): (Vec<_>, Vec<_>) = provenance.into_iter().partition(|(_, origin)| *origin != Origin::Default);
    assert_eq!(secret, [("storage.secretKey".to_owned(), Origin::Generated)], "and not {others:?}");
}

#[test]
fn every_profile_resolves() {
    for (name, _) in PROFILES {
        let layer = profile(name, &Origin::Flag("--profile".into())).expect(name);
        resolve([layer], &KEY).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
    }
}

#[test]
fn a_project_may_be_called_y_without_quotes() {
    let spec = from_file("projects: [y, n, on]\n").expect("valid").spec;
    assert_eq!(spec.projects, ["y", "n", "on"]);
}

#[test]
fn later_layers_win_and_every_value_knows_its_origin() {
    let file = parse("env: uat\nports: {minio: 31084}\n", "s.yaml").expect("valid");
    let flags =
        Layer { env: Some(Sourced { value: "prod".into(), origin: Origin::Flag("--env".into()) }), ..Layer::default() };
    let Resolved { spec, provenance } = resolve([file, flags], &KEY).expect("valid");
    assert_eq!((spec.env.as_str(), spec.ports.minio, spec.ports.console), ("prod", 31084, 30081));
    assert_eq!(provenance["env"].to_string(), "--env");
    assert_eq!(provenance["ports.minio"].to_string(), "s.yaml:2:16");
    assert_eq!(provenance["ports.console"].to_string(), "default");
}

#[test]
fn an_image_of_the_node_wins_over_the_kubernetes_release() {
    let spec = from_file("images: {k3s: \"my/k3s:v1.30.1-k3s1\"}\n").expect("valid").spec;
    assert_eq!(spec.node_image.as_str(), "my/k3s:v1.30.1-k3s1");
}

#[test]
fn an_engine_is_asked_for_by_name_and_none_is_asked_for_by_default() {
    assert_eq!(from_file("").expect("valid").spec.engine, None);
    for engine in EngineKind::ALL {
        let resolved = from_file(&format!("engine: {}\ncontext: team\n", engine.name())).expect("valid");
        assert_eq!(resolved.spec.engine, Some(*engine));
        assert_eq!(resolved.provenance["engine"].to_string(), "sandbox.yaml:1:9");
        assert_eq!(serde_json::to_value(engine).expect("JSON"), engine.name());
    }
}

#[test]
fn mirrors_of_all_layers_add_up_and_the_later_one_counts() {
    let file = "registryMirrors: {cr.flyte.org: ghcr.io, docker.io: registry.example}\n";
    let file = parse(file, "s.yaml").expect("YAML");
    let given = Sourced { value: "mirror.example/hub".to_owned(), origin: Origin::Flag("--registry-mirror".into()) };
    let flags = Layer { registry_mirrors: vec![("docker.io".to_owned(), given)], ..Layer::default() };
    let Resolved { spec, provenance } = resolve([file, flags], &KEY).expect("valid");
    let mirrors: Vec<_> = spec.registry_mirrors.iter().collect();
    assert_eq!(mirrors, [("cr.flyte.org", "ghcr.io"), ("docker.io", "mirror.example/hub")]);
    assert_eq!(provenance["registryMirrors.docker.io"].to_string(), "--registry-mirror");
    assert_eq!(provenance["registryMirrors.cr.flyte.org"].to_string(), "s.yaml:1:33");
}

#[test]
fn wrong_files_are_told_where_and_what_would_be_right() {
    for (text, expected) in [
        ("nmae: a\n", "sandbox.yaml:1:1: unknown key `nmae` (did you mean `name`?)"),
        ("ports:\n  consol: 1\n", "sandbox.yaml:2:3: unknown key `consol` (did you mean `console`?)"),
        (
            "name: Flyte\n",
            "sandbox.yaml:1:7: `name: Flyte`: `Flyte` has 'F' in it; only lower-case letters, digits and dashes are allowed",
        ),
        (
            "name: failures\n",
            "sandbox.yaml:1:7: `name: failures`: `failures` is where the evidence of failures is kept",
        ),
        (
            "name: a123456789-123456789-123456789-1b\n",
            "sandbox.yaml:1:7: `name: a123456789-123456789-123456789-1b`: `a123456789-123456789-123456789-1b` has 33 characters, 32 are allowed",
        ),
        ("projects: []\n", "default: `projects` is empty (name at least one in `projects`)"),
        ("projects: [x, x]\n", "sandbox.yaml:1:15: `projects`: `x` stands twice, first at sandbox.yaml:1:12"),
        ("ports: {console: 70000}\n", "sandbox.yaml:1:18: `ports.console: 70000`: a port is a number from 1 to 65535"),
        (
            "ports: {console: 30084}\n",
            "default: `ports.minio: 30084`: `ports.console` has this port already (give one of them another port, such as 31084)",
        ),
        ("kubernetes: 1.21\n", "sandbox.yaml:1:13: `kubernetes: 1.21`: a k3s release looks like `v1.21.2+k3s1`"),
        (
            "kubernetes: v1.20.4+k3s1\n",
            "sandbox.yaml:1:13: `kubernetes: v1.20.4+k3s1`: v1.21 is the oldest Kubernetes that is supported",
        ),
        ("projects: x\n", "sandbox.yaml:1:11: a list is wanted here, such as `[x, y]`"),
        ("domains: [d]\n", "sandbox.yaml:1:11: keys with values are wanted here, such as `{key: value}`"),
        ("- name: a\n", "sandbox.yaml:1:1: keys with values are wanted here, such as `{key: value}`"),
        ("name: a\n---\nname: b\n", "sandbox.yaml:3:1: there is more than one document; one is read"),
        ("idle: 59s\n", "sandbox.yaml:1:7: `idle: 59s`: a minute is the shortest"),
        ("idle: soon\n", "sandbox.yaml:1:7: `idle: soon`: expected number at 0; `30m` and `2h` are times"),
        (
            "idle: 1h\nengine: rehearsal\n",
            "sandbox.yaml:1:7: `idle: 1h`: only a node of the sandbox's own is frozen (leave it out)",
        ),
        (
            "spare: true\nengine: rehearsal\n",
            "sandbox.yaml:1:8: `spare: true`: only a node of the sandbox's own has a spare (leave it out)",
        ),
        (
            "spare: true\nengine: k3d\n",
            "sandbox.yaml:1:8: `spare: true`: a spare is made through Docker, without k3d (leave it out, or `engine: k3d`)",
        ),
        (
            "spare: true\nengine: context\ncontext: theirs\n",
            "sandbox.yaml:1:8: `spare: true`: only a node of the sandbox's own has a spare (leave it out)",
        ),
        (
            "engine: k3s\n",
            "sandbox.yaml:1:9: `engine`: there is no engine `k3s` (engines are: k3d, docker, rehearsal, context)",
        ),
        (
            "engine: context\n",
            "sandbox.yaml:1:9: `engine: context`: which context is not said, and the current one is never taken (`--context NAME` names it; `kubectl config get-contexts` lists them)",
        ),
        (
            "context: team\n",
            "sandbox.yaml:1:10: `context: team`: only the engine `context` has a context (`--engine context` puts the sandbox on it)",
        ),
        (
            "images: {flyteadmn: a:b}\n",
            "sandbox.yaml:1:21: `images`: there is no component `flyteadmn` (did you mean `flyteadmin`?)",
        ),
        (
            "images: {minio: \"-v\"}\n",
            "sandbox.yaml:1:17: `images.minio`: `-v` is not an image reference: it starts with a dash",
        ),
        (
            "registryMirrors: {cr.flyte.org: mirror}\n",
            "sandbox.yaml:1:33: `registryMirrors`: `mirror` is no registry; `ghcr.io` and `registry.example/dockerhub` are",
        ),
        ("storage: {secretKey: short}\n", "sandbox.yaml:1:22: `storage.secretKey`: Minio wants at least 8 characters"),
        ("env: dev\nenv: uat\n", "sandbox.yaml:2:1: the key `env` stands twice"),
    ] {
        assert_eq!(complaints(text), [expected], "for {text:?}");
    }
}

#[test]
fn every_machine_and_every_sandbox_has_a_secret_of_its_own() {
    let of = |key: u8, name: &str| MachineKey::new([key; MachineKey::LENGTH]).storage_secret(name);
    assert_eq!(
        of(7, "flyte").expose(),
        "88b7295698b56ad2b72651967815b1945a0ee487",
        "the derivation changed: every sandbox would get another secret"
    );
    for other in [of(8, "flyte"), of(7, "flytf"), of(7, ""), of(7, "flyte-2")] {
        assert_ne!(of(7, "flyte"), other);
    }
    assert_eq!(from_file("").expect("valid").spec.storage.secret_key, of(7, "flyte"));
    assert_eq!(from_file("name: other").expect("valid").spec.storage.secret_key, of(7, "other"));
}

#[test]
fn a_secret_that_is_given_is_used_and_never_shown() {
    let resolved = from_file("storage: {secretKey: hush-hush-hush}\n").expect("valid");
    assert_eq!(resolved.spec.storage.secret_key.expose(), "hush-hush-hush");
    assert_eq!(resolved.provenance["storage.secretKey"].to_string(), "sandbox.yaml:1:22");
    let layer = parse("storage: {secretKey: hush-hush-hush}\n", "s.yaml").expect("valid");
    let json = serde_json::to_string(&resolved.spec).expect("JSON");
    for shown in [json, format!("{resolved:?}"), format!("{layer:?}"), format!("{:?}", resolved.spec)] {
        assert!(!shown.contains("hush"), "{shown}");
    }
    for text in
        ["storage: {secretKey: [hush]}", "storage: {secretKey: hu sh}", "storage: {secretKey: \"hu\\nshhhhhhh\"}"]
    {
        assert!(!complaints(text).concat().contains("sh"), "{:?}", complaints(text));
    }
    assert!(!format!("{KEY:?}").contains('7'));
}

#[test]
fn a_text_is_rid_of_a_secret_in_every_form_that_it_is_written_in() {
    for secret in ["plain-plain", "it's-quoted", "a\"b\\c-quoted", "tab-#-quoted"] {
        let value = serde_json::json!({ "a": secret, "b": [format!("{secret} and more")] });
        for text in [value.to_string(), crate::yaml::emit(&value), secret.to_owned()] {
            let masked = Secret::new(secret).masked(&text);
            assert!(!masked.contains("plain") && !masked.contains("quoted"), "{masked}");
        }
    }
    assert_eq!(Secret::default().masked("as it is"), "as it is");
}

#[test]
fn the_name_is_had_from_a_spec_with_other_problems() {
    let layer = |text| parse(text, "s.yaml").expect("readable");
    assert_eq!(name([layer("name: a\nports: {minio: 0}")]).as_deref(), Ok("a"));
    assert_eq!(name([layer("name: ../a")]).expect_err("refused").len(), 1);
}

#[test]
fn all_problems_are_told_at_once() {
    assert_eq!(complaints("name: A\nenv: B\nports: {minio: 0}\n").len(), 3);
}

#[test]
fn a_namespace_over_63_characters_is_refused_with_the_excess() {
    let project = "p".repeat(42);
    let [complaint] = &complaints(&format!("projects: [{project}]\n"))[..] else { panic!("not one a project") };
    assert!(complaint.contains("is 1 characters too long"), "{complaint}");
}

#[test]
fn projects_whose_namespaces_would_collide_are_refused() {
    // Project `a`, domain `b-c` and project `a-b`, domain `c` have one namespace name.
    let text = "projects: [a, a-b]\ndomains: [{id: b-c}, {id: c}]\n";
    assert!(
        complaints(text)[0].contains("would share the namespace `103020-flytepoc-a-b-c`"),
        "{:?}",
        complaints(text)
    );
}

#[test]
fn a_project_more_keeps_the_rules_that_a_file_keeps() {
    let origin = Origin::Flag("project add".to_owned());
    let spec = Spec::default();
    let complaint = |project: &str| {
        let problems = spec.with_project(project, &origin).expect_err(project);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(spec.with_project("z", &origin).expect("valid").projects, ["x", "y", "z"]);
    assert_eq!(spec.with_project("x", &origin).expect("there"), spec);
    assert!(complaint("Z").starts_with("project add: `projects`: `Z` has 'Z' in it"), "{}", complaint("Z"));
    assert!(complaint("").ends_with("it is empty"), "{}", complaint(""));
    let long = "p".repeat(42);
    assert!(complaint(&long).ends_with("is 1 characters too long for Kubernetes"), "{}", complaint(&long));
    assert!(spec.with_project(&long[1..], &origin).is_ok());
    assert_eq!(spec.without_project("y", &origin).expect("valid").projects, ["x"]);
    assert_eq!(spec.without_project("z", &origin).expect("nothing to do"), spec);
    let last = spec.without_project("y", &origin).expect("valid").without_project("x", &origin);
    assert!(last.expect_err("the only one")[0].to_string().contains("`projects` is empty"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        let _ = from_file(&text);
    }

    #[test]
    fn whatever_resolves_has_namespaces_kubernetes_takes(project in "[a-z0-9-]{1,70}", env in "[a-z0-9-]{1,70}") {
        if let Ok(Resolved { spec, .. }) = from_file(&format!("projects: [\"{project}\"]\nenv: \"{env}\"\n")) {
            for name in spec.workflow_namespaces().into_iter().map(|n| n.name).chain([spec.system_namespace()]) {
                proptest::prop_assert!(name.len() <= 63 && !name.starts_with('-') && !name.ends_with('-'), "{}", name);
            }
        }
    }
}

#[test]
fn each_project_has_a_bucket_and_keys_of_its_own() {
    let spec = Spec::default();
    let (x, y) = (spec.storage.keys_of("x").expect("derived"), spec.storage.keys_of("y").expect("derived"));
    assert_eq!((spec.storage.bucket_of("x"), x.access_key.as_str()), ("my-s3-bucket-x".to_owned(), "my-s3-bucket-x"));
    let secrets: Vec<_> = spec.secrets().collect();
    assert_eq!(secrets, [spec.storage.secret_key.clone(), x.secret_key.clone(), y.secret_key.clone()]);
    assert!(x.secret_key != y.secret_key && x.secret_key.expose().len() == 40);
    let mut other = spec.clone();
    other.storage.secret_key = Secret::new("another-machines");
    assert_ne!(other.storage.keys_of("x"), Some(x));
}

#[test]
fn a_source_of_keys_is_one_that_can_be_asked_for_a_project() {
    let refused = |credentials: &str| {
        let layer = parse(&format!("storage: {{credentials: {credentials}}}\n"), "sandbox.yaml").expect("readable");
        resolve([layer], &MachineKey::default())
            .map(|resolved| resolved.spec.storage)
            .map_err(|problems| problems[0].message.clone())
    };
    let spec = refused("{command: [mercury, keys, \"{project}\"]}").expect("a source");
    let words = ["mercury", "keys", "{project}"].map(str::to_owned);
    assert_eq!(spec.credentials, Some(CredentialSource::Command(words.into())));
    assert_eq!(spec.keys_of("x"), None, "nobody has issued any");
    for (given, why) in [
        ("{}", "name one of `file`, `command` and `url`"),
        ("{file: \"/a/{project}\", url: \"http://a/{project}\"}", "name one of `file`, `command` and `url`"),
        ("{command: []}", "`command` names no program"),
        ("{file: \"\"}", "`file` is empty"),
        ("{file: /keys.json}", "`{project}` must stand in it, in the place of its name"),
        (
            "{url: \"https://a/{project}\"}",
            "`url` starts with http://; for anything else: `command: [curl, -fsS, URL]`",
        ),
    ] {
        assert_eq!(refused(given).map(|_| ()), Err(format!("`storage.credentials`: {why}")), "{given}");
    }
}

#[test]
fn a_projects_bucket_is_not_too_long_either() {
    let text = format!("storage: {{bucket: {}}}\nprojects: [long]\n", "b".repeat(60));
    let problems =
        resolve([parse(&text, "sandbox.yaml").expect("readable")], &MachineKey::default()).expect_err("too long");
    assert!(problems[0].message.ends_with("is 2 characters too long"), "{problems:?}");
}

#[test]
fn a_spec_in_an_inventory_says_which_projects_were_added_and_may_be_older_than_that() {
    let spec = Spec::default();
    let written = serde_json::to_value(&spec).expect("JSON");
    assert!(written.get("addedProjects").is_none(), "{written}");
    let read: Spec = serde_json::from_value(written).expect("readable");
    assert_eq!(read.added_projects, Vec::<String>::new());
    let origin = Origin::Flag("project add".to_owned());
    let added = spec.with_project("z", &origin).expect("valid");
    assert_eq!((added.projects.len(), &added.added_projects), (3, &vec!["z".to_owned()]));
    let written = serde_json::to_value(&added).expect("JSON");
    let read: Spec = serde_json::from_value(written).expect("readable");
    assert_eq!(read.added_projects, ["z"]);
    let removed = added.without_project("z", &origin).expect("valid");
    assert_eq!((removed.projects, removed.added_projects), (spec.projects, vec![]));
}

#[test]
fn tasks_are_read_with_their_places_and_no_default_is_above_its_limit() {
    let resolved = |text: &str| resolve([parse(text, "s.yaml").expect("YAML")], &KEY);
    let tasks = resolved("tasks: {cpu: 2, memory: 1Gi, limits: {cpu: '4'}}").expect("valid").spec.tasks;
    assert_eq!(tasks.projects, BTreeMap::new());
    let own = resolved("tasks: {projects: {y: {memory: 2Gi}}}").expect("valid").spec;
    assert_eq!(own.tasks.projects["y"], Resources { cpu: None, memory: Some("2Gi".to_owned()) });
    let left = own.without_project("y", &Origin::Flag("project remove".to_owned())).expect("valid");
    assert!(left.tasks.is_empty(), "they go with it");
    assert_eq!((tasks.defaults.cpu.as_deref(), tasks.defaults.memory.as_deref()), (Some("2"), Some("1Gi")));
    assert_eq!((tasks.limits.cpu.as_deref(), tasks.limits.memory), (Some("4"), None));
    for (text, told) in [
        ("tasks: {memory: 1GB}", "s.yaml:1:17: `tasks.memory: 1GB`: this is no quantity"),
        ("tasks:\n  cpu: '0'", "s.yaml:2:8: `tasks.cpu: 0`: this is no quantity"),
        (
            "tasks: {projects: {x: {memory: 2Gi}}, limits: {memory: 1Gi}}",
            "s.yaml:1:32: `tasks.projects.x.memory: 2Gi` is more than `tasks.limits.memory: 1Gi`",
        ),
        ("tasks: {projects: {q: {memory: 2Gi}}}", "s.yaml:1:32: `tasks.projects`: there is no project `q`"),
        ("tasks: {memory: 2Gi, limits: {memory: 1Gi}}", "`tasks.memory: 2Gi` is more than `tasks.limits.memory: 1Gi`"),
    ] {
        let problems = resolved(text).expect_err(text);
        let problem = problems[0].to_string();
        assert!(problem.contains(told), "{problem}");
    }
    assert!(parse("tasks: {mem: 1Gi}", "s.yaml").expect_err("unknown").message.contains("unknown key `mem`"));
}

#[test]
fn a_registry_has_a_port_that_the_node_leaves_free() {
    let port = |text: &str| from_file(text).expect("valid").spec.ports.registry;
    assert_eq!(port("{}"), None);
    assert_eq!(port("ports: {registry: 6443}"), None, "there is none");
    assert_eq!(port("registry: true"), Some(5050));
    assert_eq!(port("{registry: true, ports: {registry: 5000}}"), Some(5000));
    for (text, complaint) in [
        ("{registry: true, ports: {registry: 6443}}", "`ports.registry: 6443`: Kubernetes uses this port of the node"),
        (
            "{registry: true, ports: {registry: 30085}}",
            "`ports.registry: 30085`: Kubernetes uses this port of the node",
        ),
        ("{registry: true, ports: {minio: 5050}}", "`ports.registry: 5050`: `ports.minio` has this port already"),
        (
            "{registry: true, engine: context, context: team}",
            "`registry: true`: only a node of the sandbox's own pulls from it",
        ),
    ] {
        let complaints = complaints(text);
        assert!(complaints.len() == 1 && complaints[0].contains(complaint), "{text}: {complaints:?}");
    }
}
