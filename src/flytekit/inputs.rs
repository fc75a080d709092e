//! Values of inputs, by the types that a launch plan expects: as admin's HTTP API tells them, and takes literals.

use serde_json::{Map, Value, json};

/// The literals of `key=value`, for a launch plan as admin answers it.
///
/// # Errors
/// One that is unknown, lacks or does not fit, in words.
pub fn literals(plan: &Value, given: &[(String, String)]) -> Result<Value, String> {
    let none = Map::new();
    let expected = plan.pointer("/closure/expected_inputs/parameters").and_then(Value::as_object).unwrap_or(&none);
    let kind = |name: &str| expected.get(name).and_then(|parameter| parameter.pointer("/var/type"));
    let mut literals = Map::new();
    for (name, text) in given {
        let Some(kind) = kind(name) else {
            let known: Vec<_> = expected.keys().map(|name| format!("{name} ({})", title(kind(name)))).collect();
            return Err(match known[..] {
                [] => format!("there is no input {name}: the workflow has none"),
                _ => format!("there is no input {name}; there are: {}", known.join(", ")),
            });
        };
        let literal =
            of_text(kind, text).ok_or_else(|| format!("input {name}: `{text}` is no {}", title(Some(kind))))?;
        literals.insert(name.clone(), literal);
    }
    let lacking =
        expected.iter().find(|(name, parameter)| parameter["required"] == true && !literals.contains_key(*name));
    match lacking {
        Some((name, _)) => Err(format!("input {name} ({}) is required", title(kind(name)))),
        None => Ok(json!({ "literals": literals })),
    }
}

/// What a user calls a type, such as `INTEGER` or `list of STRING`.
fn title(kind: Option<&Value>) -> String {
    let Some(kind) = kind else { return "NONE".to_owned() };
    let within = |key: &str| kind.get(key).map(|within| title(Some(within)));
    if let Some(items) = within("collection_type") {
        return format!("JSON list of {items}");
    }
    if let Some(items) = within("map_value_type") {
        return format!("JSON object of {items}");
    }
    match kind.get("simple").and_then(Value::as_str) {
        Some(simple) => simple.to_owned(),
        None => kind.as_object().and_then(|kind| kind.keys().next()).map_or("NONE", String::as_str).to_owned(),
    }
}

/// A literal of what stands on the command line: text as it is, all else as JSON.
fn of_text(kind: &Value, text: &str) -> Option<Value> {
    let is_text = matches!(kind["simple"].as_str(), Some("STRING" | "DATETIME" | "DURATION"));
    if is_text || kind.get("enum_type").is_some() || kind.get("blob").is_some() {
        return of_json(kind, &Value::from(text));
    }
    // Python's words.
    let text = match text {
        "True" => "true",
        "False" => "false",
        text => text,
    };
    of_json(kind, &serde_json::from_str(text).ok()?)
}

fn of_json(kind: &Value, value: &Value) -> Option<Value> {
    if let Some(items) = kind.get("collection_type") {
        let literals: Option<Vec<_>> = value.as_array()?.iter().map(|value| of_json(items, value)).collect();
        return Some(json!({ "collection": { "literals": literals? } }));
    }
    if let Some(items) = kind.get("map_value_type") {
        let of = |(name, value): (&String, &Value)| Some((name.clone(), of_json(items, value)?));
        let literals: Option<Map<_, _>> = value.as_object()?.iter().map(of).collect();
        return Some(json!({ "map": { "literals": literals? } }));
    }
    if let Some(blob) = kind.get("blob") {
        return Some(json!({ "scalar": { "blob": { "metadata": { "type": blob }, "uri": value.as_str()? } } }));
    }
    if let Some(known) = kind.pointer("/enum_type/values").and_then(Value::as_array) {
        return known.contains(value).then(|| json!({ "scalar": { "primitive": { "string_value": value } } }));
    }
    let primitive = match kind["simple"].as_str()? {
        "INTEGER" => json!({ "integer": value.as_i64()?.to_string() }),
        "FLOAT" => json!({ "float_value": value.as_f64()? }),
        "BOOLEAN" => json!({ "boolean": value.as_bool()? }),
        "STRING" => json!({ "string_value": value.as_str()? }),
        "DATETIME" => json!({ "datetime": value.as_str()? }),
        "DURATION" => json!({ "duration": value.as_str()? }),
        "STRUCT" => return value.is_object().then(|| json!({ "scalar": { "generic": value } })),
        _ => return None,
    };
    Some(json!({ "scalar": { "primitive": primitive } }))
}

/// The outputs of an execution, as admin's HTTP API answers them, one `name = value` each. What is in the object store is
/// told by its URI; a type that this admin does not know is left out.
#[must_use]
pub fn outputs(data: &Value) -> Vec<String> {
    let literals = data.pointer("/full_outputs/literals").and_then(Value::as_object);
    let values = literals.into_iter().flatten().map(|(name, literal)| (name, value(literal)));
    values.filter(|(_, value)| !value.is_null()).map(|(name, value)| format!("{name} = {value}")).collect()
}

