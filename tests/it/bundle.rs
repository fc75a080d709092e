//! A bundle of images, out of a Docker daemon in memory and into it.

use std::fs;
use std::path::Path;

use flyte_sandbox::digest;
use flyte_sandbox::docker::{Docker, Image};
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::images::{Unbundled, bundle, unbundle};
use serde_json::json;

use crate::support::docker::{FakeDocker, World, run};

fn hex(content: &[u8]) -> String {
    digest::hex(&digest::sha256(content))
}

/// Two images of one layer each, as `docker save` of Docker 25 and later has them, and their ids by name.
fn saved() -> (Vec<u8>, [(&'static str, String); 2]) {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content).expect("written");
    };
    let mut list = Vec::new();
    let images = [("a/b:1", "one"), ("c:2", "two")].map(|(name, content)| {
        let layer = format!("blobs/sha256/{}", hex(content.as_bytes()));
        let diff_id = format!("sha256:{}", hex(content.as_bytes()));
        let config = json!({ "rootfs": { "type": "layers", "diff_ids": [diff_id] } }).to_string();
        let path = format!("blobs/sha256/{}", hex(config.as_bytes()));
        add(&layer, content.as_bytes());
        add(&path, config.as_bytes());
        list.push(json!({ "Config": path, "RepoTags": [name], "Layers": [layer] }));
        (name, format!("sha256:{}", hex(config.as_bytes())))
    });
    add("manifest.json", json!(list).to_string().as_bytes());
    (archive.into_inner().expect("an archive"), images)
}

/// A daemon that has two images, and those.
async fn daemon() -> (FakeDocker, Docker, Vec<Image>) {
    let (saved, ids) = saved();
    let images = ids.clone().map(|(name, id)| Image {
        reference: name.parse().expect(name),
        id,
        size: 3,
        architecture: String::new(),
        digests: Vec::new(),
    });
    let local = ids.map(|(name, id)| (name.to_owned(), id)).into();
    let fake = FakeDocker::start(World { images: local, saved, ..World::default() }).await;
    let docker = fake.connect().await;
    (fake, docker, images.into())
}

fn left(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn images_come_back_as_the_same_images() {
    let (fake, docker, images) = daemon().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("images.tar.zst");
    let written = bundle(&docker, &images, &file, &run()).await.expect("a bundle");
    assert_eq!((written.images, written.bytes), (2, fs::metadata(&file).expect("a file").len()));
    assert_eq!(left(folder.path()), ["images.tar.zst"]);

    let before = std::mem::take(&mut fake.world().images);
    let done = unbundle(&docker, &file, &run()).await.expect("loaded");
    assert_eq!(done, Unbundled { present: 0, loaded: 2 });
    assert_eq!(fake.world().images, before);
}

#[tokio::test]
async fn what_docker_has_is_not_sent_again() {
    let (fake, docker, images) = daemon().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("images.tar.zst");
    bundle(&docker, &images, &file, &run()).await.expect("a bundle");
    let done = unbundle(&docker, &file, &run()).await.expect("nothing to do");
    assert_eq!((done, fake.world().loads), (Unbundled { present: 2, loaded: 0 }, 0));

    fake.world().images.insert("c:2".to_owned(), "sha256:another".to_owned());
    let done = unbundle(&docker, &file, &run()).await.expect("loaded");
    assert_eq!((done, fake.world().loads), (Unbundled { present: 1, loaded: 1 }, 1));
    assert_eq!(fake.world().images["c:2"], images[1].id, "the name is the bundle's image again");
}

#[tokio::test]
async fn a_bundle_that_is_no_good_is_refused_before_docker_gets_anything() {
    let (fake, docker, images) = daemon().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("images.tar.zst");
    bundle(&docker, &images, &file, &run()).await.expect("a bundle");
    fake.world().images.clear();
    let good = fs::read(&file).expect("a file");
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    let (saved, _) = saved();
    for (what, bytes) in
        [("cut short", &good[..good.len() - 1]), ("changed", &changed), ("foreign", &saved), ("empty", &[])]
    {
        fs::write(&file, bytes).expect("written");
        let failure = Failure::from(unbundle(&docker, &file, &run()).await.expect_err(what));
        assert_eq!((failure.reason, failure.exit_code()), (Reason::BundleInvalid, 6), "{what}");
        assert!(!failure.causes.is_empty(), "{what}");
    }
    let failure =
        Failure::from(unbundle(&docker, &folder.path().join("none"), &run()).await.expect_err("no such file"));
    assert_eq!(failure.reason, Reason::Usage);
    let world = fake.world();
    assert_eq!((world.loads, world.images.len()), (0, 0));
}

#[tokio::test]
async fn a_run_that_is_stopped_leaves_neither_file_nor_image() {
    let (fake, docker, images) = daemon().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("images.tar.zst");
    let stopped = run();
    stopped.cancel.cancel();
    let failure = Failure::from(bundle(&docker, &images, &file, &stopped).await.expect_err("stopped"));
    assert_eq!(failure.reason, Reason::Interrupted);
    assert_eq!(left(folder.path()), Vec::<String>::new());

    bundle(&docker, &images, &file, &run()).await.expect("a bundle");
    fake.world().images.clear();
    let failure = Failure::from(unbundle(&docker, &file, &stopped).await.expect_err("stopped"));
    assert_eq!((failure.reason, fake.world().loads), (Reason::Interrupted, 0));
}

#[tokio::test]
async fn a_bundle_that_cannot_be_written_leaves_the_one_before() {
    let (fake, docker, images) = daemon().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("images.tar.zst");
    fs::write(&file, "the one before").expect("written");
    fake.world().saved.truncate(700);
    let failure = Failure::from(bundle(&docker, &images, &file, &run()).await.expect_err("docker saved half"));
    assert_eq!(failure.reason, Reason::Docker);
    assert_eq!(fs::read_to_string(&file).expect("a file"), "the one before");
    assert_eq!(left(folder.path()), ["images.tar.zst"]);

    let nowhere = folder.path().join("none/images.tar.zst");
    let failure = Failure::from(bundle(&docker, &images, &nowhere, &run()).await.expect_err("no such folder"));
    assert_eq!(failure.reason, Reason::BundleUnwritable);
}

#[tokio::test]
async fn files_of_the_users_own_beside_a_bundle_stay() {
    let (fake, docker, images) = daemon().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("images.tar.zst");
    let theirs = ["images.tar.zst.partial", "images.tar.zst.saved"];
    let precious = folder.path().join("precious");
    for name in theirs {
        fs::write(folder.path().join(name), "theirs").expect("written");
    }
    let all = ["images.tar.zst", theirs[0], theirs[1]];
    bundle(&docker, &images, &file, &run()).await.expect("a bundle");
    assert_eq!(left(folder.path()), all);
    fake.world().saved.truncate(700);
    bundle(&docker, &images, &file, &run()).await.expect_err("docker saved half");
    assert_eq!(left(folder.path()), all);
    for name in theirs {
        assert_eq!(fs::read_to_string(folder.path().join(name)).expect("there"), "theirs");
        fs::remove_file(folder.path().join(name)).expect("removed");
        fs::write(&precious, "theirs").expect("written");
        std::os::unix::fs::symlink(&precious, folder.path().join(name)).expect("linked");
    }
    bundle(&docker, &images, &file, &run()).await.expect_err("docker saved half");
    assert_eq!(fs::read_to_string(&precious).expect("there"), "theirs");
}

#[tokio::test]
async fn what_docker_says_of_an_archive_is_told() {
    let (fake, docker, images) = daemon().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("images.tar.zst");
    bundle(&docker, &images, &file, &run()).await.expect("a bundle");
    fake.world().images.clear();
    fake.world().stuck.insert("load".to_owned());
    let failure = Failure::from(unbundle(&docker, &file, &run()).await.expect_err("refused"));
    assert_eq!(failure.what, "cannot load images into Docker");
    assert!(failure.causes[0].contains("no room"), "{failure}");
}

#[tokio::test]
async fn an_image_that_is_named_by_its_digest_is_refused_by_name() {
    let (_fake, docker, mut images) = daemon().await;
    let pinned = format!("a/b@{}", images[0].id);
    images[0].reference = pinned.parse().expect("a name");
    let folder = tempfile::tempdir().expect("a folder");
    let failure = Failure::from(bundle(&docker, &images, &folder.path().join("f"), &run()).await.expect_err("pinned"));
    assert_eq!((failure.reason, failure.object), (Reason::Usage, Some(format!("image {pinned}"))));
    assert_eq!(left(folder.path()), Vec::<String>::new());
}
