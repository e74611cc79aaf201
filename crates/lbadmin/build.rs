//! Files added to the embedded folders are noticed (changed ones are anyway).
fn main() {
    println!("cargo::rerun-if-changed=assets");
    println!("cargo::rerun-if-changed=../../docs/guide");
}
