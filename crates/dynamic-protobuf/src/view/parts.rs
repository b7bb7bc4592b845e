//! The bytes of a message: mostly one slice, several where a singular message occurs more than once and is merged.

use std::sync::Arc;

/// The occurrences of a message in wire order; read one after the other they are the merged message.
#[derive(Clone, Debug)]
pub(crate) enum Parts<'a> {
    One(&'a [u8]),
    Many(Arc<[&'a [u8]]>),
}

impl<'a> Parts<'a> {
    pub(crate) const EMPTY: Self = Self::One(&[]);

    #[inline(always)]
    pub(crate) fn slices(&self) -> &[&'a [u8]] {
        match self {
            Self::One(slice) => std::slice::from_ref(slice),
            Self::Many(slices) => slices,
        }
    }
}

/// Collects the occurrences of a message; holds no memory while there is but one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected<'a> {
    first: Option<&'a [u8]>,
    rest: Vec<&'a [u8]>,
}

impl<'a> Collected<'a> {
    #[inline]
    pub(crate) fn push(&mut self, slice: &'a [u8]) {
        match self.first {
            None => self.first = Some(slice),
            Some(_) => self.rest.push(slice),
        }
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.first = None;
        self.rest.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.rest.len() + usize::from(self.first.is_some())
    }

    #[inline]
    pub(crate) fn finish(self) -> Option<Parts<'a>> {
        let first = self.first?;
        if self.rest.is_empty() {
            return Some(Parts::One(first));
        }
        Some(Parts::Many(std::iter::once(first).chain(self.rest).collect()))
    }
}
