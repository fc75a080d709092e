//! Manifests that people bring, each with one thing that a transform once relied on and did not look at.

use serde_json::json;

use super::*;

const SYSTEM: &str = "103020-flytepoc-dev";

/// Our own set as somebody else's, with a change.
fn changed(change: impl FnOnce(&mut Vec<Object>)) -> Bundle {
    let mut bundle = ours();
    bundle.origin = "brought".to_owned();
    change(&mut bundle.objects);
    bundle
}

fn edit(objects: &mut [Object], kind: &str, name: &str, change: impl FnOnce(&mut Object)) {
    change(objects.iter_mut().find(|object| object.is(kind, name)).unwrap_or_else(|| panic!("no {kind} {name}")));
}

fn added(text: &str) -> Bundle {
    changed(|objects| objects.extend(bundle(text).objects))
}

fn output(bundle: Bundle) -> Rendered {
    rendered(&Spec::default(), bundle)
}

fn container<'a>(rendered: &'a Rendered, deployment: &str, name: &str) -> &'a Value {
    let deployment = find(rendered, "Deployment", deployment);
    deployment.containers().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no container {name}"))
}

fn told(rendered: &Rendered) -> Vec<String> {
    rendered.warnings.iter().filter(|warning| warning.matters()).map(ToString::to_string).collect()
}

/// A setting of a component, in any of its files.
fn put(objects: &mut [Object], config_map: &str, file: &str, text: &str) {
    edit(objects, "ConfigMap", config_map, |object| object.set(&["data", file], text));
}

fn port_of(rendered: &Rendered, service: &str, port: u16) -> Value {
    let ports = find(rendered, "Service", service).get("/spec/ports").and_then(Value::as_array).cloned();
    ports.into_iter().flatten().find(|one| one["port"] == port).unwrap_or_else(|| panic!("{service} has no {port}"))
}

#[test]
fn a_datacatalog_without_an_http_port_is_told_the_one_that_is_asked() {
    let given = changed(|all| put(all, "datacatalog-config", "server.yaml", "application:\n  grpcPort: 8089\n"));
    let output = output(given);
    assert_eq!(setting(&output, "datacatalog-config", &["application", "httpPort"]), Some(json!(8080)));
    assert_eq!(container(&output, "datacatalog", "datacatalog")["readinessProbe"]["httpGet"]["port"], 8080);
}

#[test]
fn a_port_that_settings_name_is_the_one_that_is_asked_and_led_to() {
    let given = changed(|all| {
        put(all, "datacatalog-config", "server.yaml", "application:\n  grpcPort: 8189\n  HTTPPort: 8180\n");
        edit(all, "ConfigMap", "flyte-admin-config", |object| {
            let text = object.get("/data/server.yaml").and_then(Value::as_str).expect("settings").to_owned();
            object.set(&["data", "server.yaml"], text.replace("httpPort: 8088", "httpPort: 9088"));
        });
        edit(all, "Service", "flyteadmin", |service| {
            service.set(&["spec", "ports"], json!([{"port": 9088, "targetPort": 9088}]));
        });
    });
    let output = output(given);
    assert_eq!(container(&output, "datacatalog", "datacatalog")["readinessProbe"]["httpGet"]["port"], 8180);
    assert_eq!(port_of(&output, "datacatalog", 88)["targetPort"], 8180);
    assert_eq!(port_of(&output, "datacatalog", 89)["targetPort"], 8189);
    assert_eq!(container(&output, "flyteadmin", "flyteadmin")["readinessProbe"]["httpGet"]["port"], 9088);
    // The gateway and propellers go by these two; what was there stays, and each of several has a name.
    assert_eq!(port_of(&output, "flyteadmin", 80)["targetPort"], 9088);
    assert_eq!(port_of(&output, "flyteadmin", 81)["targetPort"], 8089);
    assert_eq!(port_of(&output, "flyteadmin", 9088)["name"], "port-9088");
}

#[test]
fn a_container_of_another_name_is_still_the_components() {
    let given = changed(|all| {
        edit(all, "Deployment", "flyteadmin", |object| {
            let sidecar = json!({"name": "proxy", "image": "registry.example/proxy:1"});
            let containers = object.get_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
            let containers = containers.expect("containers");
            containers[0]["name"] = json!("server");
            containers.insert(0, sidecar);
        });
        edit(all, "Deployment", "postgres", |object| {
            object.get_mut("/spec/template/spec/containers/0").expect("a container")["name"] = json!("db");
            let containers = object.get_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
            containers.expect("containers").push(json!({"name": "exporter", "image": "registry.example/exporter:1"}));
        });
    });
    let output = output(given);
    assert_eq!(container(&output, "flyteadmin", "flyteadmin")["readinessProbe"]["httpGet"]["port"], 8088);
    assert_eq!(container(&output, "flyteadmin", "proxy").get("readinessProbe"), None);
    assert!(container(&output, "postgres", "postgres")["readinessProbe"].is_object());
    // Not the last container's, which is no Postgres.
    let check = container(&output, "datacatalog", "check-db-ready")["image"].as_str().expect("an image");
    assert!(check.contains("postgres"), "{check}");
}

