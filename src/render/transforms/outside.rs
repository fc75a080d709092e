//! `outside`: nothing that runs in a sandbox speaks to a database, a store, an issuer or another service of somebody's
//! own. What settings name elsewhere is replaced by the sandbox's own, unless the spec keeps it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::component::{Component, component_of, is_workload};
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use super::left_behind::selects;
use crate::manifest::{ImageRef, Object};

const KEEP: &str = "--keep-external";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let own = Own::new(context, draft);
    databases(context, draft, &own)?;
    stores(context, draft, &own)?;
    endpoints(draft, &own)?;
    clouds(draft)?;
    resource_manager(draft, &own)?;
    authentication(draft)?;
    strangers(context, draft, &own)
}

/// The Services of the sandbox, by which hosts are told from those of others.
struct Own {
    system: String,
    services: BTreeSet<String>,
}

impl Own {
    fn new(context: &Context<'_>, draft: &Draft) -> Self {
        let has_pods = |selector: &Value| {
            draft.objects.iter().filter(|object| is_workload(object)).any(|workload| selects(selector, workload))
        };
        let real = |object: &&Object| {
            object.kind() == "Service"
                && object.namespace() == Some(context.system.as_str())
                && object.get("/spec/type").is_none_or(|kind| kind != "ExternalName")
                && object.get("/spec/selector").is_some_and(has_pods)
        };
        let mut services: BTreeSet<String> =
            draft.objects.iter().filter(real).map(|object| object.name().to_owned()).collect();
        // These are made to lead to their component whatever they were.
        services.extend(Component::ALL.map(|component| component.id().to_owned()));
        Self { system: context.system.clone(), services }
    }

    /// Whether a host is a Service of the sandbox.
    fn is(&self, host: &str) -> bool {
        let mut parts = host.split('.');
        let service = parts.next().unwrap_or_default();
        let namespace = parts.next();
        let rest: Vec<&str> = parts.collect();
        self.services.contains(service)
            && namespace.is_none_or(|namespace| namespace == self.system)
            && rest.first().is_none_or(|next| *next == "svc")
    }

    fn address(&self, component: Component, port: u16) -> String {
        format!("{component}.{}.svc.cluster.local:{port}", self.system)
    }
}

/// The host of a URL or of `host:port`.
fn host(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest).trim_start_matches('/');
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    authority
        .rsplit_once(':')
        .map_or(authority, |(host, port)| if port.parse::<u16>().is_ok() { host } else { authority })
}

fn keeps(context: &Context<'_>, host: &str) -> bool {
    context.spec.keep_external.iter().any(|kept| kept.eq_ignore_ascii_case(host))
}

fn text(draft: &Draft, component: Component, path: &[&str]) -> Result<Option<String>, RenderError> {
    Ok(draft.config_value(component, path)?.and_then(|value| value.as_str().map(str::to_owned)))
}

/// Tells of something about a component by its first workload.
fn tell(draft: &mut Draft, component: Component, message: String) {
    let workload = draft.workloads(component).next().cloned();
    if let Some(workload) = workload {
        draft.warn(Effect::Differs, &workload, message);
    }
}

fn databases(context: &Context<'_>, draft: &mut Draft, own: &Own) -> Result<(), RenderError> {
    const FILE: &str = "db.yaml";
    let user = draft.workloads(Component::Postgres).flat_map(Object::containers).find_map(|container| {
        let variables = container["env"].as_array()?;
        variables.iter().find(|one| one["name"] == "POSTGRES_USER")?["value"].as_str().map(str::to_owned)
    });
    let user = user.unwrap_or_else(|| "postgres".to_owned());
    for component in [Component::Flyteadmin, Component::Datacatalog, Component::Flytescheduler] {
        let mut hosts = Vec::new();
        for path in [&["database", "host"][..], &["database", "postgres", "host"]] {
            hosts.extend(text(draft, component, path)?);
        }
        let Some(given) = hosts.into_iter().find(|host| !own.is(host)) else { continue };
        if keeps(context, &given) {
            of_one_version(context, draft, component, &given)?;
            continue;
        }
        draft.edit_config(component, |config| {
            config.remove(&["database", "postgres"]);
            config.set(FILE, &["database", "host"], Component::Postgres.id());
            config.set(FILE, &["database", "port"], 5432);
            config.set(FILE, &["database", "username"], user.as_str());
            config.set(FILE, &["database", "options"], "sslmode=disable");
        })?;
        let message =
            format!("has a database of the sandbox's own, and not the one at {given}; `{KEEP} {given}` keeps it");
        tell(draft, component, message);
    }
    Ok(())
}

