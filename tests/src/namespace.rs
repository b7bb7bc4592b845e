//! A namespace for one test, and the few things tests do in it.

use crate::api_server::ApiServer;
use crate::eventually::{Probe, eventually};
use anyhow::{Context, Result};
use heddle_crds::IdlRepo;
use heddle_crds::condition::{self, Condition};
use heddle_crds::idl_repo::{IdlRepoStatus, LastRun};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams,
};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long anything may take that takes a moment.
pub const SOON: Duration = Duration::from_secs(120);

/// A namespace in which only pods of the restricted profile are admitted.
#[derive(Clone)]
pub struct TestNamespace {
    /// Of one who may do everything.
    pub client: Client,
    /// The name.
    pub name: String,
    /// The port of the API server on loopback.
    pub api_port: u16,
}

impl TestNamespace {
    /// A new one.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn create(server: &ApiServer) -> Result<Self> {
        let client = server.client().await?;
        let namespace = Namespace {
            metadata: ObjectMeta {
                generate_name: Some("test-".into()),
                labels: Some(BTreeMap::from([(
                    "pod-security.kubernetes.io/enforce".into(),
                    "restricted".into(),
                )])),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let created = Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await?;
        Ok(Self {
            client,
            name: created.name_any(),
            api_port: server.port(),
        })
    }

    /// IdlRepos in it.
    #[must_use]
    pub fn idl_repos(&self) -> Api<IdlRepo> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// IdlRepos in it, whatever they look like.
    #[must_use]
    pub fn untyped(&self) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.client.clone(),
            &self.name,
            &ApiResource::erase::<IdlRepo>(&()),
        )
    }

    /// Creates or changes an IdlRepo as `kubectl apply` does.
    ///
    /// # Errors
    /// The API refuses it.
    pub async fn apply(&self, name: &str, spec: &Value) -> Result<IdlRepo, kube::Error> {
        let object = json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "IdlRepo",
            "metadata": { "name": name, "namespace": self.name },
            "spec": spec,
        });
        let parameters = PatchParams::apply("kubectl").force();
        self.idl_repos()
            .patch(name, &parameters, &Patch::Apply(&object))
            .await
    }

    /// Creates an IdlRepo, whatever its specification looks like.
    ///
    /// # Errors
    /// The API refuses it.
    pub async fn create_idl_repo(&self, name: &str, spec: &Value) -> Result<(), kube::Error> {
        let kind = ApiResource::erase::<IdlRepo>(&());
        let object = DynamicObject::new(name, &kind).data(json!({ "spec": spec }));
        self.untyped()
            .create(&PostParams::default(), &object)
            .await
            .map(drop)
    }

    /// Changes part of an IdlRepo.
    ///
    /// # Errors
    /// The API refuses it.
    pub async fn merge(&self, name: &str, patch: &Value) -> Result<()> {
        self.idl_repos()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// Asks for a look right now, as people do.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn request(&self, name: &str, value: &str) -> Result<()> {
        let patch = json!({ "metadata": { "annotations": { "heddle.dev/requestedAt": value } } });
        self.merge(name, &patch).await
    }

    /// Lets breaking changes of a commit through, as people do.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn accept_breaking(&self, name: &str, commit: &str) -> Result<()> {
        let patch = json!({ "metadata": { "annotations": { "heddle.dev/accept-breaking": commit } } });
        self.merge(name, &patch).await
    }

    /// Creates or replaces a Secret.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn secret(&self, name: &str, data: &[(&str, &str)]) -> Result<()> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.into()),
                ..ObjectMeta::default()
            },
            string_data: Some(
                data.iter()
                    .map(|(key, value)| ((*key).into(), (*value).into()))
                    .collect::<BTreeMap<_, _>>(),
            ),
            ..Secret::default()
        };
        let api = Api::<Secret>::namespaced(self.client.clone(), &self.name);
        api.patch(
            name,
            &PatchParams::apply("kubectl").force(),
            &Patch::Apply(&secret),
        )
        .await?;
        Ok(())
    }

    /// Waits until an IdlRepo's status is as `wanted`.
    ///
    /// # Errors
    /// It never is; the last status is in the text.
    pub async fn wait_for(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&IdlRepoStatus) -> bool,
    ) -> Result<IdlRepoStatus> {
        let api = self.idl_repos();
        eventually(what, SOON, || async {
            let status = api.get(name).await?.status.unwrap_or_default();
            Ok(match wanted(&status) {
                true => Probe::Seen(status),
                false => {
                    let jobs = self.jobs().await?;
                    let jobs: Vec<_> = jobs.iter().map(|job| (job.name_any(), &job.status)).collect();
                    let pods = self.pods().await?;
                    let pods: Vec<_> = pods.iter().map(|pod| (pod.name_any(), &pod.status)).collect();
                    Probe::NotYet(serde_json::to_string_pretty(&(status, jobs, pods))?)
                }
            })
        })
        .await
    }

    /// Waits until the condition has the reason.
    ///
    /// # Errors
    /// It never has; the last status is in the text.
    pub async fn wait_for_reason(&self, name: &str, type_: &str, reason: &str) -> Result<Condition> {
        let what = format!("{name} has {type_} with reason {reason}");
        let status = self
            .wait_for(name, &what, |status| {
                condition::find(&status.conditions, type_).is_some_and(|found| found.reason == reason)
            })
            .await?;
        condition::find(&status.conditions, type_)
            .cloned()
            .context("it is there")
    }

    /// Waits until the code for this source commit is delivered, and gives the run that did it.
    ///
    /// # Errors
    /// It never is; the last status is in the text.
    pub async fn wait_for_delivery(&self, name: &str, commit: &str) -> Result<LastRun> {
        let status = self
            .wait_for(name, &format!("{name} is ready for {commit}"), |status| {
                let ready = condition::find(&status.conditions, "Ready");
                status.generated_revision.as_deref() == Some(commit)
                    && ready.is_some_and(|ready| ready.reason == "Succeeded")
            })
            .await?;
        status.last_run.context("a delivery without a run")
    }

    /// An IdlRepo's status as it is now.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn status(&self, name: &str) -> Result<IdlRepoStatus> {
        Ok(self
            .idl_repos()
            .get_status(name)
            .await?
            .status
            .unwrap_or_default())
    }

    /// Waits until a request to look ([`Self::request`]) has been answered.
    ///
    /// # Errors
    /// It never is; the last status is in the text.
    pub async fn wait_for_handled(&self, name: &str, value: &str) -> Result<IdlRepoStatus> {
        self.wait_for(name, &format!("{name} was looked at for {value}"), |status| {
            status.last_handled_requested_at.as_deref() == Some(value)
        })
        .await
    }

    /// Waits until the Jobs are as wanted.
    ///
    /// # Errors
    /// They never are; how they are is in the text.
    pub async fn wait_for_jobs(&self, what: &str, wanted: impl Fn(&[Job]) -> bool) -> Result<Vec<Job>> {
        eventually(what, SOON, || async {
            let jobs = self.jobs().await?;
            Ok(match wanted(&jobs) {
                true => Probe::Seen(jobs),
                false => Probe::NotYet(serde_json::to_string_pretty(&jobs)?),
            })
        })
        .await
    }

    /// Waits until the pods are as wanted.
    ///
    /// # Errors
    /// They never are; how they are is in the text.
    pub async fn wait_for_pods(&self, what: &str, wanted: impl Fn(&[Pod]) -> bool) -> Result<Vec<Pod>> {
        eventually(what, SOON, || async {
            let pods = self.pods().await?;
            Ok(match wanted(&pods) {
                true => Probe::Seen(pods),
                false => Probe::NotYet(serde_json::to_string_pretty(&pods)?),
            })
        })
        .await
    }

    /// Waits until the reasons of an IdlRepo's events are these, oldest first.
    ///
    /// # Errors
    /// They never are; what they are is in the text.
    pub async fn wait_for_events(&self, name: &str, reasons: &[&str]) -> Result<()> {
        eventually(&format!("events with reasons {reasons:?}"), SOON, || async {
            let seen = self.event_reasons(name).await?;
            Ok(match seen == reasons {
                true => Probe::Seen(()),
                false => Probe::NotYet(format!("{seen:?}")),
            })
        })
        .await
    }

    async fn event_reasons(&self, name: &str) -> Result<Vec<String>> {
        let events = self.events().await?.into_iter();
        let of_object = events.filter(|event| {
            event.regarding.as_ref().is_some_and(|object| {
                object.kind.as_deref() == Some("IdlRepo") && object.name.as_deref() == Some(name)
            })
        });
        Ok(of_object.filter_map(|event| event.reason).collect())
    }

    /// The Jobs in it.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn jobs(&self) -> Result<Vec<Job>> {
        let api = Api::<Job>::namespaced(self.client.clone(), &self.name);
        Ok(api.list(&ListParams::default()).await?.items)
    }

    /// The pods in it.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let api = Api::<Pod>::namespaced(self.client.clone(), &self.name);
        Ok(api.list(&ListParams::default()).await?.items)
    }

    /// The events in it, oldest first.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn events(&self) -> Result<Vec<Event>> {
        let api = Api::<Event>::namespaced(self.client.clone(), &self.name);
        let mut events = api.list(&ListParams::default()).await?.items;
        events.sort_by_key(|event| event.event_time.clone());
        Ok(events)
    }

    /// Deletes an IdlRepo.
    ///
    /// # Errors
    /// Those of the API.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.idl_repos().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }
}