#[test]
fn the_settings_are_those_that_the_program_is_told_to_read() {
    let given = changed(|all| {
        edit(all, "Deployment", "flytepropeller", |object| {
            let pod = object.pod_spec_mut().expect("a pod");
            pod["volumes"]
                .as_array_mut()
                .expect("volumes")
                .insert(0, json!({"name": "t", "configMap": {"name": "templates"}}));
            let mounts = pod["containers"][0]["volumeMounts"].as_array_mut().expect("mounts");
            mounts.insert(0, json!({"name": "t", "mountPath": "/etc/templates"}));
        });
        all.extend(bundle("{apiVersion: v1, kind: ConfigMap, metadata: {name: templates, namespace: flyte}, data: {a.yaml: 'a: 1'}}").objects);
    });
    let output = output(given);
    assert_eq!(find(&output, "ConfigMap", "templates").get("/data"), Some(&json!({"a.yaml": "a: 1"})));
    let own = setting(&output, "flyte-propeller-config-x-d-dev", &["propeller", "limit-namespace"]);
    assert_eq!(own, Some(json!("103020-flytepoc-x-d-dev")));
}

#[test]
fn the_pinned_store_is_not_told_what_only_another_version_knows() {
    let given = changed(|all| {
        edit(all, "Deployment", "minio", |object| {
            let server = object.get_mut("/spec/template/spec/containers/0").expect("a server");
            server["image"] = json!("minio/minio:RELEASE.2023-09-30T07-02-29Z");
            server["args"] = json!(["server", "/data", "--console-address", ":9001", "--address", ":9000"]);
            server["env"] = json!([{"name": "MINIO_ROOT_PASSWORD_FILE", "value": "/keys/password"}]);
            server["volumeMounts"]
                .as_array_mut()
                .expect("mounts")
                .insert(0, json!({"name": "keys", "mountPath": "/keys"}));
            let volumes = object.get_mut("/spec/template/spec/volumes").and_then(Value::as_array_mut);
            volumes.expect("volumes").push(json!({"name": "keys", "secret": {"secretName": "keys", "optional": true}}));
        });
        edit(all, "Service", "minio-direct", |service| {
            service.set(&["spec", "ports"], json!([{"name": "console", "port": 9001}, {"name": "api", "port": 9000}]));
        });
    });
    let output = output(given);
    let server = container(&output, "minio", "minio");
    assert_eq!(server["args"], json!(["server", "/data", "--address", ":9000"]));
    assert!(!server["env"].to_string().contains("ROOT"), "{}", server["env"]);
    assert_eq!(server["volumeMounts"][0]["mountPath"], "/keys");
    let ports = find(&output, "Service", "minio-direct").get("/spec/ports").cloned().expect("ports");
    assert_eq!((&ports[0]["port"], &ports[0]["nodePort"]), (&json!(9000), &json!(30084)));
    assert_eq!(ports[1].get("nodePort"), None);
}

#[test]
fn what_is_left_out_takes_along_what_only_it_used() {
    let output = output(added(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {name: flyte-pod-webhook, namespace: flyte}
spec:
  selector: {matchLabels: {app: hook}}
  template:
    metadata: {labels: {app: hook}}
    spec:
      serviceAccountName: hooks
      containers: [{name: webhook, image: 'cr.flyte.org/flyteorg/flytepropeller:v1'}]
      volumes: [{name: c, secret: {secretName: certs}}, {name: s, configMap: {name: flyte-propeller-config}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: make-certs, namespace: flyte}
spec:
  template:
    spec:
      serviceAccountName: hooks
      containers: [{name: certs, image: 'registry.example/certs:1', volumeMounts: []}]
      volumes: [{name: e, secret: {secretName: extra}}]
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: hooks, namespace: flyte}}
---
{apiVersion: v1, kind: Secret, metadata: {name: certs, namespace: flyte}}
---
{apiVersion: v1, kind: Secret, metadata: {name: extra, namespace: flyte}}
---
{apiVersion: v1, kind: Service, metadata: {name: hook, namespace: flyte}, spec: {selector: {app: hook}, ports: [{port: 443}]}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: hooks, namespace: flyte},
 roleRef: {kind: Role, name: hooks}, subjects: [{kind: ServiceAccount, name: hooks, namespace: flyte}]}
",
    ));
    for (kind, name) in [
        ("Deployment", "flyte-pod-webhook"),
        ("Job", "make-certs"),
        ("ServiceAccount", "hooks"),
        ("Secret", "certs"),
        ("Secret", "extra"),
        ("Service", "hook"),
        ("RoleBinding", "hooks"),
    ] {
        assert!(!output.objects.iter().any(|object| object.is(kind, name)), "{kind} {name} is still there");
    }
    // One line, of what its users will miss.
    let told = told(&output);
    assert_eq!(told.len(), 1, "{told:?}");
    // The propellers' own settings, which the webhook read too, stay.
    assert!(output.objects.iter().any(|object| object.is("ConfigMap", "flyte-propeller-config-x-d-dev")));
}

#[test]
fn a_job_of_the_webhook_goes_with_it_whatever_its_name() {
    let output = output(added(
        "
apiVersion: batch/v1
kind: Job
metadata: {name: init, namespace: flyte}
spec:
  template:
    spec:
      containers:
      - {name: c, image: 'cr.flyte.org/flyteorg/flytepropeller:v1', command: [sh, -c, 'flytepropeller webhook init-certs']}
",
    ));
    assert_eq!(all(&output, "Job").count(), 0);
    assert_eq!(find(&output, "Deployment", "flyteadmin").namespace(), Some(SYSTEM));
}

