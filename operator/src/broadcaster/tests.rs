//! Asking a leader that answers what the test says, over TLS.

use super::*;
use heddle_http_server::{Limits, Protocol, serve};
use heddle_route_config::protocol::BroadcastMessage;
use http::Response;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex as SyncMutex;
use std::time::Instant;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

/// What a leader answers.
type Said = (StatusCode, String);

/// A certificate that is its own authority.
struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn server_config(&self) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap()
    }
}

/// A leader. Aborted when dropped.
struct LeaderAtWork {
    address: SocketAddr,
    /// What it was asked: authorization and body.
    asked: Arc<SyncMutex<Vec<(String, Broadcast)>>>,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl LeaderAtWork {
    async fn start(address: SocketAddr, identity: &Identity, said: Said) -> Self {
        Self::start_after(0, address, identity, said).await
    }

    /// One that does not answer the first few requests.
    async fn start_after(silences: usize, address: SocketAddr, identity: &Identity, said: Said) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let asked = Arc::<SyncMutex<Vec<_>>>::default();
        let (notes, stop) = (Arc::clone(&asked), CancellationToken::new());
        let service = move |request: Request<hyper::body::Incoming>| {
            let (notes, said) = (Arc::clone(&notes), said.clone());
            async move {
                assert_eq!(request.uri().path(), BROADCASTS_PATH);
                let bearer = request.headers()[header::AUTHORIZATION]
                    .to_str()
                    .unwrap()
                    .to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let count = {
                    let mut notes = notes.lock().unwrap();
                    notes.push((bearer, serde_json::from_slice(&body).unwrap()));
                    notes.len()
                };
                if count <= silences {
                    std::future::pending::<()>().await;
                }
                let mut response = Response::new(Full::new(Bytes::from(said.1)));
                *response.status_mut() = said.0;
                response
            }
        };
        let address = listener.local_addr().unwrap();
        let (tls, until) = (identity.server_config(), stop.clone());
        let mut task = JoinSet::new();
        task.spawn(serve(
            listener,
            Some(tls),
            Protocol::Http2,
            Limits::new(8, 8),
            service,
            until,
        ));
        Self {
            address,
            asked,
            stop,
            task,
        }
    }

    /// Somebody else may listen where it did.
    async fn end(mut self) -> SocketAddr {
        self.stop.cancel();
        while self.task.join_next().await.is_some() {}
        self.address
    }
}

/// Another replica, and where its token is.
struct Replica {
    broadcaster: Broadcaster,
    token: PathBuf,
    _folder: TempDir,
}

impl Replica {
    fn new(leader: SocketAddr, trusts: &Identity) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "own token\n").unwrap();
        let settings = LeaderSettings {
            url: format!("https://{leader}"),
            token_file: token.clone(),
        };
        let bundle = watch::channel(Arc::from(trusts.certificate.as_str())).1;
        Self {
            broadcaster: Broadcaster::new(Ok(settings), bundle),
            token,
            _folder: folder,
        }
    }

    async fn ask(&self) -> Result<Reached, Unreached> {
        let answer = self.broadcaster.broadcast(broadcast());
        tokio::time::timeout(PATIENCE, answer).await.unwrap()
    }

    /// The text of a failure that is to be tried again.
    async fn failure(&self) -> String {
        let unreached = self.ask().await.unwrap_err();
        assert_eq!(
            (unreached.reason, unreached.is_final),
            (Reason::SinkFailing, false)
        );
        unreached.message
    }
}

fn broadcast() -> Broadcast {
    Broadcast {
        namespace: "shop".into(),
        route: "chat".into(),
        messages: vec![BroadcastMessage {
            id: "1".into(),
            text: "for all".into(),
            ..BroadcastMessage::default()
        }],
        ..Broadcast::default()
    }
}

fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn reached(sidecars: usize, sessions: u64) -> (Said, Reached) {
    let said = json!({ "sidecars": sidecars, "sessions": sessions }).to_string();
    ((StatusCode::OK, said), Reached { sidecars, sessions })
}

