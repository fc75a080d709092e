//! From files, variables and flags to a spec and a bundle.

use std::fs;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::args::Global;
use super::spec_file::{MANIFEST_LIMIT, SpecFile, read_text};
use super::spec_flags::SpecFlags;
use crate::failure::{Failure, Reason};
use crate::manifest::{Bundle, Source};
use crate::release::Release;
use crate::spec::{
    self, Domain, EngineKind, Layer, MachineKey, Origin, Problem, Resolved, Secret, SiteKind, Sourced, UPSTREAM,
};

/// Folders within folders that are looked into.
const FOLDERS: usize = 16;

/// What says that a folder's files are no manifests yet, and what makes manifests of them.
const UNRENDERED: [(&str, &str); 3] = [
    ("Chart.yaml", "helm template"),
    ("kustomization.yaml", "kubectl kustomize"),
    ("kustomization.yml", "kubectl kustomize"),
];

/// All that says something about the spec.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) global: &'a Global,
    pub(super) flags: &'a SpecFlags,
    /// Those that `global` and `flags` were made of.
    pub(super) matches: &'a ArgMatches,
    pub(super) file: Option<&'a SpecFile>,
    /// The release nearest to what `--manifests` brings.
    pub(super) nearest: Option<Release>,
}

/// Whether a secret has to be derived from the machine's key.
pub(super) fn needs_machine_key(inputs: &Inputs<'_>) -> Result<bool, Failure> {
    Ok(layers(inputs)?.iter().all(|layer| layer.secret_key.is_none()))
}

/// The spec, from all its layers.
pub(super) fn spec(inputs: &Inputs<'_>, key: &MachineKey) -> Result<Resolved, Failure> {
    spec::resolve(layers(inputs)?, key).map_err(refused)
}

/// The sandbox's name, for a command without spec flags.
pub(super) fn name(inputs: &Inputs<'_>) -> Result<String, Failure> {
    spec::name(layers(inputs)?).map_err(refused)
}

/// The kind of cluster that the spec asks for; absent where it names no engine.
pub(super) fn site_kind(inputs: &Inputs<'_>) -> Result<Option<SiteKind>, Failure> {
    let engine = spec::engine(layers(inputs)?).map_err(refused)?;
    Ok(engine.map(EngineKind::site_kind))
}

fn layers(inputs: &Inputs<'_>) -> Result<Vec<Layer>, Failure> {
    let refused = |problem| refused(vec![problem]);
    let mut layers = Vec::new();
    if let Some(release) = inputs.nearest {
        let flyte = Sourced { value: release.name().to_owned(), origin: Origin::Manifests };
        layers.push(Layer { flyte: Some(flyte), ..Layer::default() });
    }
    if let Some(name) = &inputs.flags.profile {
        layers.push(spec::profile(name, &Origins::of(inputs.matches).of_arg("profile")).map_err(refused)?);
    }
    if let Some(file) = inputs.file {
        layers.push(file.layer().map_err(refused)?);
    }
    layers.push(flag_layer(inputs).map_err(refused)?);
    Ok(layers)
}

/// Reads the bundle of a file, a folder, or `-`. Blocks for as long as they do.
pub(super) fn bundle(path: &Path) -> Result<Bundle, Failure> {
    let unreadable = |path: &Path, error: std::io::Error| {
        Failure::new(Reason::Usage, "cannot read the manifests").on(path.display()).because(error)
    };
    let mut left = MANIFEST_LIMIT;
    let mut sources = Vec::new();
    if path.as_os_str() == "-" {
        sources.push(Source {
            name: "standard input".to_owned(),
            text: read_text(std::io::stdin().lock(), &mut left).map_err(|error| unreadable(path, error))?,
        });
    } else {
        for file in manifest_files(path).map_err(|error| unreadable(path, error))? {
            let text = fs::File::open(&file).and_then(|open| read_text(open, &mut left));
            let text = text.map_err(|error| unreadable(&file, error))?;
            sources.push(Source { name: file.display().to_string(), text });
        }
    }
    Bundle::parse(path.display().to_string(), sources)
        .map_err(|error| Failure::new(Reason::Manifests, "cannot use the manifests").caused_by(error))
}

