//! Every defect of upstream's manifest set: it is in the input, and not in what is rendered. Each is looked for in a
//! reduced set that has them all, and in upstream's own file where that lies beside the project.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

const DEFECTIVE: &str = include_str!("defective.yaml");
const SYSTEM: &str = "103020-flytepoc-dev";
const WORKFLOWS: [&str; 6] = [
    "103020-flytepoc-x-d-dev",
    "103020-flytepoc-x-p-dev",
    "103020-flytepoc-x-t-dev",
    "103020-flytepoc-y-d-dev",
    "103020-flytepoc-y-p-dev",
    "103020-flytepoc-y-t-dev",
];

fn each(check: impl Fn(&Bundle, &Rendered)) {
    let mut inputs = vec![bundle(DEFECTIVE)];
    match upstream() {
        Some(upstream) => inputs.push(upstream),
        None => eprintln!("upstream's manifests are not beside the project: only the reduced set is checked"),
    }
    for input in inputs {
        let output = rendered(&Spec::default(), input.clone());
        check(&input, &output);
    }
}

fn given<'a>(input: &'a Bundle, kind: &str, name: &str) -> &'a Object {
    input.objects.iter().find(|object| object.is(kind, name)).unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn given_any(input: &Bundle, wanted: impl Fn(&Object) -> bool) -> bool {
    input.objects.iter().any(wanted)
}

fn container<'a>(object: &'a Object, name: &str) -> &'a Value {
    object.containers().find(|container| container["name"] == name).unwrap_or_else(|| panic!("no container {name}"))
}

/// All rules, each with the name of its Role.
fn rules(objects: &[Object]) -> Vec<(String, Value)> {
    let roles = objects.iter().filter(|object| object.kind() == "Role");
    let of_role = |role: &Object| {
        let rules = role.get("/rules").and_then(Value::as_array).cloned().unwrap_or_default();
        rules.into_iter().map(|rule| (role.name().to_owned(), rule)).collect::<Vec<_>>()
    };
    roles.flat_map(of_role).collect()
}

fn text(object: &Object) -> String {
    object.value().to_string()
}

#[test]
fn defect_01_the_system_namespace_is_created() {
    each(|input, output| {
        assert!(!given_any(input, |object| object.is("Namespace", "flyte")));
        assert_eq!(find(output, "Namespace", SYSTEM).api_version(), "v1");
        assert_eq!(find(output, "Deployment", "flyteadmin").namespace(), Some(SYSTEM));
    });
}

#[test]
fn defect_02_every_workflow_namespace_has_its_roles_and_its_propeller() {
    each(|input, output| {
        assert!(!given_any(input, |object| object.namespace() == Some("10302-flytepoc-flytesnacks-stg-dev")));
        for workflow in WORKFLOWS {
            assert_eq!(find(output, "Namespace", workflow).namespace(), None);
            let here = |kind| -> BTreeSet<&str> {
                all(output, kind).filter(|one| one.namespace() == Some(workflow)).map(Object::name).collect()
            };
            let (admin, propeller) = (format!("flyteadmin-{workflow}"), format!("flytepropeller-{workflow}"));
            let expected = BTreeSet::from([admin.as_str(), propeller.as_str(), "kubernetes-dashboard-logs"]);
            assert_eq!(here("Role"), expected);
            assert_eq!(here("RoleBinding"), expected);
            let suffix = workflow.trim_start_matches("103020-flytepoc-");
            let config = format!("flyte-propeller-config-{suffix}");
            let instance = find(output, "Deployment", &format!("flytepropeller-{suffix}"));
            assert!(text(instance).contains(&config));
            assert_eq!(instance.get("/spec/strategy/type"), Some(&json!("Recreate")));
            assert_eq!(setting(output, &config, &["propeller", "limit-namespace"]), Some(json!(workflow)));
            let lock = json!({"name": format!("propeller-leader-{suffix}"), "namespace": SYSTEM});
            assert_eq!(setting(output, &config, &["propeller", "leader-election", "lock-config-map"]), Some(lock));
        }
    });
}

