//! What comes over the stream, with real threads and sockets behind it, and without an operator.

mod broadcasts;

use super::*;
use crate::config::Listening;
use crate::shared::Shared;
use crate::tls::Secrets;
use crate::worker::Workers;
use heddle_crds::publication::digest;
use heddle_route_config::protocol::{DescriptorsReference, Held};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use tempfile::TempDir;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A sidecar whose operator is away.
struct Sidecar {
    stream: ConfigStream,
    configurator: Configurator,
    shared: Arc<Shared>,
}

impl Sidecar {
    fn start(folder: &TempDir) -> Self {
        let settings = StreamSettings {
            // Nobody listens there.
            url: Uri::from_static("https://127.0.0.1:1"),
            trust_bundle: String::new(),
            trust_bundle_file: None,
            token_file: folder.path().join("token"),
            state_dir: folder.path().to_owned(),
        };
        let shared = Arc::<Shared>::default();
        let workers = Workers::start(1, &shared).unwrap();
        let listening = Listening {
            address: Some(LOCALHOST),
            admin_port: 1,
        };
        let secrets = Secrets::new(Some(folder.path().join("secrets")));
        Self {
            stream: ConfigStream::open(&settings).unwrap(),
            configurator: Configurator::new(Arc::clone(&shared), workers, listening, secrets),
            shared,
        }
    }

    async fn serve(&mut self, configuration: &Configuration, sets: &[&[u8]]) -> Vec<Applied> {
        let received = Received {
            configuration: configuration.clone(),
            sets: sets.iter().map(|set| (digest(set), Arc::from(*set))).collect(),
        };
        self.stream.serve(received, &mut self.configurator).await
    }

    /// What is served: generations and descriptor sets, by route.
    fn served(&self) -> Vec<(String, i64, Option<String>)> {
        let routes = self.shared.routes();
        let mut served: Vec<_> = routes
            .iter()
            .map(|live| {
                let id = &live.route.id;
                (
                    id.name.clone(),
                    live.route.generation,
                    live.descriptors().map(str::to_owned),
                )
            })
            .collect();
        served.sort();
        served
    }

    /// What the sets of a route's open sessions have.
    fn session_has(&self, route: &str, message: &str) -> bool {
        let routes = self.shared.routes();
        let live = routes.iter().find(|live| live.route.id.name == route).unwrap();
        live.schema
            .as_ref()
            .unwrap()
            .cell
            .load()
            .message(message)
            .is_some()
    }
}

fn free_port() -> u16 {
    heddle_test_ports::free_port().unwrap()
}

fn sent(name: &str, generation: i64, held: Held, spec: &[(&str, Value)]) -> SentRoute {
    let mut manifest = json!({
        "apiVersion": "heddle.dev/v1alpha1",
        "kind": "WsRoute",
        "metadata": { "name": name, "namespace": "shop", "uid": name, "generation": generation },
        "spec": {
            "selector": { "matchLabels": { "app": "chat" } },
            "backends": [{ "name": "app", "port": 8080 }],
            "matches": [{ "path": { "value": format!("/{name}") } }],
        },
    });
    for (field, value) in spec {
        manifest["spec"][field] = value.clone();
    }
    SentRoute { manifest, held }
}

fn transcoding(port: u16, message: &str) -> Vec<(&'static str, Value)> {
    let transcoding = json!({
        "idlRepoRef": { "name": "idl" }, "clientMessage": message, "backendMessage": message,
    });
    vec![
        ("listener", json!({ "port": port })),
        ("transcoding", transcoding),
    ]
}

/// A descriptor set with these message types.
fn set(messages: &[&str]) -> Vec<u8> {
    let messages: String = messages
        .iter()
        .map(|message| format!("message {message} {{ string text = 1; }}\n"))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a.proto"),
        format!("syntax = \"proto3\";\npackage a;\n{messages}"),
    )
    .unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.open_file("a.proto").unwrap();
    compiler.encode_file_descriptor_set()
}

