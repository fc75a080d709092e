#![no_main]

#[path = "../properties/mask.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &str| property::holds(input));
