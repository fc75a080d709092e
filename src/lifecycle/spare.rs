//! Spares: a sandbox that was made and proven ahead, and frozen, for the next `up` of its name.
//!
//! A spare is a cluster of a name of its own, which publishes nothing. An `up` that takes it publishes the sandbox's ports for
//! it, lets it run again, and proves it as every other; until then it counts as one in which no workflow has run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::bring::bring;
use super::outcome::{Done, Options};
use super::prepare::Request;
use super::rollback;
use crate::cluster::{self, Data, NodeState};
use crate::digest::{Sha256, hex};
use crate::docker::{ContainerState, Docker};
use crate::failure::{Failure, Reason};
use crate::images::{self, Presence};
use crate::plan::Plan;
use crate::rehearsal::Faults;
use crate::report::{Outcome, Stage, bytes};
use crate::run::Run;
use crate::site::{Ground, Halt, Host, Site, SpareRecord};
use crate::spec::{EngineKind, NAME_LIMIT, Ports, SiteKind, Spec};

/// Names that are tried for a spare: a sandbox that took one keeps its cluster's.
const NAMES: usize = 9;
/// What a node that does little takes at most, in bytes.
const NODE_MEMORY: u64 = 2 << 30;

/// Makes a spare for the next `up` of the sandbox that is asked for, unless there is one that fits. One that does not is
/// removed.
///
/// # Errors
/// The first stage's that fails. What the run made is removed then.
pub async fn make_spare(request: Request, host: &Host, options: Options<'_>, run: &Run) -> Result<Done, Failure> {
    let name = request.spec.name.clone();
    SpareRecord::refuse(&host.state.sandbox(&name), &name)?;
    refuse_useless(&request.spec)?;
    let plan = request.clone().plan(run).await?;
    let docker = host.docker().await?;
    let key = key(&plan, &docker).await?;
    for (cluster, record) in spares_of(&name, host) {
        let state = host.state.sandbox(&cluster);
        let lock = state.lock("up --spare")?;
        let is_taken = cluster::taken(&docker).await?.taker(&cluster).is_some();
        let fits = record.key == key && record.made.is_some();
        if fits && !is_taken && cluster::state(&docker, &cluster).await? == NodeState::Frozen {
            return Ok(Done::unchanged(format!("sandbox {name} has a spare, {cluster}")));
        }
        if !is_taken {
            cluster::delete(&docker, &cluster, Data::Removed).await?;
        }
        state.remove(&lock)?;
    }
    refuse_without_memory(&docker).await?;
    let cluster = free_name(&name, &docker, host).await?;
    let state = host.state.sandbox(&cluster);
    let lock = state.lock("up --spare")?;
    let record = SpareRecord { of: name.clone(), key, made: None };
    let made = async {
        record.write(&state)?;
        make(plan, request, &cluster, host, &options, run).await?;
        let Err(failure) = record.made_now().write(&state) else { return Ok(()) };
        // Nobody would know it for a spare.
        cluster::delete(&docker, &cluster, Data::Removed).await?;
        Err(failure)
    };
    match made.await {
        Ok(()) => Ok(Done::passed(format!("the next `up` of sandbox {name} takes spare {cluster}"))),
        Err(failure) => Err(rollback::forget(failure, &state, &lock)),
    }
}

/// Whether an `up` of this spec is to leave a spare behind.
#[must_use]
pub fn leaves_spare(spec: &Spec) -> bool {
    spec.spare && refuse_useless(spec).is_ok()
}

/// Whether there is a spare of the sandbox of this name that is whole, or one is being made.
#[must_use]
pub fn has_spare(name: &str, host: &Host) -> bool {
    spares_of(name, host)
        .iter()
        .any(|(cluster, record)| record.made.is_some() || host.state.sandbox(cluster).busy().is_some())
}

