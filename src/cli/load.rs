//! From files, variables and flags to a spec and a bundle.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::args::{Global, SpecFlags};
use super::environment::Environment;
use crate::failure::{Failure, Reason};
use crate::manifest::{Bundle, Source};
use crate::site::Location;
use crate::spec::{
    self, Domain, EngineKind, Given, Layer, MachineKey, Origin, Problem, Resolved, Secret, SiteKind, UPSTREAM,
};

/// The most text that is read in all, in bytes: upstream's manifests have 140 KB.
const MANIFEST_LIMIT: u64 = 64 << 20;

/// The spec, from all its layers. The machine's key is read, and made, only where a secret is derived from it.
pub(crate) fn spec(
    global: &Global,
    flags: &SpecFlags,
    matches: &ArgMatches,
    environment: &Environment,
) -> Result<Resolved, Failure> {
    let layers = layers(global, flags, matches, environment)?;
    let given = layers.iter().any(|layer| layer.secret_key.is_some());
    let key = if given { MachineKey::default() } else { environment.state.machine_key()? };
    spec::resolve(layers, &key).map_err(refused)
}

/// The sandbox's name, for a command without spec flags.
pub(crate) fn name(global: &Global, matches: &ArgMatches, environment: &Environment) -> Result<String, Failure> {
    spec::name(layers(global, &SpecFlags::default(), matches, environment)?).map_err(refused)
}

/// Where the spec asks for its sandbox; absent where it names no engine. Of a spec that names no existing cluster nothing
/// else is looked at: what is wrong with it is no reason to leave a sandbox.
pub(crate) fn location(
    global: &Global,
    flags: &SpecFlags,
    matches: &ArgMatches,
    environment: &Environment,
) -> Result<Option<Location>, Failure> {
    let engine = spec::engine(layers(global, flags, matches, environment)?).map_err(refused)?;
    Ok(match engine.map(EngineKind::site_kind) {
        None => None,
        Some(SiteKind::Node) => Some(Location::Node),
        Some(SiteKind::Rehearsal) => Some(Location::Rehearsal),
        Some(SiteKind::Attached) => Some(Location::wanted(&spec(global, flags, matches, environment)?.spec)),
    })
}

fn layers(
    global: &Global,
    flags: &SpecFlags,
    matches: &ArgMatches,
    environment: &Environment,
) -> Result<Vec<Layer>, Failure> {
    let mut layers = Vec::new();
    if let Some(name) = &flags.profile {
        let origin = origin(matches, "profile", "--profile", "SANDBOX_PROFILE");
        layers.push(spec::profile(name, &origin).map_err(|problem| refused(vec![problem]))?);
    }
    if let Some((path, text)) = spec_file(global, environment)? {
        layers.push(spec::parse(&text, &path).map_err(|problem| refused(vec![problem]))?);
    }
    layers.push(flag_layer(global, flags, matches).map_err(|problem| refused(vec![problem]))?);
    Ok(layers)
}

/// The bundle that `--manifests` names, or the built-in one.
pub(crate) fn bundle(flags: &SpecFlags) -> Result<Bundle, Failure> {
    let Some(path) = &flags.manifests else {
        return Bundle::embedded()
            .map_err(|error| Failure::new(Reason::Internal, "cannot read the built-in manifests").caused_by(error));
    };
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

/// Text of what may be `left`, which becomes less by it.
fn read_text(from: impl Read, left: &mut u64) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(*left + 1).read_to_string(&mut text)?;
    *left = left
        .checked_sub(text.len() as u64)
        .ok_or_else(|| std::io::Error::other(format!("all that is read may have {} MiB", MANIFEST_LIMIT >> 20)))?;
    Ok(text)
}

/// The file itself, or the YAML and JSON files right within the folder, by name.
fn manifest_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if !file.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json") {
            continue;
        }
        // A pipe among files would be waited for without an end.
        if fs::metadata(&file).is_ok_and(|there| !there.is_file()) {
            return Err(std::io::Error::other(format!("{} in it is not a file", file.display())));
        }
        files.push(file);
    }
    files.sort();
    Ok(files)
}