#[test]
fn a_database_elsewhere_is_replaced_by_the_sandboxs_own() {
    let elsewhere = "database:\n  host: db.prod.example.org\n  port: 5433\n  username: flyteadmin\n  dbname: flyte\n  options: sslmode=require\n";
    let given = || {
        changed(|all| {
            put(all, "flyte-admin-config", "db.yaml", elsewhere);
            put(all, "datacatalog-config", "db.yaml", elsewhere);
        })
    };
    let output = output(given());
    for config in ["flyte-admin-config", "datacatalog-config"] {
        assert_eq!(setting(&output, config, &["database", "host"]), Some(json!("postgres")));
        assert_eq!(setting(&output, config, &["database", "port"]), Some(json!(5432)));
        assert_eq!(setting(&output, config, &["database", "options"]), Some(json!("sslmode=disable")));
    }
    let text: String = output.objects.iter().map(|object| object.value().to_string()).collect();
    assert!(!text.contains("db.prod.example.org"));
    let told = told(&output);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("not the one at db.prod.example.org; `--keep-external db.prod.example.org`"), "{told:?}");
    let keeping = Spec { keep_external: vec!["db.prod.example.org".to_owned()], ..Spec::default() };
    let kept = rendered(&keeping, given());
    assert_eq!(setting(&kept, "flyte-admin-config", &["database", "host"]), Some(json!("db.prod.example.org")));
}

#[test]
fn a_pinned_admin_never_migrates_somebodys_database() {
    let given = changed(|all| {
        put(all, "flyte-admin-config", "db.yaml", "database: {host: db.prod.example.org}\n");
        edit(all, "Deployment", "flyteadmin", |object| {
            for list in ["initContainers", "containers"] {
                for container in object.containers_mut(list) {
                    container["image"] = json!("cr.flyte.org/flyteorg/flyteadmin:v1.10.0");
                }
            }
        });
    });
    let keep = vec!["db.prod.example.org".to_owned()];
    let spec = Spec { keep_external: keep.clone(), ..Spec::default() };
    let error = render(&spec, given.clone()).expect_err("an older admin");
    assert!(error.to_string().contains("would migrate the database at db.prod.example.org"), "{error}");
    let mut spec = Spec { keep_external: keep, ..Spec::default() };
    let image = "cr.flyte.org/flyteorg/flyteadmin:v1.10.0".parse().expect("an image");
    spec.images.insert("flyteadmin".to_owned(), image);
    rendered(&spec, given);
}

#[test]
fn a_store_elsewhere_and_iam_are_replaced_by_the_sandboxs_own() {
    let s3 = "storage:\n  type: s3\n  container: prod\n  connection:\n    auth-type: iam\n    region: eu-west-1\n";
    let output = output(changed(|all| {
        for config in ["flyte-admin-config", "datacatalog-config", "flyte-propeller-config"] {
            put(all, config, "storage.yaml", s3);
        }
    }));
    for config in ["flyte-admin-config", "datacatalog-config", "flyte-propeller-config-x-d-dev"] {
        let connection = setting(&output, config, &["storage", "connection"]).expect("a connection");
        assert_eq!(connection["endpoint"], format!("http://minio.{SYSTEM}.svc.cluster.local:9000"), "{config}");
        assert_eq!(connection["auth-type"], "accesskey", "{config}");
        assert_eq!(setting(&output, config, &["storage", "type"]), Some(json!("minio")), "{config}");
    }
    assert_eq!(told(&output).len(), 3, "{:?}", told(&output));
}

#[test]
fn authentication_is_off_and_told() {
    let output = output(changed(|all| {
        edit(all, "ConfigMap", "flyte-admin-config", |object| {
            object
                .set(&["data", "with-auth.yaml"], "server: {security: {useAuth: true}}\nnotifications: {type: aws}\n");
        });
    }));
    assert_eq!(setting(&output, "flyte-admin-config", &["server", "security", "useAuth"]), Some(json!(false)));
    assert_eq!(setting(&output, "flyte-admin-config", &["notifications", "type"]), Some(json!("noop")));
    let told = told(&output).join("\n");
    assert!(told.contains("authentication is off") && told.contains("sends no notifications"), "{told}");
}

#[test]
fn a_strangers_database_is_refused_unless_it_is_kept() {
    let stranger = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: flyte}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [
  {name: app, image: 'registry.example/app:1', env: [{name: DB, value: 'postgres://me@db.prod.example.org:5432/x'}]}]}}}
";
    let error = render(&Spec::default(), added(stranger)).expect_err("a database outside");
    assert!(error.to_string().contains("has the database at db.prod.example.org in the variable DB"), "{error}");
    let spec = Spec { keep_external: vec!["db.prod.example.org".to_owned()], ..Spec::default() };
    rendered(&spec, added(stranger));
}

#[test]
fn a_store_in_another_namespace_comes_along() {
    let output = output(changed(|all| {
        for object in all.iter_mut().filter(|object| object.name().starts_with("minio") && object.namespace().is_some())
        {
            object.set(&["metadata", "namespace"], "stores");
        }
        for object in all.iter_mut().filter(|object| object.kind() == "ConfigMap") {
            let data = object.get_mut("/data").and_then(Value::as_object_mut);
            for (_, text) in data.into_iter().flatten() {
                *text = json!(text.as_str().unwrap_or_default().replace("minio.flyte", "minio.stores"));
            }
        }
    }));
    assert_eq!(find(&output, "Deployment", "minio").namespace(), Some(SYSTEM));
    let endpoint = setting(&output, "flyte-admin-config", &["storage", "connection", "endpoint"]);
    assert_eq!(endpoint, Some(json!(format!("http://minio.{SYSTEM}.svc.cluster.local:9000"))));
    assert_eq!(told(&output), [] as [String; 0]);
}