fn refuse_useless(spec: &Spec) -> Result<(), Failure> {
    if spec.site_kind() != SiteKind::Node {
        return Err(Failure::new(Reason::Usage, "only a sandbox in Docker can have a spare")
            .on(format!("sandbox {}", spec.name))
            .hint("`--engine docker` makes it there"));
    }
    if spec.engine == Some(EngineKind::K3d) {
        return Err(Failure::new(Reason::Usage, "a spare is made through Docker, without k3d")
            .on(format!("sandbox {}", spec.name))
            .hint("leave out `engine: k3d`"));
    }
    if spec.storage.credentials.is_some() {
        return Err(Failure::new(Reason::Usage, "a sandbox whose keys somebody else issues can have no spare")
            .on(format!("sandbox {}", spec.name))
            .because("its keys would end while it waits"));
    }
    Ok(())
}

/// A spare is for who has memory to spare.
async fn refuse_without_memory(docker: &Docker) -> Result<(), Failure> {
    let (about, nodes) = tokio::try_join!(docker.about(), docker.containers(&["k3d.role=server"]))?;
    let nodes = nodes.iter().filter(|node| [ContainerState::Running, ContainerState::Paused].contains(&node.state));
    let nodes = nodes.count() as u64;
    match about.memory {
        Some(memory) if memory < (nodes + 1) * NODE_MEMORY => {
            Err(Failure::new(Reason::MemoryLow, "no memory is left for a spare")
                .on("Docker")
                .because(format!("it has {}, and {nodes} nodes that take up to 2 GiB each", bytes(memory)))
                .hint("leave out `spare: true`"))
        }
        _ => Ok(()),
    }
}

/// Makes the cluster, proves it and freezes it; removes it where that fails.
async fn make(
    mut plan: Plan,
    request: Request,
    cluster: &str,
    host: &Host,
    options: &Options<'_>,
    run: &Run,
) -> Result<(), Failure> {
    cluster.clone_into(&mut plan.cluster.name);
    plan.cluster.ports.clear();
    plan.cluster.api_port = None;
    plan.cluster.yields = true;
    // A k3d would publish ports by a container of its own.
    (plan.spec.unpublished, plan.spec.engine) = (true, Some(EngineKind::Docker));
    let scratch = host.state.sandbox(cluster).path().join("k3d");
    let checked = Site::of_spare(cluster, host).preflight(&plan, true, &Faults::default(), &scratch, run).await;
    let ground = run.stage(Stage::Preflight, async { checked }).await?;
    let made = async {
        Box::pin(bring(&plan, request, &ground, None, host, options, run)).await?;
        run.stage(Stage::Stop, async {
            Site::of_spare(cluster, host).stop(Halt::Freeze).await?;
            Ok(((), Outcome::Passed, "frozen".to_owned()))
        })
        .await
    };
    match made.await {
        Ok(()) => Ok(()),
        Err(failure) => Err(rollback::roll_back(failure, cluster, &ground, run).await),
    }
}

/// Makes a spare that fits the plan the sandbox's, where there is one. It is still frozen then.
///
/// # Errors
/// Docker does not answer; a port was taken since it was found free.
pub(super) async fn take(plan: &Plan, ground: &mut Ground<'_>, host: &Host, run: &Run) -> Result<(), Failure> {
    let spares = spares_of(&plan.spec.name, host);
    let Some(docker) = ground.docker().cloned().filter(|_| !spares.is_empty()) else { return Ok(()) };
    let mut begun = None;
    let taken = run.stage(Stage::Spare, async {
        let key = key(plan, &docker).await?;
        for (cluster, record) in spares {
            let Some(made) = record.made.filter(|_| record.key == key) else { continue };
            let state = host.state.sandbox(&cluster);
            // Another run is making it, or takes or removes it.
            let Ok(lock) = state.lock("up") else { continue };
            let (there, taken) = tokio::try_join!(cluster::state(&docker, &cluster), cluster::taken(&docker))?;
            if taken.taker(&cluster).is_some() || there != NodeState::Frozen {
                continue;
            }
            begun = Some(cluster.clone());
            ground.take_spare(plan, &cluster).await?;
            cluster::forget_expiry(&docker, &cluster).await?;
            state.remove(&lock)?;
            return Ok(((), Outcome::Passed, format!("{cluster}, made and proven {} ago", age(made))));
        }
        Ok(((), Outcome::Unchanged, "none that fits".to_owned()))
    });
    let failure = match (taken.await, begun) {
        (Err(failure), Some(cluster)) if ground.is_spare() => {
            // Half taken: it is nobody else's any more.
            let failure = rollback::roll_back(failure, &plan.spec.name, ground, run).await;
            let state = host.state.sandbox(&cluster);
            match state.lock("up") {
                Ok(lock) => rollback::forget(failure, &state, &lock),
                Err(_) => failure,
            }
        }
        (taken, _) => return taken,
    };
    Err(failure)
}

