//! What SseSubscriptions need.

use super::{Arguments, Cidrs};
use clap::{ArgAction, Args};
use heddle_git_remote::AddressPolicy;
use std::time::Duration;

/// How SseSubscriptions are looked after.
#[derive(Clone, Debug)]
pub(crate) struct SubscriptionsSettings {
    /// Where neither sources nor sinks may be.
    pub(crate) policy: AddressPolicy,
    /// Bytes of events of one subscription that have been read and not acknowledged.
    pub(crate) buffer_bytes: usize,
    /// How often the place of a stream is stored at most.
    pub(crate) checkpoint_interval: Duration,
    /// The share of events that get a trace, from 0 to 1.
    pub(crate) trace_ratio: f64,
}

#[derive(Args, Debug)]
pub(super) struct SubscriptionArguments {
    /// Whether SseSubscriptions are looked after
    #[arg(long, env = "HEDDLE_SSE_SUBSCRIPTIONS", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    sse_subscriptions: bool,
    /// Bytes of events of one SseSubscription that have been read and not acknowledged, before its source has to wait
    #[arg(long, env = "HEDDLE_SSE_BUFFER_BYTES", default_value_t = 4 << 20, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(65_536..=1_073_741_824))]
    sse_buffer_bytes: u64,
    /// Milliseconds between two writes of the place of one stream; what was delivered since the last one is delivered again
    /// after a crash
    #[arg(long, env = "HEDDLE_SSE_CHECKPOINT_INTERVAL", default_value_t = 2000, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(100..=60_000))]
    sse_checkpoint_interval: u64,
    /// Networks that neither sources nor sinks of SseSubscriptions may be in, besides those of --denied-cidrs, as CIDRs separated
    /// by commas: those of the cluster's pods and Services, where people must not reach into the cluster through the operator
    #[arg(
        long,
        env = "HEDDLE_SSE_DENIED_CIDRS",
        default_value = "",
        value_name = "CIDRS"
    )]
    sse_denied_cidrs: Cidrs,
    /// The share of server-sent events that get a trace, from 0 to 1
    #[arg(long, env = "HEDDLE_SSE_TRACE_RATIO", default_value_t = 0.01, value_name = "RATIO", value_parser = ratio)]
    sse_trace_ratio: f64,
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

/// Absent where SseSubscriptions are not looked after.
pub(super) fn settings(arguments: &Arguments, policy: &AddressPolicy) -> Option<SubscriptionsSettings> {
    let subscriptions = &arguments.subscriptions;
    subscriptions.sse_subscriptions.then(|| SubscriptionsSettings {
        policy: policy.clone().and_deny(subscriptions.sse_denied_cidrs.0.clone()),
        buffer_bytes: usize::try_from(subscriptions.sse_buffer_bytes).unwrap_or(usize::MAX),
        checkpoint_interval: Duration::from_millis(subscriptions.sse_checkpoint_interval),
        trace_ratio: subscriptions.sse_trace_ratio,
    })
}
