//! Rendezvous hashing (highest random weight, Thaler and Ravishankar 1998): every replica that knows the same members gives
//! an object to the same one, without knowing the other objects. When a member comes or goes, only what it gets or had moves.

/// Of `members`, the one that looks after `object`. None of none.
pub(crate) fn owner<'a>(object: &str, members: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    members
        .into_iter()
        .max_by_key(|member| (weight(object, member), *member))
}

/// A number that looks random, and is the same everywhere for the same pair.
fn weight(object: &str, member: &str) -> u64 {
    // The separator is in no name, so that no two pairs are the same text.
    let bytes = member.bytes().chain([0]).chain(object.bytes());
    scramble(bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
}

/// FNV-1a of 64 bits.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The finalizer of MurmurHash3: FNV alone leaves the high bits, by which weights are compared, too much alike.
fn scramble(mut hash: u64) -> u64 {
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const OBJECTS: usize = 10_000;

    fn members(count: usize) -> Vec<String> {
        (0..count)
            .map(|number| format!("heddle-7d4b9c6f5-{number:05}"))
            .collect()
    }

    fn assignment(members: &[String]) -> Vec<String> {
        (0..OBJECTS)
            .map(|number| {
                let object = format!("1f0c9d3e-{number:04x}-4b7e-9a51-0123456789ab");
                let owner = owner(&object, members.iter().map(String::as_str));
                owner.unwrap().to_owned()
            })
            .collect()
    }

    /// The share of the busiest member, where 1 is an even share.
    fn load(assignment: &[String], members: usize) -> f64 {
        let mut counts = BTreeMap::<_, usize>::new();
        for owner in assignment {
            *counts.entry(owner).or_default() += 1;
        }
        let busiest = counts.values().copied().max().unwrap_or_default();
        busiest as f64 * members as f64 / assignment.len() as f64
    }

    #[test]
    fn shares_are_even() {
        for count in [2, 3, 5, 10, 20] {
            let load = load(&assignment(&members(count)), count);
            println!("{count} members: the busiest has {load:.3} of an even share");
            assert!(load < 1.12, "{count} members: {load}");
        }
    }

    #[test]
    fn only_what_a_member_gets_or_had_moves() {
        for count in [2, 3, 5, 10] {
            let all = members(count + 1);
            let (before, after) = (assignment(&all[..count]), assignment(&all));
            let newcomer = &all[count];
            let moved: Vec<_> = before
                .iter()
                .zip(&after)
                .filter(|(old, new)| old != new)
                .collect();
            assert!(moved.iter().all(|(_, new)| *new == newcomer));
            let share = moved.len() as f64 / OBJECTS as f64;
            let least = 1.0 / (count as f64 + 1.0);
            println!(
                "{count} to {} members: {share:.3} move, at least {least:.3} must",
                count + 1
            );
            assert!(share < least * 1.15, "{count}: {share}");
        }
    }

    #[test]
    fn the_order_of_members_does_not_matter_and_nobody_gets_nothing() {
        assert_eq!(owner("x", ["a", "b", "c"]), owner("x", ["c", "a", "b"]));
        assert_eq!(owner("x", []), None);
    }
}