fn age(made: u64) -> String {
    let since =
        UNIX_EPOCH.checked_add(Duration::from_secs(made)).and_then(|at| SystemTime::now().duration_since(at).ok());
    humantime::format_duration(Duration::from_secs(since.unwrap_or_default().as_secs())).to_string()
}

/// The spares of a sandbox, by the name of their cluster.
fn spares_of(name: &str, host: &Host) -> Vec<(String, SpareRecord)> {
    let record = |cluster: String| Some((SpareRecord::read(&host.state.sandbox(&cluster))?, cluster));
    let all = host.state.sandboxes().into_iter().filter_map(record);
    all.filter(|(record, _)| record.of == name).map(|(record, cluster)| (cluster, record)).collect()
}

/// The name of a spare's cluster, which is no longer than a sandbox's may be.
fn spare_name(sandbox: &str, n: usize) -> String {
    let end = if n == 1 { "-spare".to_owned() } else { format!("-spare-{n}") };
    let stem = sandbox.get(..NAME_LIMIT - end.len()).unwrap_or(sandbox).trim_end_matches('-');
    format!("{stem}{end}")
}

async fn free_name(name: &str, docker: &Docker, host: &Host) -> Result<String, Failure> {
    for cluster in (1..=NAMES).map(|n| spare_name(name, n)) {
        let is_known = host.state.sandbox(&cluster).path().exists();
        if !is_known && cluster::belongings(docker, &cluster).await?.is_empty() {
            return Ok(cluster);
        }
    }
    Err(Failure::new(Reason::NameTaken, "no name is left for a spare")
        .on(format!("sandbox {name}"))
        .because(format!("there are clusters {} to {}", spare_name(name, 1), spare_name(name, NAMES)))
        .hint("`sandbox list` shows them, and `sandbox down --name NAME` removes one"))
}

/// What decides whether a spare fits: equal keys mean that an `up` would make the same sandbox. The ports are those of
/// whoever takes it, as far as no object has them within.
async fn key(plan: &Plan, docker: &Docker) -> Result<String, Failure> {
    let images: Vec<_> = std::iter::once(&plan.cluster.node_image).chain(plan.all_images()).cloned().collect();
    let ids = images::resolve(docker, &images).await?.into_iter().map(|presence| match presence {
        Presence::Present(image) => image.id,
        Presence::Absent(image) => image.to_string(),
    });
    key_of(plan, ids)
}

