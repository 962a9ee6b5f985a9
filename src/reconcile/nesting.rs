//! Groups in groups: the members of the inner one belong to the outer one too.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// The columns of rows that tell which group is in which other.
pub(crate) const CHILD: &str = "child";
/// See [`CHILD`].
pub(crate) const PARENT: &str = "parent";

/// What flattening adds.
pub(crate) struct Flattened {
    /// (member, container) pairs that follow from nesting; may repeat direct ones.
    pub(crate) pairs: Vec<(u32, u32)>,
    /// Containers that contain each other, each cycle sorted.
    pub(crate) cycles: Vec<Vec<u32>>,
}

/// The pairs that nesting adds to the `direct` (member, container) ones; `nested` are (inner, outer) containers.
///
/// Each outer container is walked once with what it has seen, so a cycle ends where it began.
pub(crate) fn flatten(direct: &[(u32, u32)], nested: &[(u32, u32)]) -> Flattened {
    let mut inner: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (child, parent) in nested {
        inner.entry(*parent).or_default().insert(*child);
    }
    let children: BTreeSet<u32> = nested.iter().map(|(child, _)| *child).collect();
    let mut members: HashMap<u32, Vec<u32>> = HashMap::new();
    for (member, container) in direct {
        if children.contains(container) {
            members.entry(*container).or_default().push(*member);
        }
    }
    let mut pairs = Vec::new();
    let mut cyclic: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for outer in inner.keys() {
        let reached = reach(&inner, *outer);
        for container in reached.iter().filter(|container| *container != outer) {
            pairs.extend(members.get(container).into_iter().flatten().map(|member| (*member, *outer)));
        }
        if reached.contains(outer) {
            cyclic.insert(*outer, reached);
        }
    }
    let mut cycles: BTreeSet<Vec<u32>> = BTreeSet::new();
    for (outer, reached) in &cyclic {
        let back = |other: &&u32| cyclic.get(other).is_some_and(|theirs| theirs.contains(outer));
        cycles.insert(reached.iter().filter(back).copied().collect());
    }
    Flattened { pairs, cycles: cycles.into_iter().collect() }
}

/// Every container inside `outer`, at any depth; `outer` itself only where it is inside itself.
fn reach(inner: &BTreeMap<u32, BTreeSet<u32>>, outer: u32) -> BTreeSet<u32> {
    let mut reached = BTreeSet::new();
    let mut next: VecDeque<u32> = inner.get(&outer).into_iter().flatten().copied().collect();
    while let Some(container) = next.pop_front() {
        if reached.insert(container) {
            next.extend(inner.get(&container).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cycle_is_named_once_and_its_members_are_everywhere() {
        // 1 in 2, 2 in 3, 3 in 1, 4 in 1; user 10 in 2, user 11 in 4.
        let done = flatten(&[(10, 2), (11, 4)], &[(1, 2), (2, 3), (3, 1), (4, 1)]);
        assert_eq!(done.cycles, vec![vec![1, 2, 3]]);
        let pairs: BTreeSet<(u32, u32)> = done.pairs.into_iter().collect();
        assert_eq!(pairs, [(10, 1), (10, 3), (11, 1), (11, 2), (11, 3)].into());
    }

    proptest! {
        #[test]
        fn flattening_equals_the_closure(
            direct in proptest::collection::vec((0u32..6, 0u32..8), 0..20),
            nested in proptest::collection::vec((0u32..8, 0u32..8), 0..20),
        ) {
            // The reference: repeat the one-step rule until nothing is new.
            let mut closure: BTreeSet<(u32, u32)> = direct.iter().copied().collect();
            loop {
                let more: Vec<(u32, u32)> = nested.iter().flat_map(|(child, parent)| {
                    closure.iter().filter(move |(_, c)| c == child).map(move |(m, _)| (*m, *parent))
                }).collect();
                let before = closure.len();
                closure.extend(more);
                if closure.len() == before { break; }
            }
            let flat: BTreeSet<(u32, u32)> =
                direct.iter().copied().chain(flatten(&direct, &nested).pairs).collect();
            prop_assert_eq!(flat, closure);
        }
    }
}
