//! Images and stores against a Docker daemon in memory.

use std::time::Duration;

use flyte_sandbox::docker::Image;
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::images::{Presence, RequiredImage, Trial, claim, obtain, prune, resolve, try_foreign};
use flyte_sandbox::manifest::ImageRef;
use flyte_sandbox::report::{Event, Reporter};
use flyte_sandbox::run::Run;
use flyte_sandbox::spec::{MachineKey, Mirrors, parse, resolve as resolve_spec};
use serde_json::json;

use crate::support::docker::{FakeDocker, World, run, volume};

const HOUR: Duration = Duration::from_secs(3600);

fn images(names: &[&str]) -> Vec<ImageRef> {
    names.iter().map(|name| name.parse().expect(name)).collect()
}

fn required(names: &[&str]) -> Vec<RequiredImage> {
    images(names).into_iter().map(RequiredImage::from).collect()
}

fn store(key: &str, slot: usize, created: &str) -> serde_json::Value {
    volume(&format!("sandbox-store-{key}-{slot}"), json!({ "sandbox.flyte/store": key }), created)
}

fn mounting(volume: &str) -> serde_json::Value {
    json!({ "Names": ["/node"], "Labels": {}, "State": "exited", "Mounts": [{ "Type": "volume", "Name": volume }] })
}

#[tokio::test]
async fn only_what_docker_has_not_is_pulled_and_the_order_stays() {
    let fake = FakeDocker::start(World {
        images: [("a:1".to_owned(), "sha256:a".to_owned())].into(),
        registry: [("docker.io/x/b:2".to_owned(), "sha256:b".to_owned())].into(),
        ..World::default()
    })
    .await;
    let docker = fake.connect().await;
    let wanted = images(&["x/b:2", "a:1"]);
    assert!(
        matches!(&resolve(&docker, &wanted).await.expect("resolve")[0], Presence::Absent(image) if image == &wanted[0])
    );
    let got = obtain(&docker, &required(&["x/b:2", "a:1"]), &Mirrors::default(), &run()).await.expect("both");
    assert_eq!(got.iter().map(|image| image.id.as_str()).collect::<Vec<_>>(), ["sha256:b", "sha256:a"]);
}

#[tokio::test]
async fn all_images_that_are_not_to_be_had_are_named_in_one_failure() {
    let fake = FakeDocker::start(World::default()).await;
    let failure = Failure::from(
        obtain(&fake.connect().await, &required(&["a:1", "x/b:2"]), &Mirrors::default(), &run())
            .await
            .expect_err("neither"),
    );
    assert_eq!((failure.reason, failure.object.as_deref()), (Reason::ImageUnknown, Some("a:1, x/b:2")));
    assert_eq!(failure.evidence.len(), 2);
}

/// `cr.flyte.org` is asked for at `ghcr.io`.
fn mirrors() -> Mirrors {
    let layer = parse("registryMirrors: {cr.flyte.org: ghcr.io}", "sandbox.yaml").expect("YAML");
    resolve_spec([layer], &MachineKey::default()).expect("a spec").spec.registry_mirrors
}

#[tokio::test]
async fn an_image_of_a_mirrored_registry_comes_from_the_mirror_under_its_own_name() {
    let registry = [("ghcr.io/flyteorg/a:1", "sha256:a"), ("cr.flyte.org/flyteorg/a:1", "sha256:other")];
    let registry = registry.map(|(name, id)| (name.to_owned(), id.to_owned())).into();
    let fake = FakeDocker::start(World { registry, ..World::default() }).await;
    let wanted = required(&["cr.flyte.org/flyteorg/a:1"]);
    let got = obtain(&fake.connect().await, &wanted, &mirrors(), &run()).await.expect("it is there");
    assert_eq!((got[0].id.as_str(), &got[0].reference), ("sha256:a", &wanted[0].image));
}

