//! A seed is a whole run: twice the same seed gives the same trace, and another seed another.
//! Logs do not change it.

use std::process::Command;

fn trace(seed: u64, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["--seed", &seed.to_string()])
        .args(more)
        .output()
        .expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    assert!(output.status.success(), "{text}");
    let at = text.find("trace ").expect("it prints its trace");
    text[at..].lines().next().expect("a line").to_owned()
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let (first, again, other) = (trace(3, &[]), trace(3, &[]), trace(4, &[]));
    assert_eq!(first, again);
    assert_ne!(first, other);
}

/// Who looks for the cause of a failure must see the same run.
#[test]
fn logs_do_not_change_the_trace() {
    assert_eq!(trace(3, &[]), trace(3, &["--log", "repair=debug,cluster=debug"]));
}
