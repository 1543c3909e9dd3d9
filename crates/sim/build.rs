//! Makes the simulator's own `getrandom` visible to those who look it up at run time, see
//! `src/entropy.rs`.

fn main() {
    println!("cargo:rustc-link-arg-bins=-rdynamic");
}
