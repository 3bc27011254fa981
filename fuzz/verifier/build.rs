//! flatc writes the code that the official verifier is driven by; nothing of it is ours.
use std::{env, process::Command};

fn main() {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/lqa.fbs");
    println!("cargo:rerun-if-changed={schema}");
    println!("cargo:rerun-if-env-changed=FLATC");
    let flatc = env::var("FLATC").unwrap_or_else(|_| "flatc".into());
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let status = Command::new(&flatc).args(["--rust", "-o", &out, schema]).status();
    match status {
        Ok(code) if code.success() => {}
        other => panic!("{flatc} --rust: {other:?}"),
    }
}
