//! What upstream's Helm chart `flyte` writes for several releases, as far as they differ for a sandbox. Facts are from
//! `deployment/sandbox/flyte_helm_generated.yaml` of the tags of flyteorg/flyte; words and values are ours.

use flyte_sandbox::manifest::Bundle;
use serde_json::{Value, json};

use super::objects::{account, cluster_wide, config_map, config_volume, deployment, secret, service, unlabelled};

/// One release, by what differs.
pub(crate) struct Release {
    /// Its tag, without dots.
    pub(crate) name: &'static str,
    /// The tags of flyteadmin, flytepropeller, datacatalog and flyteconsole.
    pub(crate) tags: [&'static str; 4],
    /// Postgres and Minio; the later ones serve without being told to.
    pub(crate) stores: [&'static str; 2],
    /// The tag of the part that starts workflows on a schedule.
    pub(crate) scheduler: Option<&'static str>,
    /// What makes namespaces, and its kind's API version.
    pub(crate) sync: (&'static str, &'static str),
    /// Of ClusterRoleBindings, of the CRD and of the Ingress.
    pub(crate) beta: bool,
    /// The credentials of the store are under `stow.config` and no longer under `connection`.
    pub(crate) stow: bool,
    /// Admin's settings are in two ConfigMaps that are mounted as one.
    pub(crate) projected: bool,
    /// The API description has its own pod.
    pub(crate) redoc: bool,
    /// The chart brings the Spark operator.
    pub(crate) spark: bool,
    /// Propeller is told of an agent that the chart does not bring.
    pub(crate) agent: bool,
}

const LATER_STORES: [&str; 2] =
    ["ecr.flyte.org/ubuntu/postgres:13-21.04_beta", "ecr.flyte.org/bitnami/minio:2021.10.13-debian-10-r0"];

const V0_17: Release = Release {
    name: "v0_17",
    tags: ["v0.6.22", "v0.13.20", "v0.3.9", "v0.25.0"],
    stores: ["postgres:10.16-alpine", "minio/minio:RELEASE.2020-12-16T05-05-17Z"],
    scheduler: None,
    sync: ("CronJob", "batch/v1beta1"),
    beta: true,
    stow: false,
    projected: false,
    redoc: false,
    spark: true,
    agent: false,
};

const V0_19: Release = Release {
    name: "v0_19",
    tags: ["v0.6.75", "v0.16.13", "v0.3.19", "v0.38.0"],
    stores: LATER_STORES,
    scheduler: Some("v0.6.75"),
    spark: false,
    ..V0_17
};

const V1_0: Release = Release {
    name: "v1_0",
    tags: ["v1.0.0", "v1.0.0", "v1.0.0", "v1.0.0"],
    scheduler: Some("v1.0.0"),
    beta: false,
    stow: true,
    redoc: true,
    ..V0_19
};

const V1_10: Release = Release {
    name: "v1_10",
    tags: ["v1.9.37", "v1.9.37", "v1.9.37", "v1.10.2"],
    scheduler: Some("v1.9.37"),
    sync: ("Deployment", "apps/v1"),
    projected: true,
    agent: true,
    ..V1_0
};

const V1_16: Release = Release {
    name: "v1_16",
    tags: ["v1.16.0", "v1.16.0", "v1.16.0", "v1.20.1"],
    scheduler: Some("v1.16.0"),
    agent: false,
    ..V1_10
};

/// From the one after the built-in one to the last with parts that run apart.
pub(crate) const RELEASES: [Release; 5] = [V0_17, V0_19, V1_0, V1_10, V1_16];

impl Release {
    /// The manifests, a document an object.
    pub(crate) fn manifests(&self) -> String {
        self.objects().iter().map(|object| format!("---\n{object}\n")).collect()
    }

    /// The manifests.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let mut all = self.flyte();
        all.extend(self.cluster());
        all.extend(self.stores());
        all.extend(contour(self.beta));
        all.extend(dashboard());
        all.extend(self.webhook());
        all.extend(self.sync());
        if let Some(tag) = self.scheduler {
            all.extend(scheduler(tag));
        }
        if self.redoc {
            all.push(deployment("redoc", &[("redoc", "docker.io/redocly/redoc:latest", json!(["sh"]))], json!([])));
            all.push(service("redoc", &[8087]));
        }
        if self.spark {
            all.extend(spark());
        }
        all
    }

    /// The components that the built-in manifests have too.
    fn flyte(&self) -> Vec<Value> {
        let [admin, propeller, datacatalog, console] =
            ["flyteadmin", "flytepropeller", "datacatalog", "flyteconsole"].map(|name| format!("{FLYTE}/{name}"));
        let [of_admin, of_propeller, of_datacatalog, of_console] = self.tags;
        let admin = format!("{admin}:{of_admin}");
        let words = |last: &[&str]| json!([&["flyteadmin", "--config", "/etc/flyte/config/*.yaml"], last].concat());
        let mut pod = deployment("flyteadmin", &[("flyteadmin", &admin, words(&["serve"]))], self.admin_volumes());
        pod["spec"]["template"]["spec"]["serviceAccountName"] = json!("flyteadmin");
        pod["spec"]["template"]["spec"]["initContainers"] = json!([
            {"name": "run-migrations", "image": admin, "command": words(&["migrate", "run"])},
            {"name": "seed-projects", "image": admin, "command": words(&["migrate", "seed-projects", "flytesnacks"])},
            {"name": "sync-cluster-resources", "image": admin, "command": words(&["clusterresource", "sync"])},
            {"name": "generate-secrets", "image": admin, "command": ["/bin/sh", "-c"], "args": ["flyteadmin secrets init"]},
        ]);
        let mut runs = deployment(
            "flytepropeller",
            &[(
                "flytepropeller",
                &format!("{propeller}:{of_propeller}"),
                json!(["flytepropeller", "--config", "/etc/flyte/config/*.yaml"]),
            )],
            json!([
                config_volume("flyte-propeller-config"),
                {"name": "auth", "secret": {"secretName": self.auth()}},
            ]),
        );
        runs["spec"]["template"]["spec"]["serviceAccountName"] = json!("flytepropeller");
        let datacatalog = format!("{datacatalog}:{of_datacatalog}");
        let words =
            |last: &[&str]| json!([&["datacatalog", "--config", "/etc/datacatalog/config/*.yaml"], last].concat());
        let volumes = json!([config_volume("datacatalog-config")]);
        let mut catalog = deployment("datacatalog", &[("datacatalog", &datacatalog, words(&["serve"]))], volumes);
        catalog["spec"]["template"]["spec"]["initContainers"] =
            json!([{"name": "run-migrations", "image": datacatalog, "command": words(&["migrate", "run"])}]);
        vec![
            pod,
            service("flyteadmin", &[80, 81]),
            runs,
            catalog,
            service("datacatalog", &[88, 89]),
            deployment("flyteconsole", &[("flyteconsole", &format!("{console}:{of_console}"), Value::Null)], json!([])),
            service("flyteconsole", &[80]),
            account("flyteadmin"),
            account("flytepropeller"),
            secret("flyte-admin-secrets"),
            secret(self.auth()),
            self.propeller_config(),
            config_map(
                "datacatalog-config",
                with(settings("datacatalog-config"), json!({"storage.yaml": self.storage()})),
            ),
            config_map("clusterresource-template", json!({"aa_namespace.yaml": TEMPLATE})),
        ]
        .into_iter()
        .chain(self.admin_config())
        .collect()
    }

    fn auth(&self) -> &'static str {
        if self.scheduler.is_some() { "flyte-secret-auth" } else { "flyte-propeller-auth" }
    }