/// The file itself, or the YAML and JSON files within the folder and its folders, by path.
fn manifest_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    within(path, 0, &mut files)?;
    files.sort();
    Ok(files)
}

fn within(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for (file, renders) in UNRENDERED {
        if folder.join(file).is_file() {
            let message = format!("{} has a {file}: `{renders}` makes manifests of it", folder.display());
            return Err(std::io::Error::other(message));
        }
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // A link to a folder may lead to one above it.
        if entry.file_type()?.is_dir() && !is_hidden && depth < FOLDERS {
            within(&file, depth + 1, files)?;
            continue;
        }
        if !file.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json") {
            continue;
        }
        // A pipe among files would be waited for without an end.
        if fs::metadata(&file).is_ok_and(|there| !there.is_file()) {
            return Err(std::io::Error::other(format!("{} in it is not a file", file.display())));
        }
        files.push(file);
    }
    Ok(())
}

/// Where each value of the command line comes from: its flag or its variable, as clap knows them.
struct Origins<'a> {
    matches: &'a ArgMatches,
    args: clap::Command,
}

impl<'a> Origins<'a> {
    fn of(matches: &'a ArgMatches) -> Self {
        Self { matches, args: SpecFlags::augment_args(Global::augment_args(clap::Command::new("sandbox"))) }
    }

    fn of_arg(&self, id: &str) -> Origin {
        let arg = self.args.get_arguments().find(|arg| arg.get_id() == id);
        let source = self.matches.try_contains_id(id).ok().and_then(|_| self.matches.value_source(id));
        match (source, arg.and_then(clap::Arg::get_env)) {
            (Some(ValueSource::EnvVariable), Some(name)) => Origin::Variable(name.to_string_lossy().into_owned()),
            _ => Origin::Flag(format!("--{}", arg.and_then(clap::Arg::get_long).unwrap_or(id))),
        }
    }

    fn given<T>(&self, id: &str, value: T) -> Sourced<T> {
        Sourced { value, origin: self.of_arg(id) }
    }
}

/// The layer of the command line. A value that its flag gives as it is stands in the first list alone; clap's id of a flag
/// is the name of its field.
fn flag_layer(inputs: &Inputs<'_>) -> Result<Layer, Problem> {
    let Inputs { global, flags, matches, .. } = inputs;
    let origins = Origins::of(matches);
    macro_rules! layer {
        ({ $($plain:ident),* } $($field:ident: $value:expr),*) => {
            Layer {
                $($plain: flags.$plain.clone().map(|value| origins.given(stringify!($plain), value)),)*
                $($field: $value,)*
                ..Layer::default()
            }
        };
    }
    let list = |id, values: &Option<Vec<String>>| {
        let values = values.as_ref()?.iter();
        Some(values.map(|value| origins.given(id, value.trim().to_owned())).collect::<Vec<_>>())
    };
    let pairs = |id, values: &[String], like: &str| {
        values.iter().map(|text| pair(text, origins.of_arg(id), like)).collect::<Result<_, _>>()
    };
    let domain = |Sourced { value, origin }: Sourced<String>| {
        let (id, name) = value.split_once('=').unwrap_or((&value, &value));
        Sourced { value: Domain { id: id.to_owned(), name: name.to_owned() }, origin }
    };
    let upstream =
        |key: &str| flags.upstream_credentials.then(|| origins.given("upstream_credentials", key.to_owned()));
    let (access, secret) = UPSTREAM;
    Ok(layer! {
        {
            appid, system_project, env, port_console, port_dashboard, port_minio, port_api, port_postgres, port_registry,
            flyte, kubernetes, engine, context, kubeconfig
        }
        name: global.name.clone().map(|name| origins.given("name", name)),
        projects: list("projects", &flags.projects),
        domains: list("domains", &flags.domains).map(|domains| domains.into_iter().map(domain).collect()),
        images: pairs("images", &flags.images, "--image flyteadmin=registry.example/flyteadmin:v0.6.13")?,
        registry_mirrors: pairs(
            "registry_mirrors", &flags.registry_mirrors, "--registry-mirror cr.flyte.org=ghcr.io"
        )?,
        keep_external: list("keep_external", &Some(flags.keep_external.clone())).unwrap_or_default(),
        registry: flags.registry.then(|| origins.given("registry", true)),
        scheduler: flags.scheduler.then(|| origins.given("scheduler", true)),
        access_key: upstream(access),
        secret_key: upstream(secret).map(|Sourced { value, origin }| Sourced { value: Secret::new(value), origin })
    })
}

