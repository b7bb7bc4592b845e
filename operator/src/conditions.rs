//! The conditions of a status while they are worked out, for every kind: what is the case is said in its own reasons, and
//! times and generations are seen to here.

use heddle_crds::condition::{self, Condition, ConditionStatus, ConditionType};
use heddle_crds::reason::{Reason, Retry};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use std::marker::PhantomData;

/// Something that people have to know of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem<R> {
    pub(crate) reason: R,
    pub(crate) message: String,
}

/// A condition without its type and times.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State<R> {
    pub(crate) status: ConditionStatus,
    pub(crate) reason: R,
    pub(crate) message: String,
}

/// The conditions of one status, with what all new ones have in common.
pub(crate) struct Conditions<T> {
    list: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
    types: PhantomData<T>,
}

impl<R: Reason> State<R> {
    pub(crate) fn is_true(reason: R, message: impl Into<String>) -> Self {
        Self::new(ConditionStatus::True, reason, message)
    }

    pub(crate) fn is_false(reason: R, message: impl Into<String>) -> Self {
        Self::new(ConditionStatus::False, reason, message)
    }

    pub(crate) fn unknown(reason: R, message: impl Into<String>) -> Self {
        Self::new(ConditionStatus::Unknown, reason, message)
    }

    fn new(status: ConditionStatus, reason: R, message: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
        }
    }

    /// Whether it does not hold, and when that may change is as `retry` says.
    pub(crate) fn is_false_until(&self, retry: Retry) -> bool {
        self.status == ConditionStatus::False && self.reason.retry() == retry
    }
}

impl<R: Reason> From<&Problem<R>> for State<R> {
    fn from(problem: &Problem<R>) -> Self {
        Self::is_false(problem.reason, &*problem.message)
    }
}

impl<T: ConditionType> Conditions<T> {
    /// Those that an object of this generation has, to be brought up to date.
    pub(crate) fn new(list: Vec<Condition>, generation: Option<i64>, now: Timestamp) -> Self {
        Self {
            list,
            generation,
            now,
            types: PhantomData,
        }
    }

    /// What was said before; nothing if it has a reason that there is no more.
    pub(crate) fn find(&self, type_: T) -> Option<State<T::Reason>> {
        let condition = condition::find(&self.list, type_.as_str())?;
        let reason = T::Reason::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == condition.reason)?;
        Some(State::new(condition.status, reason, &*condition.message))
    }

    pub(crate) fn set(&mut self, type_: T, state: State<T::Reason>) {
        let new = Condition {
            type_: type_.as_str().into(),
            status: state.status,
            observed_generation: self.generation,
            last_transition_time: Time(self.now),
            reason: state.reason.as_str().into(),
            message: state.message,
        };
        condition::set(&mut self.list, new);
    }

    pub(crate) fn set_or_remove(&mut self, type_: T, state: Option<State<T::Reason>>) {
        match state {
            Some(state) => self.set(type_, state),
            None => condition::remove(&mut self.list, type_.as_str()),
        }
    }

    /// For `Reconciling` and `Stalled`, which by the rules of kstatus are there only while true.
    pub(crate) fn set_while_true(&mut self, type_: T, state: Option<State<T::Reason>>) {
        let state = state.map(|state| State {
            status: ConditionStatus::True,
            ..state
        });
        self.set_or_remove(type_, state);
    }

    /// As they belong into the status.
    pub(crate) fn into_list(self) -> Vec<Condition> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_crds::ws_route;

    type Conditions = super::Conditions<ws_route::ConditionType>;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_there_only_while_true_goes_and_what_stays_keeps_its_time() {
        let mut first = Conditions::new(Vec::new(), Some(1), at(1));
        let waits = State::is_false(ws_route::Reason::SidecarPending, "1 of 2");
        assert!(waits.is_false_until(Retry::Backoff) && !waits.is_false_until(Retry::OnChange));
        first.set(ws_route::ConditionType::Ready, waits.clone());
        first.set_while_true(ws_route::ConditionType::Reconciling, Some(waits.clone()));
        let mut second = Conditions::new(first.into_list(), Some(2), at(2));
        assert_eq!(
            second
                .find(ws_route::ConditionType::Reconciling)
                .map(|state| state.status),
            Some(ConditionStatus::True)
        );
        second.set(ws_route::ConditionType::Ready, waits);
        second.set_while_true(ws_route::ConditionType::Reconciling, None);
        let list = second.into_list();
        assert_eq!(list.len(), 1, "{list:?}");
        assert_eq!(list[0].last_transition_time, Time(at(1)));
        assert_eq!(list[0].observed_generation, Some(2));
    }
}