    fn storage(&self) -> String {
        let endpoint = "http://minio.flyte.svc.cluster.local:9000";
        let store = if self.stow {
            json!({"stow": {"kind": "s3", "config": {
                "access_key_id": "minio", "secret_key": "miniostorage", "auth_type": "accesskey", "endpoint": endpoint,
            }}})
        } else {
            json!({"connection": {"access-key": "minio", "secret-key": "miniostorage", "endpoint": endpoint}})
        };
        let mut storage = json!({"type": "minio", "container": "my-s3-bucket"});
        storage.as_object_mut().expect("a mapping").extend(store.as_object().expect("a mapping").clone());
        json!({"storage": storage}).to_string()
    }

    fn admin_config(&self) -> Vec<Value> {
        let database = if self.scheduler.is_some() { "flyteadmin" } else { "flyte_development" };
        let base = with(
            settings("flyte-admin-config"),
            json!({
                "db.yaml": json!({"database": {"dbname": database, "host": "postgres", "port": 5432}}).to_string(),
                "domain.yaml": json!({"domains": [{"id": "development", "name": "development"}]}).to_string(),
                "auth.yaml": json!({"auth": {"authorizedUris": ["http://flyteadmin.flyte.svc.cluster.local:80"]}})
                    .to_string(),
                "storage.yaml": self.storage(),
            }),
        );
        if self.projected {
            let clusters = json!({"clusters.yaml": "clusters: {clusterConfigs: []}\n"});
            vec![config_map("flyte-admin-base-config", base), config_map("flyte-admin-clusters-config", clusters)]
        } else {
            vec![config_map("flyte-admin-config", base)]
        }
    }