#[test]
fn defect_03_the_owner_id_is_spelled_right() {
    each(|input, output| {
        assert!(given_any(input, |object| text(object).contains("10302-flytepoc")));
        assert!(!output.objects.iter().any(|object| text(object).contains("10302-")));
        let template = setting(output, "flyte-admin-config", &["namespace_mapping", "template"]);
        assert_eq!(template, Some(json!("103020-flytepoc-{{ project }}-{{ domain }}")));
    });
}

#[test]
fn defect_04_minio_volume_is_mounted_where_minio_writes() {
    each(|input, output| {
        let mount = |object: &Object| container(object, "minio")["volumeMounts"][0]["mountPath"].clone();
        assert_eq!(mount(given(input, "Deployment", "minio")), "/var/lib/minioql/data");
        let minio = find(output, "Deployment", "minio");
        assert_eq!(container(minio, "minio")["args"], json!(["server", "/data"]));
        assert_eq!(mount(minio), "/data");
    });
}

#[test]
fn defect_05_the_bucket_is_there_before_minio_is() {
    each(|input, output| {
        assert_eq!(given(input, "Deployment", "minio").containers().count(), 1);
        let minio = find(output, "Deployment", "minio");
        let create = container(minio, "create-bucket");
        assert_eq!(create["command"], json!(["mkdir", "-p", "/data/my-s3-bucket"]));
        assert_eq!(create["volumeMounts"], json!([{"name": "minio-storage", "mountPath": "/data"}]));
        assert_eq!(create["image"], container(minio, "minio")["image"]);
    });
}

#[test]
fn defect_06_the_database_is_there_before_admin_is() {
    each(|input, output| {
        assert!(!text(given(input, "Deployment", "postgres")).contains("POSTGRES_DB"));
        let postgres = find(output, "Deployment", "postgres");
        let variables = container(postgres, "postgres")["env"].as_array().cloned().unwrap_or_default();
        assert!(variables.contains(&json!({"name": "POSTGRES_DB", "value": "flyte_development"})));
        let database = setting(output, "flyte-admin-config", &["database", "dbname"]);
        assert_eq!(database, Some(json!("flyte_development")));
    });
}

#[test]
fn defect_07_datacatalog_and_admin_wait_for_the_database_first() {
    each(|input, output| {
        assert!(!text(given(input, "Deployment", "datacatalog")).contains("pg_isready"));
        for name in ["datacatalog", "flyteadmin"] {
            let first = find(output, "Deployment", name).containers().next().expect("containers");
            assert_eq!(first["name"], "check-db-ready");
            let wait = "until timeout 1 pg_isready -U postgres -h postgres -p 5432; do sleep 0.2; done";
            assert_eq!(first["command"], json!(["sh", "-c", wait]));
            assert_eq!(first["image"], "postgres:10.16-alpine");
        }
    });
}

#[test]
fn defect_08_datacatalog_http_leads_to_the_port_it_listens_on() {
    each(|input, output| {
        let http = |object: &Object| {
            let ports = object.get("/spec/ports").and_then(Value::as_array).cloned().unwrap_or_default();
            ports.into_iter().find(|port| port["name"] == "http").expect("port http")["targetPort"].clone()
        };
        assert_eq!(http(given(input, "Service", "datacatalog")), 8088);
        assert_eq!(http(find(output, "Service", "datacatalog")), 8080);
        let ports = &container(find(output, "Deployment", "datacatalog"), "datacatalog")["ports"];
        assert_eq!(ports[0], json!({"containerPort": 8080, "protocol": "TCP"}));
    });
}

#[test]
fn defect_09_only_what_the_host_reaches_has_node_ports() {
    each(|input, output| {
        assert_eq!(given(input, "Service", "datacatalog").get("/spec/type"), Some(&json!("NodePort")));
        let published: BTreeSet<(&str, Option<u64>)> = all(output, "Service")
            .filter(|service| service.get("/spec/type") == Some(&json!("NodePort")))
            .map(|service| (service.name(), service.get("/spec/ports/0/nodePort").and_then(Value::as_u64)))
            .collect();
        let expected = [("gateway", 30081), ("kubernetes-dashboard", 30082), ("minio-direct", 30084)];
        assert_eq!(published, expected.map(|(name, port)| (name, Some(port))).into());
        assert_eq!(find(output, "Service", "datacatalog").get("/spec/type"), Some(&json!("ClusterIP")));
    });
}

