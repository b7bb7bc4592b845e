//! What the operator counts. Labels come from enums, never from names of objects.

mod subscriptions;

use crate::idl_repo::{Cause, Check};
use heddle_crds::idl_repo::{LastRun, Reason};
use heddle_telemetry::MetricsRegistry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use subscriptions::SubscriptionMetrics;

/// Bounds in seconds of how long a reconcile takes: from a few API calls to a slow source.
const RECONCILE_BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

/// Bounds in seconds of how long a run takes.
const RUN_BUCKETS: [f64; 10] = [1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0];

/// One that is there once its value is known: zero would be a time that is long over.
type Known = Family<[(&'static str, &'static str); 0], Gauge>;

/// The metrics, cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) leader: Gauge,
    pub(crate) objects: Gauge,
    pub(crate) reconciles_in_flight: Gauge,
    pub(crate) questions_waiting: Gauge,
    reconciles: Family<ReconcileLabels, Histogram, fn() -> Histogram>,
    reconcile_errors: Family<ErrorLabels, Counter>,
    watch_errors: Family<WatchLabels, Counter>,
    checks: Family<OutcomeLabels, Counter>,
    runs_started: Family<CauseLabels, Counter>,
    runs_finished: Family<OutcomeLabels, Counter>,
    run_seconds: Histogram,
    ws_routes: Gauge,
    ws_route_reconcile_seconds: Histogram,
    pub(crate) sidecars_connected: Gauge,
    sidecars_refused: Family<ClassLabels, Counter>,
    pub(crate) configurations_sent: Counter,
    acknowledgements: Family<AcknowledgementLabels, Counter>,
    broadcasts: Family<AcknowledgementLabels, Counter>,
    reviews: Family<ReviewLabels, Counter>,
    certificate_expiry: Known,
    authority_expiry: Known,
    pub(crate) certificate_failures: Counter,
    pub(crate) subscriptions: Arc<SubscriptionMetrics>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReconcileLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ErrorLabels {
    class: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct WatchLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OutcomeLabels {
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CauseLabels {
    cause: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ClassLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct AcknowledgementLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReviewLabels {
    webhook: &'static str,
    outcome: &'static str,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub(crate) fn new(registry: &mut MetricsRegistry) -> Self {
        let metrics = Self {
            leader: Gauge::default(),
            objects: Gauge::default(),
            reconciles_in_flight: Gauge::default(),
            questions_waiting: Gauge::default(),
            reconciles: Family::new_with_constructor(|| Histogram::new(RECONCILE_BUCKETS)),
            reconcile_errors: Family::default(),
            watch_errors: Family::default(),
            checks: Family::default(),
            runs_started: Family::default(),
            runs_finished: Family::default(),
            run_seconds: Histogram::new(RUN_BUCKETS),
            ws_routes: Gauge::default(),
            ws_route_reconcile_seconds: Histogram::new(RECONCILE_BUCKETS),
            sidecars_connected: Gauge::default(),
            sidecars_refused: Family::default(),
            configurations_sent: Counter::default(),
            acknowledgements: Family::default(),
            broadcasts: Family::default(),
            reviews: Family::default(),
            certificate_expiry: Known::default(),
            authority_expiry: Known::default(),
            certificate_failures: Counter::default(),
            subscriptions: Arc::default(),
        };
        metrics.register(registry);
        metrics.register_ws_routes(registry);
        metrics.subscriptions.register(registry);
        metrics
    }

    fn register(&self, registry: &mut MetricsRegistry) {
        registry.register("leader", "Whether this replica leads", self.leader.clone());
        registry.register(
            "idl_repos",
            "IdlRepos known to this replica",
            self.objects.clone(),
        );
        registry.register(
            "reconciles_in_flight",
            "Reconciles in progress",
            self.reconciles_in_flight.clone(),
        );
        registry.register(
            "source_questions_waiting",
            "Questions to source repositories that wait for their turn",
            self.questions_waiting.clone(),
        );
        registry.register(
            "reconcile_seconds",
            "Time that reconciles took",
            self.reconciles.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Reconciles that failed",
            self.reconcile_errors.clone(),
        );
        registry.register(
            "watch_errors",
            "Watches of the API that broke",
            self.watch_errors.clone(),
        );
        registry.register(
            "source_checks",
            "Questions to source repositories",
            self.checks.clone(),
        );
        registry.register(
            "runs_started",
            "Runs that were started",
            self.runs_started.clone(),
        );
        registry.register("runs_finished", "Runs that ended", self.runs_finished.clone());
        registry.register(
            "run_seconds",
            "Time from a Job's creation to its end",
            self.run_seconds.clone(),
        );
    }

    fn register_ws_routes(&self, registry: &mut MetricsRegistry) {
        registry.register(
            "ws_routes",
            "WsRoutes known to this replica",
            self.ws_routes.clone(),
        );
        registry.register(
            "ws_route_reconcile_seconds",
            "Time that reconciles of the WsRoutes of a namespace took",
            self.ws_route_reconcile_seconds.clone(),
        );
        registry.register(
            "sidecars_connected",
            "Sidecars connected to this replica",
            self.sidecars_connected.clone(),
        );
        registry.register(
            "sidecars_refused",
            "Sidecars that could not prove which pod they are in",
            self.sidecars_refused.clone(),
        );
        registry.register(
            "configurations_sent",
            "Configurations sent to sidecars",
            self.configurations_sent.clone(),
        );
        registry.register(
            "acknowledgements",
            "Answers of sidecars to configurations",
            self.acknowledgements.clone(),
        );
        registry.register(
            "broadcasts",
            "Messages relayed to the sidecars of a route, in batches, by what became of them",
            self.broadcasts.clone(),
        );
        registry.register(
            "admission_reviews",
            "Reviews of pods and WsRoutes",
            self.reviews.clone(),
        );
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the serving certificate expires",
            self.certificate_expiry.clone(),
        );
        registry.register(
            "authority_expiry_timestamp_seconds",
            "When the authority that signs it expires",
            self.authority_expiry.clone(),
        );
        registry.register(
            "certificate_failures",
            "Looks after the certificates that failed",
            self.certificate_failures.clone(),
        );
    }

    pub(crate) fn set_ws_routes(&self, count: usize) {
        self.ws_routes.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn observe_ws_route_reconcile(&self, took: Duration) {
        self.ws_route_reconcile_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn count_sidecar_refused(&self, reason: &'static str) {
        self.sidecars_refused.get_or_create(&ClassLabels { reason }).inc();
    }

    pub(crate) fn count_acknowledgement(&self, refused: bool) {
        let outcome = if refused { "refused" } else { "accepted" };
        self.acknowledgements
            .get_or_create(&AcknowledgementLabels { outcome })
            .inc();
    }

    pub(crate) fn count_broadcast(&self, outcome: &'static str) {
        self.broadcasts
            .get_or_create(&AcknowledgementLabels { outcome })
            .inc();
    }

    pub(crate) fn count_review(&self, webhook: &'static str, outcome: &'static str) {
        self.reviews
            .get_or_create(&ReviewLabels { webhook, outcome })
            .inc();
    }

    /// Both in seconds since 1970.
    pub(crate) fn note_certificates(&self, certificate: i64, authority: i64) {
        self.certificate_expiry.get_or_create(&[]).set(certificate);
        self.authority_expiry.get_or_create(&[]).set(authority);
    }

    pub(crate) fn count_reconcile(&self, outcome: &'static str, took: Duration) {
        self.reconciles
            .get_or_create(&ReconcileLabels { outcome })
            .observe(took.as_secs_f64());
    }

    pub(crate) fn count_reconcile_error(&self, class: &'static str) {
        self.reconcile_errors.get_or_create(&ErrorLabels { class }).inc();
    }

    pub(crate) fn count_watch_error(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&WatchLabels { kind }).inc();
    }

    pub(crate) fn count_check(&self, check: &Check) {
        let labels = match check {
            Check::Found { .. } => OutcomeLabels {
                outcome: "found",
                reason: Reason::RevisionFound.as_str(),
            },
            Check::Failed(problem) => OutcomeLabels {
                outcome: "failed",
                reason: problem.reason.as_str(),
            },
        };
        self.checks.get_or_create(&labels).inc();
    }

    pub(crate) fn count_run_started(&self, cause: Cause) {
        self.runs_started
            .get_or_create(&CauseLabels {
                cause: cause.as_str(),
            })
            .inc();
    }

    pub(crate) fn count_run_finished(&self, run: &LastRun) {
        let labels = match &run.error {
            None => OutcomeLabels {
                outcome: "delivered",
                reason: Reason::Succeeded.as_str(),
            },
            Some(error) => OutcomeLabels {
                outcome: "failed",
                reason: error.reason.as_str(),
            },
        };
        self.runs_finished.get_or_create(&labels).inc();
        if let Some(finished_at) = &run.finished_at {
            self.run_seconds
                .observe(finished_at.0.duration_since(run.started_at.0).as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// As samples are called, out of a line of OpenMetrics such as `# TYPE heddle_runs_started counter`.
    fn sample_name(line: &str) -> Option<String> {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some(match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        })
    }

    /// What has labels is there when it has counted something.
    fn count_once(metrics: &Metrics) {
        metrics.count_reconcile("", Duration::ZERO);
        metrics.count_reconcile_error("");
        metrics.count_watch_error("");
        let labels = OutcomeLabels {
            outcome: "",
            reason: "",
        };
        metrics.checks.get_or_create(&labels).inc();
        metrics.runs_finished.get_or_create(&labels).inc();
        metrics
            .runs_started
            .get_or_create(&CauseLabels { cause: "" })
            .inc();
        metrics.count_sidecar_refused("");
        metrics.count_acknowledgement(false);
        metrics.count_broadcast("");
        metrics.count_review("", "");
        metrics.note_certificates(0, 0);
    }

    #[test]
    fn the_page_for_those_who_run_it_has_every_metric_and_no_other() {
        let page = include_str!("../../docs/operations.md");
        let cells = page.lines().filter_map(|line| line.strip_prefix("| `heddle_"));
        let cells = cells.filter_map(|rest| rest.split(" |").next());
        let documented = cells
            .flat_map(|cell| cell.split(", "))
            .map(|name| format!("heddle_{}", name.trim_matches('`').trim_start_matches("heddle_")));
        // What telemetry counts of its own work belongs to every component.
        let documented: BTreeSet<_> = documented
            .filter(|name| !name.starts_with("heddle_telemetry_"))
            .collect();

        let mut registry = MetricsRegistry::new("operator", "0");
        count_once(&Metrics::new(&mut registry));
        let text = registry.encode().unwrap();
        let registered: BTreeSet<_> = text.lines().filter_map(sample_name).collect();
        assert_eq!(documented, registered);
    }

    #[test]
    fn nothing_is_told_of_certificates_before_it_is_known() {
        let mut registry = MetricsRegistry::new("operator", "0");
        let metrics = Metrics::new(&mut registry);
        let told = |registry: &MetricsRegistry| {
            let text = registry.encode().unwrap();
            let is_expiry =
                |line: &&str| line.contains("_expiry_timestamp_seconds") && !line.starts_with('#');
            text.lines()
                .filter(is_expiry)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert!(told(&registry).is_empty());
        metrics.note_certificates(1, 2);
        assert_eq!(
            told(&registry),
            [
                "heddle_certificate_expiry_timestamp_seconds{} 1",
                "heddle_authority_expiry_timestamp_seconds{} 2"
            ]
        );
    }
}
