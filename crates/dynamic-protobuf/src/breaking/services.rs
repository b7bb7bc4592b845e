//! Rules about services: their methods, what these take and give, and how.

use super::Rule;
use super::collect::Findings;
use super::element::{Service, path_to};
use super::index::Index;
use super::names::undotted;
use super::source::Position;
use crate::descriptor::{IdempotencyLevel, MethodDescriptorProto};
use std::collections::BTreeMap;

pub(super) fn check(old: &Index<'_>, new: &Index<'_>, findings: &mut Findings) {
    for (name, before) in &old.services {
        if let Some(after) = new.services.get(name) {
            check_service(before, after, findings);
        }
    }
}

/// A method after the change.
struct Method<'a> {
    proto: &'a MethodDescriptorProto,
    service: &'a Service<'a>,
    path: Vec<i32>,
}

impl Method<'_> {
    fn position(&self, inside: &[i32]) -> Option<Position> {
        let path = [self.path.as_slice(), inside].concat();
        self.service.file.source.position(&path)
    }

    fn add(&self, findings: &mut Findings, rule: Rule, inside: &[i32], change: impl FnOnce() -> String) {
        let (service, method) = (&self.service.full_name, &self.proto.name);
        findings.add(
            rule,
            self.service.file,
            || self.position(inside),
            || format!("method `{service}.{method}` {}", change()),
        );
    }
}

fn check_service(before: &Service<'_>, after: &Service<'_>, findings: &mut Findings) {
    let methods = after.proto.method.iter().enumerate().rev();
    let kept: BTreeMap<&str, _> = methods
        .map(|(index, method)| (method.name.as_str(), (index, method)))
        .collect();
    for method in &before.proto.method {
        match kept.get(method.name.as_str()) {
            Some((index, proto)) => {
                let path = path_to(&after.path, 2, *index);
                check_method(
                    method,
                    &Method {
                        proto,
                        service: after,
                        path,
                    },
                    findings,
                );
            }
            None => findings.add(
                Rule::RpcNoDelete,
                after.file,
                || after.file.source.position(&after.path),
                || {
                    let service = &after.full_name;
                    format!(
                        "method `{service}.{}` was deleted; keep it, marked `deprecated` if nobody \
                        should call it",
                        method.name
                    )
                },
            ),
        }
    }
}

fn check_method(old: &MethodDescriptorProto, method: &Method<'_>, findings: &mut Findings) {
    let new = method.proto;
    let (before, after) = (undotted(&old.input_type), undotted(&new.input_type));
    if before != after {
        method.add(findings, Rule::RpcSameRequestType, &[2], || {
            format!("changed its request from `{before}` to `{after}`; add a method that takes the new one")
        });
    }
    let (before, after) = (undotted(&old.output_type), undotted(&new.output_type));
    if before != after {
        method.add(findings, Rule::RpcSameResponseType, &[3], || {
            format!(
                "changed its response from `{before}` to `{after}`; add a method that gives the new \
                one"
            )
        });
    }
    check_streaming(old, method, findings);
    let (before, after) = (idempotency_level(old), idempotency_level(new));
    if before != after {
        method.add(findings, Rule::RpcSameIdempotencyLevel, &[4, 34], || {
            let (before, after) = (named(before), named(after));
            format!(
                "changed `idempotency_level` from {before} to {after}, which clients rely on when \
                they try again; set it back"
            )
        });
    }
}

fn check_streaming(old: &MethodDescriptorProto, method: &Method<'_>, findings: &mut Findings) {
    let new = method.proto;
    let ends = [
        (
            Rule::RpcSameClientStreaming,
            "request",
            old.client_streaming,
            new.client_streaming,
        ),
        (
            Rule::RpcSameServerStreaming,
            "response",
            old.server_streaming,
            new.server_streaming,
        ),
    ];
    for (rule, end, before, after) in ends {
        let how = |is_stream| if is_stream { "a stream" } else { "a single message" };
        if before != after {
            method.add(findings, rule, &[], || {
                let (before, after) = (how(before), how(after));
                format!("changed its {end} from {before} to {after}; add another method for {after}")
            });
        }
    }
}

fn idempotency_level(method: &MethodDescriptorProto) -> IdempotencyLevel {
    method
        .options
        .idempotency_level
        .unwrap_or(IdempotencyLevel::Unknown)
}

fn named(level: IdempotencyLevel) -> &'static str {
    match level {
        IdempotencyLevel::Unknown => "IDEMPOTENCY_UNKNOWN",
        IdempotencyLevel::NoSideEffects => "NO_SIDE_EFFECTS",
        IdempotencyLevel::Idempotent => "IDEMPOTENT",
    }
}
