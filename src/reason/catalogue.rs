//! Every reason: id, stage, exit code, what it means, what to do, whether trying again may help.

use schemars::JsonSchema;
use serde::Serialize;

use crate::stage::Stage;

/// What is known of a reason before anything has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The stable identifier, as in JSON and on screen.
    pub id: &'static str,
    /// Where it arises; none where it may anywhere.
    pub stage: Option<Stage>,
    /// What the process exits with; the README's table says what each stands for.
    pub exit_code: u8,
    /// What it means: a sentence.
    pub means: &'static str,
    /// What to do: shown where the failure itself knows nothing better.
    pub remedy: &'static str,
    /// Whether the same command may succeed a moment later, with nothing changed.
    pub retryable: bool,
}

macro_rules! catalogue {
    ($($variant:ident $id:literal $stage:expr, $code:literal, $again:ident, $means:literal, $remedy:literal;)*) => {
        /// Why a run failed, as a stable identifier.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
        pub enum Reason {
            $(#[doc = $means] #[serde(rename = $id)] $variant,)*
        }

        impl Reason {
            /// All of them, by stage.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What is known of it.
            #[must_use]
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$variant => Entry {
                        id: $id,
                        stage: $stage,
                        exit_code: $code,
                        means: $means,
                        remedy: $remedy,
                        retryable: again::$again,
                    },)*
                }
            }
        }
    };
}

/// Whether trying again may help.
mod again {
    #[expect(non_upper_case_globals, reason = "read as a word in the table")]
    pub(super) const retry: bool = true;
    #[expect(non_upper_case_globals, reason = "read as a word in the table")]
    pub(super) const no: bool = false;
}

const PREFLIGHT: Option<Stage> = Some(Stage::Preflight);
const CLUSTER: Option<Stage> = Some(Stage::Cluster);
const IMAGES: Option<Stage> = Some(Stage::Images);
const APPLY: Option<Stage> = Some(Stage::Apply);
const ROLLOUT: Option<Stage> = Some(Stage::Rollout);
const SMOKE: Option<Stage> = Some(Stage::Smoke);

