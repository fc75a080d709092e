//! A sandbox.yaml, and after a line of `---` variables, is a spec that Kubernetes takes, or is refused with reasons.

use flyte_sandbox::spec::{Layer, MachineKey, Origin, Sourced, Spec, parse, profile, resolve};

fn variables(text: &str) -> Layer {
    let mut layer = Layer::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let origin = Origin::Variable(name.to_owned());
        let given = || Some(Sourced { value: value.to_owned(), origin: origin.clone() });
        match name {
            "NAME" => layer.name = given(),
            "APPID" => layer.appid = given(),
            "ENV" => layer.env = given(),
            "KUBERNETES" => layer.kubernetes = given(),
            "PROJECTS" => layer.projects = Some(value.split(',').filter_map(|_| given()).collect()),
            "PORT" => layer.port_minio = value.parse().ok().map(|value| Sourced { value, origin }),
            "IMAGE" => layer.images.extend(given().map(|image| ("minio".to_owned(), image))),
            _ => {}
        }
    }
    layer
}

pub(super) fn holds(text: &str) {
    let (file, rest) = text.split_once("\n---\n").unwrap_or((text, ""));
    let Ok(layer) = parse(file, "sandbox.yaml") else { return };
    let profile = profile(rest, &Origin::Default).unwrap_or_default();
    match resolve([profile, layer, variables(rest)], &MachineKey::default()) {
        Ok(resolved) => {
            let spec = resolved.spec;
            let namespaces = spec.workflow_namespaces();
            for name in namespaces.iter().map(|one| one.name.clone()).chain([spec.system_namespace()]) {
                assert!(name.len() <= 63 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
            }
            let json = serde_json::to_string(&spec).expect("JSON");
            assert!(!json.contains("\"secretKey\":"), "{json}");
            let mut back: Spec = serde_json::from_str(&json).expect("own output");
            back.storage.secret_key = spec.storage.secret_key.clone();
            assert_eq!(back, spec);
        }
        Err(problems) => assert!(!problems.is_empty()),
    }
}