#[test]
fn postgres_is_reached_from_the_host_where_the_spec_says_so() {
    let mut spec = Spec { network_policies: true, ..Spec::default() };
    let at = |spec: &Spec| {
        let output = rendered(spec, ours());
        let service = find(&output, "Service", "postgres").clone();
        let fenced = all(&output, "NetworkPolicy").any(|policy| policy.name() == "postgres");
        (service.get("/spec/type").cloned(), service.get("/spec/ports/0/nodePort").cloned(), fenced)
    };
    assert_eq!(at(&spec), (Some(json!("ClusterIP")), None, true));
    spec.ports.postgres = Some(5432);
    assert_eq!(at(&spec), (Some(json!("NodePort")), Some(json!(30083)), false));
}

#[test]
fn defect_10_no_key_of_a_secret_is_null() {
    each(|_, output| {
        let secret = find(output, "Secret", "flyte-admin-secrets");
        assert_eq!((secret.get("/data"), secret.get("/stringData")), (None, None));
        assert!(!output.objects.iter().any(|object| text(object).contains(":null")));
    });
}

#[test]
fn defect_11_no_api_version_is_one_that_kubernetes_removed() {
    each(|input, output| {
        assert!(given_any(input, |object| object.api_version().ends_with("beta1")));
        assert!(!output.objects.iter().any(|object| object.api_version().contains("beta")));
        let crd = find(output, "CustomResourceDefinition", "flyteworkflows.flyte.lyft.com");
        let version = crd.get("/spec/versions/0").expect("a version");
        assert_eq!(version["schema"]["openAPIV3Schema"]["x-kubernetes-preserve-unknown-fields"], true);
        // With it, what the propeller writes into the status would be dropped.
        assert_eq!(version.get("subresources"), None);
    });
}

#[test]
fn defects_12_13_and_14_there_is_no_certificate_job_to_order_wait_for_or_patch() {
    each(|input, output| {
        assert!(given_any(input, |object| object.kind() == "Job"));
        assert!(given_any(input, |object| text(object).contains("helm.sh/hook")));
        assert_eq!(all(output, "Job").count(), 0);
        assert!(
            !output.objects.iter().any(|object| text(object).contains("certgen") || text(object).contains("helm.sh"))
        );
    });
}

#[test]
fn defect_15_no_image_without_a_tag_stands_in_the_way_of_admin() {
    each(|input, output| {
        assert!(text(given(input, "Deployment", "flyteadmin")).contains("redocly/redoc"));
        assert!(!text(find(output, "Deployment", "flyteadmin")).contains("redoc"));
        assert!(!text(find(output, "Service", "flyteadmin")).contains("redoc"));
        assert!(output.images().iter().all(|image| image.tag().is_some()));
    });
}

#[test]
fn defect_16_no_route_is_a_pattern() {
    each(|input, output| {
        assert!(text(given(input, "Ingress", "flyte")).contains("/*"));
        assert_eq!(all(output, "Ingress").count(), 0);
        let envoy = find(output, "ConfigMap", "gateway-config").get("/data/envoy.yaml").and_then(Value::as_str);
        let envoy = envoy.expect("envoy.yaml");
        assert!(!envoy.contains("regex") && !envoy.contains("/*"), "{envoy}");
        for service in ["flyteadmin", "flyteconsole"] {
            assert!(envoy.contains(&format!("{service}.{SYSTEM}.svc.cluster.local")), "{envoy}");
        }
    });
}

#[test]
fn defect_17_no_role_has_a_wildcard() {
    each(|input, output| {
        assert!(rules(&input.objects).iter().any(|(_, rule)| rule["resources"] == json!(["*"])));
        for (role, rule) in rules(&output.objects) {
            assert!(!rule.to_string().contains('*'), "{role}: {rule}");
        }
        let propeller: Vec<Value> = rules(&output.objects)
            .into_iter()
            .filter_map(|(role, rule)| (role == "flytepropeller-103020-flytepoc-y-t-dev").then_some(rule))
            .collect();
        let expected = [
            json!({"apiGroups": ["flyte.lyft.com"], "resources": ["flyteworkflows"],
                   "verbs": ["get", "list", "watch", "update", "deletecollection"]}),
            json!({"apiGroups": ["flyte.lyft.com"], "resources": ["flyteworkflows/finalizers"], "verbs": ["update"]}),
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "create", "delete"]}),
        ];
        assert_eq!(propeller, expected);
    });
}

