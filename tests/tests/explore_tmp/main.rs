//! Temporary, not committed.
#![allow(dead_code, unused_imports, clippy::all)]
#[path = "../real_idl/delivery.rs"] mod delivery;
#[path = "../real_idl/fetched.rs"] mod fetched;
#[path = "../real_idl/golang.rs"] mod golang;
#[path = "../real_idl/rust.rs"] mod rust;
#[path = "../real_idl/workspace.rs"] mod workspace;
use anyhow::Result;
use delivery::{Delivered, Request};
use fetched::Idl;
use workspace::Workspace;
const PROST: &str = "{name: messages, plugin: prost, path: rust}";
const TONIC: &str = "{name: services, plugin: tonic, path: rust}";
#[test]
fn explore() -> Result<()> {
    let name = match std::env::var("X_NAME") { Ok(name) => name, Err(_) => return Ok(()) };
    let workspace = Workspace::open(&format!("explore-{name}"))?;
    let idl = Idl(workspace::files(std::path::Path::new(&std::env::var("X_DIR")?), |n| n.ends_with(".proto"))?);
    let source = std::env::var("X_SOURCE").unwrap_or_default();
    let mut generate = vec![PROST.to_owned(), TONIC.to_owned()];
    if let Ok(go) = std::env::var("X_GO") {
        generate.push(format!("{{name: go, plugin: go, path: go, options: [{go}]}}"));
        generate.push(format!("{{name: go-grpc, plugin: go-grpc, path: go, options: [{go}]}}"));
    }
    let generate: Vec<&str> = generate.iter().map(String::as_str).collect();
    let delivered = Delivered::make(&workspace, &idl, &Request { source: &source, generate: &generate })?;
    delivered.print_figures(&name, &idl)?;
    rust::check(&workspace, &name, &[])
}
