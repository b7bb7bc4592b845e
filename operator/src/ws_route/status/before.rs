//! What stays as it was said while a new leader awaits the sidecars: what only they can tell of a generation that they have
//! answered for already.

use super::State;
use crate::ws_route::observe::ObservedRoute;
use crate::ws_route::plan::PlannedRoute;
use heddle_crds::condition::{self, ConditionStatus};
use heddle_crds::ws_route::{ConditionType, Reason, Sidecars, WsRouteStatus};
use k8s_openapi::jiff::Timestamp;

/// What begins the sentence that is added to a message that is kept, and where it is cut off again.
const KEPT: &str = " So it was when the operator began anew; sidecars are awaited until ";

/// Reasons of `Programmed` that depend on what sidecars have said.
const SAID_BY_SIDECARS: [Reason; 5] = [
    Reason::Programmed,
    Reason::SidecarPending,
    Reason::SidecarNotConnected,
    Reason::SidecarRefused,
    Reason::Suspended,
];

/// What was said of the same generation before, while sidecars are awaited; nothing otherwise.
pub(super) struct Before<'a>(Option<(&'a WsRouteStatus, &'a PlannedRoute, Timestamp)>);

impl<'a> Before<'a> {
    pub(super) fn of(route: &'a ObservedRoute, planned: &'a PlannedRoute) -> Self {
        let generation = route.stored.metadata.generation;
        let status = route.stored.status.as_ref();
        let status = status.filter(|status| status.observed_generation == generation);
        let until = planned
            .progress
            .awaited_until
            .filter(|_| planned.progress.awaited > 0);
        Self(status.zip(until).map(|(status, until)| (status, planned, until)))
    }

    /// Types that were not found are found out about by sidecars.
    pub(super) fn resolved(&self, now: State) -> State {
        let Some((status, ..)) = self.0.filter(|_| now.status == ConditionStatus::True) else {
            return now;
        };
        let before = condition::find(&status.conditions, ConditionType::ResolvedRefs.as_str());
        let before = before.filter(|before| before.reason == Reason::MessageTypeNotFound.as_str());
        before.map_or(now, |before| {
            State::is_false(Reason::MessageTypeNotFound, &*before.message)
        })
    }

    /// Unless something else is in the way than sidecars that are awaited.
    pub(super) fn programmed(&self, now: State) -> State {
        let Some((status, planned, until)) = self.0 else {
            return now;
        };
        let progress = &planned.progress;
        let others = progress.missing.len()
            + progress.excluded.len()
            + progress.pending.len()
            + progress.refused.len();
        let only_awaited = others == 0 && progress.not_connected.len() == progress.awaited;
        let before = condition::find(&status.conditions, ConditionType::Programmed.as_str());
        let kept = before.filter(|_| planned.refusal.is_none() && only_awaited);
        let reason = kept.and_then(|kept| {
            let mut reasons = SAID_BY_SIDECARS.into_iter();
            reasons.find(|reason| reason.as_str() == kept.reason)
        });
        let (Some(kept), Some(reason)) = (kept, reason) else {
            return now;
        };
        // A pod that became ready meanwhile has nobody to vouch for it.
        let ready_before = status.sidecars.as_ref().map_or(0, |counts| counts.ready);
        if kept.status == ConditionStatus::True && progress.counts.ready > ready_before {
            return now;
        }
        let said = kept.message.split(KEPT).next().unwrap_or_default();
        let until = until.strftime("%FT%TZ");
        State {
            status: kept.status,
            reason,
            message: format!("{said}{KEPT}{until}."),
        }
    }

    /// Those that are awaited count as they did.
    pub(super) fn counts(&self, now: Sidecars) -> Sidecars {
        let Some(before) = self.0.and_then(|(status, ..)| status.sidecars.as_ref()) else {
            return now;
        };
        Sidecars {
            connected: now.connected.max(before.connected).min(now.selected),
            programmed: now.programmed.max(before.programmed).min(now.selected),
            ..now
        }
    }
}