#[test]
fn defect_18_no_namespaced_role_names_a_cluster_scoped_resource() {
    each(|input, output| {
        let meaningless = |(_, rule): &(String, Value)| rule.to_string().contains("customresourcedefinitions");
        assert!(rules(&input.objects).iter().any(meaningless));
        assert!(!rules(&output.objects).iter().any(meaningless));
    });
}

#[test]
fn defect_19_every_verb_exists() {
    each(|input, output| {
        let verbs = |objects: &[Object]| -> BTreeSet<String> {
            let all = rules(objects);
            let verbs = all.iter().flat_map(|(_, rule)| rule["verbs"].as_array().into_iter().flatten());
            verbs.filter_map(|verb| verb.as_str().map(str::to_owned)).collect()
        };
        assert!(verbs(&input.objects).contains("post"));
        let expected = ["create", "delete", "deletecollection", "get", "list", "update", "watch"];
        assert_eq!(verbs(&output.objects), expected.map(str::to_owned).into());
    });
}

#[test]
fn defect_20_admin_has_no_permission_in_the_system_namespace() {
    each(|input, output| {
        assert!(given_any(input, |object| object.is("Role", "flyteadmin")));
        let granted = all(output, "RoleBinding").filter(|binding| binding.namespace() == Some(SYSTEM));
        let accounts: BTreeSet<String> =
            granted.map(|binding| binding.get("/subjects/0/name").expect("a subject").to_string()).collect();
        let expected = ["\"flytepropeller-x\"", "\"flytepropeller-y\"", "\"kubernetes-dashboard\""];
        assert_eq!(accounts, expected.map(str::to_owned).into());
        // It would need to write Secrets, and only authentication reads what it writes.
        assert!(!text(find(output, "Deployment", "flyteadmin")).contains("generate-secrets"));
        let propeller: Vec<Value> = rules(&output.objects)
            .into_iter()
            .filter_map(|(role, rule)| (role == "flytepropeller-leader-y").then_some(rule))
            .collect();
        let locks = ["propeller-leader-y-d-dev", "propeller-leader-y-t-dev", "propeller-leader-y-p-dev"];
        assert_eq!(propeller[1]["resourceNames"], json!(locks));
    });
}

#[test]
fn defect_21_every_component_has_a_readiness_probe_each_second() {
    each(|input, output| {
        assert!(!text(given(input, "Deployment", "flyteadmin")).contains("readinessProbe"));
        assert_eq!(all(output, "Deployment").count(), 13);
        for deployment in all(output, "Deployment") {
            let main = deployment.containers().last().expect("a container");
            assert_eq!(main["readinessProbe"]["periodSeconds"], 1, "{}", deployment.name());
        }
        let postgres = &container(find(output, "Deployment", "postgres"), "postgres")["readinessProbe"];
        let command = ["pg_isready", "-U", "postgres", "-d", "flyte_development", "-h", "127.0.0.1"];
        assert_eq!(postgres["exec"]["command"], json!(command));
    });
}

#[test]
fn defect_22_the_propeller_config_is_labelled_as_the_propellers() {
    each(|input, output| {
        let label = "app.kubernetes.io/name";
        assert_eq!(given(input, "ConfigMap", "flyte-propeller-config").label(label), Some("flyteadmin"));
        let config = find(output, "ConfigMap", "flyte-propeller-config-x-d-dev");
        assert_eq!(config.label(label), Some("flytepropeller"));
    });
}

#[test]
fn defects_23_and_24_no_setting_stands_where_nothing_reads_it() {
    each(|input, output| {
        assert!(text(given(input, "ConfigMap", "flyte-propeller-config")).contains("flyte-pod-webhook"));
        let config = "flyte-propeller-config-x-d-dev";
        assert_eq!(setting(output, config, &["webhook"]), None);
        assert_eq!(setting(output, config, &["cache"]), None);
        assert_eq!(find(output, "ConfigMap", config).get("/data/cache.yaml"), None);
    });
}

