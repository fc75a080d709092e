//! Images as one file, out of a real Docker Engine and back into it.

use std::fs;

use flyte_sandbox::spec::COMPONENTS;

use super::Scenario;
use crate::support::docker::{docker, try_docker};
use crate::support::ground::{Ground, Major, Wish};
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] = &[("a_bundle_brings_back_the_images_that_docker_lost", there_and_back)];

/// Two images of this test alone, gone with it.
struct Images([String; 2]);

impl Images {
    /// Made of one file each, without a pull.
    fn make(sandbox: &Sandbox) -> Self {
        let of = |name: &str| format!("sandbox-e2e-{}/{name}:e2e", std::process::id());
        let images = Self([of("node"), of("component")]);
        for image in &images.0 {
            let layer = sandbox.path("layer.tar");
            let mut archive = tar::Builder::new(fs::File::create(&layer).expect("a file"));
            let mut header = tar::Header::new_gnu();
            header.set_size(image.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, "name", image.as_bytes()).expect("an entry");
            archive.finish().expect("an archive");
            docker(&["import", &layer.to_string_lossy(), image]);
        }
        images
    }

    fn ids(&self) -> [Option<String>; 2] {
        self.0.each_ref().map(|image| try_docker(&["image", "inspect", "--format", "{{.Id}}", image]).ok())
    }

    fn remove(&self) {
        for image in &self.0 {
            let _ = try_docker(&["image", "rm", image]);
        }
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        self.remove();
    }
}

fn there_and_back() {
    let sandbox = Sandbox::new("bundle", &Ground::find(Wish::StandIn, Major::Five));
    let images = Images::make(&sandbox);
    let [node, component] = &images.0;
    // What this Kubernetes itself starts from is not in the lock, and so nothing but the two images is asked for.
    let mut spec = "kubernetes: v1.22.17+k3s1\nimages:\n".to_owned();
    spec.extend(COMPONENTS.iter().map(|id| format!("  {id}: {}\n", if *id == "k3s" { node } else { component })));
    fs::write(sandbox.path("sandbox.yaml"), spec).expect("a spec");

    let before = images.ids();
    assert!(before.iter().all(Option::is_some), "{before:?}");
    sandbox.run(&["images", "pull"]).exits(0).says("all 2 images were here");
    sandbox.run(&["images", "bundle", "images.tar.zst"]).exits(0).says("2 images in images.tar.zst");
    sandbox.run(&["images", "load", "images.tar.zst"]).exits(0).says("2 images, all in Docker");

    images.remove();
    let bundle = fs::read(sandbox.path("images.tar.zst")).expect("a bundle");
    fs::write(sandbox.path("half"), &bundle[..bundle.len() / 2]).expect("written");
    sandbox.run(&["images", "load", "half"]).exits(6).says("bundle-invalid");
    assert_eq!(images.ids(), [None, None], "nothing of a bundle that is no good is loaded");

    sandbox.run(&["images", "load", "images.tar.zst"]).exits(0).says("2 images into Docker");
    assert_eq!(images.ids(), before);
}
