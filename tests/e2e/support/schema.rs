//! Whether events are as the schema says: kind, keys that must and keys that may be there.

use serde_json::Value;

const SCHEMA: &str = include_str!("../../../sandbox/schema/event.schema.json");

pub(super) fn check(event: &Value) -> Result<(), String> {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let kind = |variant: &Value| variant["properties"]["event"]["const"].clone();
    let variants = schema["oneOf"].as_array().expect("variants");
    let variant = variants.iter().find(|variant| kind(variant) == event["event"]).ok_or("no event of the schema")?;
    let object = event.as_object().ok_or("no object")?;
    for part in [&schema, variant] {
        for required in part["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(required) {
                return Err(format!("{required} is missing"));
            }
        }
    }
    let known = |key: &str| [&schema, variant].iter().any(|part| !part["properties"][key].is_null());
    match object.keys().find(|key| !known(key)) {
        Some(key) => Err(format!("{key} is not of the schema")),
        None => Ok(()),
    }
}