/// A program of another version than the manifests name would migrate somebody's database.
fn of_one_version(context: &Context<'_>, draft: &Draft, component: Component, host: &str) -> Result<(), RenderError> {
    let pinned = context.lock.pin(component).map(|pin| pin.image.as_str());
    let image = context.spec.images.get(component.id()).map(ImageRef::as_str).or(pinned);
    for workload in draft.workloads(component) {
        let given =
            workload.containers().find(|one| one["name"] == component.id()).and_then(|one| one["image"].as_str());
        if let Some(given) = given.filter(|given| Some(*given) != image) {
            return Err(RenderError::Outside {
                object: Box::new(workload.reference()),
                why: format!(
                    "would migrate the database at {host} to the version of {}, while the manifests run {given}",
                    image.unwrap_or_default()
                ),
                hint: format!("`--image {component}={given}` runs what the manifests run"),
            });
        }
    }
    Ok(())
}

fn stores(context: &Context<'_>, draft: &mut Draft, own: &Own) -> Result<(), RenderError> {
    const FILE: &str = "storage.yaml";
    let endpoint = format!("http://{}", own.address(Component::Minio, 9000));
    for component in [Component::Flyteadmin, Component::Datacatalog, Component::Flytepropeller] {
        if draft.config_value(component, &["storage"])?.is_none() {
            continue;
        }
        let mut given = None;
        for path in [&["storage", "stow", "config", "endpoint"][..], &["storage", "connection", "endpoint"]] {
            given = given.or(text(draft, component, path)?.filter(|text| !text.is_empty()));
        }
        let kind = text(draft, component, &["storage", "type"])?.unwrap_or_default();
        let name = given.as_deref().map_or_else(|| format!("a store of type {kind:?}"), |url| host(url).to_owned());
        if keeps(context, &name) {
            let workload = draft.workloads(component).next();
            let object =
                workload.map(Object::reference).unwrap_or_else(|| Object::named("v1", "Service", "minio").reference());
            return Err(RenderError::Outside {
                object: Box::new(object),
                why: format!(
                    "names the store {name}, which cannot be kept: buckets and keys of projects are made in the sandbox's own"
                ),
                hint: format!("leave {name} out of `{KEEP}`"),
            });
        }
        let iam =
            ["storage.connection.auth-type", "storage.stow.config.auth_type"].iter().try_fold(false, |iam, path| {
                let path: Vec<&str> = path.split('.').collect();
                Ok::<_, RenderError>(iam || text(draft, component, &path)?.is_some_and(|kind| kind != "accesskey"))
            })?;
        let foreign = given.as_deref().is_none_or(|url| !own.is(host(url)));
        if !foreign && !iam && matches!(kind.as_str(), "minio" | "s3" | "stow" | "") {
            continue;
        }
        draft.edit_config(component, |config| {
            config.remove(&["storage", "stow"]);
            config.set(FILE, &["storage", "type"], "minio");
            if foreign {
                config.set(FILE, &["storage", "connection", "endpoint"], endpoint.as_str());
            }
            config.set(FILE, &["storage", "connection", "auth-type"], "accesskey");
            config.set(FILE, &["storage", "connection", "disable-ssl"], true);
            config.set_missing(FILE, &["storage", "connection", "region"], "us-east-1");
        })?;
        let message = match foreign {
            true => format!("has the sandbox's own store, and not {name}"),
            false => "has keys of the sandbox's own store, and no IAM role".to_owned(),
        };
        tell(draft, component, message);
    }
    tasks_store(draft, own, &endpoint)
}

/// Where task pods look for the store.
fn tasks_store(draft: &mut Draft, own: &Own, endpoint: &str) -> Result<(), RenderError> {
    const VARIABLE: &str = "FLYTE_AWS_ENDPOINT";
    let path = ["plugins", "k8s", "default-env-vars"];
    draft.edit_config(Component::Flytepropeller, |config| {
        let mut variables = config.get(&path).and_then(Value::as_array).cloned().unwrap_or_default();
        let is_own =
            |variable: &Value| variable.get(VARIABLE).and_then(Value::as_str).is_some_and(|url| own.is(host(url)));
        if !variables.iter().any(is_own) {
            variables.retain(|variable| variable.get(VARIABLE).is_none());
            variables.push(json!({VARIABLE: endpoint}));
            config.set("k8s.yaml", &path, variables);
        }
    })
}