fn configuration(routes: Vec<SentRoute>, set: &[u8]) -> Configuration {
    let reference = DescriptorsReference {
        idl_repo: "idl".into(),
        digest: digest(set),
    };
    Configuration::new(routes, vec![reference], String::new(), None)
}

fn generation(applied: &[Applied], route: &str) -> (Option<i64>, bool) {
    let applied = applied.iter().find(|applied| applied.id.name == route).unwrap();
    (applied.generation, applied.error.is_some())
}

#[tokio::test]
async fn a_kept_route_that_cannot_be_served_at_the_start_is_not_claimed_and_is_served_later() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let listener = [("listener", json!({ "port": port }))];
    let first = Configuration::new(
        vec![sent("chat", 1, Held::No, &listener)],
        Vec::new(),
        String::new(),
        None,
    );
    let mut sidecar = Sidecar::start(&folder);
    assert_eq!(
        generation(&sidecar.serve(&first, &[]).await, "chat"),
        (Some(1), false)
    );
    assert_eq!(
        sidecar.stream.link.hello().applied.unwrap().version,
        first.version
    );
    sidecar.configurator.drain().await;

    let taken = TcpListener::bind((LOCALHOST, port)).unwrap();
    let mut sidecar = Sidecar::start(&folder);
    let applied = sidecar
        .stream
        .serve_kept(&mut sidecar.configurator)
        .await
        .unwrap();
    assert_eq!(generation(&applied, "chat"), (None, true));
    assert_eq!(sidecar.stream.link.hello().applied, None);
    drop(taken);
    let applied = loop {
        if let Some(applied) = sidecar.stream.retry(&mut sidecar.configurator).await {
            break applied;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(generation(&applied, "chat"), (Some(1), false));
    assert!(sidecar.stream.link.hello().applied.unwrap().is_whole());
}

#[tokio::test]
async fn a_route_that_was_refused_before_the_restart_is_not_claimed_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((LOCALHOST, 0)).unwrap();
    let listener = [("listener", json!({ "port": taken.local_addr().unwrap().port() }))];
    let routes = vec![sent("chat", 1, Held::No, &listener)];
    let configuration = Configuration::new(routes, Vec::new(), String::new(), None);
    let mut sidecar = Sidecar::start(&folder);
    assert_eq!(
        generation(&sidecar.serve(&configuration, &[]).await, "chat"),
        (None, true)
    );
    let mut sidecar = Sidecar::start(&folder);
    let applied = sidecar
        .stream
        .serve_kept(&mut sidecar.configurator)
        .await
        .unwrap();
    assert_eq!(generation(&applied, "chat"), (None, true));
    assert_eq!(sidecar.stream.link.hello().applied, None);
}

#[tokio::test]
async fn a_held_route_keeps_its_descriptor_set_and_only_sets_that_are_there_are_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let (old, new) = (set(&["Old"]), set(&["Old", "New"]));
    let route = |name: &str, held| sent(name, 1, held, &transcoding(port, "a.Old"));
    let mut sidecar = Sidecar::start(&folder);
    let first = configuration(vec![route("held", Held::No), route("other", Held::No)], &old);
    sidecar.serve(&first, &[&old]).await;
    let second = configuration(vec![route("held", Held::Yes), route("other", Held::No)], &new);
    sidecar.serve(&second, &[&new]).await;
    let expected = vec![
        ("held".to_owned(), 1, Some(digest(&old))),
        ("other".to_owned(), 1, Some(digest(&new))),
    ];
    assert_eq!(sidecar.served(), expected);
    assert!(sidecar.session_has("other", "a.New") && !sidecar.session_has("held", "a.New"));
    let claimed = |sidecar: &Sidecar| {
        let mut claimed = sidecar.stream.link.hello().descriptors;
        claimed.sort();
        claimed
    };
    let mut both = vec![digest(&old), digest(&new)];
    both.sort();
    assert_eq!(claimed(&sidecar), both);

    // While its IdlRepo is away no set is named for it; what it goes by stays, and is claimed.
    let third = Configuration::new(vec![route("held", Held::Yes)], Vec::new(), String::new(), None);
    sidecar.serve(&third, &[]).await;
    assert_eq!(claimed(&sidecar), [digest(&old)]);
    sidecar.configurator.drain().await;
    let mut sidecar = Sidecar::start(&folder);
    sidecar
        .stream
        .serve_kept(&mut sidecar.configurator)
        .await
        .unwrap();
    assert_eq!(sidecar.served(), expected[..1]);

    // What was named and is lost is asked for again.
    sidecar.serve(&first, &[]).await;
    sidecar.configurator.drain().await;
    for file in std::fs::read_dir(folder.path().join("descriptors")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let mut sidecar = Sidecar::start(&folder);
    sidecar
        .stream
        .serve_kept(&mut sidecar.configurator)
        .await
        .unwrap();
    let hello = sidecar.stream.link.hello();
    assert_eq!((hello.applied, hello.descriptors), (None, Vec::new()));
}

