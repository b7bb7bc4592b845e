//! `OTEL_TRACES_SAMPLER` and its argument.

use opentelemetry::trace::{SpanContext, SpanKind, TraceId};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample as _};

/// Which traces are recorded
/// (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration>).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum TraceSampler {
    /// `always_on`
    AlwaysOn,
    /// `always_off`
    AlwaysOff,
    /// `traceidratio`: this fraction, from 0 to 1, of all traces.
    Ratio(f64),
    /// `parentbased_always_on`: as the parent says; every trace that starts here.
    #[default]
    ParentOrAlwaysOn,
    /// `parentbased_always_off`: as the parent says; no trace that starts here.
    ParentOrAlwaysOff,
    /// `parentbased_traceidratio`: as the parent says; this fraction of those that start here.
    ParentOrRatio(f64),
}

/// What the standard takes for a missing or invalid fraction.
const DEFAULT_RATIO: f64 = 1.0;

impl TraceSampler {
    /// Parses the two variables. What is wrong in them is described in `warnings` and replaced by
    /// the default, as the standard asks.
    pub(super) fn parse(name: &str, argument: Option<&str>, warnings: &mut Vec<String>) -> Self {
        match name {
            "always_on" => Self::AlwaysOn,
            "always_off" => Self::AlwaysOff,
            "traceidratio" => Self::Ratio(ratio(argument, warnings)),
            "parentbased_always_on" => Self::ParentOrAlwaysOn,
            "parentbased_always_off" => Self::ParentOrAlwaysOff,
            "parentbased_traceidratio" => Self::ParentOrRatio(ratio(argument, warnings)),
            other => {
                warnings.push(format!(
                    "OTEL_TRACES_SAMPLER={other:?} is not supported; parentbased_always_on is used instead"
                ));
                Self::default()
            }
        }
    }

    /// Whether a span below `parent`, or one that begins a trace, is recorded: what the sampler of the SDK says, which
    /// needs a context on the heap to be asked.
    pub(crate) fn samples(self, parent: Option<&SpanContext>, trace_id: TraceId) -> bool {
        match self {
            Self::AlwaysOn => true,
            Self::AlwaysOff => false,
            Self::Ratio(ratio) => is_among(ratio, trace_id),
            Self::ParentOrAlwaysOn => parent.is_none_or(SpanContext::is_sampled),
            Self::ParentOrAlwaysOff => parent.is_some_and(SpanContext::is_sampled),
            Self::ParentOrRatio(ratio) => {
                parent.map_or_else(|| is_among(ratio, trace_id), SpanContext::is_sampled)
            }
        }
    }

    pub(crate) fn sdk(self) -> Sampler {
        match self {
            Self::AlwaysOn => Sampler::AlwaysOn,
            Self::AlwaysOff => Sampler::AlwaysOff,
            Self::Ratio(ratio) => Sampler::TraceIdRatioBased(ratio),
            Self::ParentOrAlwaysOn => Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
            Self::ParentOrAlwaysOff => Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
            Self::ParentOrRatio(ratio) => Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))),
        }
    }
}

fn is_among(ratio: f64, trace_id: TraceId) -> bool {
    let sampler = Sampler::TraceIdRatioBased(ratio);
    let result = sampler.should_sample(None, trace_id, "", &SpanKind::Server, &[], &[]);
    result.decision == SamplingDecision::RecordAndSample
}

fn ratio(argument: Option<&str>, warnings: &mut Vec<String>) -> f64 {
    let Some(text) = argument else {
        return DEFAULT_RATIO;
    };
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
        _ => {
            warnings.push(format!(
                "OTEL_TRACES_SAMPLER_ARG={text:?} is no number from 0 to 1; 1 is used instead"
            ));
            DEFAULT_RATIO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TraceParent;
    use opentelemetry::Context;
    use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceFlags, TraceState};

    fn check(name: &str, argument: Option<&str>, expected: TraceSampler, warnings: usize) {
        let mut heard = Vec::new();
        assert_eq!(
            TraceSampler::parse(name, argument, &mut heard),
            expected,
            "{name} {argument:?}"
        );
        assert_eq!(heard.len(), warnings, "{heard:?}");
    }

    #[test]
    fn every_sampler_of_the_standard_has_its_name() {
        check("always_on", None, TraceSampler::AlwaysOn, 0);
        check("always_off", None, TraceSampler::AlwaysOff, 0);
        check("traceidratio", Some("0.25"), TraceSampler::Ratio(0.25), 0);
        check("parentbased_always_on", None, TraceSampler::ParentOrAlwaysOn, 0);
        check("parentbased_always_off", None, TraceSampler::ParentOrAlwaysOff, 0);
        check(
            "parentbased_traceidratio",
            Some("0"),
            TraceSampler::ParentOrRatio(0.0),
            0,
        );
        check("traceidratio", None, TraceSampler::Ratio(1.0), 0);
    }

    #[test]
    fn a_place_without_a_span_is_sampled_as_a_span_there_would_be() {
        let samplers = [
            TraceSampler::AlwaysOn,
            TraceSampler::AlwaysOff,
            TraceSampler::Ratio(0.5),
            TraceSampler::ParentOrAlwaysOn,
            TraceSampler::ParentOrAlwaysOff,
            TraceSampler::ParentOrRatio(0.5),
        ];
        let parents = ["01", "00"].map(|flags| {
            let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            text.parse::<TraceParent>().unwrap()
        });
        let parents: Vec<_> = [None].into_iter().chain(parents.map(Some)).collect();
        for (sampler, parent) in samplers
            .into_iter()
            .flat_map(|sampler| parents.iter().map(move |parent| (sampler, parent)))
        {
            for _ in 0..32 {
                let place = TraceParent::below(parent.as_ref(), sampler);
                let above = parent.as_ref().map(|parent| {
                    let (trace, span) = (parent.trace_id_hex(), parent.span_id_hex());
                    let flags = TraceFlags::default().with_sampled(parent.is_sampled());
                    let ids = (
                        TraceId::from_hex(&trace).unwrap(),
                        SpanId::from_hex(&span).unwrap(),
                    );
                    let context = SpanContext::new(ids.0, ids.1, flags, true, TraceState::NONE);
                    Context::new().with_remote_span_context(context)
                });
                let trace_id = TraceId::from_hex(&place.trace_id_hex()).unwrap();
                let kind = SpanKind::Server;
                let said = sampler
                    .sdk()
                    .should_sample(above.as_ref(), trace_id, "", &kind, &[], &[]);
                assert_eq!(
                    place.is_sampled(),
                    said.decision == SamplingDecision::RecordAndSample,
                    "{sampler:?} below {parent:?}"
                );
            }
        }
    }

    #[test]
    fn a_sampler_that_does_not_exist_is_a_warning_and_the_default() {
        check("jaeger_remote", None, TraceSampler::ParentOrAlwaysOn, 1);
        for argument in ["two", "1.5", "-1", "NaN"] {
            check("traceidratio", Some(argument), TraceSampler::Ratio(1.0), 1);
        }
    }
}