#[test]
fn kubernetes_own_service_stays_where_it_is() {
    let output = output(changed(|all| {
        for object in all.iter_mut().filter(|object| object.namespace() == Some("flyte")) {
            object.set(&["metadata", "namespace"], "default");
        }
        edit(all, "Deployment", "flyteadmin", |object| {
            let server = object.get_mut("/spec/template/spec/containers/0").expect("a server");
            server["env"] = json!([{"name": "API", "value": "https://kubernetes.default.svc:443"}, {"name": "DB", "value": "postgres.default.svc"}]);
        });
    }));
    let server = container(&output, "flyteadmin", "flyteadmin");
    assert_eq!(server["env"][0]["value"], "https://kubernetes.default.svc:443");
    assert_eq!(server["env"][1]["value"], format!("postgres.{SYSTEM}.svc"));
}

#[test]
fn what_one_node_cannot_have_is_dropped_and_one_pod_of_each_runs() {
    let output = output(changed(|all| {
        edit(all, "Deployment", "flyteadmin", |object| {
            object.set(&["spec", "replicas"], 0);
            let pod = object.pod_spec_mut().expect("a pod");
            let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {}});
            pod["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
            pod["nodeSelector"] = json!({"pool": "flyte", "kubernetes.io/os": "linux"});
            pod["tolerations"] = json!([{"operator": "Exists"}]);
            pod["imagePullSecrets"] = json!([{"name": "registry"}]);
            pod["priorityClassName"] = json!("high");
        });
    }));
    let admin = find(&output, "Deployment", "flyteadmin");
    assert_eq!(admin.get("/spec/replicas"), Some(&json!(1)));
    let pod = admin.pod_spec().expect("a pod");
    for key in ["affinity", "nodeSelector", "tolerations", "imagePullSecrets", "priorityClassName"] {
        assert_eq!(pod.get(key), None, "{key}");
    }
    assert_eq!(told(&output).len(), 1, "{:?}", told(&output));
}

#[test]
fn a_claim_is_a_folder_of_the_node() {
    let output = output(added(
        "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: cache, namespace: flyte}
spec:
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: 'registry.example/c:1'}],
    volumes: [{name: v, persistentVolumeClaim: {claimName: shared}}]}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {}}]
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: shared, namespace: flyte}}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast}}
",
    ));
    let set = find(&output, "StatefulSet", "cache");
    let path = |index: usize| set.get(&format!("/spec/template/spec/volumes/{index}/hostPath/path")).cloned();
    let ends =
        |path: Option<Value>, end: &str| path.is_some_and(|path| path.as_str().is_some_and(|path| path.ends_with(end)));
    assert!(ends(path(0), "/claims/shared") && ends(path(1), "/claims/data-cache"), "{}", set.value());
    assert_eq!(all(&output, "PersistentVolumeClaim").count() + all(&output, "StorageClass").count(), 0);
}

#[test]
fn kinds_that_the_node_does_not_serve_or_need_are_left_out() {
    let output = output(added(
        "
{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: m, namespace: flyte}}
---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: flyte}}
---
{apiVersion: autoscaling/v2beta1, kind: HorizontalPodAutoscaler, metadata: {name: flyteadmin, namespace: flyte}}
---
{apiVersion: v1, kind: ResourceQuota, metadata: {name: q, namespace: flyte}, spec: {hard: {pods: '5'}}}
---
{apiVersion: policy/v1beta1, kind: PodDisruptionBudget, metadata: {name: flyteadmin, namespace: flyte}}
",
    ));
    for kind in ["ServiceMonitor", "HorizontalPodAutoscaler", "ResourceQuota", "PodDisruptionBudget"] {
        assert_eq!(all(&output, kind).count(), 0, "{kind}");
    }
    assert_eq!(told(&output).len(), 2, "{:?}", told(&output));
}

#[test]
fn a_request_above_the_limit_that_a_transform_sets_raises_it() {
    let output = output(changed(|all| {
        edit(all, "Deployment", "flyteadmin", |object| {
            let server = object.get_mut("/spec/template/spec/containers/0").expect("a server");
            server["resources"] = json!({
                "requests": {"ephemeral-storage": "1Gi", "memory": "2Gi", "cpu": 2},
                "limits": {"ephemeral-storage": "1Gi", "memory": "100Mi", "cpu": 1},
            });
        });
    }));
    let resources = &container(&output, "flyteadmin", "flyteadmin")["resources"];
    assert_eq!(resources["limits"], json!({"ephemeral-storage": "1Gi", "memory": "128Mi"}));
    // Small enough for a dozen of them on a laptop.
    assert_eq!(resources["requests"], json!({"ephemeral-storage": "1Gi", "memory": "128Mi", "cpu": "200m"}));
}

#[test]
fn a_quantity_that_is_none_is_told_with_its_place() {
    let error = render(
        &Spec::default(),
        changed(|all| {
            edit(all, "Deployment", "flyteadmin", |object| {
                let server = object.get_mut("/spec/template/spec/containers/0").expect("a server");
                server["resources"] = json!({"requests": {"memory": "1GB"}});
            });
        }),
    );
    let error = error.expect_err("no quantity").to_string();
    assert!(error.contains("requests.memory of container flyteadmin") && error.contains("no quantity"), "{error}");
}