    fn admin_volumes(&self) -> Value {
        let settings = if self.projected {
            let source = |name: &str| json!({"configMap": {"name": name}});
            let sources = [source("flyte-admin-base-config"), source("flyte-admin-clusters-config")];
            json!({"name": "clusters-config-volume", "projected": {"sources": sources}})
        } else {
            config_volume("flyte-admin-config")
        };
        json!([
            settings,
            {"name": "resource-templates", "configMap": {"name": "clusterresource-template"}},
            {"name": "admin-secrets", "secret": {"secretName": "flyte-admin-secrets"}},
        ])
    }

    fn propeller_config(&self) -> Value {
        let mut plugins = json!({"k8s": {"default-env-vars": [
            {"FLYTE_AWS_ENDPOINT": "http://minio.flyte:9000"},
            {"FLYTE_AWS_SECRET_ACCESS_KEY": "miniostorage"},
        ]}});
        if self.agent {
            plugins["agent-service"] =
                json!({"defaultAgent": {"endpoint": "dns:///flyteagent.flyte.svc.cluster.local:8000"}});
        }
        config_map(
            "flyte-propeller-config",
            with(
                settings("flyte-propeller-config"),
                json!({
                    "webhook.yaml": json!({"webhook": {"serviceName": "flyte-pod-webhook"}}).to_string(),
                    "k8s.yaml": json!({"plugins": plugins}).to_string(),
                    "storage.yaml": self.storage(),
                }),
            ),
        )
    }

    /// What is the whole cluster's.
    fn cluster(&self) -> Vec<Value> {
        let rbac = format!("rbac.authorization.k8s.io/{}", if self.beta { "v1beta1" } else { "v1" });
        let mut all = Vec::new();
        for name in ["flyteadmin", "flytepropeller"] {
            // Since v1.0 their names start with the namespace.
            let named = if self.stow { format!("flyte-{name}") } else { name.to_owned() };
            all.extend(cluster_wide(&rbac, &named, name));
        }
        let version = if self.beta { "v1beta1" } else { "v1" };
        all.push(json!({
            "apiVersion": format!("apiextensions.k8s.io/{version}"),
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "flyteworkflows.flyte.lyft.com"},
            "spec": {"group": "flyte.lyft.com", "scope": "Namespaced",
                     "names": {"kind": "FlyteWorkflow", "plural": "flyteworkflows"}},
        }));
        all
    }

    fn stores(&self) -> Vec<Value> {
        let [postgres, minio] = self.stores;
        let server = if minio.contains("bitnami") { Value::Null } else { json!(["server", "/data"]) };
        vec![
            deployment("postgres", &[("postgres", postgres, Value::Null)], json!([])),
            service("postgres", &[5432]),
            deployment("minio", &[("minio", minio, server)], json!([{"name": "minio-storage", "emptyDir": {}}])),
            service("minio", &[9000]),
        ]
    }

    /// Its permissions are in the whole cluster, and it has propeller's image and settings.
    fn webhook(&self) -> Vec<Value> {
        let name = "flyte-pod-webhook";
        let image = format!("{FLYTE}/flytepropeller:{}", self.tags[1]);
        let mut pod = deployment(
            name,
            &[("webhook", &image, json!(["flytepropeller", "webhook"]))],
            json!([
                config_volume("flyte-propeller-config"),
                {"name": "webhook-certs", "secret": {"secretName": name}},
            ]),
        );
        pod["metadata"]["labels"] = json!({"app": name});
        pod["spec"]["template"]["spec"]["serviceAccountName"] = json!(name);
        let mut all = vec![pod, unlabelled(account(name)), unlabelled(secret(name)), unlabelled(service(name, &[443]))];
        let named = if self.stow { format!("flyte-{name}") } else { name.to_owned() };
        all.extend(cluster_wide("rbac.authorization.k8s.io/v1", &named, name).into_iter().map(|mut object| {
            // As upstream writes it, though neither is in a namespace.
            object["metadata"]["namespace"] = json!("flyte");
            unlabelled(object)
        }));
        all
    }

    fn sync(&self) -> Vec<Value> {
        let (kind, version) = self.sync;
        let config = if self.redoc { "flyte-clusterresourcesync-config" } else { "flyte-admin-config" };
        let image = format!("{FLYTE}/flyteadmin:{}", self.tags[0]);
        let mut pod = deployment(
            "syncresources",
            &[("sync-cluster-resources", &image, json!(["flyteadmin", "clusterresource", "sync"]))],
            json!([config_volume(config)]),
        );
        pod["kind"] = json!(kind);
        pod["apiVersion"] = json!(version);
        let labelled = if kind == "CronJob" { "flyteadmin" } else { "flyteclusterresourcesync" };
        pod["metadata"]["labels"]["app.kubernetes.io/name"] = json!(labelled);
        if kind == "CronJob" {
            let template = pod["spec"]["template"].take();
            pod["spec"] = json!({"schedule": "*/1 * * * *", "jobTemplate": {"spec": {"template": template}}});
        }
        let own = self.redoc.then(|| config_map(config, json!({"db.yaml": "database: {dbname: flyteadmin}\n"})));
        std::iter::once(pod).chain(own).collect()
    }
}