#[tokio::test]
async fn a_mirror_that_fails_is_named_and_the_registry_itself_is_not_asked() {
    let untrusted = "Get \"https://ghcr.io/v2/\": x509: certificate signed by unknown authority";
    for (refused, reason) in [(None, Reason::ImageUnknown), (Some(untrusted), Reason::RegistryCertificate)] {
        let fake = FakeDocker::start(World {
            registry: [("cr.flyte.org/flyteorg/a:1".to_owned(), "sha256:a".to_owned())].into(),
            refused: refused.map(|words| ("pull", words.to_owned())).into_iter().collect(),
            ..World::default()
        })
        .await;
        let wanted = required(&["cr.flyte.org/flyteorg/a:1"]);
        let failure =
            Failure::from(obtain(&fake.connect().await, &wanted, &mirrors(), &run()).await.expect_err("no mirror"));
        assert_eq!((failure.reason, failure.object.as_deref()), (reason, Some("cr.flyte.org/flyteorg/a:1")));
        assert!(failure.causes[0].starts_with("ghcr.io/flyteorg/a:1: "), "{failure}");
        for hint in [
            reason.entry().remedy.replace("REGISTRY", "ghcr.io").as_str(),
            "with a network: `docker pull ghcr.io/flyteorg/a:1` shows the problem",
        ] {
            assert!(failure.hints.iter().any(|told| told == hint), "{failure:?}");
        }
    }
}

/// `a:1` of cr.flyte.org, which ghcr.io has as well.
fn with_successor() -> [RequiredImage; 1] {
    let successors = images(&["ghcr.io/flyteorg/a:1"]);
    [RequiredImage { successors, ..images(&["cr.flyte.org/flyteorg/a:1"]).remove(0).into() }]
}

#[tokio::test]
async fn a_registry_that_fails_is_followed_by_the_images_successor_which_is_named() {
    let registry = [("ghcr.io/flyteorg/a:1".to_owned(), "sha256:a".to_owned())].into();
    let fake = FakeDocker::start(World { registry, ..World::default() }).await;
    let (report, mut events) = Reporter::channel();
    let told = Run { report, ..run() };
    let wanted = with_successor();
    let got = obtain(&fake.connect().await, &wanted, &Mirrors::default(), &told).await.expect("the successor");
    assert_eq!((got[0].id.as_str(), &got[0].reference), ("sha256:a", &wanted[0].image));
    let warnings = std::iter::from_fn(|| events.try_recv().ok()).filter_map(|event| match event {
        Event::Warning { message } => Some(message),
        _ => None,
    });
    let warning = warnings.collect::<Vec<_>>().join("\n");
    assert!(
        warning.starts_with("cr.flyte.org/flyteorg/a:1 could not be had (")
            && warning.ends_with("from ghcr.io/flyteorg/a:1"),
        "{warning}"
    );
}

#[tokio::test]
async fn a_tag_that_has_moved_is_told_where_its_digest_is_known() {
    for (digest, told) in [("sha256:new", true), ("sha256:known", false)] {
        let fake = FakeDocker::start(World {
            registry: [("docker.io/library/a:1".to_owned(), "sha256:id".to_owned())].into(),
            digests: [("a:1".to_owned(), digest.to_owned())].into(),
            ..World::default()
        })
        .await;
        let (report, mut events) = Reporter::channel();
        let wanted = RequiredImage { digest: Some("sha256:known".to_owned()), ..images(&["a:1"]).remove(0).into() };
        let run = Run { report, ..run() };
        obtain(&fake.connect().await, &[wanted], &Mirrors::default(), &run).await.expect("an image");
        let warned = std::iter::from_fn(|| events.try_recv().ok()).any(|event| match event {
            Event::Warning { message } => {
                assert_eq!(message, "the tag of a:1 has moved: it was sha256:known, and is sha256:new");
                true
            }
            _ => false,
        });
        assert_eq!(warned, told, "{digest}");
    }
}