#[tokio::test]
async fn the_leader_is_asked_with_the_replicas_token_and_after_it_the_next_one() {
    let identity = Identity::new();
    let (said, expected) = reached(1, 2);
    let leader = LeaderAtWork::start(anywhere(), &identity, said).await;
    let replica = Replica::new(leader.address, &identity);
    for _ in 0..2 {
        assert_eq!(replica.ask().await, Ok(expected));
    }
    let asked = leader.asked.lock().unwrap().clone();
    assert_eq!(asked, vec![("Bearer own token".to_owned(), broadcast()); 2]);

    let address = leader.end().await;
    assert!(replica.failure().await.starts_with("failed to "));
    let (said, expected) = reached(3, 4);
    let next = LeaderAtWork::start(address, &identity, said).await;
    // The kubelet has written another one meanwhile.
    std::fs::write(&replica.token, "newer").unwrap();
    let began = Instant::now();
    while replica.ask().await != Ok(expected) {
        assert!(began.elapsed() < PATIENCE, "the next leader is not found");
    }
    assert_eq!(next.asked.lock().unwrap()[0].0, "Bearer newer");
}

#[tokio::test]
async fn a_leader_that_says_nothing_is_given_up_and_connected_to_anew() {
    let identity = Identity::new();
    let (said, expected) = reached(1, 2);
    let busy = LeaderAtWork::start_after(1, anywhere(), &identity, said).await;
    // Its connections wait to be accepted, and nobody does.
    let deaf = TcpListener::bind(anywhere()).await.unwrap();
    let replicas = [busy.address, deaf.local_addr().unwrap()].map(|address| Replica::new(address, &identity));
    let [answer, handshake] = [&replicas[0], &replicas[1]].map(Replica::failure);
    let (answer, handshake) = tokio::join!(answer, handshake);
    for failure in [answer, handshake] {
        assert_eq!(failure, "failed to hear from the leader in time");
    }
    assert_eq!(replicas[0].ask().await, Ok(expected));
    assert_eq!(busy.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_the_leader_says_is_passed_on_and_what_it_cannot_be_asked_for_is_told() {
    let identity = Identity::new();
    let unreached = Unreached {
        is_final: true,
        ..Unreached::new(Reason::RouteNotProgrammed, "not yet")
    };
    let conflict = serde_json::to_string(&unreached).unwrap();
    let leader = LeaderAtWork::start(anywhere(), &identity, (StatusCode::CONFLICT, conflict)).await;
    let replica = Replica::new(leader.address, &identity);
    assert_eq!(replica.ask().await, Err(unreached));

    let stranger = Replica::new(leader.address, &Identity::new());
    let failure = stranger.failure().await;
    assert!(
        failure.starts_with("failed to connect to the leader"),
        "{failure}"
    );
    std::fs::remove_file(&replica.token).unwrap();
    let failure = replica.failure().await;
    assert!(
        failure.starts_with("failed to read the operator's own service-account token"),
        "{failure}"
    );
    for (status, body, expected) in [
        (
            StatusCode::NOT_FOUND,
            "",
            "404 Not Found, as an older version does",
        ),
        (StatusCode::FORBIDDEN, "", "it answered 403 Forbidden"),
        (
            StatusCode::OK,
            "no JSON",
            "failed to understand the leader's answer",
        ),
    ] {
        let leader = LeaderAtWork::start(anywhere(), &identity, (status, body.to_owned())).await;
        let failure = Replica::new(leader.address, &identity).failure().await;
        assert!(failure.contains(expected), "{failure}");
    }
}

#[tokio::test]
async fn a_replica_without_a_way_to_sessions_says_what_it_lacks() {
    for (none, expected) in [(NoWay::Token, "no token"), (NoWay::Sidecars, "proxy.enabled")] {
        let bundle = watch::channel(Arc::from("")).1;
        let unreached = Broadcaster::new(Err(none), bundle)
            .broadcast(broadcast())
            .await
            .unwrap_err();
        assert!(unreached.message.contains(expected), "{unreached:?}");
        assert!(!unreached.is_final, "settings may change");
    }
}
