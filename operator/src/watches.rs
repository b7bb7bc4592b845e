//! Watches of the API server, whose events are taken in one after the other.

use crate::cache::Scope;
use crate::metrics::Metrics;
use futures::StreamExt;
use futures::stream::BoxStream;
use heddle_telemetry::ErrorChain;
use kube::core::NamespaceResourceScope;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// What a watch has seen.
pub(crate) struct Seen<C> {
    /// What is watched, as people are told.
    pub(crate) kind: &'static str,
    pub(crate) scope: Scope,
    pub(crate) change: C,
    /// Whether this is the end of a list of all there is.
    pub(crate) is_listed: bool,
}

/// Begins watches.
pub(crate) struct Watches<'a> {
    pub(crate) client: &'a Client,
    pub(crate) metrics: &'a Metrics,
}

impl Watches<'_> {
    /// Watches objects with these labels, and makes a `change` of each event. Each watch has a backoff of its own, so that
    /// one that is forbidden does not hold up the others; that one broke is told here and nowhere else.
    pub(crate) fn begin<K, C>(
        &self,
        scope: &Scope,
        labels: &str,
        kind: &'static str,
        change: impl Fn(Box<Event<K>>) -> C + Send + 'static,
    ) -> BoxStream<'static, Seen<C>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
        C: Send + 'static,
    {
        let api: Api<K> = match scope {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let (metrics, scope) = (self.metrics.clone(), scope.clone());
        let seen = move |event: Result<Event<K>, watcher::Error>| match event {
            Ok(event) => Some(Seen {
                kind,
                scope: scope.clone(),
                is_listed: matches!(event, Event::InitDone),
                change: change(Box::new(event)),
            }),
            Err(error) => {
                metrics.count_watch_error(kind);
                tracing::warn!(kind, error = %ErrorChain(&error), "watch broke and is started again");
                None
            }
        };
        watcher(api, watcher::Config::default().labels(labels))
            .default_backoff()
            .filter_map(move |event| std::future::ready(seen(event)))
            .boxed()
    }
}
