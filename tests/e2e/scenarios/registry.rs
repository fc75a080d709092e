//! Images from a registry, by a real Docker: as they should come, and as they come at times.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use flyte_sandbox::spec::COMPONENTS;
use serde_json::json;

use super::Scenario;
use crate::support::docker::{docker, try_docker};
use crate::support::ground::{Ground, Major, Wish};
use crate::support::images;
use crate::support::registry::{Mood, PullThrough, Registry, USER};
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] = &[
    ("images_come_from_a_registry_whole_also_when_it_is_slow_or_cuts_them", whole),
    ("a_registry_that_refuses_is_told_by_what_it_said", refused),
    ("a_registry_that_wants_a_login_gets_that_of_docker_login", guarded),
    ("a_registry_of_an_own_authority_is_trusted_once_docker_knows_that", own_authority),
    ("an_image_that_was_pulled_through_a_mirror_is_there_when_its_registry_is_gone", pulled_through),
    ("an_image_of_a_mirrored_registry_comes_from_the_mirror", mirrored),
];

/// A layer that is several parts on its way.
const SIZE: usize = 3 << 20;

/// A sandbox whose components all run one image of a registry, which goes with it. Its node's image is here.
struct Pulling {
    sandbox: Sandbox,
    registry: Registry,
    image: String,
}

impl Pulling {
    fn new(name: &str) -> Self {
        Self::of(name, Registry::start)
    }

    fn of(name: &str, start: impl FnOnce(&str) -> Registry) -> Self {
        let sandbox = Sandbox::new(name, &Ground::find(Wish::StandIn, Major::Five));
        let registry = start(&sandbox.name);
        let image = format!("{}/flyteorg/{}:1", registry.host(), sandbox.name);
        registry.push(&format!("flyteorg/{}", sandbox.name), "1", &["amd64", "arm64", "s390x"], SIZE);
        let pulling = Self { sandbox, registry, image };
        pulling.asks_for(&pulling.image, "");
        pulling
    }

    /// Writes the spec. What this Kubernetes itself starts from is not in the lock, so nothing but the image is asked for.
    fn asks_for(&self, image: &str, more: &str) {
        let mut spec = format!("kubernetes: v1.22.17+k3s1\n{more}images:\n");
        let node = images::name("k3s");
        spec.extend(COMPONENTS.iter().map(|id| format!("  {id}: {}\n", if *id == "k3s" { &node } else { image })));
        self.sandbox.write("sandbox.yaml", spec);
    }

    /// Holds that the image is here, made for this machine's processor, and whole; then removes it.
    fn came_whole(&self, image: &str) {
        let own = docker(&["version", "--format", "{{.Server.Arch}}"]);
        assert_eq!(docker(&["image", "inspect", "--format", "{{.Architecture}}", image]), own);
        let size: usize = docker(&["image", "inspect", "--format", "{{.Size}}", image]).parse().expect("a size");
        assert!(size >= SIZE, "{size} bytes");
        self.forget(image);
    }

    fn forget(&self, image: &str) {
        let _ = try_docker(&["image", "rm", "--force", image]);
    }
}

impl Drop for Pulling {
    fn drop(&mut self) {
        self.forget(&self.image);
    }
}

fn whole() {
    let pulling = Pulling::new("reg-whole");
    for (mood, resumed) in [(Mood::Well, false), (Mood::Slow(150), false), (Mood::Cutting(1), true)] {
        pulling.registry.is(mood);
        pulling.sandbox.run(&["images", "pull"]).exits(0).says("1 images pulled");
        let parts = pulling.registry.asked().into_iter().filter(|asked| asked.contains("bytes=")).count();
        assert_eq!(parts > 0, resumed, "{mood:?}: {:?}", pulling.registry.asked());
        pulling.came_whole(&pulling.image);
    }
    pulling.registry.is(Mood::Slow(4_000));
    let ran = pulling.sandbox.run(&["images", "pull", "--timeout", "6s"]);
    ran.exits(6).says("pull-timeout").says(&pulling.image);
}

fn refused() {
    let pulling = Pulling::new("reg-refuses");
    for (mood, reason) in [
        (Mood::Refusing(429, "TOOMANYREQUESTS"), "registry-limited"),
        (Mood::Refusing(404, "MANIFEST_UNKNOWN"), "image-unknown"),
        (Mood::Refusing(403, "DENIED"), "registry-denied"),
        (Mood::Refusing(503, "UNAVAILABLE"), "images-missing"),
    ] {
        pulling.registry.is(mood);
        let ran = pulling.sandbox.run(&["images", "pull", "--timeout", "60s"]);
        ran.exits(6).says(&format!("error[{reason}]")).says(&pulling.image);
    }
}