/// A key and its value.
fn pair(text: &str, origin: Origin, like: &str) -> Result<(String, Sourced<String>), Problem> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), Sourced { value: value.trim().to_owned(), origin })),
        None => Err(Problem {
            origin,
            message: format!("`{text}` has no `=` in it"),
            hint: Some(format!("write it as {like}")),
        }),
    }
}

fn refused(problems: Vec<Problem>) -> Failure {
    let mut failure = Failure::new(Reason::Usage, "invalid configuration");
    let [first, others @ ..] = &problems[..] else { return failure };
    for other in others {
        failure = failure.evidence([match &other.hint {
            Some(hint) => format!("{other} ({hint})"),
            None => other.to_string(),
        }]);
    }
    failure.hints.extend(first.hint.clone());
    failure.because(first)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::cli::command_line::{Cli, Command};

    /// What `up` with these arguments says about the spec.
    fn layer(args: &[&str]) -> Layer {
        let matches = Cli::command().get_matches_from([&["sandbox", "up"], args].concat());
        let Cli { command, global } = Cli::from_arg_matches(&matches).expect("arguments");
        let Command::Up(up) = command else { panic!("not `up`") };
        let matches = matches.subcommand_matches("up").expect("up");
        flag_layer(&Inputs { global: &global, flags: &up.spec, matches, file: None, nearest: None }).expect("valid")
    }

    #[test]
    fn every_flag_is_a_value_of_the_spec_with_its_own_name() {
        let one_each = [
            ("name", "n"),
            ("appid", "1"),
            ("system-project", "s"),
            ("env", "e"),
            ("project", "x"),
            ("domain", "d=D"),
            ("port-console", "1"),
            ("port-dashboard", "2"),
            ("port-minio", "3"),
            ("port-api", "4"),
            ("port-postgres", "5"),
            ("port-registry", "6"),
            ("flyte", "0.15"),
            ("kubernetes", "v1"),
            ("engine", "docker"),
            ("context", "c"),
            ("kubeconfig", "k"),
            ("image", "i=r"),
            ("registry-mirror", "a=b"),
            ("keep-external", "h"),
        ];
        let args: Vec<_> = one_each.iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
        let args: Vec<_> =
            args.iter().map(String::as_str).chain(["--upstream-credentials", "--registry", "--scheduler"]).collect();
        let said = format!("{:?}", layer(&args));
        for flag in one_each.iter().map(|(flag, _)| *flag).chain(["upstream-credentials", "registry", "scheduler"]) {
            assert!(said.contains(&format!("Flag(\"--{flag}\")")), "--{flag}: {said}");
        }
        let known = SpecFlags::augment_args(clap::Command::new("sandbox"));
        let flags = known.get_arguments().filter_map(clap::Arg::get_long).collect::<Vec<_>>();
        for flag in flags.iter().filter(|flag| !["profile", "manifests"].contains(flag)) {
            assert!(args.iter().any(|arg| arg.starts_with(&format!("--{flag}"))), "--{flag} is not in this table");
        }
        assert_eq!(format!("{:?}", layer(&[])), format!("{:?}", Layer::default()));
    }
}