catalogue! {
    Internal "internal" None, 1, no,
        "A defect of this program.",
        "please report it, with the evidence folder where there is one";
    Usage "usage" None, 2, no,
        "A flag, variable or file cannot be used as it is.",
        "the message names the place; `sandbox COMMAND --help` says what may stand there";
    StateUnwritable "state-unwritable" None, 2, no,
        "The state folder on this machine cannot be written, or other users can write to it, too.",
        "set SANDBOX_STATE_DIR to a folder that you, and nobody else, can write";
    ReportUnwritable "report-unwritable" None, 2, no,
        "Standard output or a report cannot be written.",
        "look at the place that it is written to, and at the room on its disk";
    Locked "locked" None, 11, retry,
        "Another run is busy with this sandbox.",
        "wait for it to end";
    ContextUnusable "context-unusable" None, 2, no,
        "The kubeconfig context of an attached cluster does not exist, or cannot be used.",
        "`kubectl config get-contexts` lists what there is; `--context` and `--kubeconfig` name another";
    NotFound "not-found" None, 13, no,
        "There is no such sandbox, or none that runs.",
        "`sandbox up` makes it";
    Interrupted "interrupted" None, 130, retry,
        "The run was stopped on request.",
        "run it again when you like; what it had made was undone";

    TimedOut "timed-out" None, 124, retry,
        "A stage did not end before the deadline.",
        "a machine that is busy with other things may need longer: `--timeout` gives it more";

    Manifests "manifests" Some(Stage::Plan), 7, no,
        "The manifests are not a Flyte, or a transform cannot place something in them.",
        "`sandbox render --explain` shows what was made of them";

    Preflight "preflight" PREFLIGHT, 3, no,
        "Several things are in the way.",
        "each has its own way out above";
    PortTaken "port-taken" PREFLIGHT, 3, no,
        "A port of this machine that the sandbox publishes is taken.",
        "`sandbox doctor` names who holds the port, and a free one";
    NameTaken "name-taken" PREFLIGHT, 3, no,
        "A cluster of this name is there that no sandbox made; it is left alone.",
        "`--name` chooses another name";
    SandboxDiffers "sandbox-differs" PREFLIGHT, 3, no,
        "The sandbox that is there has ports, a node image or a cluster that cannot be changed in place.",
        "`sandbox down` and then `sandbox up` makes it anew; `--name` makes another beside it";
    SandboxBroken "sandbox-broken" PREFLIGHT, 3, no,
        "The sandbox that is there does not stay up.",
        "`sandbox down` removes it";
    RightsMissing "rights-missing" PREFLIGHT, 3, no,
        "The user of the kubeconfig context lacks rights in the namespaces.",
        "`sandbox render --for-cluster SUBJECT` writes what a cluster admin applies";
    NamespaceMissing "namespace-missing" PREFLIGHT, 3, no,
        "A namespace of an attached cluster does not exist.",
        "`sandbox render --for-cluster SUBJECT` writes what a cluster admin applies";
    CrdMissing "crd-missing" PREFLIGHT, 3, no,
        "The cluster does not have the kind FlyteWorkflow.",
        "`sandbox render --for-cluster SUBJECT` writes what a cluster admin applies";
    ObjectForeign "object-foreign" PREFLIGHT, 3, no,
        "A namespace of an attached cluster has an object of another owner, under a name that the sandbox needs.",
        "other namespaces: `--appid`, `--system-project` or `--env`; or remove the objects";
    K3dAbsent "k3d-absent" PREFLIGHT, 3, no,
        "k3d was asked for, and is not installed.",
        "k3d 5.9.0 is at https://github.com/k3d-io/k3d/releases; `--engine docker` needs none";
    K3dUnusable "k3d-unusable" PREFLIGHT, 3, no,
        "The k3d that is here cannot be used: too old, withdrawn, unknown, or not one that answers.",
        "k3d 5.9.0 is at https://github.com/k3d-io/k3d/releases; `--engine docker` needs none";
    DockerTooOld "docker-too-old" PREFLIGHT, 3, no,
        "Docker is older than 20.10.",
        "Docker 20.10 or later is needed";
    DockerRemote "docker-remote" PREFLIGHT, 3, no,
        "Docker runs on another machine, so the sandbox's ports would not be here.",
        "run this program there, or unset DOCKER_HOST";
    MemoryLow "memory-low" PREFLIGHT, 3, no,
        "Docker has too little memory for a sandbox.",
        "give Docker more memory, or stop what uses it";
    DiskLow "disk-low" PREFLIGHT, 3, no,
        "The disk that Docker keeps images on has too little room.",
        "`docker system prune` makes room";

    CredentialSource "credential-source" PREFLIGHT, 3, retry,
        "The source of a project's keys does not answer, or not with keys.",
        "`storage.credentials` in the spec names the source; docs/storage.md says what it must answer";
    CredentialsEnded "credentials-ended" PREFLIGHT, 3, retry,
        "The source of a project's keys gives some that have ended, or end within a minute.",
        "look at the source, and at this machine's clock";

    Docker "docker" None, 4, retry,
        "Docker refused a request, or failed at it.",
        "`docker info` and the daemon's log say more";
    DockerAbsent "docker-absent" None, 4, no,
        "There is no Docker socket.",
        "install Docker Engine, or start it: `sudo systemctl start docker`, or open Docker Desktop, Colima or OrbStack";
    DockerRefused "docker-refused" None, 4, no,
        "Nothing listens where Docker should be.",
        "start it: `sudo systemctl start docker`, or open Docker Desktop, Colima or OrbStack";
    DockerForbidden "docker-forbidden" None, 4, no,
        "You may not use the Docker socket.",
        "join the group that may use it: `sudo usermod -aG docker $USER`, then log in again";
    DockerSilent "docker-silent" None, 4, retry,
        "Docker accepts connections and does not answer.",
        "`docker version` should answer at once; restart Docker if it does not";
    DockerLost "docker-lost" None, 4, retry,
        "The connection to Docker ended in the middle of a request.",
        "Docker was stopped or restarted; `sandbox up` goes on from what is there, `sandbox down` removes it";
    DiskFull "disk-full" None, 4, no,
        "There is no room left on Docker's disk.",
        "`docker system prune` makes room; `sandbox images prune` drops stores that no sandbox uses";

    K3d "k3d" CLUSTER, 5, retry,
        "k3d could not make the cluster.",
        "its own words are above, and all of them in the evidence folder";
    K3dNoNode "k3d-no-node" CLUSTER, 5, retry,
        "k3d said that it made the cluster, and there is no node.",
        "`k3d cluster create` by hand shows what it does";
    K3dTimeout "k3d-timeout" CLUSTER, 5, retry,
        "k3d did not end in time.",
        "a machine that is busy with other things may need longer: `--timeout` gives it more";
    SubnetsExhausted "subnets-exhausted" CLUSTER, 5, no,
        "Docker has no subnet left for another network.",
        "`docker network prune` removes networks that nobody uses";
    NodeCrash "node-crash" CLUSTER, 5, no,
        "k3s ends in the node as soon as it starts.",
        "its own last words are the cause; the node's whole log is in the evidence folder";
    NodeCgroup "node-cgroup" CLUSTER, 5, no,
        "k3s cannot use this machine's cgroups.",
        "use a newer k3d and Kubernetes (`--profile current`), or a machine with the cgroup version that this k3s knows";
    NodeMemory "node-memory" CLUSTER, 5, no,
        "The kernel killed the node for lack of memory.",
        "give Docker more memory, or stop what uses it";
    NodeInotify "node-inotify" CLUSTER, 5, no,
        "The machine has no inotify instances or open files left.",
        "`sudo sysctl -w fs.inotify.max_user_instances=512` lets more sandboxes run side by side";
    NodeRemoved "node-removed" CLUSTER, 5, retry,
        "Somebody removed or stopped the node while it was being used.",
        "`sandbox up` makes it anew";
    ClusterNotReady "cluster-not-ready" CLUSTER, 5, retry,
        "The cluster did not become ready in time, or does not answer.",
        "a machine that is busy with other things may need longer: `--timeout` gives it more";
    ApiCertificate "api-certificate" CLUSTER, 5, no,
        "The Kubernetes API's certificate is not valid: expired, not valid yet, or not this cluster's.",
        "look at this machine's clock; `sandbox down` and `sandbox up` make new certificates";
    ApiUnauthorized "api-unauthorized" CLUSTER, 5, no,
        "The Kubernetes API does not know this sandbox's credentials.",
        "`sandbox down` and `sandbox up` make new ones";

    ImagesMissing "images-missing" IMAGES, 6, retry,
        "Images were not found locally and could not be pulled.",
        "with a network: `docker pull` shows what is in the way; without one: `sandbox images bundle FILE` elsewhere, `sandbox up --bundle FILE` here";
    ImageUnknown "image-unknown" IMAGES, 6, no,
        "The registry does not know an image.",
        "look at its name and tag; `--image` names another";
    ImagePlatform "image-platform" IMAGES, 6, no,
        "An image is not made for this machine's processor.",
        "`--image` names another";
    RegistryUnreachable "registry-unreachable" IMAGES, 6, retry,
        "A registry cannot be reached.",
        "look at the network, its proxy and its DNS; without one: `sandbox images bundle FILE` elsewhere, `sandbox up --bundle FILE` here";
    RegistryDenied "registry-denied" IMAGES, 6, no,
        "A registry wants a login, or does not let this user pull.",
        "`docker login` with the registry's name";
    RegistryLimited "registry-limited" IMAGES, 6, retry,
        "A registry allows no more pulls for now.",
        "`docker login` raises the limit; otherwise wait, or use images that are here";
    RegistryCertificate "registry-certificate" IMAGES, 6, no,
        "A registry's certificate is not trusted by Docker.",
        "give Docker your organisation's CA: `/etc/docker/certs.d/REGISTRY/ca.crt` on its machine, which needs no restart";
    PullTimeout "pull-timeout" IMAGES, 6, retry,
        "A pull did not end in time.",
        "`--timeout` gives it more; layers that have come are kept";
    ImageImport "image-import" IMAGES, 6, retry,
        "Images did not reach the node.",
        "`sandbox up --no-cache` goes without the machine's image store";
    BundleInvalid "bundle-invalid" IMAGES, 6, no,
        "A bundle of images is cut short, was changed, or is none; nothing of it was loaded.",
        "copy it again, or make it anew where its images are: `sandbox images bundle FILE`";
    BundleUnwritable "bundle-unwritable" IMAGES, 6, no,
        "A bundle of images cannot be written.",
        "it needs a folder that you can write, with room for all its images unpacked, some 0.7 GB";

    Apply "apply" APPLY, 8, no,
        "The Kubernetes API refused an object.",
        "`sandbox render --explain` shows where the object's fields come from";
    ApplyForbidden "apply-forbidden" APPLY, 8, no,
        "This user may not make an object.",
        "`sandbox kubeconfig` shows which user is used";
    ApplyWebhook "apply-webhook" APPLY, 8, no,
        "An admission webhook refused an object, or does not answer.",
        "the webhook's own words are the cause; it is not one of this sandbox's";
    ApplyImmutable "apply-immutable" APPLY, 8, no,
        "An object would change in a field that cannot change.",
        "delete the object, or start anew with `sandbox down` and `sandbox up`";
    ApplyConflict "apply-conflict" APPLY, 8, retry,
        "Somebody else keeps changing an object.",
        "find out who: the object's `managedFields` name them";
    KindUnknown "kind-unknown" APPLY, 8, no,
        "The cluster does not serve an object's kind, or its namespace is not there.",
        "its namespace, or the CustomResourceDefinition of its kind, must be part of the manifests";
    NamespaceTerminating "namespace-terminating" APPLY, 8, retry,
        "A namespace is being removed and does not go away.",
        "`sandbox kubeconfig` lets kubectl in: the namespace's conditions say what holds it";
    ApiUnavailable "api-unavailable" APPLY, 8, retry,
        "The Kubernetes API answered too late, too little, or with an error of its own until the deadline.",
        "`sandbox status` tells whether the node is up; a longer `--timeout` may help";

    WorkloadStuck "workload-stuck" ROLLOUT, 9, no,
        "A workload cannot start.",
        "`sandbox logs` shows what a component says";
    PodImage "pod-image" ROLLOUT, 9, no,
        "A pod's image is not in the node, and cannot be pulled from there.",
        "`sandbox images list` shows which images are here; `--image` names another";
    PodImageName "pod-image-name" ROLLOUT, 9, no,
        "A pod's image has an invalid name.",
        "`--image` names another";
    PodConfig "pod-config" ROLLOUT, 9, no,
        "A container needs a ConfigMap, a Secret or a key that is not there.",
        "`sandbox render` shows which objects there are";
    PodCreate "pod-create" ROLLOUT, 9, no,
        "The node cannot make a container: its command, its mounts or its security settings.",
        "`sandbox render --explain` shows where the container's fields come from";
    PodCrash "pod-crash" ROLLOUT, 9, no,
        "A container ends in error again and again.",
        "its last words are the cause; `sandbox logs` shows the whole log";
    PodInit "pod-init" ROLLOUT, 9, no,
        "An init container ends in error again and again.",
        "its last words are the cause; `sandbox logs` shows the whole log";
    PodMemory "pod-memory" ROLLOUT, 9, no,
        "A container was killed for lack of memory.",
        "give the container a higher limit, or Docker more memory";
    PodProbe "pod-probe" ROLLOUT, 9, no,
        "A container runs, and never says that it is ready.",
        "`sandbox logs` shows what it does";
    PodUnschedulable "pod-unschedulable" ROLLOUT, 9, no,
        "No node has room for a pod.",
        "the node is too small: stop something else on it, or give Docker more memory and processors";
    PodEvicted "pod-evicted" ROLLOUT, 9, no,
        "The node threw a pod out for lack of disk or memory.",
        "`docker system prune` makes room on the disk; Docker may need more memory";
    PodMount "pod-mount" ROLLOUT, 9, no,
        "A volume of a pod cannot be mounted.",
        "`sandbox render` shows which ConfigMaps and Secrets there are";
    DatabaseRefused "database-refused" ROLLOUT, 9, no,
        "A component cannot use the database.",
        "`sandbox logs postgres` shows what the database says";
    StorageRefused "storage-refused" ROLLOUT, 9, no,
        "A component cannot use the object store: its keys or its bucket are wrong.",
        "`sandbox logs minio` shows what the store says; `storage` in the spec has the keys";
    RolloutTimeout "rollout-timeout" ROLLOUT, 9, retry,
        "Workloads did not become ready in time, with no clear cause.",
        "a machine that is busy with other things may need longer: `--timeout` gives it more";

    Registration "registration" ROLLOUT, 9, retry,
        "Admin does not register a project, or archive one.",
        "`sandbox logs flyteadmin` shows what it says; the same command goes on from what is there";

    ProjectStorage "project-storage" ROLLOUT, 9, retry,
        "The object store does not take a project's bucket, keys or policy, or does not let go of them.",
        "`sandbox logs minio` shows what it says; the same command goes on from what is there";

    AdminFailing "admin-failing" SMOKE, 10, no,
        "flyteadmin does not answer through the gateway, or not as it should.",
        "`sandbox logs flyteadmin` and `sandbox logs gateway` show what they say";
    ConsoleFailing "console-failing" SMOKE, 10, no,
        "The console does not load, or does not reach admin.",
        "`sandbox logs flyteconsole` shows what it says";
    StorageFailing "storage-failing" SMOKE, 10, no,
        "The object store does not answer, or does not keep an object with the sandbox's keys.",
        "`sandbox logs minio` shows what it says";
    DashboardFailing "dashboard-failing" SMOKE, 10, no,
        "The dashboard does not load, or may not see workflow pods: task logs could not be opened.",
        "`sandbox logs kubernetes-dashboard` shows what it says";
    DatacatalogFailing "datacatalog-failing" SMOKE, 10, no,
        "datacatalog does not answer.",
        "`sandbox logs datacatalog` shows what it says";
    PropellerFailing "propeller-failing" SMOKE, 10, no,
        "A propeller has no workers, does not lead, or cannot reach admin.",
        "`sandbox logs flytepropeller-PROJECT-DOMAIN` shows what it says";
    PermissionMissing "permission-missing" SMOKE, 10, no,
        "A ServiceAccount may not do what its component must.",
        "`sandbox up` brings the Roles back to what they should be";
    PermissionExcess "permission-excess" SMOKE, 10, no,
        "A ServiceAccount may do more than it must, or something is granted cluster-wide.",
        "take away the Role or ClusterRole that grants it: the check names it";
    WorkflowFailed "workflow-failed" SMOKE, 10, no,
        "A workflow could not be registered, or did not run to its end.",
        "`sandbox logs flyteadmin` and the propeller's log say more";

    Leftovers "leftovers" Some(Stage::Down), 12, retry,
        "Something of the sandbox could not be removed.",
        "run `sandbox down` again; `docker inspect` on what is left shows what holds it";
}

impl Reason {
    /// The process exit code; the README's table lists them.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self.entry().exit_code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct_and_in_kebab_case() {
        let mut ids: Vec<_> = Reason::ALL.iter().map(|reason| reason.entry().id).collect();
        assert!(ids.iter().all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')));
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn every_reason_says_what_it_means_and_what_to_do() {
        for reason in Reason::ALL {
            let Entry { id, means, remedy, exit_code, .. } = reason.entry();
            assert!(
                means.ends_with('.')
                    && means.starts_with(|c: char| c.is_uppercase() || means.starts_with("k3") || c == 'f' || c == 'd'),
                "{id}: {means}"
            );
            assert!(!remedy.is_empty() && !remedy.ends_with('.'), "{id}: {remedy}");
            assert_ne!(exit_code, 0, "{id}");
        }
    }

    #[test]
    fn the_id_is_what_json_says() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).expect("JSON"), reason.entry().id);
        }
    }
}
