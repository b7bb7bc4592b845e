//! Reads every scalar of a generated message and adds them up, as `heddle_bench_worker::Output::number` says.

use protobuf::{Enum, EnumOrUnknown, MessageField};
use std::collections::HashMap;

/// What can be added up.
pub(crate) trait Walk {
    fn walk(&self) -> u64;
}

macro_rules! integers {
    ($($integer:ty),*) => {
        $(impl Walk for $integer {
            fn walk(&self) -> u64 {
                *self as u64
            }
        })*
    };
}

integers!(bool, i32, i64, u32, u64);

impl Walk for f32 {
    fn walk(&self) -> u64 {
        // A field that is not set is zero, and its bits are zero too.
        f64::from(*self).to_bits()
    }
}

impl Walk for f64 {
    fn walk(&self) -> u64 {
        self.to_bits()
    }
}

impl Walk for String {
    fn walk(&self) -> u64 {
        self.len() as u64
    }
}

impl Walk for Vec<u8> {
    fn walk(&self) -> u64 {
        self.len() as u64
    }
}

impl<T: Walk> Walk for Option<T> {
    fn walk(&self) -> u64 {
        self.as_ref().map_or(0, Walk::walk)
    }
}

impl<T: Walk> Walk for Box<T> {
    fn walk(&self) -> u64 {
        self.as_ref().walk()
    }
}

impl<T: Walk> Walk for Vec<T> {
    fn walk(&self) -> u64 {
        self.iter().map(Walk::walk).fold(0, u64::wrapping_add)
    }
}

impl<K: Walk, V: Walk> Walk for HashMap<K, V> {
    fn walk(&self) -> u64 {
        let entries = self
            .iter()
            .map(|(key, value)| key.walk().wrapping_add(value.walk()));
        entries.fold(0, u64::wrapping_add)
    }
}

impl<T: Walk> Walk for MessageField<T> {
    fn walk(&self) -> u64 {
        self.as_ref().map_or(0, Walk::walk)
    }
}

impl<E: Enum> Walk for EnumOrUnknown<E> {
    fn walk(&self) -> u64 {
        self.value() as u64
    }
}

impl Walk for pbjson_types::Timestamp {
    fn walk(&self) -> u64 {
        self.seconds.walk().wrapping_add(self.nanos.walk())
    }
}

impl Walk for protobuf::well_known_types::timestamp::Timestamp {
    fn walk(&self) -> u64 {
        self.seconds.walk().wrapping_add(self.nanos.walk())
    }
}
