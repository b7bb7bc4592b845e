//! heddle-codegen.
fn main() {}
