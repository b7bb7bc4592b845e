//! What the reasons of every kind's conditions have in common: a word for programs, a description for the reference, and
//! when Heddle tries again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When Heddle tries again after a condition got its reason.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Retry {
    /// Not a failure.
    NotNeeded,
    /// By itself, after delays that double up to the interval; those between runs up to ten minutes if that is longer.
    Backoff,
    /// Not before the specification, the source, an object it names, or the operator's settings change, or an
    /// annotation asks for it: `heddle.dev/requestedAt`, or `heddle.dev/accept-breaking` for a commit of an IdlRepo.
    OnChange,
}

/// What the reasons of each kind can say of themselves.
pub trait Reason: Copy + Eq + 'static {
    /// Every reason, in the order of the documentation.
    const ALL: &'static [Self];

    /// As it stands in a condition's `reason`.
    fn as_str(self) -> &'static str;

    /// What it means, for the reference.
    fn description(self) -> &'static str;

    /// When Heddle tries again.
    fn retry(self) -> Retry;
}

/// Defines a kind's enum of reasons from their names, descriptions and classes of retry.
macro_rules! reasons {
    ($(#[doc = $kind_doc:literal])+ enum Reason; $($(#[doc = $doc:literal])+ $name:ident = $retry:ident,)+) => {
        $(#[doc = $kind_doc])+
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As it stands in a condition's `reason`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// When Heddle tries again.
            pub fn retry(self) -> $crate::reason::Retry {
                match self { $(Self::$name => $crate::reason::Retry::$retry,)+ }
            }
        }

        impl $crate::reason::Reason for Reason {
            const ALL: &'static [Self] = Self::ALL;

            fn as_str(self) -> &'static str {
                self.as_str()
            }

            fn description(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }

            fn retry(self) -> $crate::reason::Retry {
                self.retry()
            }
        }
    };
}

pub(crate) use reasons;