/// The user's file: the named one, which must be there, or `sandbox.yaml` in the current folder, which may be.
fn spec_file(global: &Global, environment: &Environment) -> Result<Option<(String, String)>, Failure> {
    let (path, named) = match &global.config {
        Some(path) => (path.clone(), true),
        None => (environment.here.join("sandbox.yaml"), false),
    };
    let shown = path.strip_prefix(&environment.here).unwrap_or(&path).display().to_string();
    match fs::File::open(&path).and_then(|file| read_text(file, &mut { MANIFEST_LIMIT })) {
        Ok(text) => Ok(Some((shown, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Ok(None),
        Err(error) => Err(Failure::new(Reason::Usage, "cannot read the spec").on(shown).because(error)),
    }
}

fn flag_layer(global: &Global, flags: &SpecFlags, matches: &ArgMatches) -> Result<Layer, Problem> {
    let text = |id, flag, variable, value: &Option<String>| {
        let origin = origin(matches, id, flag, variable);
        value.clone().map(|value| Given { value, origin })
    };
    let port = |id, flag, variable, value: Option<u32>| {
        let origin = origin(matches, id, flag, variable);
        value.map(|value| Given { value, origin })
    };
    let list = |id, flag, variable, values: &Option<Vec<String>>| {
        let origin = origin(matches, id, flag, variable);
        let given = |value: &String| Given { value: value.trim().to_owned(), origin: origin.clone() };
        values.as_ref().map(|values| values.iter().map(given).collect::<Vec<_>>())
    };
    let domain = |Given { value, origin }: Given<String>| {
        let (id, name) = value.split_once('=').unwrap_or((&value, &value));
        Given { value: Domain { id: id.to_owned(), name: name.to_owned() }, origin }
    };
    let image = |text: &String| {
        let like = "--image flyteadmin=registry.example/flyteadmin:v0.6.13";
        pair(text, &Origin::Flag("--image".to_owned()), like)
    };
    let mirrored = origin(matches, "registry_mirrors", "--registry-mirror", "SANDBOX_REGISTRY_MIRRORS");
    let mirror = |text: &String| pair(text, &mirrored, "--registry-mirror cr.flyte.org=ghcr.io");
    let upstream = flags.upstream_credentials.then(|| {
        let (flag, variable) = ("--upstream-credentials", "SANDBOX_UPSTREAM_CREDENTIALS");
        origin(matches, "upstream_credentials", flag, variable)
    });
    let (access, secret) = UPSTREAM;
    let domains = list("domains", "--domain", "SANDBOX_DOMAINS", &flags.domains);
    Ok(Layer {
        name: text("name", "--name", "SANDBOX_NAME", &global.name),
        appid: text("appid", "--appid", "SANDBOX_APPID", &flags.appid),
        system_project: text("system_project", "--system-project", "SANDBOX_SYSTEM_PROJECT", &flags.system_project),
        env: text("env", "--env", "SANDBOX_ENV", &flags.env),
        projects: list("projects", "--project", "SANDBOX_PROJECTS", &flags.projects),
        domains: domains.map(|domains| domains.into_iter().map(domain).collect()),
        port_console: port("port_console", "--port-console", "SANDBOX_PORT_CONSOLE", flags.port_console),
        port_dashboard: port("port_dashboard", "--port-dashboard", "SANDBOX_PORT_DASHBOARD", flags.port_dashboard),
        port_minio: port("port_minio", "--port-minio", "SANDBOX_PORT_MINIO", flags.port_minio),
        port_api: port("port_api", "--port-api", "SANDBOX_PORT_API", flags.port_api),
        kubernetes: text("kubernetes", "--kubernetes", "SANDBOX_KUBERNETES", &flags.kubernetes),
        engine: text("engine", "--engine", "SANDBOX_ENGINE", &flags.engine),
        context: text("context", "--context", "SANDBOX_CONTEXT", &flags.context),
        kubeconfig: text("kubeconfig", "--kubeconfig", "SANDBOX_KUBECONFIG", &flags.kubeconfig),
        images: flags.images.iter().map(image).collect::<Result<_, _>>()?,
        registry_mirrors: flags.registry_mirrors.iter().map(mirror).collect::<Result<_, _>>()?,
        access_key: upstream.clone().map(|origin| Given { value: access.to_owned(), origin }),
        secret_key: upstream.map(|origin| Given { value: Secret::new(secret), origin }),
        ..Layer::default()
    })
}

/// A key and its value.
fn pair(text: &str, origin: &Origin, like: &str) -> Result<(String, Given<String>), Problem> {
    match text.split_once('=') {
        Some((key, value)) => {
            Ok((key.trim().to_owned(), Given { value: value.trim().to_owned(), origin: origin.clone() }))
        }
        None => Err(Problem {
            origin: origin.clone(),
            message: format!("`{text}` has no `=` in it"),
            hint: Some(format!("write it as {like}")),
        }),
    }
}

/// Which of the two a value was given by.
fn origin(matches: &ArgMatches, id: &str, flag: &str, variable: &str) -> Origin {
    let source = matches.try_contains_id(id).ok().and_then(|_| matches.value_source(id));
    match source {
        Some(ValueSource::EnvVariable) => Origin::Variable(variable.to_owned()),
        _ => Origin::Flag(flag.to_owned()),
    }
}

fn refused(problems: Vec<Problem>) -> Failure {
    let mut failure = Failure::new(Reason::Usage, "cannot use the spec");
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
