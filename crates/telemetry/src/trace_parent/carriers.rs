//! What carries a [`TraceParent`] from one process to the next: HTTP headers, the environment of a
//! child process, annotations of a Kubernetes object. Invalid input is ignored, as the standard asks.

use super::TraceParent;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeMap;

const TRACEPARENT_HEADER: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE_HEADER: HeaderName = HeaderName::from_static("tracestate");

impl TraceParent {
    /// The variable that hands the parent to a child process
    /// (<https://opentelemetry.io/docs/specs/otel/context/env-carriers/>).
    pub const TRACEPARENT_VARIABLE: &str = "TRACEPARENT";
    /// The variable that hands the vendors' state to a child process.
    pub const TRACESTATE_VARIABLE: &str = "TRACESTATE";
    /// The annotation that keeps the parent on a Kubernetes object.
    pub const TRACEPARENT_ANNOTATION: &str = "heddle.dev/traceparent";
    /// The annotation that keeps the vendors' state on a Kubernetes object.
    pub const TRACESTATE_ANNOTATION: &str = "heddle.dev/tracestate";

    /// Reads the headers of a request. More than one `traceparent` counts as none; several
    /// `tracestate` headers are one list.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT_HEADER).iter();
        let parent = parents.next()?;
        if parents.next().is_some() {
            return None;
        }
        let states: Result<Vec<&str>, _> = headers
            .get_all(TRACESTATE_HEADER)
            .iter()
            .map(HeaderValue::to_str)
            .collect();
        // Spaces and tabs around a header's value are the transport's, not the value's.
        let parent = parent.to_str().ok()?.trim_matches([' ', '\t']);
        Self::from_parts(
            Some(parent),
            states.ok().map(|states| states.join(",")).as_deref(),
        )
    }

    /// Writes the headers of a request, in place of those that may be there.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        headers.remove(TRACEPARENT_HEADER);
        headers.remove(TRACESTATE_HEADER);
        for (name, text) in [
            (TRACEPARENT_HEADER, self.to_string()),
            (TRACESTATE_HEADER, self.trace_state()),
        ] {
            if text.is_empty() {
                continue;
            }
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }

    /// Reads the environment this process was started with.
    pub fn from_process_environment() -> Option<Self> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Reads an environment given as a function from name to value.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let parent = lookup(Self::TRACEPARENT_VARIABLE);
        Self::from_parts(parent.as_deref(), lookup(Self::TRACESTATE_VARIABLE).as_deref())
    }

    /// The variables a child process needs to continue from here: names and values, for
    /// `Command::envs` or a container's `env`. The trace state is there only when there is one.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let state = self.trace_state();
        let mut variables = vec![(Self::TRACEPARENT_VARIABLE, self.to_string())];
        if !state.is_empty() {
            variables.push((Self::TRACESTATE_VARIABLE, state));
        }
        variables
    }

    /// Reads the annotations of a Kubernetes object.
    pub fn from_annotations(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let annotation = |name| annotations.get(name).map(String::as_str);
        Self::from_parts(
            annotation(Self::TRACEPARENT_ANNOTATION),
            annotation(Self::TRACESTATE_ANNOTATION),
        )
    }

    /// Writes the annotations of a Kubernetes object, in place of those that may be there.
    pub fn write_annotations(&self, annotations: &mut BTreeMap<String, String>) {
        annotations.insert(Self::TRACEPARENT_ANNOTATION.to_owned(), self.to_string());
        match self.trace_state() {
            state if state.is_empty() => annotations.remove(Self::TRACESTATE_ANNOTATION),
            state => annotations.insert(Self::TRACESTATE_ANNOTATION.to_owned(), state),
        };
    }

    fn from_parts(parent: Option<&str>, state: Option<&str>) -> Option<Self> {
        let parent: Self = parent?.parse().ok()?;
        Some(parent.with_trace_state(state.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parent() -> TraceParent {
        let parent: TraceParent = PARENT.parse().unwrap();
        parent.with_trace_state("vendor=opaque,other=1")
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    }

    #[test]
    fn headers_carry_parent_and_state_there_and_back() {
        let mut headers = headers(&[
            ("traceparent", "stale"),
            ("traceparent", "stale"),
            ("tracestate", "stale=1"),
        ]);
        parent().write_headers(&mut headers);
        assert_eq!(headers.get_all("traceparent").iter().count(), 1);
        assert_eq!(TraceParent::from_headers(&headers), Some(parent()));
    }

    #[test]
    fn two_parents_in_the_headers_are_none() {
        assert_eq!(
            TraceParent::from_headers(&headers(&[("traceparent", PARENT), ("traceparent", PARENT)])),
            None
        );
        assert_eq!(TraceParent::from_headers(&headers(&[])), None);
        assert_eq!(
            TraceParent::from_headers(&headers(&[("tracestate", "a=1")])),
            None
        );
    }

    #[test]
    fn several_state_headers_are_one_list() {
        let headers = headers(&[
            ("traceparent", PARENT),
            ("tracestate", "vendor=opaque"),
            ("tracestate", "other=1"),
        ]);
        assert_eq!(TraceParent::from_headers(&headers), Some(parent()));
    }

    #[test]
    fn an_environment_carries_parent_and_state_there_and_back() {
        let variables: BTreeMap<_, _> = parent().variables().into_iter().collect();
        let lookup = |name: &str| variables.get(name).cloned();
        assert_eq!(TraceParent::from_variables(lookup), Some(parent()));
        assert_eq!(TraceParent::from_variables(|_| Some(String::new())), None);
    }

    #[test]
    fn annotations_carry_parent_and_state_there_and_back() {
        let mut annotations = BTreeMap::new();
        parent().write_annotations(&mut annotations);
        assert_eq!(TraceParent::from_annotations(&annotations), Some(parent()));

        let stateless: TraceParent = PARENT.parse().unwrap();
        stateless.write_annotations(&mut annotations);
        assert_eq!(TraceParent::from_annotations(&annotations), Some(stateless));
    }
}