/// Whom propellers speak to.
fn endpoints(draft: &mut Draft, own: &Own) -> Result<(), RenderError> {
    for (section, component, port) in
        [("admin", Component::Flyteadmin, 81), ("catalog-cache", Component::Datacatalog, 89)]
    {
        let Some(given) = text(draft, Component::Flytepropeller, &[section, "endpoint"])? else { continue };
        if own.is(host(&given)) {
            continue;
        }
        let address = own.address(component, port);
        draft.edit_config(Component::Flytepropeller, |config| {
            config.set("core.yaml", &[section, "endpoint"], address.as_str());
            config.set("core.yaml", &[section, "insecure"], true);
        })?;
        tell(
            draft,
            Component::Flytepropeller,
            format!("speaks to the sandbox's own {component}, and not to {}", host(&given)),
        );
    }
    Ok(())
}

/// A propeller that counts what runs in a Redis does not start without it.
fn resource_manager(draft: &mut Draft, own: &Own) -> Result<(), RenderError> {
    const PROPELLER: Component = Component::Flytepropeller;
    const PATH: [&str; 2] = ["propeller", "resourcemanager"];
    let Some(given) = draft.config_value(PROPELLER, &PATH)? else { return Ok(()) };
    let redis = given.pointer("/redis/hostPaths/0").or_else(|| given.pointer("/redis/hostPath"));
    let redis = redis.and_then(Value::as_str).map(host).unwrap_or_default().to_owned();
    if given["type"] != "redis" || own.is(&redis) {
        return Ok(());
    }
    draft.edit_config(PROPELLER, |config| {
        config.set("core.yaml", &[&PATH[..], &["type"]].concat(), "noop");
        config.remove(&[&PATH[..], &["redis"]].concat());
    })?;
    tell(draft, PROPELLER, format!("limits nothing by the Redis at {redis}, which is none of the sandbox's"));
    Ok(())
}

/// What admin does in an account of a cloud provider.
fn clouds(draft: &mut Draft) -> Result<(), RenderError> {
    /// A setting, what it is without a cloud, and what that means.
    const SETTINGS: [(&[&str], &str, &[&str], &str); 5] = [
        (&["notifications", "type"], "noop", &["noop", "local", "sandbox", ""], "sends no notifications"),
        (&["externalEvents", "type"], "noop", &["noop", "local", "sandbox", ""], "publishes no events"),
        (&["cloudEvents", "type"], "noop", &["noop", "local", "sandbox", ""], "publishes no cloud events"),
        (&["scheduler", "eventScheduler", "scheme"], "local", &["local", ""], "has no scheduler of a cloud"),
        (&["remoteData", "scheme"], "local", &["local", "none", ""], "signs no URLs of a cloud's store"),
    ];
    for (path, without, harmless, meaning) in SETTINGS {
        let Some(given) = text(draft, Component::Flyteadmin, path)? else { continue };
        if harmless.contains(&given.as_str()) {
            continue;
        }
        draft.edit_config(Component::Flyteadmin, |config| {
            config.set("server.yaml", path, without);
            if path[0] == "scheduler" {
                config.set("server.yaml", &["scheduler", "workflowExecutor", "scheme"], without);
            }
        })?;
        tell(draft, Component::Flyteadmin, format!("{meaning} ({} was {given})", path.join(".")));
    }
    let clusters = draft.config_value(Component::Flyteadmin, &["clusters", "clusterConfigs"])?;
    let clusters = clusters.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if clusters.is_empty() {
        return Ok(());
    }
    // Versions differ in what they need of it; without, admin uses the cluster that it runs in, which is the only one.
    draft.edit_config(Component::Flyteadmin, |config| config.remove(&["clusters", "clusterConfigs"]))?;
    let endpoints = clusters.iter().filter_map(|cluster| cluster.get("endpoint")?.as_str()).map(host);
    let elsewhere = endpoints.into_iter().find(|host| !host.starts_with("kubernetes.default"));
    if let Some(elsewhere) = elsewhere {
        tell(
            draft,
            Component::Flyteadmin,
            format!("runs workflows in this cluster, and not in the one at {elsewhere}"),
        );
    }
    Ok(())
}

/// Nobody logs in to a sandbox, and no issuer is asked.
fn authentication(draft: &mut Draft) -> Result<(), RenderError> {
    const SWITCHES: [(Component, &[&str], bool, &str); 5] = [
        (
            Component::Flyteadmin,
            &["server", "security", "useAuth"],
            false,
            "asks nobody to log in: authentication is off",
        ),
        (Component::Flyteadmin, &["server", "security", "secure"], false, "serves without TLS"),
        (Component::Flytepropeller, &["admin", "useAuth"], false, "does not log in to admin"),
        (Component::Flytepropeller, &["admin", "insecure"], true, "speaks to admin without TLS"),
        (Component::Flytepropeller, &["catalog-cache", "insecure"], true, "speaks to datacatalog without TLS"),
    ];
    for (component, path, wanted, meaning) in SWITCHES {
        let given = draft.config_value(component, path)?;
        if given.as_ref().is_none_or(|given| *given == wanted) {
            continue;
        }
        draft.edit_config(component, |config| config.set("server.yaml", path, wanted))?;
        tell(draft, component, meaning.to_owned());
    }
    Ok(())
}

