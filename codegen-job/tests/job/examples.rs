//! The example that the README and the demo use, generated for Rust and Go.

use crate::harness::{Stage, go_plugins};
use std::fs;
use std::path::Path;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

fn collect(folder: &Path, root: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, root, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn the_bookshop_is_generated_for_rust_and_go() {
    let mut stage = Stage::new();
    let root = Path::new(EXAMPLES).join("idl");
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (path.as_str(), Some(text.as_bytes())))
        .collect();
    stage.source.commit("bookshop", "The bookshop", &files).unwrap();
    stage.source_fields = "    ref: {branch: bookshop}".into();
    let text = fs::read_to_string(Path::new(EXAMPLES).join("idlrepo.yaml")).unwrap();
    let document: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
    let generators = document["spec"]["generate"].as_sequence().unwrap();
    stage.generate = generators
        .iter()
        .map(|one| serde_json::to_string(one).unwrap())
        .collect();
    let ended = stage.run_with(&["--plugin-folder", go_plugins().to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let expected = [
        ".heddle/pets.zoo.json",
        "go/bookshop/catalog/v1/book.pb.go",
        "go/bookshop/catalog/v1/catalog_service.pb.go",
        "go/bookshop/catalog/v1/catalog_service_grpc.pb.go",
        "go/bookshop/money/v1/money.pb.go",
        "go/bookshop/orders/v1/order.pb.go",
        "go/bookshop/orders/v1/order_service.pb.go",
        "go/bookshop/orders/v1/order_service_grpc.pb.go",
        "rust/bookshop/catalog/v1/bookshop.catalog.v1.rs",
        "rust/bookshop/catalog/v1/bookshop.catalog.v1.tonic.rs",
        "rust/bookshop/money/v1/bookshop.money.v1.rs",
        "rust/bookshop/orders/v1/bookshop.orders.v1.rs",
        "rust/bookshop/orders/v1/bookshop.orders.v1.tonic.rs",
        "rust/mod.rs",
    ];
    assert_eq!(stage.delivered_paths(), expected);
    let message = &stage.output.log("main").unwrap()[0].message;
    for trailer in [
        "Heddle-Plugin: go v1.36.12",
        "Heddle-Plugin: go-grpc 1.6.2",
        "Heddle-Plugin: tonic 0.5.0",
    ] {
        assert!(message.contains(trailer), "{message}");
    }
}