#[test]
fn fields_of_another_type_and_ports_of_ours_are_not_left_in_a_service() {
    let output = output(changed(|all| {
        edit(all, "Service", "flyteadmin", |service| {
            service.set(&["spec", "type"], "LoadBalancer");
            service.set(&["spec", "loadBalancerSourceRanges"], json!(["10.0.0.0/8"]));
            service.set(&["spec", "allocateLoadBalancerNodePorts"], false);
        });
        edit(all, "Service", "postgres", |service| {
            service.set(&["spec"], json!({"type": "ExternalName", "externalName": "db.prod.example.org"}));
        });
        let metrics =
            "{apiVersion: v1, kind: Service, metadata: {name: metrics, namespace: flyte}, spec: {type: NodePort,
            selector: {a: b}, ports: [{port: 80, nodePort: 30081}]}}";
        all.extend(bundle(metrics).objects);
    }));
    let admin = find(&output, "Service", "flyteadmin").get("/spec").expect("a spec").clone();
    assert_eq!(
        (admin["type"].as_str(), admin.get("loadBalancerSourceRanges"), admin.get("allocateLoadBalancerNodePorts")),
        (Some("ClusterIP"), None, None)
    );
    let postgres = find(&output, "Service", "postgres").get("/spec").expect("a spec").clone();
    assert_eq!(postgres.get("externalName"), None);
    assert_eq!(postgres["ports"][0]["port"], 5432);
    assert!(postgres["selector"].is_object());
    assert_eq!(find(&output, "Service", "metrics").get("/spec/ports/0/nodePort"), None);
}

#[test]
fn what_the_chosen_kubernetes_does_not_serve_is_left_out_and_told() {
    let brought = "\
{apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice, metadata: {name: s, namespace: flyte}, addressType: IPv4,
  endpoints: []}
---
{apiVersion: flowcontrol.apiserver.k8s.io/v1, kind: FlowSchema, metadata: {name: f}}
---
{apiVersion: apiregistration.k8s.io/v1beta1, kind: APIService, metadata: {name: v1.example.com}, spec: {group: example.com,
  groupPriorityMinimum: 1, version: v1, versionPriority: 1}}
---
{apiVersion: apps/v1, kind: Deploymant, metadata: {name: typo, namespace: flyte}}
---
{apiVersion: batch/v1beta1, kind: CronJob, metadata: {name: c, namespace: flyte}, spec: {schedule: '@daily',
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}}
";
    for (release, left, why) in [
        ("v1.21.2+k3s1", "FlowSchema", "came with Kubernetes 1.29, and this sandbox has 1.21"),
        (
            "v1.33.1+k3s1",
            "EndpointSlice",
            "Kubernetes 1.25 removed discovery.k8s.io/v1beta1, and this sandbox has 1.33",
        ),
    ] {
        let spec = Spec { kubernetes: release.to_owned(), ..Spec::default() };
        let output = rendered(&spec, added(brought));
        let is_there = |kind: &str| output.objects.iter().any(|one| one.kind() == kind);
        for kind in ["FlowSchema", "EndpointSlice", "Deploymant"] {
            assert_eq!(is_there(kind), kind != left && kind != "Deploymant", "{release} {kind}");
        }
        assert_eq!(find(&output, "CronJob", "c").api_version(), "batch/v1", "made to fit");
        assert_eq!(find(&output, "APIService", "v1.example.com").api_version(), "apiregistration.k8s.io/v1");
        let told = told(&output);
        assert!(told.iter().any(|line| line.contains(why)), "{told:?}");
        assert!(
            told.iter().any(|line| line.contains("no Kubernetes of a sandbox serves Deploymant as apps/v1")),
            "{told:?}"
        );
    }
}

#[test]
fn a_strangers_definition_of_a_kind_is_brought_into_the_form_that_is_served() {
    let output = output(added(
        "
apiVersion: apiextensions.k8s.io/v1beta1
kind: CustomResourceDefinition
metadata: {name: jobs.example.org}
spec:
  group: example.org
  version: v1
  names: {kind: Job, plural: jobs}
  subresources: {status: {}}
  additionalPrinterColumns: [{name: State, type: string, JSONPath: .status.state}]
---
{apiVersion: example.org/v1, kind: Job, metadata: {name: one, namespace: flyte}}
",
    ));
    let definition = find(&output, "CustomResourceDefinition", "jobs.example.org");
    assert_eq!(definition.api_version(), "apiextensions.k8s.io/v1");
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let columns = json!([{"name": "State", "type": "string", "jsonPath": ".status.state"}]);
    assert_eq!(definition.get("/metadata/annotations"), None);
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": schema, "subresources": {"status": {}},
        "additionalPrinterColumns": columns});
    assert_eq!(definition.get("/spec/versions"), Some(&json!([version])));
    assert_eq!(find(&output, "Job", "one").api_version(), "example.org/v1");
}

#[test]
fn a_key_that_stands_twice_in_settings_is_no_mistake() {
    let twice = "storage: {type: minio, enable-multicontainer: true, enable-multicontainer: false}\n";
    let output = output(changed(|all| put(all, "datacatalog-config", "twice.yaml", twice)));
    assert_eq!(setting(&output, "datacatalog-config", &["storage", "enable-multicontainer"]), Some(json!(false)));
}

#[test]
fn of_two_objects_that_differ_it_is_told_which_one_counts() {
    let one = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: flyte}, data: {a: ";
    let text = format!("{one}'1'}}}}\n---\n{one}'2'}}}}\n");
    let mut brought = changed(|_| {});
    let twice = bundle(&text);
    brought.objects.extend(twice.objects);
    brought.overridden = twice.overridden;
    let output = output(brought);
    assert_eq!(find(&output, "ConfigMap", "c").get("/data/a"), Some(&json!("2")));
    assert_eq!(told(&output), ["configmap flyte/c stands in test and, otherwise, in test: the last one counts"]);
}

