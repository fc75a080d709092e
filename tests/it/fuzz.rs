//! The properties that are fuzzed, for what fuzzing starts from.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/properties/k3d.rs"]
mod k3d;
#[path = "../../fuzz/properties/kubeconfig.rs"]
mod kubeconfig;
#[path = "../../fuzz/properties/mask.rs"]
mod mask;
#[path = "../../fuzz/properties/pull.rs"]
mod pull;
#[path = "../../fuzz/properties/render.rs"]
mod render;
#[path = "../../fuzz/properties/spec.rs"]
mod spec;
#[path = "../../fuzz/properties/yaml.rs"]
mod yaml;

type Property = fn(&str);

const PROPERTIES: [(&str, Property); 7] = [
    ("k3d", k3d::holds),
    ("kubeconfig", kubeconfig::holds),
    ("mask", mask::holds),
    ("pull", pull::holds),
    ("render", render::holds),
    ("spec", spec::holds),
    ("yaml", yaml::holds),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    read.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn every_property_holds_for_its_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, holds) in PROPERTIES {
        let inputs = files(&fuzz.join("corpus").join(name));
        assert!(!inputs.is_empty(), "{name}");
        for input in inputs {
            // The fuzzer gives text alone too.
            let Ok(text) = fs::read_to_string(&input) else { continue };
            holds(&text);
        }
    }
}

#[test]
fn every_target_is_a_property_that_the_tests_hold_too() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for folder in ["fuzz_targets", "properties"] {
        let mut names: Vec<String> = files(&fuzz.join(folder))
            .iter()
            .map(|path| path.file_stem().expect("a name").display().to_string())
            .collect();
        names.sort();
        assert_eq!(names, PROPERTIES.map(|(name, _)| name), "fuzz/{folder}");
    }
}