fn value(literal: &Value) -> Value {
    let of = |pointer: &str| literal.pointer(pointer);
    let within = |pointer: &str| of(pointer).unwrap_or(&Value::Null);
    if let Some(primitive) = of("/scalar/primitive").and_then(Value::as_object) {
        let number = |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok()).map(Value::from);
        return primitive.iter().next().map_or(Value::Null, |(kind, value)| match kind.as_str() {
            "integer" => number(value).unwrap_or_else(|| value.clone()),
            _ => value.clone(),
        });
    }
    if let Some(list) = of("/collection") {
        let items = list.get("literals").and_then(Value::as_array);
        return items.into_iter().flatten().map(value).collect();
    }
    if let Some(map) = of("/map") {
        let items = map.get("literals").and_then(Value::as_object);
        return items.into_iter().flatten().map(|(name, literal)| (name.clone(), value(literal))).collect();
    }
    let uris = ["/scalar/blob/uri", "/scalar/schema/uri", "/scalar/structured_dataset/uri"];
    uris.into_iter().find_map(of).unwrap_or_else(|| within("/scalar/generic")).clone()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{literals, outputs};

    fn plan(name: &str, kind: Value) -> Value {
        json!({"closure": {"expected_inputs": {"parameters": {name: {"var": {"type": kind}, "required": true}}}}})
    }

    fn told(plan: &Value, given: &[(&str, &str)]) -> Result<Value, String> {
        let given: Vec<_> = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        literals(plan, &given)
    }

    #[test]
    fn a_value_becomes_a_literal_of_the_type_that_is_expected() {
        let simple = |kind: &str| json!({ "simple": kind });
        let primitive = |of: Value| json!({"scalar": {"primitive": of}});
        let string = |text: &str| primitive(json!({ "string_value": text }));
        let file = json!({"blob": {"format": "csv"}});
        for (kind, text, literal) in [
            (simple("STRING"), "5", string("5")),
            (simple("STRING"), "", string("")),
            (simple("INTEGER"), "5", primitive(json!({"integer": "5"}))),
            (simple("FLOAT"), "5", primitive(json!({"float_value": 5.0}))),
            (simple("BOOLEAN"), "True", primitive(json!({"boolean": true}))),
            (simple("DATETIME"), "2021-01-01T00:00:00Z", primitive(json!({"datetime": "2021-01-01T00:00:00Z"}))),
            (simple("DURATION"), "3.5s", primitive(json!({"duration": "3.5s"}))),
            (simple("STRUCT"), r#"{"a": 1}"#, json!({"scalar": {"generic": {"a": 1}}})),
            (json!({"enum_type": {"values": ["red", "blue"]}}), "red", string("red")),
            (
                json!({"collection_type": {"simple": "STRING"}}),
                r#"["a"]"#,
                json!({"collection": {"literals": [string("a")]}}),
            ),
            (
                json!({"map_value_type": {"simple": "STRING"}}),
                r#"{"k":"a"}"#,
                json!({"map": {"literals": {"k": string("a")}}}),
            ),
            (
                file,
                "s3://b/a.csv",
                json!({"scalar": {"blob": {"metadata": {"type": {"format": "csv"}}, "uri": "s3://b/a.csv"}}}),
            ),
        ] {
            assert_eq!(told(&plan("a", kind), &[("a", text)]), Ok(json!({"literals": {"a": literal}})), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
        let numbers = plan("n", json!({"collection_type": {"simple": "INTEGER"}}));
        for (given, words) in [
            (&[][..], "input n (JSON list of INTEGER) is required"),
            (&[("n", "5")], "input n: `5` is no JSON list of INTEGER"),
            (&[("n", "[1.5]")], "input n: `[1.5]` is no JSON list of INTEGER"),
            (&[("m", "5")], "there is no input m; there are: n (JSON list of INTEGER)"),
        ] {
            assert_eq!(told(&numbers, given).expect_err(words), words);
        }
        assert_eq!(told(&json!({}), &[("m", "5")]).expect_err("none"), "there is no input m: the workflow has none");
        let colour = plan("c", json!({"enum_type": {"values": ["red"]}}));
        assert_eq!(told(&colour, &[("c", "green")]).expect_err("none"), "input c: `green` is no enum_type");
        assert_eq!(told(&json!({}), &[]), Ok(json!({"literals": {}})));
    }

    #[test]
    fn outputs_are_shown_as_json() {
        let data = json!({"full_outputs": {"literals": {
            "a": {"scalar": {"primitive": {"string_value": "hello"}}},
            "b": {"collection": {"literals": [{"scalar": {"primitive": {"integer": "5"}}}]}},
            "c": {"scalar": {"schema": {"uri": "s3://b/k"}}},
            "d": {"map": {"literals": {"k": {"scalar": {"primitive": {"boolean": true}}}}}},
            "e": {"scalar": {"none_type": {}}},
        }}});
        let shown = [r#"a = "hello""#, "b = [5]", r#"c = "s3://b/k""#, r#"d = {"k":true}"#];
        assert_eq!(outputs(&data), shown);
        assert_eq!(outputs(&json!({})), Vec::<String>::new());
    }
}