#[test]
fn a_program_reads_all_files_of_its_folder_and_knows_its_flags() {
    let output = output(changed(|all| {
        edit(all, "Deployment", "flyteadmin", |object| {
            let server = object.get_mut("/spec/template/spec/containers/0").expect("a server");
            server["command"] =
                json!(["flyteadmin", "--logtostderr", "--config", "/etc/flyte/config/flyteadmin_config.yaml", "serve"]);
        });
    }));
    let command = &container(&output, "flyteadmin", "flyteadmin")["command"];
    assert_eq!(*command, json!(["flyteadmin", "--config", "/etc/flyte/config/*.yaml", "serve"]));
}

#[test]
fn settings_in_a_secret_are_read_and_set_as_those_in_a_config_map() {
    let output = output(changed(|all| {
        for (name, deployment) in [
            ("flyte-admin-config", "flyteadmin"),
            ("datacatalog-config", "datacatalog"),
            ("flyte-propeller-config", "flytepropeller"),
        ] {
            edit(all, "ConfigMap", name, |object| {
                object.set(&["kind"], "Secret");
                let data = object.remove(&["data"]).expect("settings");
                let encoded = data.as_object().expect("settings").iter().map(|(key, text)| {
                    let text = text.as_str().expect("text");
                    (key.clone(), json!(k8s_openapi::ByteString(text.as_bytes().to_vec())))
                });
                match name {
                    "datacatalog-config" => object.set(&["stringData"], data),
                    _ => object.set(&["data"], Value::Object(encoded.collect())),
                }
            });
            edit(all, "Deployment", deployment, |object| {
                let volumes = object.pod_spec_mut().expect("a pod")["volumes"].as_array_mut().expect("volumes");
                let volume = volumes.iter_mut().find(|one| one["configMap"]["name"] == name).expect("mounted");
                *volume = json!({"name": volume["name"], "secret": {"secretName": name, "defaultMode": 420}});
            });
        }
        // Another program's, with the same Secret among others: it stays for that one.
        all.extend(
            bundle(
                "{apiVersion: v1, kind: Pod, metadata: {name: own, namespace: flyte},
            spec: {containers: [{name: a, image: a, envFrom: [{secretRef: {name: datacatalog-config}}]}]}}",
            )
            .objects,
        );
    }));
    let settings = setting(&output, "flyte-propeller-config-x-d-dev", &["propeller", "limit-namespace"]);
    assert_eq!(settings, Some(json!("103020-flytepoc-x-d-dev")));
    assert!(setting(&output, "flyte-admin-config", &["namespace_mapping", "template"]).is_some());
    let volumes = find(&output, "Deployment", "datacatalog").pod_spec().expect("a pod")["volumes"].clone();
    let mounted = json!({"defaultMode": 420, "name": "datacatalog-config"});
    assert!(volumes.as_array().expect("volumes").iter().any(|one| one["configMap"] == mounted), "{volumes}");
    let secrets = output.objects.iter().filter(|one| one.kind() == "Secret").map(Object::name).collect::<Vec<_>>();
    assert!(secrets.contains(&"datacatalog-config") && !secrets.contains(&"flyte-admin-config"), "{secrets:?}");
    assert_eq!(
        told(&output),
        ["pod 103020-flytepoc-dev/own is kept and runs a: it is no component that a sandbox knows"]
    );
}

/// A program that reads its settings from a Secret, which has a key file and bytes that are no text as well.
#[test]
fn what_else_is_in_a_secret_with_settings_stays_where_the_pod_looks_for_it() {
    let bytes = json!(k8s_openapi::ByteString(vec![0xff, 0xfe, 0x00]));
    let output = output(changed(|all| {
        edit(all, "ConfigMap", "datacatalog-config", |object| {
            object.set(&["kind"], "Secret");
            object.set(&["type"], "Opaque");
            object.set(&["immutable"], true);
            object.set(&["metadata", "labels", "team"], "x");
            object.set(&["metadata", "annotations", "note"], "y");
            let mut data = object.remove(&["data"]).expect("settings");
            data["tls.key"] = json!("a key\n");
            data["empty"] = json!("");
            object.set(&["stringData"], data);
            object.set(&["data"], json!({"store.jks": bytes}));
        });
        edit(all, "Deployment", "datacatalog", |object| {
            let volumes = object.pod_spec_mut().expect("a pod")["volumes"].as_array_mut().expect("volumes");
            let volume =
                volumes.iter_mut().find(|one| one["configMap"]["name"] == "datacatalog-config").expect("mounted");
            let items = json!([{"key": "tls.key", "path": "tls.key"}, {"key": "store.jks", "path": "certs/store.jks"}]);
            *volume = json!({"name": volume["name"], "projected": {"sources": [
                {"secret": {"name": "datacatalog-config"}}, {"secret": {"name": "datacatalog-config", "items": items}}]}});
        });
    }));
    assert!(!output.objects.iter().any(|one| one.is("Secret", "datacatalog-config")), "nobody reads it");
    let map = find(&output, "ConfigMap", "datacatalog-config");
    assert_eq!(map.get("/data/tls.key"), Some(&json!("a key\n")));
    assert_eq!(map.get("/data/empty"), Some(&json!("")));
    assert_eq!(map.get("/binaryData"), Some(&json!({"store.jks": bytes})));
    assert_eq!((map.label("team"), map.get("/metadata/annotations/note")), (Some("x"), Some(&json!("y"))));
    assert_eq!((map.get("/immutable"), map.get("/type"), map.get("/stringData")), (None, None, None));
    let volumes = find(&output, "Deployment", "datacatalog").pod_spec().expect("a pod")["volumes"].clone();
    let projected =
        volumes.as_array().expect("volumes").iter().find_map(|one| one.get("projected")).expect("projected");
    assert_eq!(projected["sources"][1]["configMap"]["items"][1]["path"], "certs/store.jks", "{projected}");
}

