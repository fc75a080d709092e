//! Logins to registries: what `docker login` keeps goes with every pull, and is told nobody.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flyte_sandbox::docker::Docker;
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::images::obtain;
use flyte_sandbox::manifest::{Bundle, ImageRef};
use flyte_sandbox::plan::Plan;
use flyte_sandbox::release::Release;
use flyte_sandbox::render::render;
use flyte_sandbox::report::{Event, Reporter};
use flyte_sandbox::run::{Deadline, Run};
use flyte_sandbox::spec::{Mirrors, Spec};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::docker::{FakeDocker, World};

const HUB: &str = "https://index.docker.io/v1/";

/// A user's folders: Docker's configuration, and a `PATH` for its credential helpers.
struct Home(TempDir);

impl Home {
    fn new(config: &Value) -> Self {
        let home = Self(tempfile::tempdir().expect("a folder"));
        fs::write(home.0.path().join("config.json"), config.to_string()).expect("written");
        home
    }

    fn helper(&self, name: &str, script: &str) {
        let program = self.0.path().join(format!("docker-credential-{name}"));
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("set");
    }

    fn variables(&self, docker: &FakeDocker) -> BTreeMap<String, String> {
        let own = self.0.path().display().to_string();
        let path = format!("{own}:/usr/bin:/bin");
        let variables = [("DOCKER_HOST", docker.host.clone()), ("DOCKER_CONFIG", own.clone()), ("PATH", path)];
        variables.into_iter().chain([("HOME", own)]).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.path().join(file)).unwrap_or_default()
    }
}

/// A daemon whose registries have these images, some of them for those with a login only.
async fn daemon(images: &[&str], private: &[(&str, Value)]) -> FakeDocker {
    let registry = images.iter().map(|image| ((*image).to_owned(), format!("sha256:{image}")));
    let private = private.iter().map(|(registry, login)| ((*registry).to_owned(), login.clone()));
    FakeDocker::start(World { registry: registry.collect(), private: private.collect(), ..World::default() }).await
}

fn login(registry: &str, username: &str, password: &str) -> Value {
    json!({"username": username, "password": password, "serveraddress": registry})
}

