//! Routes that transcode, by descriptor sets from files that change.

use crate::support::{Backend, Peer, Proxy, masked, request, text, to};
use std::path::Path;
use tokio::net::TcpStream;

pub(crate) const ROUTE: &str =
    "  transcoding: { idlRepoRef: { name: idl }, clientMessage: chat.Say, backendMessage: chat.Say }";

/// Writes the descriptor set of a file in one step, as kubelets do it.
pub(crate) fn publish(folder: &Path, idl: &str) {
    let sources = tempfile::tempdir().unwrap();
    let source = format!("syntax = \"proto3\";\npackage chat;\n{idl}");
    std::fs::write(sources.path().join("chat.proto"), source).unwrap();
    let mut compiler = protox::Compiler::new([sources.path()]).unwrap();
    compiler.open_file("chat.proto").unwrap();
    let next = folder.join("next.binpb");
    std::fs::write(&next, compiler.encode_file_descriptor_set()).unwrap();
    std::fs::rename(next, folder.join("idl.binpb")).unwrap();
}

/// Sends JSON, and reads what reaches the backend of it.
async fn say(client: &mut Peer<TcpStream>, server: &mut Peer<TcpStream>, json: &str) -> Vec<u8> {
    client.send(masked(1, json.as_bytes())).await;
    let head = server.bytes(2).await;
    assert_eq!(head[0], 0x82, "protobuf goes in binary messages");
    let mask = server.bytes(4).await;
    let payload = server.bytes(usize::from(head[1] & 0x7f)).await;
    payload
        .iter()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect()
}

#[tokio::test]
async fn sessions_that_are_open_go_by_a_new_descriptor_set_and_on_by_the_old_one_if_it_lacks_their_type() {
    let backend = Backend::listen().await;
    let prepare = |folder: &Path| publish(folder, "message Say { string text = 1; }");
    let arguments = |folder: &Path| {
        let file = folder.join("idl.binpb");
        vec!["--descriptors".into(), format!("idl={}", file.display())]
    };
    let proxy = Proxy::start_as(|port| to(port, &backend, ROUTE), prepare, arguments).await;
    let (mut client, mut server) = proxy.session(&backend).await;
    assert_eq!(
        say(&mut client, &mut server, r#"{"text":"hi"}"#).await,
        b"\x0a\x02hi"
    );

    let applied = "heddle_proxy_configurations_total{outcome=\"applied\"}";
    publish(
        proxy.folder.path(),
        "message Say { string by = 1; string text = 3; }",
    );
    proxy.until_metric(applied, 2.0).await;
    let sent = say(&mut client, &mut server, r#"{"by":"me","text":"hi"}"#).await;
    assert_eq!(sent, b"\x0a\x02me\x1a\x02hi");
    server.send(b"\x82\x04\x1a\x02yo").await;
    let expected = text(r#"{"text":"yo"}"#);
    assert_eq!(client.bytes(expected.len()).await, expected);

    publish(proxy.folder.path(), "message Other { string text = 1; }");
    let line = proxy.logged("failed to apply a route").await;
    assert!(line["error"].as_str().unwrap().contains("chat.Say"), "{line}");
    assert_eq!(
        say(&mut client, &mut server, r#"{"text":"hi"}"#).await,
        b"\x1a\x02hi"
    );
    let (status, state) = proxy.ask("/readyz").await.unwrap();
    assert!(
        status == 200 && state.contains("default/chat: ") && state.contains("chat.Say"),
        "{state}"
    );
    let mut other = proxy.client().await;
    other.send(request("/", "")).await;
    backend.accept().await.head().await;
}