#[test]
fn a_secret_of_others_is_not_taken_for_the_keys_of_a_project() {
    let output = output(added(
        "{apiVersion: v1, kind: Secret, metadata: {name: flyte-storage-certs, namespace: flyte}, stringData: {ca: c}}",
    ));
    assert_eq!(find(&output, "Secret", "flyte-storage-certs").get("/stringData"), Some(&json!({"ca": "c"})));
}

#[test]
fn a_stateful_sets_pod_keeps_the_name_that_others_reach_it_by() {
    let output = output(changed(|all| {
        edit(all, "Deployment", "postgres", |object| {
            object.set(&["kind"], "StatefulSet");
            object.set(&["spec", "serviceName"], "postgres");
            object.remove(&["spec", "strategy"]);
        });
        edit(all, "Service", "postgres", |object| object.set(&["spec", "clusterIP"], "None"));
    }));
    let pod = find(&output, "Deployment", "postgres").pod_spec().expect("a pod");
    assert_eq!((&pod["hostname"], &pod["subdomain"]), (&json!("postgres-0"), &json!("postgres")));
}

#[test]
fn fields_that_only_the_beta_versions_had_go_with_them() {
    let output = output(changed(|all| {
        edit(all, "Deployment", "flyteadmin", |object| {
            object.set(&["apiVersion"], "extensions/v1beta1");
            object.set(&["spec", "rollbackTo"], json!({"revision": 1}));
        });
    }));
    let admin = find(&output, "Deployment", "flyteadmin");
    assert_eq!((admin.api_version(), admin.get("/spec/rollbackTo")), ("apps/v1", None));
}

#[test]
fn an_account_of_another_name_is_the_one_that_checks_ask_about() {
    let output = output(changed(|all| {
        for name in ["flyteadmin", "datacatalog"] {
            edit(all, "ServiceAccount", name, |account| account.set(&["metadata", "name"], format!("pf-{name}")));
            edit(all, "Deployment", name, |object| {
                let pod = object.pod_spec_mut().expect("a pod");
                pod["serviceAccountName"] = json!(format!("pf-{name}"));
            });
        }
    }));
    for name in ["flyteadmin", "datacatalog"] {
        let pod = find(&output, "Deployment", name).pod_spec().expect("a pod");
        assert_eq!(pod["serviceAccountName"], name);
        find(&output, "ServiceAccount", name);
    }
    let bound = find(&output, "RoleBinding", "flyteadmin-103020-flytepoc-x-d-dev");
    assert_eq!(bound.get("/subjects/0/name"), Some(&json!("flyteadmin")));
}

#[test]
fn a_secret_that_is_no_settings_stays_one() {
    let output = output(changed(|all| {
        edit(all, "Deployment", "flyteadmin", |object| {
            let pod = object.pod_spec_mut().expect("a pod");
            let mounts = pod["containers"][0]["volumeMounts"].as_array_mut().expect("mounts");
            mounts.push(json!({"name": "s", "mountPath": "/etc/secrets"}));
            pod["volumes"].as_array_mut().expect("volumes").push(json!({"name": "s", "secret": {"secretName": "s"}}));
        });
        all.extend(
            bundle(
                "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: flyte}, stringData: {a.yaml: 'a: 1'}}",
            )
            .objects,
        );
    }));
    assert_eq!(find(&output, "Secret", "s").get("/stringData"), Some(&json!({"a.yaml": "a: 1"})));
}

