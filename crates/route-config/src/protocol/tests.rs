use super::*;
use heddle_crds::WsRoute;
use serde_json::json;

fn object(generation: i64) -> WsRoute {
    serde_json::from_value(json!({
        "apiVersion": "heddle.dev/v1alpha1",
        "kind": "WsRoute",
        "metadata": {
            "name": "chat", "namespace": "shop", "generation": generation, "uid": "u", "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": { "secret": "canary" },
        },
        "spec": {
            "selector": { "matchLabels": { "app": "chat" } },
            "backends": [{ "name": "app", "port": 8080 }],
        },
        "status": { "conditions": [] },
    }))
    .unwrap()
}

fn configuration(generation: i64) -> Configuration {
    let route = SentRoute::new(&object(generation), Held::No);
    Configuration::new(vec![route], Vec::new(), "PEM".into(), None)
}

#[test]
fn only_what_a_sidecar_needs_of_an_object_is_sent_and_it_is_read_as_it_was() {
    let sent = SentRoute::new(&object(3), Held::Yes);
    let text = sent.manifest.to_string();
    assert!(!text.contains("canary") && !text.contains("status"), "{text}");
    let route = sent.route().unwrap();
    assert_eq!((sent.name(), sent.generation()), ("chat", 3));
    assert_eq!((route.id.name.as_str(), route.generation), ("chat", 3));
    assert_eq!(route, crate::Route::parse(&object(3)).unwrap());
}

#[test]
fn a_version_names_what_is_sent_and_not_the_change_that_sent_it() {
    assert_eq!(configuration(1).version, configuration(1).version);
    assert_ne!(configuration(1).version, configuration(2).version);
    let other_trace = Configuration::new(
        configuration(1).routes,
        Vec::new(),
        "PEM".into(),
        Some("00-1".into()),
    );
    assert_eq!(other_trace.version, configuration(1).version);
}

#[test]
fn a_route_with_fields_of_a_later_version_leaves_the_others_readable() {
    let mut configuration = configuration(1);
    configuration.routes[0].manifest["spec"]["newerField"] = json!(1);
    let line = line(&ToSidecar::Configuration(configuration));
    let mut lines = Lines::new(LINE_BYTES_LIMIT);
    lines.push(&line);
    let Some(ToSidecar::Configuration(read)) = lines.next_line().unwrap() else {
        panic!("no configuration")
    };
    assert!(read.routes[0].route().unwrap_err().contains("newerField"));
}

#[test]
fn lines_are_the_same_whatever_pieces_they_arrive_in() {
    let messages = [
        ToOperator::Hello(Hello {
            sidecar_version: "1".into(),
            ..Hello::default()
        }),
        ToOperator::Acknowledged(Acknowledgement {
            version: "v".into(),
            routes: vec![RouteResult {
                name: "chat".into(),
                uid: Some("u".into()),
                generation: Some(1),
                error: Some(RouteError::new(2, RouteErrorKind::Other, "x".repeat(5000))),
            }],
        }),
    ];
    let bytes: Vec<u8> = messages
        .iter()
        .flat_map(|message| [line(message), b"\r\n".to_vec()].concat())
        .collect();
    for size in [1, 2, 7, 1000, bytes.len()] {
        let mut lines = Lines::new(ANSWER_BYTES_LIMIT);
        let mut read = Vec::new();
        for piece in bytes.chunks(size) {
            lines.push(piece);
            while let Some(message) = lines.next_line::<ToOperator>().unwrap() {
                read.push(message);
            }
        }
        assert_eq!(read, messages, "pieces of {size}");
    }
}

#[test]
fn a_line_without_an_end_is_refused_at_the_limit() {
    let mut lines = Lines::new(10);
    lines.push(b"\"12345678\"\n");
    assert_eq!(lines.next_line::<String>().unwrap().unwrap(), "12345678");
    lines.push(&[b' '; 10]);
    assert!(lines.next_line::<String>().unwrap().is_none());
    lines.push(b" ");
    assert!(matches!(lines.next_line::<String>(), Err(LinesError::Exceed(10))));
    let mut lines = Lines::new(10);
    lines.push(b"\"1234567890\"\n");
    assert!(matches!(lines.next_line::<String>(), Err(LinesError::Exceed(10))));
}

#[test]
fn a_set_in_parts_is_whole_again_and_a_torn_one_is_not() {
    let set: Vec<u8> = (0..PART_BYTES * 2 + 10).map(|byte| byte as u8).collect();
    let parts = parts("d", 1, &set);
    assert_eq!(parts.len(), 3);
    let mut assembly = Assembly::default();
    // A stream that broke before, and began again.
    assert_eq!(assembly.add(&parts[0]).unwrap(), None);
    for part in &parts[..2] {
        assert_eq!(assembly.add(part).unwrap(), None);
    }
    assert_eq!(assembly.add(&parts[2]).unwrap().as_deref(), Some(&*set));

    assert_eq!(assembly.add(&parts[0]).unwrap(), None);
    let skipped = AssemblyError::Order { part: 2, expected: 1 };
    assert_eq!(assembly.add(&parts[2]), Err(skipped));
    let torn = AssemblyError::Order { part: 1, expected: 0 };
    assert_eq!(assembly.add(&parts[1]), Err(torn));
}

#[test]
fn the_longest_broadcast_fits_a_line_however_its_text_is_written() {
    // Each of these is six bytes in JSON.
    let text = "\u{1}".repeat(TEXTS_BYTES_LIMIT / MESSAGES_LIMIT);
    let message = BroadcastMessage {
        id: "\u{1}".repeat(1024),
        text,
        digest: Some("0".repeat(64)),
        traceparent: Some("0".repeat(55)),
    };
    let broadcast = Broadcast {
        messages: vec![message; MESSAGES_LIMIT],
        ..Broadcast::default()
    };
    let line = line(&ToSidecar::Broadcast(broadcast));
    assert!(line.len() < LINE_BYTES_LIMIT, "{}", line.len());
}

#[test]
fn a_sidecar_that_knows_of_no_broadcasts_takes_none() {
    let old = json!({ "type": "hello", "sidecarVersion": "0.1.0" });
    let Ok(ToOperator::Hello(hello)) = serde_json::from_value(old) else {
        panic!("no hello")
    };
    assert!(!hello.takes_broadcasts);
    let text = String::from_utf8(line(&ToOperator::Hello(hello))).unwrap();
    assert!(!text.contains("takesBroadcasts"), "{text}");
    let newer = json!({ "type": "broadcast", "number": u64::MAX, "error": "SomethingNewer" });
    let Ok(ToOperator::Broadcast(result)) = serde_json::from_value(newer) else {
        panic!("no answer")
    };
    assert_eq!(
        (result.number, result.error),
        (u64::MAX, Some(BroadcastError::Other))
    );
}
