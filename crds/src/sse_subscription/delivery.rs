//! How events are delivered.

use super::sink::{HttpSink, LogSink};
use crate::schema::duration_schema;
use kube::KubeSchema;
use kube::core::Duration;
use serde::{Deserialize, Serialize};

/// How events are delivered.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!(has(self.ordered) && self.ordered) || !has(self.inFlight) || self.inFlight == 1").message("delivery.inFlight: an ordered delivery has one batch in flight; set ordered to false for more"))]
pub struct Delivery {
    /// Each sink gets events in the order of the stream: the next ones wait until these are acknowledged.
    #[serde(default = "default_ordered")]
    #[schemars(default = "default_ordered")]
    pub ordered: bool,
    /// Events that are delivered and acknowledged together.
    #[serde(default)]
    pub batch: Batch,
    /// How many batches are under way at the same time.
    #[serde(default = "default_in_flight")]
    #[schemars(range(min = 1, max = 64), default = "default_in_flight")]
    pub in_flight: u32,
    /// How long a sink may take to answer a request: from 100 milliseconds to 10 minutes.
    #[serde(default = "default_timeout")]
    #[schemars(schema_with = "duration_schema", default = "default_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('10m')").message("delivery.timeout: between 100ms and 10m"))]
    pub timeout: Duration,
    /// How often an event is delivered again that a sink has not acknowledged, before it goes to the dead letter. Without
    /// a dead letter, it is tried for ever, and the stream waits.
    #[serde(default = "default_retries")]
    #[schemars(range(min = 0, max = 100), default = "default_retries")]
    pub retries: u32,
    /// How long to wait before each of those tries. A sink's `Retry-After` comes before it.
    #[serde(default)]
    pub backoff: Backoff,
    /// Where events go that a sink refuses, or does not acknowledge after all retries, or whose data `transcoding` cannot turn.
    /// The stream then goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<Box<DeadLetter>>,
}

/// Events that are delivered and acknowledged together.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Batch {
    /// The most events of one batch.
    #[serde(default = "default_max_events")]
    #[schemars(range(min = 1, max = 10_000), default = "default_max_events")]
    pub max_events: u32,
    /// How long a batch that is not full waits for more events: at most 1 minute. It waits for none, if absent: a batch
    /// is what has arrived by the time the sink is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('1m')").message("delivery.batch.maxDelay: at most 1m"))]
    pub max_delay: Option<Duration>,
}

/// Delays that double from try to try, each cut by up to a quarter at random.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.initial) || !has(self.max) || duration(self.initial) <= duration(self.max)").message("initial: no longer than max"))]
pub struct Backoff {
    /// The first: from 10 milliseconds to 1 hour.
    #[serde(default = "default_initial")]
    #[schemars(schema_with = "duration_schema", default = "default_initial")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10ms') && duration(self) <= duration('1h')").message("initial: between 10ms and 1h"))]
    pub initial: Duration,
    /// The longest: from 10 milliseconds to 1 hour.
    #[serde(default = "default_max")]
    #[schemars(schema_with = "duration_schema", default = "default_max")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10ms') && duration(self) <= duration('1h')").message("max: between 10ms and 1h"))]
    pub max: Duration,
}

/// Where events go that cannot be delivered.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.http), has(self.log)].filter(x, x).size() == 1").message("delivery.deadLetter: exactly one of http and log"))]
pub struct DeadLetter {
    /// An HTTP endpoint. Events carry their data as it came, and the extensions `heddlesink` and `heddleerror`, which say who
    /// refused them and why.
    /// It is tried for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSink>,
    /// A line in the operator's log for each event, without its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSink>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            ordered: default_ordered(),
            batch: Batch::default(),
            in_flight: default_in_flight(),
            timeout: default_timeout(),
            retries: default_retries(),
            backoff: Backoff::default(),
            dead_letter: None,
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            max_events: default_max_events(),
            max_delay: None,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: default_initial(),
            max: default_max(),
        }
    }
}

fn default_ordered() -> bool {
    true
}

fn default_in_flight() -> u32 {
    1
}

fn default_timeout() -> Duration {
    std::time::Duration::from_secs(30).into()
}

fn default_retries() -> u32 {
    8
}

fn default_max_events() -> u32 {
    1
}

fn default_initial() -> Duration {
    std::time::Duration::from_secs(1).into()
}

fn default_max() -> Duration {
    std::time::Duration::from_secs(60).into()
}