fn key_of(plan: &Plan, image_ids: impl Iterator<Item = String>) -> Result<String, Failure> {
    let ports = Ports { console: 0, dashboard: 0, minio: 0, api: None, postgres: None, ..plan.spec.ports };
    let spec = Spec { ports, spare: false, unpublished: false, ..plan.spec.clone() };
    let spec = serde_json::to_string(&spec)
        .map_err(|error| Failure::new(Reason::Internal, "cannot tell which spare fits").caused_by(error))?;
    let recipe = cluster::recipe(&plan.cluster);
    let fields = [env!("CARGO_PKG_VERSION").to_owned(), recipe, plan.digest.clone(), spec];
    let mut hash = Sha256::default();
    for field in fields.into_iter().chain(image_ids) {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    Ok(hex(&hash.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Bundle;
    use crate::render::render;
    use crate::spec::{Secret, is_name};

    type Edit = fn(&mut Spec);

    fn plan(change: impl FnOnce(&mut Spec)) -> Plan {
        let mut spec = Spec::default();
        change(&mut spec);
        let rendered = render(&spec, Bundle::embedded(spec.flyte).expect("built in")).expect("renders");
        Plan::new(spec, rendered).expect("a plan")
    }

    fn key(plan: &Plan, image_ids: &[&str]) -> String {
        key_of(plan, image_ids.iter().map(|id| (*id).to_owned())).expect("a key")
    }

    #[test]
    fn a_spare_of_another_kind_has_another_key() {
        let ids = ["sha256:1", "sha256:2"];
        let same = key(&plan(|_| ()), &ids);
        assert_eq!(key(&plan(|_| ()), &ids), same, "the key of one plan");
        let edits: [(&str, Edit); 10] = [
            ("a project", |spec| spec.projects.push("z".to_owned())),
            ("a domain", |spec| drop(spec.domains.pop())),
            ("the secret key", |spec| spec.storage.secret_key = Secret::new("another-secret-key")),
            ("an image", |spec| {
                spec.images.insert("minio".to_owned(), "minio/minio:other".parse().expect("an image"));
            }),
            ("k3s' arguments", |spec| spec.network_policies = true),
            ("k3s", |spec| spec.kubernetes = "v1.22.17+k3s1".to_owned()),
            ("the node's image", |spec| spec.node_image = "rancher/k3s:other".parse().expect("an image")),
            ("a registry", |spec| spec.ports.registry = Some(5050)),
            ("the idle limit", |spec| spec.idle = Some("1h".to_owned())),
            ("the engine", |spec| spec.engine = Some(EngineKind::Docker)),
        ];
        let mut keys: Vec<_> = edits.iter().map(|(what, edit)| (*what, key(&plan(edit), &ids))).collect();
        keys.push(("an image's id", key(&plan(|_| ()), &["sha256:1", "sha256:3"])));
        keys.push(("an image less", key(&plan(|_| ()), &["sha256:1"])));
        keys.push(("ids that join to the same", key(&plan(|_| ()), &["sha256:1sha256:2"])));
        let mut edited = plan(|_| ());
        edited.digest.push('0');
        keys.push(("an object", key(&edited, &ids)));
        for (what, other) in &keys {
            assert_ne!(*other, same, "{what}");
            assert_eq!(keys.iter().filter(|(_, key)| key == other).count(), 1, "{what}");
        }
    }

    #[test]
    fn ports_decide_only_where_an_object_has_them() {
        let before = plan(|_| ());
        let edits: [(&str, Edit); 6] = [
            ("the API's", |spec| spec.ports.api = Some(6550)),
            ("Postgres'", |spec| spec.ports.postgres = Some(5432)),
            ("the console's", |spec| spec.ports.console = 31081),
            ("the dashboard's", |spec| spec.ports.dashboard = 31082),
            ("Minio's", |spec| spec.ports.minio = 31084),
            ("that the next is wanted, too", |spec| spec.spare = true),
        ];
        for (what, edit) in edits {
            let other = plan(edit);
            assert_eq!(key(&other, &[]) == key(&before, &[]), other.digest == before.digest, "{what}");
        }
        assert_eq!(plan(|spec| spec.ports.api = Some(6550)).digest, before.digest, "one that no object has");
    }

    #[test]
    fn every_sandbox_can_have_a_spare_of_a_name_that_is_one() {
        for length in 1..=NAME_LIMIT {
            for sandbox in ["a".repeat(length), format!("{}b", "a-".repeat(length / 2))] {
                for n in 1..=NAMES {
                    let name = spare_name(&sandbox, n);
                    assert!(!is_name(&sandbox) || is_name(&name), "{sandbox}: {name}");
                }
            }
        }
        assert_eq!((spare_name("flyte", 1), spare_name("flyte", 2)), ("flyte-spare".into(), "flyte-spare-2".into()));
    }
}
