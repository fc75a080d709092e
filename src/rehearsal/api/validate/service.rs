//! Services: types, ports and addresses.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::names::{Form, labels, name, one_of, port_name, port_number};
use super::{Check, text};

/// What a node gives addresses of Services from, and ports that it publishes.
const ADDRESSES: (Ipv4Addr, u32) = (Ipv4Addr::new(10, 43, 0, 0), 16);
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30000..=32767;
/// The address of the Service `kubernetes`, which is there before any other.
const OWN: &str = "10.43.0.1";

/// Checks a Service; `others` are the objects that are there.
pub(super) fn service<'a>(object: &Value, others: impl Iterator<Item = &'a Value>) -> Check {
    let (spec, metadata) = (&object["spec"], &object["metadata"]);
    const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    one_of(&spec["type"], &TYPES, "spec.type")?;
    one_of(&spec["sessionAffinity"], &["ClientIP", "None"], "spec.sessionAffinity")?;
    labels(&spec["selector"], "spec.selector")?;
    let kind = spec["type"].as_str().unwrap_or("ClusterIP");
    let same = |other: &Value| ["name", "namespace"].iter().all(|key| other["metadata"][*key] == metadata[*key]);
    let others: Vec<&Value> = others.filter(|other| other["kind"] == "Service" && !same(other)).collect();
    of_type(spec, kind)?;
    address(spec, kind, &others)?;
    ports(spec, kind, &others)
}

/// Fields that go with another type.
fn of_type(spec: &Value, kind: &str) -> Check {
    if kind == "ExternalName" && text(&spec["externalName"]).is_empty() {
        return Err("spec.externalName: Required value".to_owned());
    }
    if kind != "LoadBalancer" {
        for field in ["loadBalancerSourceRanges", "allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if !spec[field].is_null() {
                return Err(format!("spec.{field}: Forbidden: may only be used when `type` is 'LoadBalancer'"));
            }
        }
    }
    if matches!(kind, "ClusterIP" | "ExternalName") && !spec["externalTrafficPolicy"].is_null() {
        return Err(format!(
            "spec.externalTrafficPolicy: Invalid value: {}: ExternalTrafficPolicy can only be set on NodePort and LoadBalancer service",
            spec["externalTrafficPolicy"]
        ));
    }
    Ok(())
}

fn address(spec: &Value, kind: &str, others: &[&Value]) -> Check {
    let wanted = text(&spec["clusterIP"]);
    if wanted.is_empty() {
        return Ok(());
    }
    let at = "spec.clusterIPs[0]: Invalid value";
    if kind == "ExternalName" {
        return Err("spec.clusterIPs[0]: Forbidden: may not be set when `type` is 'ExternalName'".to_owned());
    }
    if wanted == "None" {
        return match kind {
            "ClusterIP" => Ok(()),
            _ => Err(format!("{at}: \"None\": may not be set to 'None' for {kind} services")),
        };
    }
    let Ok(parsed) = wanted.parse::<IpAddr>() else {
        return Err(format!("{at}: \"{wanted}\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
    };
    let refused = |why: &str| {
        let told = "spec.clusterIPs: Invalid value: []string";
        Err(format!("{told}{{\"{wanted}\"}}: failed to allocate IP {wanted}: provided IP is {why}"))
    };
    let (first, bits) = ADDRESSES;
    let within =
        matches!(parsed, IpAddr::V4(parsed) if u32::from(parsed) >> (32 - bits) == u32::from(first) >> (32 - bits));
    if !within {
        return refused(&format!("not in the valid range. The range of valid IPs is {first}/{bits}"));
    }
    if wanted == OWN || others.iter().any(|other| other["spec"]["clusterIP"] == wanted) {
        return refused("already allocated");
    }
    Ok(())
}

fn ports(spec: &Value, kind: &str, others: &[&Value]) -> Check {
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if ports.is_empty() && spec["clusterIP"] != "None" && kind != "ExternalName" {
        return Err("spec.ports: Required value".to_owned());
    }
    let of_others = others.iter().flat_map(|other| other["spec"]["ports"].as_array().into_iter().flatten());
    let taken: Vec<&Value> = of_others.map(|port| &port["nodePort"]).collect();
    for (index, port) in ports.iter().enumerate() {
        let at = |field: &str| format!("spec.ports[{index}].{field}");
        let given = text(&port["name"]);
        if given.is_empty() && ports.len() > 1 {
            return Err(format!("{}: Required value", at("name")));
        }
        if !given.is_empty() {
            name(given, Form::Label, &at("name"))?;
            if ports[..index].iter().any(|other| other["name"] == given) {
                return Err(format!("{}: Duplicate value: \"{given}\"", at("name")));
            }
        }
        port_number(port.get("port").unwrap_or(&Value::from(0)), &at("port"))?;
        match &port["targetPort"] {
            // A zero is the port itself.
            Value::Number(number) if number.as_i64() == Some(0) => {}
            Value::String(target) => port_name(target, &at("targetPort"))?,
            target => port_number(target, &at("targetPort"))?,
        }
        one_of(&port["protocol"], &["SCTP", "TCP", "UDP"], &at("protocol"))?;
        let Some(wanted) = port["nodePort"].as_i64().filter(|wanted| *wanted != 0) else { continue };
        let at = at("nodePort");
        if matches!(kind, "ClusterIP" | "ExternalName") {
            return Err(format!("{at}: Forbidden: may not be used when `type` is '{kind}'"));
        }
        if ports[..index].iter().any(|other| other["nodePort"] == wanted) {
            return Err(format!("{at}: Duplicate value: {wanted}"));
        }
        if !NODE_PORTS.contains(&wanted) {
            return Err(format!(
                "{at}: Invalid value: {wanted}: provided port is not in the valid range. The range of valid ports is 30000-32767"
            ));
        }
        if taken.iter().any(|taken| **taken == wanted) {
            return Err(format!("{at}: Invalid value: {wanted}: provided port is already allocated"));
        }
    }
    Ok(())
}