#[tokio::test]
async fn a_program_for_another_processor_is_run_once_before_all_wait_for_it() {
    let colima = [("Name", json!("colima")), ("Architecture", json!("x86_64"))];
    for (architecture, words, told) in [
        ("amd64", "exec format error", None),
        ("arm64", "", None),
        ("arm64", "exec flyteadmin: exec format error", Some(Reason::ImagePlatform)),
        ("arm64", "runtime: lfstack.push invalid packing", Some(Reason::ImagePlatform)),
        ("arm64", "write /run/x: no space left on device", Some(Reason::DiskFull)),
    ] {
        let fake = FakeDocker::start(World {
            images: [("a:1".to_owned(), "sha256:a".to_owned())].into(),
            info: colima.clone().into(),
            refused: (!words.is_empty()).then(|| ("start", words.to_owned())).into_iter().collect(),
            ..World::default()
        })
        .await;
        let image = Image {
            reference: "a:1".parse().expect("an image"),
            id: "sha256:a".to_owned(),
            size: 1,
            architecture: architecture.to_owned(),
            digests: Vec::new(),
        };
        let trial = Trial { container: "trial", labels: &[("l", "v")], image: &image, command: &["a", "--help"] };
        let failure = try_foreign(&fake.connect().await, trial, &run()).await.err();
        assert_eq!(failure.as_ref().map(|failure| failure.reason), told, "{words}: {failure:?}");
        let made = fake.world().created.contains_key("trial");
        assert_eq!(made, architecture == "arm64", "{architecture}");
        assert!(fake.world().containers.is_empty(), "nothing is left");
        let hints = failure.map(|failure| failure.hints.join("; ")).unwrap_or_default();
        assert_eq!(hints.contains("--vz-rosetta"), told.is_some(), "{hints}");
    }
}

#[tokio::test]
async fn where_successors_fail_too_the_images_own_registry_is_told_and_a_full_disk_ends_it() {
    for (refused, reason, asked) in [
        (None, Reason::ImageUnknown, 2),
        (Some("write /var/lib/docker/tmp/x: no space left on device"), Reason::DiskFull, 1),
    ] {
        let fake = FakeDocker::start(World {
            refused: refused.map(|words| ("pull", words.to_owned())).into_iter().collect(),
            ..World::default()
        })
        .await;
        let pulled = obtain(&fake.connect().await, &with_successor(), &Mirrors::default(), &run()).await;
        let failure = Failure::from(pulled.expect_err("nobody has it"));
        assert_eq!((failure.reason, failure.object.as_deref()), (reason, Some("cr.flyte.org/flyteorg/a:1")));
        let pulled = fake.world().pulled.clone();
        assert_eq!(pulled.len(), asked, "{pulled:?}");
    }
}

#[tokio::test]
async fn an_image_that_is_not_made_for_the_daemons_processor_is_asked_for_as_it_is_made() {
    let registry = ["a:1", "b:1"].map(|name| (format!("docker.io/library/{name}"), "sha256:a".to_owned())).into();
    let info = [("Architecture", json!("aarch64"))].into();
    let fake = FakeDocker::start(World { registry, info, ..World::default() }).await;
    let mut wanted = required(&["a:1", "b:1"]);
    wanted[0].architectures = vec!["amd64".to_owned()];
    wanted[1].architectures = vec!["amd64".to_owned(), "arm64".to_owned()];
    obtain(&fake.connect().await, &wanted, &Mirrors::default(), &run()).await.expect("both");
    let mut pulls = fake.world().pulled.clone();
    pulls.sort();
    assert_eq!(pulls, ["docker.io/library/a:1 linux/amd64", "docker.io/library/b:1"]);
}

#[tokio::test]
async fn a_store_that_a_stopped_container_mounts_is_not_given_away() {
    let fake = FakeDocker::start(World { containers: vec![mounting("sandbox-store-k-0")], ..World::default() }).await;
    let docker = fake.connect().await;
    let state = tempfile::tempdir().expect("tempdir");
    let first = claim(&docker, "k", state.path(), "flyte", HOUR).await.expect("claim").expect("a store");
    let second = claim(&docker, "k", state.path(), "flyte", HOUR).await.expect("claim").expect("a store");
    assert_eq!((first.volume.as_str(), second.volume.as_str()), ("sandbox-store-k-1", "sandbox-store-k-2"));
    drop(first);
    let third = claim(&docker, "k", state.path(), "flyte", HOUR).await.expect("claim").expect("a store");
    assert_eq!(third.volume, "sandbox-store-k-1");
}

