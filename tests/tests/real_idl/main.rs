//! IDL that no one here wrote: generated through real Git by the real program, the result compiled by rustc and Go.

mod delivery;
mod golang;
mod rust;
mod workspace;

use anyhow::Result;
use delivery::{Delivered, Request};
use golang::GoModule;
use heddle_tests::public_idl::{Idl, Release};
use workspace::Workspace;

const PROST: &str = "{name: messages, plugin: prost, path: rust}";
const TONIC: &str = "{name: services, plugin: tonic, path: rust}";

#[test]
fn the_common_protos_of_googles_apis_compile_as_rust_and_as_go() -> Result<()> {
    let workspace = Workspace::open("googleapis")?;
    let idl = Idl::googleapis(Release::Current)?;
    // The one file without a go_package is given one, as its authors leave to others.
    let extended = "Mgoogle/cloud/common_resources.proto=google.golang.org/genproto/googleapis/cloud;cloud";
    let delivered = Delivered::make(
        &workspace,
        &idl,
        &Request {
            source: "",
            generate: &[
                PROST,
                TONIC,
                &format!("{{name: go, plugin: go, path: go, options: [\"{extended}\"]}}"),
                &format!("{{name: go-grpc, plugin: go-grpc, path: go, options: [\"{extended}\"]}}"),
            ],
        },
    )?;
    delivered.print_figures("googleapis-common-protos", &idl)?;
    let types = [
        "google::api::HttpRule",
        "google::r#type::PostalAddress",
        "google::rpc::context::AttributeContext",
        "google::longrunning::operations_client::OperationsClient<tonic::transport::Channel>",
    ];
    rust::check(&workspace, "googleapis", &types)?;
    // grpc-go itself needs google.rpc: here it is built on what Heddle has generated.
    let modules = [
        "cloud.google.com/go/longrunning",
        "google.golang.org/genproto",
        "google.golang.org/genproto/googleapis/api",
        "google.golang.org/genproto/googleapis/rpc",
    ];
    let modules = modules.map(|path| GoModule { path, folder: path });
    golang::build_and_run(&workspace, "googleapis", &modules)
}

#[test]
fn the_api_of_etcd_compiles_as_rust_and_as_go() -> Result<()> {
    let workspace = Workspace::open("etcd")?;
    let idl = Idl::etcd(Release::Current)?;
    let delivered = Delivered::make(
        &workspace,
        &idl,
        &Request {
            // One file imports its neighbours without their folder, as etcd's own build lets it.
            source: "include: [\"etcd/**\"], importRoots: [etcd/api/etcdserverpb, \".\"]",
            generate: &[
                PROST,
                TONIC,
                "{name: go, plugin: go, path: go, options: [module=go.etcd.io/etcd/api/v3]}",
                "{name: go-grpc, plugin: go-grpc, path: go, options: [module=go.etcd.io/etcd/api/v3]}",
            ],
        },
    )?;
    delivered.print_figures("etcd", &idl)?;
    let types = [
        "mvccpb::Event",
        "etcdserverpb::compare::TargetUnion",
        "etcdserverpb::watch_client::WatchClient<tonic::transport::Channel>",
        "etcdserverpb::InternalRaftRequest",
    ];
    rust::check(&workspace, "etcd", &types)?;
    let module = GoModule {
        path: "go.etcd.io/etcd/api/v3",
        folder: "",
    };
    golang::build_and_run(&workspace, "etcd", &[module])
}

#[test]
fn the_api_of_kubernetes_compiles_as_rust_and_as_go() -> Result<()> {
    let workspace = Workspace::open("kubernetes")?;
    let idl = Idl::kubernetes(Release::Current)?;
    let delivered = Delivered::make(
        &workspace,
        &idl,
        &Request {
            source: "",
            generate: &[
                PROST,
                "{name: go, plugin: go, path: go, options: [module=k8s.io]}",
            ],
        },
    )?;
    delivered.print_figures("kubernetes", &idl)?;
    let types = [
        "k8s::io::api::core::v1::Pod",
        "k8s::io::apimachinery::pkg::apis::meta::v1::ObjectMeta",
    ];
    rust::check(&workspace, "kubernetes", &types)?;
    let modules = [("k8s.io/api", "api"), ("k8s.io/apimachinery", "apimachinery")];
    let modules = modules.map(|(path, folder)| GoModule { path, folder });
    golang::build_and_run(&workspace, "kubernetes", &modules)
}
