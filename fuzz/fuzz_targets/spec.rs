#![no_main]

#[path = "../properties/spec.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &str| property::holds(input));