#[tokio::test]
async fn two_state_folders_on_one_daemon_do_not_get_the_same_store() {
    let fake = FakeDocker::start(World::default()).await;
    let docker = fake.connect().await;
    let states = [(); 6].map(|()| tempfile::tempdir().expect("tempdir"));
    let names = ["a", "b", "c", "d", "e", "f"];
    let claims = states.iter().zip(names).map(|(state, name)| claim(&docker, "k", state.path(), name, HOUR));
    let claims = futures::future::try_join_all(claims).await.expect("claims");
    let mut stores: Vec<_> = claims.iter().flatten().map(|claim| claim.volume.as_str()).collect();
    assert!(!stores.is_empty());
    stores.sort_unstable();
    let all = stores.len();
    stores.dedup();
    assert_eq!(stores.len(), all, "{stores:?}");
    let fresh = tempfile::tempdir().expect("tempdir");
    let taken: Vec<_> = claims.iter().flatten().map(|claim| claim.volume.clone()).collect();
    let another = claim(&docker, "k", fresh.path(), "g", HOUR).await.expect("claim").expect("a store");
    assert!(!taken.contains(&another.volume), "{} is one of {taken:?}", another.volume);
    assert_eq!(prune(&docker, fresh.path()).await.expect("prune"), Vec::<String>::new(), "none is anybody's to remove");
    for claim in claims.into_iter().flatten().chain([another]) {
        claim.release(&docker).await;
    }
    let names: Vec<_> = fake.world().volumes.iter().map(|volume| volume["Name"].to_string()).collect();
    assert!(names.iter().all(|name| name.starts_with("\"sandbox-store-k-")), "{names:?}");
    let again = claim(&docker, "k", fresh.path(), "h", HOUR).await.expect("claim").expect("a store");
    assert_eq!(again.volume, "sandbox-store-k-0");
}

#[tokio::test]
async fn a_claim_that_a_killed_run_left_is_in_the_way_of_others_for_its_time_and_not_of_the_sandbox_itself() {
    let fake = FakeDocker::start(World::default()).await;
    let docker = fake.connect().await;
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().expect("tempdir"));
    drop(claim(&docker, "k", first.path(), "flyte", HOUR).await.expect("claim").expect("a store"));
    let others = claim(&docker, "k", second.path(), "other", HOUR).await.expect("claim").expect("a store");
    assert_eq!(others.volume, "sandbox-store-k-1");
    let again = claim(&docker, "k", first.path(), "flyte", HOUR).await.expect("claim").expect("a store");
    assert_eq!(again.volume, "sandbox-store-k-0");
    assert_eq!(fake.world().volumes.len(), 4, "two stores, a claim of each");
}

#[tokio::test]
async fn claiming_clears_away_keys_long_out_of_use() {
    let volumes = vec![store("old", 0, "2024-01-01T00:00:00Z"), store("older", 0, "2023-01-01T00:00:00Z")];
    let fake = FakeDocker::start(World { volumes, ..World::default() }).await;
    let state = tempfile::tempdir().expect("tempdir");
    let docker = fake.connect().await;
    let claimed = claim(&docker, "now", state.path(), "flyte", HOUR).await.expect("claim").expect("a store");
    claimed.release(&docker).await;
    let world = fake.world();
    let names: Vec<&str> = world.volumes.iter().filter_map(|volume| volume["Name"].as_str()).collect();
    assert_eq!(names, ["sandbox-store-old-0", "sandbox-store-now-0"]);
}

#[tokio::test]
async fn pruning_keeps_what_is_mounted_or_claimed() {
    let fake = FakeDocker::start(World {
        containers: vec![mounting("sandbox-store-a-0")],
        volumes: vec![store("a", 0, "2024-01-01T00:00:00Z"), store("a", 1, "2024-01-01T00:00:00Z")],
        ..World::default()
    })
    .await;
    let docker = fake.connect().await;
    let state = tempfile::tempdir().expect("tempdir");
    let claimed = claim(&docker, "b", state.path(), "flyte", HOUR).await.expect("claim").expect("a store");
    assert_eq!(prune(&docker, state.path()).await.expect("prune"), ["sandbox-store-a-1"]);
    assert_eq!(claimed.volume, "sandbox-store-b-0");
}