/// The settings that every release has: those of the built-in manifests, which are in upstream's vocabulary.
fn settings(config_map: &str) -> Value {
    let objects = Bundle::embedded(flyte_sandbox::release::Release::default()).expect("built-in manifests").objects;
    let found = objects.iter().find(|object| object.is("ConfigMap", config_map)).expect("a ConfigMap of that name");
    found.value()["data"].clone()
}

fn with(mut settings: Value, others: Value) -> Value {
    let others = others.as_object().expect("files by name").clone();
    settings.as_object_mut().expect("files by name").extend(others);
    settings
}

const FLYTE: &str = "cr.flyte.org/flyteorg";

/// Becomes YAML only when admin fills it in.
const TEMPLATE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {{ namespace }}\n";

fn scheduler(tag: &str) -> Vec<Value> {
    let name = "flytescheduler";
    let image = format!("{FLYTE}/{name}:{tag}");
    let volumes = json!([
        config_volume("flyte-scheduler-config"),
        {"name": "auth", "secret": {"secretName": "flyte-secret-auth"}},
    ]);
    let mut pod = deployment(name, &[(name, &image, json!([name, "run"]))], volumes);
    pod["spec"]["template"]["spec"]["serviceAccountName"] = json!(name);
    let settings = json!({"admin.yaml": "admin: {endpoint: 'flyteadmin:81', insecure: true}\n"});
    vec![pod, account(name), config_map("flyte-scheduler-config", settings)]
}

fn spark() -> Vec<Value> {
    let image = "gcr.io/spark-operator/spark-operator:v1beta2-1.2.0-3.0.0";
    let mut all = vec![deployment("flyte-sparkoperator", &[("sparkoperator", image, Value::Null)], json!([]))];
    all.push(account("flyte-spark"));
    all.extend(cluster_wide("rbac.authorization.k8s.io/v1", "flyte-sparkoperator", "flyte-spark"));
    for object in &mut all {
        object["metadata"]["labels"] = json!({"app.kubernetes.io/name": "sparkoperator"});
    }
    all
}

/// Helm names it after the release, and its chart leaves namespaces out.
fn dashboard() -> Vec<Value> {
    let name = "flyte-kubernetes-dashboard";
    let container = ("kubernetes-dashboard", "kubernetesui/dashboard:v2.2.0", Value::Null);
    let mut pod = deployment(name, &[container], json!([]));
    pod["spec"]["template"]["spec"]["serviceAccountName"] = json!(name);
    let mut all = vec![pod, account(name), service(name, &[80])];
    all.extend(cluster_wide("rbac.authorization.k8s.io/v1", "flyte-kubernetes-dashboard-metrics", name));
    for object in &mut all {
        object["metadata"]["labels"]["app.kubernetes.io/name"] = json!("kubernetes-dashboard");
        object["metadata"].as_object_mut().expect("metadata").remove("namespace");
    }
    all
}

fn contour(beta: bool) -> Vec<Value> {
    let mut controller =
        deployment("flyte-contour-contour", &[("contour", "bitnami/contour:1", Value::Null)], json!([]));
    controller["metadata"]["labels"] = json!({"app.kubernetes.io/name": "contour"});
    let backends =
        if beta { ["flyteconsole", "flyteadmin"].as_slice() } else { &["flyteconsole", "flyteadmin", "redoc"] };
    let backend = |service: &&str| match beta {
        true => json!({"path": "/", "backend": {"serviceName": service, "servicePort": 80}}),
        false => json!({"path": "/", "backend": {"service": {"name": service, "port": {"number": 80}}}}),
    };
    let paths: Vec<Value> = backends.iter().map(backend).collect();
    let ingress = json!({
        "apiVersion": if beta { "networking.k8s.io/v1beta1" } else { "networking.k8s.io/v1" },
        "kind": "Ingress",
        "metadata": {"name": "flyte", "namespace": "flyte"},
        "spec": {"rules": [{"http": {"paths": paths}}]},
    });
    vec![controller, ingress]
}
