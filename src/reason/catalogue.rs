//! Every reason: id, stage, exit code, what it means, what to do, whether trying again may help.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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
        "`kubectl config get-contexts` lists contexts; `--context` and `--kubeconfig` name another";
    NotFound "not-found" None, 13, no,
        "The sandbox does not exist, or does not run.",
        "`sandbox up` creates it";
    Interrupted "interrupted" None, 130, retry,
        "The run was cancelled by the user.",
        "run it again; the changes of this run were undone";

    TimedOut "timed-out" None, 124, retry,
        "A stage timed out.",
        "a busy machine may need longer: raise `--timeout`";

    Manifests "manifests" Some(Stage::Plan), 7, no,
        "The manifests are not Flyte's, or a transform cannot handle a part of them.",
        "`sandbox render --explain` shows the changes of each transform";

    Preflight "preflight" PREFLIGHT, 3, no,
        "Preflight found several problems.",
        "the hints above have a next step for each";
    PortTaken "port-taken" PREFLIGHT, 3, no,
        "A port that the sandbox publishes is in use.",
        "`sandbox doctor` names the process that uses the port, and a free port";
    NameTaken "name-taken" PREFLIGHT, 3, no,
        "A cluster of this name exists that no sandbox made; it is left alone.",
        "`--name` chooses another name";
    SandboxDiffers "sandbox-differs" PREFLIGHT, 3, no,
        "The existing sandbox has ports, a node image or a cluster that cannot be changed in place.",
        "`sandbox down --keep-data` and then `sandbox up` creates it again, with its data; `--name` creates another beside it";
    SandboxBroken "sandbox-broken" PREFLIGHT, 3, no,
        "The node of the existing sandbox crashes again and again.",
        "`sandbox down` removes it";
    RightsMissing "rights-missing" PREFLIGHT, 3, no,
        "The user of the kubeconfig context lacks permissions in the namespaces.",
        "`sandbox render --for-cluster SUBJECT` writes the manifests for a cluster admin";
    NamespaceMissing "namespace-missing" PREFLIGHT, 3, no,
        "A namespace of an attached cluster does not exist.",
        "`sandbox render --for-cluster SUBJECT` writes the manifests for a cluster admin";
    CrdMissing "crd-missing" PREFLIGHT, 3, no,
        "The CustomResourceDefinition of FlyteWorkflow does not exist in the cluster.",
        "`sandbox render --for-cluster SUBJECT` writes the manifests for a cluster admin";
    ObjectForeign "object-foreign" PREFLIGHT, 3, no,
        "A namespace of an attached cluster has an object of another owner, under a name that the sandbox needs.",
        "other namespaces: `--appid`, `--system-project` or `--env`; or remove the objects";
    K3dAbsent "k3d-absent" PREFLIGHT, 3, no,
        "The engine is k3d, and k3d is not installed.",
        "k3d 5.9.0 is at https://github.com/k3d-io/k3d/releases; `--engine docker` needs no k3d";
    K3dUnusable "k3d-unusable" PREFLIGHT, 3, no,
        "The installed k3d cannot be used: it is too old, withdrawn or unknown, or does not answer.",
        "k3d 5.9.0 is at https://github.com/k3d-io/k3d/releases; `--engine docker` needs no k3d";
    DockerTooOld "docker-too-old" PREFLIGHT, 3, no,
        "Docker is older than 20.10.",
        "Docker 20.10 or later is needed";
    DockerRemote "docker-remote" PREFLIGHT, 3, no,
        "Docker runs on another machine, so the sandbox's ports would not be published here.",
        "run this program there, or unset DOCKER_HOST";
    DockerUnsupported "docker-unsupported" PREFLIGHT, 3, no,
        "The Docker daemon is of a kind in which no sandbox runs: rootless, or Podman's.",
        "use a Docker Engine that runs as root; docs/portability.md has what runs where";
    ClockSkew "clock-skew" PREFLIGHT, 3, retry,
        "The clocks of this machine and of Docker's differ by more than a minute.",
        "set the one that is wrong, or restart Docker's virtual machine";
    MemoryLow "memory-low" PREFLIGHT, 3, no,
        "Docker has too little memory for a sandbox.",
        "give Docker more memory, or stop other containers";
    DiskLow "disk-low" PREFLIGHT, 3, no,
        "Docker's disk has too little free space.",
        "`docker system prune` frees space; `sandbox images prune` removes image stores that no sandbox uses";

    CredentialSource "credential-source" PREFLIGHT, 3, retry,
        "The source of a project's keys does not answer, or its answer has no keys.",
        "`storage.credentials` in the spec names the source; docs/storage.md says what it must answer";
    CredentialsEnded "credentials-ended" PREFLIGHT, 3, retry,
        "The source of a project's keys returned keys that have expired, or expire within a minute.",
        "check the source, and this machine's clock";

    BackupInvalid "backup-invalid" PREFLIGHT, 3, no,
        "A backup is truncated, changed or not a backup; nothing was loaded from it.",
        "copy it again, or create it again: `sandbox backup FILE`";
    BackupMismatch "backup-mismatch" PREFLIGHT, 3, no,
        "A backup does not fit the spec, the Postgres of the sandbox or the data that is in it.",
        "`sandbox up --fresh --restore FILE` loads it into a sandbox without data of its own";
    BackupUnwritable "backup-unwritable" None, 2, no,
        "A backup cannot be written.",
        "it needs a writable folder with room for all data of the sandbox, and as much again for its databases";
    BackupFailed "backup-failed" None, 9, retry,
        "The database or the object store did not return or take the data of a backup.",
        "`sandbox logs postgres` and `sandbox logs minio` show their logs";
    ResetFailed "reset-failed" Some(Stage::Reset), 9, retry,
        "A sandbox could not be emptied, or not all of it.",
        "`sandbox logs postgres` may show why; run `sandbox reset` again, or `sandbox up`, which brings back what the spec wants";

    Docker "docker" None, 4, retry,
        "Docker refused a request, or a request failed.",
        "see `docker info` and the daemon's log";
    DockerAbsent "docker-absent" None, 4, no,
        "There is no Docker socket.",
        "install Docker Engine, or start it: `sudo systemctl start docker`, or open Docker Desktop, Colima or OrbStack";
    DockerRefused "docker-refused" None, 4, no,
        "Docker is not running: nothing listens on its socket.",
        "start it: `sudo systemctl start docker`, or open Docker Desktop, Colima or OrbStack";
    DockerForbidden "docker-forbidden" None, 4, no,
        "You lack the permission to use the Docker socket.",
        "join the group docker: `sudo usermod -aG docker $USER`, then log in again";
    DockerSilent "docker-silent" None, 4, retry,
        "Docker accepts connections and does not answer.",
        "`docker version` should answer at once; restart Docker if it does not";
    DockerLost "docker-lost" None, 4, retry,
        "The connection to Docker ended in the middle of a request.",
        "Docker was stopped or restarted; `sandbox up` continues, `sandbox down` removes the sandbox";
    DiskFull "disk-full" None, 4, no,
        "Docker's disk is full.",
        "`docker system prune` frees space; `sandbox images prune` removes image stores that no sandbox uses";

    K3d "k3d" CLUSTER, 5, retry,
        "k3d could not create the cluster.",
        "its error is above, and its whole output in the evidence folder";
    K3dNoNode "k3d-no-node" CLUSTER, 5, retry,
        "k3d reported success, but there is no node.",
        "run `k3d cluster create` by hand to see what it does";
    K3dTimeout "k3d-timeout" CLUSTER, 5, retry,
        "k3d timed out.",
        "a busy machine may need longer: raise `--timeout`";
    SubnetsExhausted "subnets-exhausted" CLUSTER, 5, no,
        "Docker has no subnet left for another network.",
        "`docker network prune` removes unused networks";
    NodeCrash "node-crash" CLUSTER, 5, no,
        "k3s crashes in the node as soon as it starts.",
        "the end of its log is above; the node's whole log is in the evidence folder";
    NodeCgroup "node-cgroup" CLUSTER, 5, no,
        "k3s cannot use this machine's cgroups.",
        "use a newer k3d and Kubernetes (`--kubernetes v1.33.13+k3s1`), or a machine with the cgroup version that this k3s supports";
    NodeMemory "node-memory" CLUSTER, 5, no,
        "The kernel killed the node for lack of memory.",
        "give Docker more memory, or stop other containers";
    NodeInotify "node-inotify" CLUSTER, 5, no,
        "The machine has no inotify instances or open files left.",
        "`sudo sysctl -w fs.inotify.max_user_instances=512` allows more sandboxes side by side";
    NodeRemoved "node-removed" CLUSTER, 5, retry,
        "The node was removed or stopped during the run.",
        "`sandbox up` creates it again";
    VolumeMissing "volume-missing" CLUSTER, 5, no,
        "A Docker volume of the sandbox was removed or replaced while the sandbox was there.",
        "`sandbox down` removes the rest of the sandbox, and `sandbox up` creates it again";
    PortUnreachable "port-unreachable" CLUSTER, 5, retry,
        "The node answers, and the port that Docker publishes for it does not arrive on this machine.",
        "restart Docker's virtual machine, whose forwarding of ports stopped";
    NodeIptables "node-iptables" CLUSTER, 5, no,
        "The node's kernel has no iptables of the kind that k3s uses.",
        "`--kubernetes` with a newer release, or a kernel with the modules of iptables or nftables";
    ClusterNotReady "cluster-not-ready" CLUSTER, 5, retry,
        "The cluster did not become ready in time, or does not answer.",
        "a busy machine may need longer: raise `--timeout`";
    ApiCertificate "api-certificate" CLUSTER, 5, no,
        "The Kubernetes API's certificate is not valid: expired, not valid yet, or not this cluster's.",
        "check this machine's clock; `sandbox down` and `sandbox up` create new certificates";
    ApiUnauthorized "api-unauthorized" CLUSTER, 5, no,
        "The Kubernetes API rejected this sandbox's credentials.",
        "`sandbox down` and `sandbox up` create new ones";

    ImagesMissing "images-missing" IMAGES, 6, retry,
        "Images were not found locally and could not be pulled.",
        "with a network: `docker pull` shows the problem; without one: `sandbox images bundle FILE` elsewhere, `sandbox up --bundle FILE` here";
    ImageUnknown "image-unknown" IMAGES, 6, no,
        "An image does not exist in its registry.",
        "check its name and tag; `--image` names another";
    ImagePlatform "image-platform" IMAGES, 6, no,
        "An image is for another processor architecture than this machine's.",
        "`--image` names another";
    RegistryUnreachable "registry-unreachable" IMAGES, 6, retry,
        "A registry cannot be reached.",
        "check the network, its proxy and its DNS; without one: `sandbox images bundle FILE` elsewhere, `sandbox up --bundle FILE` here";
    RegistryDenied "registry-denied" IMAGES, 6, no,
        "A registry needs a login, or refuses this user.",
        "`docker login REGISTRY`";
    RegistryLimited "registry-limited" IMAGES, 6, retry,
        "The rate limit of a registry is exceeded.",
        "`docker login` raises the limit; otherwise wait, or use local images";
    RegistryCertificate "registry-certificate" IMAGES, 6, no,
        "A registry's certificate is not trusted by Docker.",
        "give Docker your organisation's CA: `/etc/docker/certs.d/REGISTRY/ca.crt` on its machine, which needs no restart";
    PullTimeout "pull-timeout" IMAGES, 6, retry,
        "A pull timed out.",
        "raise `--timeout`; pulled layers are kept";
    ImageImport "image-import" IMAGES, 6, retry,
        "Images could not be imported into the node.",
        "`sandbox up --no-cache` works without the machine's image store";
    BundleInvalid "bundle-invalid" IMAGES, 6, no,
        "An image bundle is truncated, changed or not a bundle; nothing was loaded from it.",
        "copy it again, or create it again where its images are: `sandbox images bundle FILE`";
    BundleUnwritable "bundle-unwritable" IMAGES, 6, no,
        "An image bundle cannot be written.",
        "it needs a writable folder with about 0.7 GB of free space";

    Apply "apply" APPLY, 8, no,
        "The Kubernetes API refused an object.",
        "`sandbox render --explain` shows where the object's fields come from";
    ApplyForbidden "apply-forbidden" APPLY, 8, no,
        "This user lacks the permission to apply an object.",
        "`sandbox kubeconfig` shows which user is used";
    ApplyWebhook "apply-webhook" APPLY, 8, no,
        "An admission webhook refused an object, or does not answer.",
        "the webhook's error is above; the webhook is not this sandbox's";
    ApplyImmutable "apply-immutable" APPLY, 8, no,
        "An object has a change in an immutable field.",
        "delete the object, or run `sandbox down` and `sandbox up`";
    ApplyConflict "apply-conflict" APPLY, 8, retry,
        "Another client keeps changing an object.",
        "the object's `managedFields` name the client";
    KindUnknown "kind-unknown" APPLY, 8, no,
        "The cluster does not serve an object's kind, or its namespace does not exist.",
        "its namespace, or the CustomResourceDefinition of its kind, must be part of the manifests";
    NamespaceTerminating "namespace-terminating" APPLY, 8, retry,
        "A namespace is terminating, and is not deleted.",
        "with `sandbox kubeconfig`, `kubectl get namespace -o yaml` shows in its conditions what holds it";
    ApiUnavailable "api-unavailable" APPLY, 8, retry,
        "The Kubernetes API did not answer until the deadline, or answered with server errors.",
        "`sandbox status` shows if the node is up; a longer `--timeout` may help";

    WorkloadStuck "workload-stuck" ROLLOUT, 9, no,
        "A workload cannot start.",
        "`sandbox logs` shows a component's log";
    PodImage "pod-image" ROLLOUT, 9, no,
        "A pod's image is not in the node, and cannot be pulled from there.",
        "`sandbox images list` shows local images; `--image` names another";
    PodImageName "pod-image-name" ROLLOUT, 9, no,
        "A pod's image has an invalid name.",
        "`--image` names another";
    PodConfig "pod-config" ROLLOUT, 9, no,
        "A container needs a ConfigMap, a Secret or a key that does not exist.",
        "`sandbox render` shows all objects";
    PodCreate "pod-create" ROLLOUT, 9, no,
        "The node cannot create a container: its command, its mounts or its security settings.",
        "`sandbox render --explain` shows where the container's fields come from";
    PodCrash "pod-crash" ROLLOUT, 9, no,
        "A container crashes again and again.",
        "the end of its log is above; `sandbox logs` shows the whole log";
    PodInit "pod-init" ROLLOUT, 9, no,
        "An init container fails again and again.",
        "the end of its log is above; `sandbox logs` shows the whole log";
    PodMemory "pod-memory" ROLLOUT, 9, no,
        "A container was killed for lack of memory.",
        "give the container a higher limit, or Docker more memory";
    PodProbe "pod-probe" ROLLOUT, 9, no,
        "A container runs, but its readiness probe fails.",
        "`sandbox logs` shows its log";
    PodUnschedulable "pod-unschedulable" ROLLOUT, 9, no,
        "A pod cannot be scheduled: no node has room for it.",
        "the node is too small: stop other pods, or give Docker more memory and processors";
    PodPlacement "pod-placement" ROLLOUT, 9, no,
        "No node takes a pod by the pod's own rules: an affinity, a selector, or a claim that nothing binds.",
        "leave the rule or the claim out of the manifests; more memory or time does not help";
    PodEvicted "pod-evicted" ROLLOUT, 9, no,
        "The node evicted a pod for lack of disk space or memory.",
        "`docker system prune` frees disk space; Docker may need more memory";
    PodMount "pod-mount" ROLLOUT, 9, no,
        "A volume of a pod cannot be mounted.",
        "`sandbox render` shows all ConfigMaps and Secrets";
    DatabaseRefused "database-refused" ROLLOUT, 9, no,
        "A component cannot use the database.",
        "`sandbox logs postgres` shows the database's log";
    StorageRefused "storage-refused" ROLLOUT, 9, no,
        "A component cannot use the object store: its keys or its bucket are wrong.",
        "`sandbox logs minio` shows its log; `storage` in the spec has the keys";
    RolloutTimeout "rollout-timeout" ROLLOUT, 9, retry,
        "Workloads did not become ready in time, with no clear cause.",
        "a busy machine may need longer: raise `--timeout`";

    Registration "registration" ROLLOUT, 9, retry,
        "Admin did not register or archive a project.",
        "`sandbox logs flyteadmin` shows its log; the same command continues";

    DatabaseIncomplete "database-incomplete" ROLLOUT, 9, no,
        "The database lacks tables that it records as made, so that no migration makes them again.",
        "`sandbox up --fresh` begins anew, without executions and objects";

    ProjectStorage "project-storage" ROLLOUT, 9, retry,
        "Minio did not create or delete a project's bucket, keys or policy.",
        "`sandbox logs minio` shows its log; the same command continues";

    ComponentRestarted "component-restarted" SMOKE, 10, retry,
        "A component of Flyte died while it was checked, and was started again.",
        "the end of its log is above; `sandbox smoke` runs the checks again";
    ConnectionStuck "connection-stuck" SMOKE, 10, retry,
        "A propeller's connection to flyteadmin left the node when that started, and is stuck on a proxy outside.",
        "`sandbox up` replaces the propeller, which connects anew";
    AdminFailing "admin-failing" SMOKE, 10, no,
        "flyteadmin does not answer through the gateway, or answers with an error.",
        "see `sandbox logs flyteadmin` and `sandbox logs gateway`";
    ConsoleFailing "console-failing" SMOKE, 10, no,
        "The console does not load, or does not reach admin.",
        "`sandbox logs flyteconsole` shows its log";
    StorageFailing "storage-failing" SMOKE, 10, no,
        "Minio does not answer, or does not keep an object with the sandbox's keys.",
        "`sandbox logs minio` shows its log";
    DashboardFailing "dashboard-failing" SMOKE, 10, no,
        "The dashboard does not load, or cannot read workflow pods: task logs could not be opened.",
        "`sandbox logs kubernetes-dashboard` shows its log";
    DatacatalogFailing "datacatalog-failing" SMOKE, 10, no,
        "datacatalog does not answer.",
        "`sandbox logs datacatalog` shows its log";
    RegistryFailing "registry-failing" SMOKE, 10, no,
        "The registry for pushed images does not answer.",
        "`sandbox logs image-registry` shows its log";
    PropellerFailing "propeller-failing" SMOKE, 10, no,
        "A propeller has no workers, does not lead, or cannot reach admin.",
        "`sandbox logs flytepropeller-PROJECT-DOMAIN` shows its log";
    PermissionMissing "permission-missing" SMOKE, 10, no,
        "A ServiceAccount lacks a permission of its component.",
        "`sandbox up` applies the Roles again";
    PermissionExcess "permission-excess" SMOKE, 10, no,
        "A ServiceAccount has more permissions than it needs, or a cluster-wide one.",
        "remove the Role or ClusterRole that grants it: the check names it";
    WorkflowFailed "workflow-failed" SMOKE, 10, no,
        "A workflow could not be registered, or did not succeed.",
        "see `sandbox logs flyteadmin` and the propeller's log";

    Leftovers "leftovers" Some(Stage::Down), 12, retry,
        "A part of the sandbox could not be removed.",
        "run `sandbox down` again; `docker inspect` on the rest shows what holds it";
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
