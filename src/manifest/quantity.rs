//! Quantities of resources, as the Kubernetes API reads them.

use serde_json::Value;

/// An amount, such as `500m` or `1.5Gi`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Quantity(f64);

impl Quantity {
    /// What a value says; none where the API would refuse it.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let digits = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-')).unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let number: f64 = number.parse().ok().filter(|_| number.contains(|c: char| c.is_ascii_digit()))?;
        Some(Self(number * factor(suffix)?))
    }
}

fn factor(suffix: &str) -> Option<f64> {
    const DECIMAL: [(&str, i32); 9] =
        [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15)];
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some((_, power)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Some(10_f64.powi(*power));
    }
    if suffix == "E" {
        return Some(1e18);
    }
    if let Some(power) = BINARY.iter().position(|known| *known == suffix) {
        return i32::try_from(power + 1).ok().map(|power| 1024_f64.powi(power));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    exponent.parse::<i32>().ok().filter(|power| power.abs() < 100).map(|power| 10_f64.powi(power))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_those_of_the_api() {
        for (text, amount) in [
            (json!("500m"), Some(0.5)),
            (json!("1.5Gi"), Some(1.5 * 1024.0 * 1024.0 * 1024.0)),
            (json!("1e3"), Some(1000.0)),
            (json!("2k"), Some(2000.0)),
            (json!(2), Some(2.0)),
            (json!("0.1"), Some(0.1)),
            (json!("1GB"), None),
            (json!("500 Mi"), None),
            (json!("Mi"), None),
            (json!(""), None),
            (json!("1K"), None),
            (json!(true), None),
        ] {
            assert_eq!(Quantity::of(&text).map(|quantity| quantity.0), amount, "{text}");
        }
        assert!(Quantity::of(&json!("1Gi")) > Quantity::of(&json!("500Mi")));
    }
}
