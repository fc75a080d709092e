#![no_main]

#[path = "../properties/kubeconfig.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &str| property::holds(input));