/// Objects and programs of others that lead outside: a Service that is another name of a host, addresses, webhooks.
fn strangers(context: &Context<'_>, draft: &mut Draft, own: &Own) -> Result<(), RenderError> {
    let mut gone = Vec::new();
    for object in &draft.objects {
        if let Some(outside) = leads_outside(object, draft).filter(|outside| !keeps(context, outside)) {
            gone.push((object.clone(), outside));
        }
    }
    for (object, outside) in gone {
        let ours = component_of(&object).is_some_and(|component| object.is("Service", component.id()));
        if ours {
            // It is made to lead to the component's pods.
            continue;
        }
        draft.objects.retain(|one| one.reference() != object.reference());
        draft.warn(
            Effect::Differs,
            &object,
            format!("is left out: it leads to {outside}; `{KEEP} {outside}` keeps it"),
        );
    }
    let mut told = Vec::new();
    for object in draft.objects.iter().filter(|one| is_workload(one) && component_of(one).is_none()) {
        for (variable, url) in urls(object) {
            let at = host(url);
            if is_local(at) || own.is(at) || keeps(context, at) {
                continue;
            }
            if is_database(url) {
                return Err(RenderError::Outside {
                    object: Box::new(object.reference()),
                    why: format!("has the database at {at} in {variable}, which is none of the sandbox's"),
                    hint: format!("`{KEEP} {at}` lets it speak to that database"),
                });
            }
            told.push((object.clone(), format!("has {at}, which is outside the sandbox, in {variable}")));
        }
    }
    for (object, message) in told {
        draft.warn(Effect::Differs, &object, message);
    }
    Ok(())
}

/// The host outside that an object makes the cluster speak to.
fn leads_outside(object: &Object, draft: &Draft) -> Option<String> {
    let first = |value: &Value, key: &str| value.as_array()?.first()?.get(key)?.as_str().map(str::to_owned);
    match object.kind() {
        "Service" if object.get("/spec/type").is_some_and(|kind| kind == "ExternalName") => {
            object.get("/spec/externalName").and_then(Value::as_str).map(str::to_owned)
        }
        "Endpoints" => object.get("/subsets/0/addresses").and_then(|all| first(all, "ip")),
        "EndpointSlice" => object.get("/endpoints/0/addresses/0").and_then(Value::as_str).map(str::to_owned),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            let webhooks = object.get("/webhooks").and_then(Value::as_array)?;
            webhooks.iter().find_map(|webhook| {
                let config = webhook.get("clientConfig")?;
                let url = config.get("url").and_then(Value::as_str).map(|url| host(url).to_owned());
                let service = config.pointer("/service/name").and_then(Value::as_str);
                url.or_else(|| {
                    service
                        .filter(|name| draft.find("Service", name).is_none())
                        .map(|name| format!("a Service {name} that is not there"))
                })
            })
        }
        "APIService" => {
            let service = object.get("/spec/service/name").and_then(Value::as_str)?;
            draft.find("Service", service).is_none().then(|| format!("a Service {service} that is not there"))
        }
        _ => None,
    }
}

/// The URLs in the variables and words of a workload, each with where it stands.
fn urls(workload: &Object) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    for container in workload.containers() {
        for variable in container["env"].as_array().into_iter().flatten() {
            if let Some((name, value)) =
                variable["name"].as_str().zip(variable["value"].as_str()).filter(|(_, value)| value.contains("://"))
            {
                found.push((format!("the variable {name}"), value));
            }
        }
        for word in super::edit::words(container).filter(|word| word.contains("://")) {
            let word = word.rsplit_once('=').filter(|(_, url)| url.contains("://")).map_or(word, |(_, url)| url);
            found.push((format!("the words of container {}", container["name"].as_str().unwrap_or_default()), word));
        }
    }
    found
}

fn is_database(url: &str) -> bool {
    const SCHEMES: [&str; 7] = ["postgres", "postgresql", "mysql", "mongodb", "redis", "amqp", "jdbc"];
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    SCHEMES.iter().any(|known| scheme.starts_with(known))
}

/// Whether a host is of the cluster or of the pod itself.
fn is_local(host: &str) -> bool {
    host.is_empty()
        || !host.contains('.')
        || host == "127.0.0.1"
        || host == "0.0.0.0"
        || host.contains(".svc")
        || host.ends_with(".local")
        || host.contains(['$', '{'])
}
