//! Status conditions as Kubernetes API conventions define them, with the limits that the schema enforces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most characters a condition's message may have.
pub const MESSAGE_LIMIT: usize = 32_768;

/// One aspect of an object's state, shaped like `metav1.Condition`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition is about, such as Ready.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// The generation of the object that the condition was computed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When the status last changed.
    pub last_transition_time: Time,
    /// Why it has this status, in one CamelCase word that programs may match.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// What is the case, where, and what to do about it, for people.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Not known yet.
    Unknown,
}

/// The types of one kind's conditions.
pub trait ConditionType: Copy + 'static {
    /// What their reasons are.
    type Reason: crate::reason::Reason;

    /// Every type, in the order of the documentation.
    const ALL: &'static [Self];

    /// As it stands in a condition's `type`.
    fn as_str(self) -> &'static str;

    /// What is the case when it is true, for the reference.
    fn description(self) -> &'static str;
}

/// Defines a kind's enum of condition types from their names and descriptions. Their reasons are the enum `Reason` beside it.
macro_rules! condition_types {
    ($(#[doc = $kind_doc:literal])+ enum ConditionType; $($(#[doc = $doc:literal])+ $name:ident,)+) => {
        $(#[doc = $kind_doc])+
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum ConditionType {
            $($(#[doc = $doc])+ $name,)+
        }

        impl ConditionType {
            /// As it stands in a condition's `type`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }

        impl $crate::condition::ConditionType for ConditionType {
            type Reason = Reason;

            const ALL: &'static [Self] = &[$(Self::$name,)+];

            fn as_str(self) -> &'static str {
                self.as_str()
            }

            fn description(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

pub(crate) use condition_types;

/// The condition of this type, if there is one.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Puts `new` among `conditions`, keeping the time of the last transition where the status stays the same.
pub fn set(conditions: &mut Vec<Condition>, mut new: Condition) {
    truncate(&mut new.message, MESSAGE_LIMIT);
    match conditions.iter_mut().find(|old| old.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

/// Takes the condition of this type away: kstatus wants `Reconciling` and `Stalled` absent unless true.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|condition| condition.type_ != type_);
}

/// Cuts `text` to at most `limit` bytes without splitting a character, and says so at its end.
pub fn truncate(text: &mut String, limit: usize) {
    const MARK: &str = "… (cut)";
    if text.len() <= limit {
        return;
    }
    text.truncate(text.floor_char_boundary(limit.saturating_sub(MARK.len())));
    text.push_str(MARK);
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    fn condition(status: ConditionStatus, second: i64) -> Condition {
        Condition {
            type_: "Ready".into(),
            status,
            observed_generation: Some(1),
            last_transition_time: Time(Timestamp::from_second(second).unwrap()),
            reason: "Because".into(),
            message: String::new(),
        }
    }

    #[test]
    fn transition_time_moves_only_when_the_status_changes() {
        let mut conditions = vec![condition(ConditionStatus::False, 1)];
        set(&mut conditions, condition(ConditionStatus::False, 2));
        assert_eq!(conditions[0].last_transition_time.0.as_second(), 1);
        set(&mut conditions, condition(ConditionStatus::True, 3));
        assert_eq!(conditions[0].last_transition_time.0.as_second(), 3);
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let mut text = "é".repeat(20);
        truncate(&mut text, 21);
        assert!(text.len() <= 21 && text.ends_with("(cut)"), "{text}");
    }
}