fn guarded() {
    let pulling = Pulling::new("reg-guarded");
    pulling.registry.is(Mood::Guarded);
    pulling.sandbox.run(&["images", "pull"]).exits(6).says("error[registry-denied]").says("docker login");
    let login = |password: &str| {
        use base64::Engine;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{}:{password}", USER.0));
        let config = json!({"auths": {pulling.registry.host(): {"auth": auth}}});
        std::fs::create_dir_all(pulling.sandbox.path("home/.docker")).expect("a folder");
        pulling.sandbox.write("home/.docker/config.json", config.to_string());
    };
    login("another password");
    pulling.sandbox.run(&["images", "pull"]).exits(6).says("error[registry-denied]");
    login(USER.1);
    pulling.sandbox.run(&["images", "pull"]).exits(0).says("1 images pulled");
    pulling.came_whole(&pulling.image);
}

fn mirrored() {
    let pulling = Pulling::new("reg-mirror");
    let host = pulling.registry.host();
    let image = pulling.image.replace(&host, "cr.flyte.org");
    pulling.asks_for(&image, &format!("registryMirrors: {{cr.flyte.org: \"{host}\"}}\n"));
    pulling.sandbox.run(&["images", "pull"]).exits(0).says("1 images pulled");
    pulling.came_whole(&image);
}

/// A network of the test's own. It goes with this value.
struct Network(String);

impl Network {
    fn new(name: &str) -> Self {
        let _ = try_docker(&["network", "rm", name]);
        docker(&["network", "create", name]);
        Self(name.to_owned())
    }

    /// The address that this machine has in it.
    fn address(&self) -> IpAddr {
        let ask = ["network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", &self.0];
        docker(&ask).parse().expect("an address")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = try_docker(&["network", "rm", &self.0]);
    }
}

/// Where Docker looks for the authority of a registry. It goes with this value.
struct Trusted(PathBuf);

impl Trusted {
    fn new(host: &str, authority: &str) -> io::Result<Self> {
        let trusted = Self(Path::new("/etc/docker/certs.d").join(host));
        std::fs::create_dir_all(&trusted.0)?;
        std::fs::write(trusted.0.join("ca.crt"), authority)?;
        Ok(trusted)
    }
}

impl Drop for Trusted {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn own_authority() {
    let network = Network::new("e2e-reg-authority");
    let pulling = Pulling::of("reg-tls", |name| Registry::start_with_tls(name, network.address()));
    let host = pulling.registry.host();
    let ran = pulling.sandbox.run(&["images", "pull"]).exits(6).says("error[registry-certificate]");
    ran.says(&format!("/etc/docker/certs.d/{host}/ca.crt"));
    let _trusted = match Trusted::new(&host, pulling.registry.authority()) {
        Ok(trusted) => trusted,
        Err(why) => return println!("NOT TRIED: to trust it, which takes a file in /etc/docker: {why}"),
    };
    pulling.sandbox.run(&["images", "pull"]).exits(0).says("1 images pulled");
    pulling.came_whole(&pulling.image);
}

fn pulled_through() {
    let network = Network::new("e2e-reg-mirror");
    let pulling = Pulling::of("reg-through", |name| Registry::start_at(name, network.address()));
    let Some(mirror) = PullThrough::start("e2e-reg-through-mirror", &network.0, &pulling.registry.host()) else {
        return println!("NOT TRIED: a mirror that pulls through, which no stand-in does");
    };
    let image = pulling.image.replace(&pulling.registry.host(), "cr.flyte.org");
    pulling.asks_for(&image, &format!("registryMirrors: {{cr.flyte.org: \"{}\"}}\n", mirror.host()));
    pulling.sandbox.run(&["images", "pull"]).exits(0).says("1 images pulled");
    assert!(pulling.registry.asked().iter().any(|asked| asked.contains("/blobs/")), "the mirror had nothing");
    pulling.came_whole(&image);
    pulling.registry.is(Mood::Refusing(503, "UNAVAILABLE"));
    pulling.sandbox.run(&["images", "pull"]).exits(0).says("1 images pulled");
    pulling.came_whole(&image);
}
