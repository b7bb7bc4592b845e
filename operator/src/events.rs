//! Events, by which people learn from `kubectl describe` what has happened to an object.
//!
//! kube's own recorder is of no use here: it makes one event of several with the same reason, and keeps the first one's
//! text, although the second may be about something else.

use heddle_crds::condition::truncate;
use heddle_telemetry::ErrorChain;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, Resource};

/// The most bytes of an event's note that the API takes.
const NOTE_LIMIT: usize = 1024;

/// Something that has happened to an object.
#[derive(Clone, Debug)]
pub(crate) struct Happening<'a> {
    pub(crate) regarding: &'a ObjectReference,
    /// Another object that has to do with it.
    pub(crate) related: Option<ObjectReference>,
    /// What was being done, in one CamelCase word.
    pub(crate) action: &'static str,
    /// A reason of the kind's conditions.
    pub(crate) reason: &'a str,
    /// What has happened, for people. A long one is cut.
    pub(crate) note: &'a str,
    pub(crate) severity: Severity,
}

/// Whether somebody should do something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Severity {
    Normal,
    Warning,
}

/// Who tells of it.
#[derive(Clone, Copy)]
pub(crate) struct Reporter<'a> {
    pub(crate) client: &'a Client,
    /// The name under which a controller reports, such as `heddle.dev/idl-repo`.
    pub(crate) controller: &'static str,
    /// The name of the pod.
    pub(crate) instance: &'a str,
}

impl Reporter<'_> {
    /// Makes an event. That it cannot be made keeps nothing from going on: it is logged.
    pub(crate) async fn publish(&self, happening: Happening<'_>) {
        let (namespace, name) = (
            happening.regarding.namespace.as_deref().unwrap_or_default(),
            happening.regarding.name.as_deref().unwrap_or_default(),
        );
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        let event = self.event(&happening, Timestamp::now());
        if let Err(error) = api.create(&PostParams::default(), &event).await
            && !is_in_vain(&error)
        {
            tracing::warn!(namespace, name, error = %ErrorChain(&error), "failed to publish an event");
        }
    }

    fn event(&self, happening: &Happening<'_>, now: Timestamp) -> Event {
        let mut note = happening.note.to_owned();
        truncate(&mut note, NOTE_LIMIT);
        let name = happening.regarding.name.as_deref().unwrap_or_default();
        Event {
            action: Some(happening.action.into()),
            event_time: Some(MicroTime(now)),
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: happening.regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            note: Some(note),
            reason: Some(happening.reason.to_owned()),
            regarding: Some(happening.regarding.clone()),
            related: happening.related.clone(),
            reporting_controller: Some(self.controller.into()),
            reporting_instance: Some(self.instance.to_owned()),
            type_: Some(happening.severity.as_str().into()),
            ..Event::default()
        }
    }
}

impl Severity {
    /// As it stands in an event's `type`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// In a namespace that is being deleted nothing new can be told, and nobody is left to read it.
fn is_in_vain(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// An object as events refer to it.
pub(crate) fn reference<K: Resource<DynamicType = ()>>(metadata: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(K::api_version(&()).into()),
        kind: Some(K::kind(&()).into()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        resource_version: metadata.resource_version.clone(),
        uid: metadata.uid.clone(),
        ..ObjectReference::default()
    }
}