#[tokio::test]
async fn a_route_whose_type_is_missing_leaves_other_users_of_the_set_alone() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let (old, new) = (set(&["Both", "Old"]), set(&["Both", "New"]));
    let routes = || {
        vec![
            sent("both", 1, Held::No, &transcoding(port, "a.Both")),
            sent("old", 1, Held::No, &transcoding(port, "a.Old")),
        ]
    };
    let mut sidecar = Sidecar::start(&folder);
    sidecar.serve(&configuration(routes(), &old), &[&old]).await;
    let applied = sidecar.serve(&configuration(routes(), &new), &[&new]).await;
    // Sessions that are open go by the new set on the route that can, and by the old one on the other.
    assert!(sidecar.session_has("both", "a.New") && sidecar.session_has("old", "a.Old"));
    assert_eq!(generation(&applied, "both"), (Some(1), false));
    assert_eq!(generation(&applied, "old"), (Some(1), true));
    let digests: Vec<_> = applied.into_iter().map(|applied| applied.descriptors).collect();
    assert_eq!(digests, [Some(digest(&new)), Some(digest(&old))]);

    // Also after a restart, when only the disk knows of the old set.
    sidecar.configurator.drain().await;
    let mut sidecar = Sidecar::start(&folder);
    sidecar
        .stream
        .serve_kept(&mut sidecar.configurator)
        .await
        .unwrap();
    assert!(sidecar.session_has("both", "a.New") && sidecar.session_has("old", "a.Old"));
}

#[tokio::test]
async fn every_acknowledgement_is_sent_however_fast_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let mut sidecar = Sidecar::start(&folder);
    let port = free_port();
    let mut versions = Vec::new();
    for generation in 1..=10 {
        let routes = vec![sent(
            "chat",
            generation,
            Held::No,
            &[("listener", json!({ "port": port }))],
        )];
        let configuration = Configuration::new(routes, Vec::new(), String::new(), None);
        sidecar.serve(&configuration, &[]).await;
        versions.push(configuration.version);
    }
    let waiting = sidecar.stream.link.waiting().into_iter();
    let acknowledged: Vec<_> = waiting.map(|acknowledgement| acknowledgement.version).collect();
    assert_eq!(acknowledged, versions);
}

#[tokio::test]
async fn sessions_keep_their_types_when_set_and_route_name_others_together() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let (old, new) = (set(&["Say"]), set(&["Tell"]));
    let mut sidecar = Sidecar::start(&folder);
    let routes = |generation, message| vec![sent("chat", generation, Held::No, &transcoding(port, message))];
    sidecar
        .serve(&configuration(routes(1, "a.Say"), &old), &[&old])
        .await;
    let former = {
        let routes = sidecar.shared.routes();
        routes.iter().next().unwrap().transcoder.clone().unwrap()
    };
    let applied = sidecar
        .serve(&configuration(routes(2, "a.Tell"), &new), &[&new])
        .await;
    assert_eq!(generation(&applied, "chat"), (Some(2), false));
    assert!(former.knows_its_types() && sidecar.session_has("chat", "a.Tell"));
}
