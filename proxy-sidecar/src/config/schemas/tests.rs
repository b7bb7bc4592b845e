use super::*;
use heddle_crds::WsRoute;

/// The set of a file with these messages.
fn set(messages: &[&str]) -> DescriptorSets {
    let folder = tempfile::tempdir().unwrap();
    let fields = messages
        .iter()
        .map(|name| format!("message {name} {{ string text = 1; }}\n"));
    let text = format!(
        "syntax = \"proto3\"; package chat;\n{}",
        fields.collect::<String>()
    );
    std::fs::write(folder.path().join("chat.proto"), text).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    let set = compiler
        .open_file("chat.proto")
        .unwrap()
        .encode_file_descriptor_set();
    BTreeMap::from([("chat".to_owned(), set.into())])
}

fn route(message: &str) -> Route {
    let text = format!(
        "apiVersion: heddle.dev/v1alpha1
kind: WsRoute
metadata: {{ name: a }}
spec:
  selector: {{ matchLabels: {{ a: b }} }}
  backends: [{{ name: a, port: 1 }}]
  transcoding:
    idlRepoRef: {{ name: chat }}
    clientEncoding: JSON
    clientMessage: chat.{message}
    backendMessage: chat.{message}
"
    );
    let object: WsRoute = serde_yaml_ng::from_str(&text).unwrap();
    Route::parse(&object).unwrap()
}

fn transcoder(schemas: &mut Schemas, sets: &DescriptorSets, route: &Route) -> Arc<Transcoder> {
    schemas.update(sets, std::slice::from_ref(route));
    schemas.transcoder(route.transcoding.as_ref().unwrap()).unwrap()
}

#[test]
fn sessions_keep_their_types_when_schema_and_route_name_others_together() {
    let mut schemas = Schemas::default();
    let former = transcoder(&mut schemas, &set(&["Say"]), &route("Say"));
    let next = transcoder(&mut schemas, &set(&["Tell"]), &route("Tell"));
    assert!(former.knows_its_types() && next.knows_its_types());
    transcoder(&mut schemas, &set(&["Tell", "Say", "More"]), &route("Tell"));
    assert!(
        former.knows("chat.More") && next.knows("chat.More"),
        "both go by the newest again"
    );
}

#[test]
fn types_that_nobody_uses_are_forgotten() {
    let mut schemas = Schemas::default();
    drop(transcoder(&mut schemas, &set(&["Say"]), &route("Say")));
    transcoder(&mut schemas, &set(&["Tell"]), &route("Tell"));
    schemas.update(&set(&["Tell"]), &[route("Tell")]);
    assert_eq!(schemas.0["chat"].cells.len(), 1);
}