#[test]
fn a_component_is_a_deployment_whatever_it_was() {
    let output = output(changed(|all| {
        for name in ["flytepropeller", "postgres", "flyteadmin"] {
            edit(all, "Deployment", name, |object| {
                object.set(&["kind"], "StatefulSet");
                object.set(&["spec", "serviceName"], name);
                object.set(&["spec", "updateStrategy"], json!({"type": "RollingUpdate"}));
                object.remove(&["spec", "strategy"]);
            });
        }
        edit(all, "StatefulSet", "postgres", |object| {
            let claim =
                json!([{"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}]);
            object.set(&["spec", "volumeClaimTemplates"], claim);
        });
    }));
    for name in ["flytepropeller-x-d-dev", "postgres", "flyteadmin"] {
        let deployment = find(&output, "Deployment", name);
        assert_eq!(deployment.get("/spec/strategy"), Some(&json!({"type": "Recreate"})), "{name}");
        for field in ["serviceName", "updateStrategy", "volumeClaimTemplates"] {
            assert_eq!(deployment.get("/spec").and_then(|spec| spec.get(field)), None, "{name} {field}");
        }
    }
    assert_eq!(told(&output), Vec::<String>::new());
}

#[test]
fn ports_and_the_network_of_the_node_keep_no_pods_apart() {
    let output = output(changed(|all| {
        for name in ["minio", "flyteadmin"] {
            edit(all, "Deployment", name, |object| {
                let pod = object.pod_spec_mut().expect("a pod");
                pod["containers"][0]["ports"][0]["hostPort"] = json!(30081);
            });
        }
        edit(all, "Deployment", "datacatalog", |object| {
            let pod = object.pod_spec_mut().and_then(Value::as_object_mut).expect("a pod");
            pod.insert("hostNetwork".to_owned(), json!(true));
            pod.insert("dnsPolicy".to_owned(), json!("ClusterFirstWithHostNet"));
        });
    }));
    for name in ["minio", "flyteadmin", "datacatalog"] {
        let pod = find(&output, "Deployment", name).pod_spec().expect("a pod").to_string();
        assert!(!pod.contains("hostPort") && !pod.contains("hostNetwork") && !pod.contains("WithHostNet"), "{pod}");
    }
}

#[test]
fn a_service_has_an_address_and_families_of_its_own_cluster() {
    let output = output(changed(|all| {
        edit(all, "Service", "flyteadmin", |object| {
            object.set(&["spec", "clusterIP"], "10.0.0.5");
            object.set(&["spec", "clusterIPs"], json!(["10.0.0.5"]));
            object.set(&["spec", "ipFamilies"], json!(["IPv4", "IPv6"]));
            object.set(&["spec", "ipFamilyPolicy"], "RequireDualStack");
        });
        edit(all, "Service", "postgres", |object| object.set(&["spec", "clusterIP"], "None"));
    }));
    let spec = find(&output, "Service", "flyteadmin").get("/spec").cloned().expect("a spec");
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        assert_eq!(spec.get(field), None, "{field}");
    }
    assert_eq!(find(&output, "Service", "postgres").get("/spec/clusterIP"), Some(&json!("None")));
}

#[test]
fn a_propeller_counts_nothing_in_a_redis_that_is_not_there() {
    let manager = |host: &str| {
        format!("propeller: {{resourcemanager: {{type: redis, redis: {{hostPaths: ['{host}:6379'], hostKey: k}}}}}}\n")
    };
    let kind = ["propeller", "resourcemanager", "type"];
    let service = "{apiVersion: v1, kind: Service, metadata: {name: redis, namespace: flyte}, spec: {selector: {a: b}, ports: [{port: 6379}]}}";
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: redis, namespace: flyte, labels: {a: b}}, spec: {containers: [{name: r, image: 'redis:6'}]}}";
    let served = format!("{service}\n---\n{pod}");
    for (host, added, wanted) in [
        ("redis.corp.example.com", "", "noop"),
        ("redis.flyte.svc.cluster.local", "", "noop"),
        ("redis.flyte.svc.cluster.local", service, "noop"),
        ("redis.flyte.svc.cluster.local", &served, "redis"),
    ] {
        let output = output(changed(|all| {
            edit(all, "ConfigMap", "flyte-propeller-config", |object| {
                let data = object.get("/data").and_then(Value::as_object).cloned().expect("settings");
                for (file, text) in data {
                    let text = text.as_str().unwrap_or_default();
                    if text.contains("resourcemanager") {
                        let mut settings = crate::yaml::document(text).expect("YAML");
                        settings["propeller"].as_object_mut().expect("settings").shift_remove("resourcemanager");
                        object.set(&["data", &file], crate::yaml::emit(&settings));
                    }
                }
                object.set(&["data", "rm.yaml"], manager(host));
            });
            if !added.is_empty() {
                all.extend(bundle(added).objects);
            }
        }));
        assert_eq!(setting(&output, "flyte-propeller-config-x-d-dev", &kind), Some(json!(wanted)), "{host}");
        let is_told = told(&output).iter().any(|line| line.contains("limits nothing by the Redis"));
        assert_eq!(is_told, wanted == "noop", "{:?}", told(&output));
    }
}

#[test]
fn the_consoles_server_loads_what_makes_its_page_whole_without_the_internet() {
    const FOLDER: &str = "/etc/flyte-console-offline";
    let ours = format!("--require {FOLDER}/offline.js");
    let variable = |value: Value| json!([{"name": "NODE_OPTIONS", "value": value}]);
    let of_the_pod = json!([{"name": "NODE_OPTIONS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
    let table = [
        (Value::Null, None, variable(json!(ours))),
        (variable(json!("--no-deprecation")), None, variable(json!(format!("--no-deprecation {ours}")))),
        (Value::Null, Some("--no-warnings"), variable(json!(format!("--no-warnings {ours}")))),
        (of_the_pod.clone(), None, of_the_pod),
    ];
    for (given, in_config_map, expected) in table {
        let output = output(changed(|all| {
            edit(all, "Deployment", "flyteconsole", |console| {
                for server in console.containers_mut("containers").filter(|_| !given.is_null()) {
                    server["env"] = given.clone();
                }
            });
            if let Some(options) = in_config_map {
                put(all, "flyte-console-config", "NODE_OPTIONS", options);
            }
        }));
        let server = container(&output, "flyteconsole", "flyteconsole");
        assert_eq!(server["env"], expected);
        let mount = server["volumeMounts"].as_array().expect("mounts").iter().find(|one| one["mountPath"] == FOLDER);
        let map = output.objects.iter().find(|object| object.is("ConfigMap", "flyte-console-offline"));
        if expected.to_string().contains(&ours) {
            assert_eq!(mount.map(|mount| &mount["name"]), Some(&json!("flyte-console-offline")));
            let map = map.expect("what is mounted");
            assert_eq!(map.namespace(), Some(SYSTEM));
            assert!(map.get("/data/offline.js").and_then(Value::as_str).is_some_and(|code| code.contains("unpkg")));
        } else {
            assert_eq!((mount, map), (None, None));
        }
    }
}