#[test]
fn defect_25_no_namespace_is_empty_by_design() {
    each(|input, output| {
        assert!(given_any(input, |object| object.is("Namespace", "projectcontour")));
        let expected: BTreeSet<&str> = WORKFLOWS.into_iter().chain([SYSTEM]).collect();
        assert_eq!(all(output, "Namespace").map(Object::name).collect::<BTreeSet<_>>(), expected);
    });
}

#[test]
fn defect_26_no_limit_evicts_or_slows_what_logs_and_starts() {
    each(|input, output| {
        assert!(text(given(input, "Deployment", "flytepropeller")).contains("\"ephemeral-storage\":\"100Mi\""));
        for deployment in all(output, "Deployment") {
            for container in deployment.containers() {
                let limits = &container["resources"]["limits"];
                assert_eq!(limits.get("cpu"), None, "{}", deployment.name());
                assert!(limits.get("ephemeral-storage").is_none_or(|limit| limit == "500Mi"), "{limits}");
                assert!(!container["resources"]["requests"]["cpu"].is_number());
            }
        }
    });
}

#[test]
fn map_tasks_have_log_links_too() {
    each(|input, output| {
        assert!(!text(given(input, "ConfigMap", "flyte-propeller-config")).contains("k8s-array:"));
        for plugin in [&["plugins", "logs"][..], &["plugins", "k8s-array", "logs", "config"]] {
            let path = [plugin, &["kubernetes-template-uri"]].concat();
            let uri = "http://127.0.0.1:30082/#/log/{{ .namespace }}/{{ .podName }}/pod?namespace={{ .namespace }}";
            assert_eq!(setting(output, "flyte-propeller-config-y-d-dev", &path), Some(json!(uri)));
        }
    });
}

#[test]
fn checksums_are_those_of_the_rendered_configuration() {
    each(|input, output| {
        assert!(text(given(input, "Deployment", "flytepropeller")).contains("configChecksum"));
        assert!(!output.objects.iter().any(|object| text(object).contains("configChecksum")));
        let checksum = |name: &str| {
            let annotations = "/spec/template/metadata/annotations/sandbox.flyte~1config-checksum";
            find(output, "Deployment", name).get(annotations).cloned().expect("a checksum")
        };
        assert_ne!(checksum("flytepropeller-x-d-dev"), checksum("flytepropeller-x-t-dev"));
        let mut spec = Spec::default();
        spec.storage.access_key = "other".to_owned();
        let other = rendered(&spec, input.clone());
        let annotations = "/spec/template/metadata/annotations";
        let before = find(output, "Deployment", "flyteadmin").get(annotations);
        assert_ne!(before, find(&other, "Deployment", "flyteadmin").get(annotations));
    });
}

#[test]
fn an_octal_mode_is_its_decimal_value() {
    let output = rendered(&Spec::default(), bundle(DEFECTIVE));
    let propeller = find(&output, "Deployment", "flytepropeller-x-d-dev");
    assert_eq!(propeller.get("/spec/template/spec/volumes/0/configMap/defaultMode"), Some(&json!(420)));
}

#[test]
fn no_propeller_is_paced_for_thousands_of_workflows() {
    each(|input, output| {
        assert!(!given_any(input, |object| object.value().to_string().contains("workflow-reeval-duration: 500ms")));
        let configs = output.objects.iter().filter_map(|object| object.get("/data/core.yaml").and_then(Value::as_str));
        let mut propellers = 0;
        for config in configs.filter(|config| config.contains("limit-namespace")) {
            propellers += 1;
            let settings = [
                "workflow-reeval-duration: 500ms",
                "batching-interval: 100ms",
                "base-delay: 10ms",
                "maxBackoffDelay: 500ms",
            ];
            for setting in settings {
                assert!(config.contains(setting), "{setting} is not in {config}");
            }
        }
        assert_eq!(propellers, WORKFLOWS.len());
    });
}