/// What `docker login` writes of a user and a password.
fn auth(username: &str, password: &str) -> Value {
    use base64::Engine;
    json!({"auth": base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"))})
}

/// Pulls these images within this time; what came of it, and what was warned of.
async fn pull(home: &Home, fake: &FakeDocker, images: &[&str], limit: u64) -> (Result<usize, Failure>, Vec<String>) {
    let docker = Docker::connect(&home.variables(fake), None).await.expect("the fake daemon answers");
    let images = images.iter().map(|image| image.parse::<ImageRef>().expect("an image").into()).collect::<Vec<_>>();
    let (report, mut events) = Reporter::channel();
    let run = Run {
        report,
        deadline: Deadline::after(Duration::from_secs(limit)),
        cancel: tokio_util::sync::CancellationToken::new(),
    };
    let pulled = obtain(&docker, &images, &Mirrors::default(), &run).await;
    let warnings = std::iter::from_fn(|| events.try_recv().ok()).filter_map(|event| match event {
        Event::Warning { message } => Some(message),
        _ => None,
    });
    (pulled.map(|images| images.len()).map_err(Failure::from), warnings.collect())
}

#[tokio::test]
async fn what_docker_login_wrote_is_sent_to_its_registry_and_to_no_other() {
    // Base64 has a `+` and a `/` in it for these, which a daemon reads as `-` and `_` alone.
    let password = "~~~???>>>:\u{ff}";
    let home = Home::new(&json!({"auths": {
        "127.0.0.1:5000": auth("me", password),
        HUB: auth("hub", "one"),
        "token.example": {"auth": "bWU6", "identitytoken": "id"},
    }}));
    let token = json!({"username": "me", "identitytoken": "id", "serveraddress": "token.example"});
    let private = [
        ("127.0.0.1:5000", login("127.0.0.1:5000", "me", password)),
        ("docker.io", login(HUB, "hub", "one")),
        ("token.example", token),
    ];
    let images = ["127.0.0.1:5000/team/a:1", "docker.io/library/b:1", "token.example/c:1", "open.example/d:1"];
    let fake = daemon(&images, &private).await;
    let (pulled, warnings) = pull(&home, &fake, &images, 30).await;
    assert_eq!((pulled.expect("all of them"), warnings), (4, vec![]));
    let sent = fake.world().logins.clone();
    assert_eq!(sent["open.example/d:1"], Value::Null, "{sent:?}");
}

#[tokio::test]
async fn without_a_login_the_registry_decides() {
    let fake = daemon(&["private.example/a:1", "open.example/b:1"], &[("private.example", json!({}))]).await;
    let home = Home::new(&json!({}));
    let (pulled, _) = pull(&home, &fake, &["open.example/b:1"], 30).await;
    pulled.expect("it needs none");
    let (pulled, _) = pull(&home, &fake, &["private.example/a:1"], 30).await;
    let failure = pulled.expect_err("refused");
    assert_eq!(failure.reason, Reason::RegistryDenied, "{failure}");
    assert!(failure.next_steps().iter().any(|step| step.contains("docker login")), "{failure:?}");
}

#[tokio::test]
async fn a_credential_helper_is_asked_once_for_its_registry() {
    let home = Home::new(&json!({"credsStore": "general", "credHelpers": {"one.example": "one"}}));
    // What it is asked for, on standard input; and its answer.
    let script = |user: &str, secret: &str| {
        format!("echo \"$1 $(cat)\" >>\"$HOME/asked\"; echo '{{\"Username\":\"{user}\",\"Secret\":\"{secret}\"}}'")
    };
    home.helper("general", &script("<token>", "id"));
    home.helper("one", &script("me", "word"));
    let token = json!({"identitytoken": "id", "serveraddress": HUB});
    let private = [("one.example", login("one.example", "me", "word")), ("docker.io", token)];
    let images = ["one.example/a:1", "one.example/b:1", "docker.io/library/c:1"];
    let fake = daemon(&images, &private).await;
    let (pulled, warnings) = pull(&home, &fake, &images, 30).await;
    assert_eq!((pulled.expect("all of them"), warnings), (3, vec![]));
    assert_eq!(home.read("asked"), format!("get one.example\nget {HUB}\n"));
}

#[tokio::test]
async fn a_helper_that_does_not_answer_well_is_told_and_the_pull_goes_on_without_a_login() {
    for (script, warned) in [
        (Some("cat >/dev/null; echo 'credentials not found in native keychain'; exit 1"), None),
        (Some("echo its-secret; echo its-secret >&2; exit 1"), Some("it failed")),
        (Some("echo its-secret"), Some("its answer is not a login")),
        (None, Some("it cannot be run: it is not on the PATH")),
    ] {
        let home = Home::new(&json!({"credsStore": "odd"}));
        if let Some(script) = script {
            home.helper("odd", script);
        }
        let fake = daemon(&["open.example/a:1"], &[]).await;
        let (pulled, warnings) = pull(&home, &fake, &["open.example/a:1"], 30).await;
        pulled.expect("it needs no login");
        let told = warnings.join("\n");
        match warned {
            None => assert_eq!(told, "", "{script:?}"),
            Some(why) => {
                let wanted = "open.example gets no login: the credential helper docker-credential-odd: ";
                assert!(told.starts_with(&format!("{wanted}{why}")), "{script:?}: {told}");
            }
        }
        assert!(!told.contains("secret"), "{told}");
    }
}

#[tokio::test]
async fn a_helper_that_hangs_ends_with_the_run_and_so_do_its_children() {
    let home = Home::new(&json!({"credsStore": "slow"}));
    home.helper("slow", "sleep 1000 & echo $! >\"$HOME/child\"; wait");
    let fake = daemon(&["open.example/a:1"], &[]).await;
    // The pull without a login may still be done in the run's last moment.
    let (_, warnings) = pull(&home, &fake, &["open.example/a:1"], 1).await;
    assert!(warnings.iter().any(|warning| warning.contains("docker-credential-slow: timed out")), "{warnings:?}");
    let child = home.read("child");
    let gone = || (!Path::new("/proc").join(child.trim()).join("cwd").exists()).then_some(());
    crate::support::wait::wait_for("it is gone", gone);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_told_once_without_a_word_of_it() {
    let home = Home::new(&json!({"auths": {"open.example": {"auth": "its-secret"}}}));
    let images = ["open.example/a:1", "open.example/b:1"];
    let fake = daemon(&images, &[]).await;
    let (pulled, warnings) = pull(&home, &fake, &images, 30).await;
    pulled.expect("they need no login");
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.contains("config.json") && !warning.contains("its-secret"), "{warning}");
}

/// The real binary, and everything that it says.
#[tokio::test(flavor = "multi_thread")]
async fn images_pull_sends_the_login_and_no_output_has_it() {
    let image: ImageRef = "127.0.0.1:5000/team/flyteadmin:v1".parse().expect("an image");
    let spec = Spec { images: [("flyteadmin".to_owned(), image.clone())].into(), ..Spec::default() };
    let rendered = render(&spec, Bundle::embedded(Release::default()).expect("built in")).expect("renders");
    let plan = Plan::new(spec, rendered).expect("a plan");
    let others = plan.all_images().chain([&plan.cluster.node_image]).filter(|one| **one != image);
    let secret = "very-secret-word";
    let world = World {
        images: others.map(|one| (one.to_string(), format!("sha256:{one}"))).collect(),
        registry: [(image.canonical(), "sha256:1".to_owned())].into(),
        private: [("127.0.0.1:5000".to_owned(), login("127.0.0.1:5000", "me", secret))].into(),
        ..World::default()
    };
    let fake = FakeDocker::start(world).await;
    let auth = auth("me", secret);
    let home = Home::new(&json!({"auths": {"127.0.0.1:5000": auth}}));
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.env_clear().envs(home.variables(&fake)).current_dir(home.0.path());
    command.args(["images", "pull", "-vv", "-o", "json", "--image", &format!("flyteadmin={image}")]);
    let output = tokio::task::block_in_place(|| command.output()).expect("it runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("1 images pulled"), "{said}");
    let sent = fake.world().logins.clone();
    assert_eq!(sent[image.as_str()]["password"], secret);
    for hidden in [secret, auth["auth"].as_str().expect("text")] {
        assert!(!said.contains(hidden), "{said}");
    }
}
