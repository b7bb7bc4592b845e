//! Lookup by name.

/// A name and the index it stands for.
type Named = (Box<str>, u32);

/// Finds an index by a name; open addressing, so that a lookup is one hash and mostly one comparison.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    /// Power of two in length, or empty; `None` is free.
    cells: Box<[Option<Named>]>,
    /// Sorted: names that found no free cell in [`NameTable::MAX_PROBES`]. None but for a schema made to collide.
    crowded: Box<[Named]>,
}

impl NameTable {
    /// Cells that a name is looked for in. Half of the cells are free, so that chance needs no more than a few.
    const MAX_PROBES: usize = 32;

    /// A table of `names`; of equal names the first counts.
    pub(crate) fn new(names: &[(&str, u32)]) -> Self {
        if names.is_empty() {
            return Self::default();
        }
        let mut table = Self {
            cells: vec![None; (names.len() * 2).next_power_of_two()].into_boxed_slice(),
            crowded: Box::default(),
        };
        let mut crowded: Vec<Named> = Vec::new();
        for (name, value) in names {
            if !table.place(name, *value) {
                crowded.push((Box::from(*name), *value));
            }
        }
        // The sort is stable, so that of equal names the first stays.
        crowded.sort_by(|(one, _), (other, _)| one.cmp(other));
        crowded.dedup_by(|(one, _), (other, _)| one == other);
        table.crowded = crowded.into_boxed_slice();
        table
    }

    /// Puts a name into a cell, unless it is in one; false when none is free.
    fn place(&mut self, name: &str, value: u32) -> bool {
        let mask = self.cells.len() - 1;
        let at = hash(name.as_bytes()) as usize;
        for probe in 0..Self::MAX_PROBES {
            match &mut self.cells[(at + probe) & mask] {
                Some((taken, _)) if **taken == *name => return true,
                Some(_) => {}
                free @ None => {
                    *free = Some((Box::from(name), value));
                    return true;
                }
            }
        }
        false
    }

    /// The index that `name` stands for.
    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        let mask = self.cells.len().checked_sub(1)?;
        let at = hash(name) as usize;
        for probe in 0..Self::MAX_PROBES {
            let (taken, value) = self.cells.get((at + probe) & mask)?.as_ref()?;
            if taken.as_bytes() == name {
                return Some(*value);
            }
        }
        self.find_crowded(name)
    }

    #[cold]
    fn find_crowded(&self, name: &[u8]) -> Option<u32> {
        let crowded = &self.crowded;
        let at = crowded
            .binary_search_by(|(taken, _)| taken.as_bytes().cmp(name))
            .ok()?;
        crowded.get(at).map(|(_, value)| *value)
    }
}

/// A quick hash of short names. Whoever makes a schema can make names collide; see [`NameTable::crowded`].
#[inline]
fn hash(name: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = name.len() as u64;
    let (chunks, rest) = name.as_chunks::<8>();
    for chunk in chunks {
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(*chunk)).wrapping_mul(MULTIPLIER);
    }
    let mut last = 0u64;
    for byte in rest {
        last = last << 8 | u64::from(*byte);
    }
    hash = (hash.rotate_left(5) ^ last).wrapping_mul(MULTIPLIER);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_all_fall_into_one_cell_are_found_all_the_same() {
        let alike: Vec<String> = (0u32..)
            .map(|number| format!("n{number}"))
            .filter(|name| hash(name.as_bytes()) & 0x3ff == 7)
            .take(400)
            .collect();
        let names: Vec<(&str, u32)> = alike.iter().map(String::as_str).zip(0..).collect();
        let table = NameTable::new(&names);
        assert!(table.crowded.len() > 300);
        assert!(
            names
                .iter()
                .all(|(name, value)| table.find(name.as_bytes()) == Some(*value))
        );
        assert_eq!(table.find(b"n"), None);
    }

    #[test]
    fn of_equal_names_the_first_counts_in_a_crowd_too() {
        let crowd = (0u32..)
            .map(|number| format!("n{number}"))
            .filter(|name| hash(name.as_bytes()) & 0xff == 0)
            .take(50);
        let twice: Vec<String> = crowd.flat_map(|name| [name.clone(), name]).collect();
        let names: Vec<(&str, u32)> = twice.iter().map(String::as_str).zip(0..).collect();
        let table = NameTable::new(&names);
        for pair in names.chunks(2) {
            assert_eq!(table.find(pair[0].0.as_bytes()), Some(pair[0].1));
        }
    }
}
