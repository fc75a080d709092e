//! Access reviews, answered from the Roles and bindings that were applied.

use serde_json::Value;

/// True if any of these objects grants a review's `spec`.
pub(super) fn allowed(objects: &[&Value], review: &Value) -> bool {
    let asked = &review["resourceAttributes"];
    let user = review["user"].as_str().unwrap_or_default();
    let namespace = asked["namespace"].as_str().unwrap_or_default();
    let grants = |binding: &&&Value| match binding["kind"].as_str() {
        Some("RoleBinding") => !namespace.is_empty() && binding["metadata"]["namespace"] == namespace,
        Some("ClusterRoleBinding") => true,
        _ => false,
    };
    let bindings = objects.iter().filter(grants).filter(|binding| names(binding, user, list(&review["groups"])));
    let mut roles = bindings.filter_map(|binding| role(objects, binding));
    roles.any(|role| list(&role["rules"]).iter().any(|rule| covers(rule, asked)))
}

fn names(binding: &Value, user: &str, groups: &[Value]) -> bool {
    list(&binding["subjects"]).iter().any(|subject| {
        let text = |key: &str| subject[key].as_str().unwrap_or_default();
        match text("kind") {
            "ServiceAccount" => user == format!("system:serviceaccount:{}:{}", text("namespace"), text("name")),
            "User" => user == text("name"),
            "Group" => groups.contains(&subject["name"]),
            _ => false,
        }
    })
}

fn role<'a>(objects: &[&'a Value], binding: &Value) -> Option<&'a Value> {
    let reference = &binding["roleRef"];
    objects.iter().copied().find(|object| {
        object["kind"] == reference["kind"]
            && object["metadata"]["name"] == reference["name"]
            && (object["kind"] == "ClusterRole" || object["metadata"]["namespace"] == binding["metadata"]["namespace"])
    })
}

fn covers(rule: &Value, asked: &Value) -> bool {
    let text = |key: &str| asked[key].as_str().unwrap_or_default();
    let resource = match text("subresource") {
        "" => text("resource").to_owned(),
        part => format!("{}/{part}", text("resource")),
    };
    let holds = |key: &str, wanted: &str| list(&rule[key]).iter().any(|held| held == wanted || held == "*");
    let name = list(&rule["resourceNames"]).is_empty() || holds("resourceNames", text("name"));
    name && holds("verbs", text("verb")) && holds("apiGroups", text("group")) && holds("resources", &resource)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
