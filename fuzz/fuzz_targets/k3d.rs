#![no_main]

#[path = "../properties/k3d.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &str| property::holds(input));
