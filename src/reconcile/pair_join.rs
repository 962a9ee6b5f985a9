//! Both sides' pairs of object numbers, compared share by share: what is wanted and not held, and what is held and not
//! wanted.
//!
//! A pair is eight bytes, and a share of both sides fits in a core's own cache: no side is ever sorted as a whole.

use rayon::prelude::*;

use super::associations::Pair;
use super::ends::EndState;
use crate::snapshot::partition::{Hashed, Sorted, bits_for, gather};

/// What an end's state says about a row that ties it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is wanted at the target.
    Wanted,
    /// Whether it is wanted is not known yet.
    Undecided,
    /// An order removes it, and its rows with it.
    Leaving,
    /// It is not wanted, or not managed.
    Other,
}

impl Standing {
    fn of(state: &EndState) -> Self {
        match state {
            EndState::Paired(_) | EndState::Creating => Self::Wanted,
            EndState::Undecided => Self::Undecided,
            EndState::Leaving(_) => Self::Leaving,
            EndState::Unwanted(_) | EndState::Unmanaged => Self::Other,
        }
    }
}

/// What becomes of the pairs of an association. Pairs that repeat are one.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    /// Wanted and held.
    pub(crate) confirmed: u64,
    /// Wanted and not held, sorted.
    pub(crate) lacking: Vec<Pair>,
    /// Held and not wanted, sorted.
    pub(crate) unwanted: Vec<Pair>,
    /// Rows of the source with an end that is not wanted.
    pub(crate) outside: usize,
    /// Rows of the source that wait for a decision about an end.
    pub(crate) waiting: Vec<Pair>,
    /// Rows of the target about which nothing can be said before one.
    pub(crate) undecided: Vec<Pair>,
}

/// A pair in one number, whose first bit and 33rd are free for marks.
#[derive(Clone, Copy)]
struct Code(u64);

/// Set on the code of a pair that the source has.
const SOURCE: u64 = 1 << 63;
/// Set on the code of a pair that the target has.
const TARGET: u64 = 1 << 31;

impl Code {
    #[inline]
    fn of((first, second): Pair) -> Self {
        Self(u64::from(first) << 32 | u64::from(second))
    }

    /// The pair, whatever is marked.
    #[inline]
    fn pair(self) -> Pair {
        let plain = self.0 & !(SOURCE | TARGET);
        ((plain >> 32) as u32, plain as u32)
    }
}

impl Hashed for Code {
    #[inline]
    fn hash(&self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }
}

/// Compares the pairs of both sides; `states` are those of the objects at each end, by number.
pub(crate) fn join(source: Vec<Vec<Pair>>, target: Vec<Vec<Pair>>, states: [&[EndState]; 2]) -> Joined {
    let count = |chunks: &[Vec<Pair>]| chunks.iter().map(Vec::len).sum::<usize>() as u64;
    let bits = bits_for(count(&source) + count(&target));
    let share_out = |chunks: Vec<Vec<Pair>>| -> Vec<Sorted<Code>> {
        let codes = |chunk: Vec<Pair>| chunk.into_iter().map(Code::of).collect::<Vec<_>>();
        chunks.into_par_iter().map(|chunk| Sorted::new(&codes(chunk), bits)).collect()
    };
    let (source, target) = (share_out(source), share_out(target));
    let standings = states.map(|states| states.iter().map(Standing::of).collect::<Vec<_>>());
    let shares = (0..1usize << bits).into_par_iter().map_init(Share::default, |share, number| {
        share.fill(&source, &target, number);
        share.judge(&standings)
    });
    let mut all = shares.reduce(Joined::default, Joined::and);
    all.lacking.par_sort_unstable();
    all.unwanted.par_sort_unstable();
    all
}

impl Joined {
    fn and(mut self, mut other: Self) -> Self {
        self.confirmed += other.confirmed;
        self.outside += other.outside;
        for (mine, its) in [
            (&mut self.lacking, &mut other.lacking),
            (&mut self.unwanted, &mut other.unwanted),
            (&mut self.waiting, &mut other.waiting),
            (&mut self.undecided, &mut other.undecided),
        ] {
            mine.append(its);
        }
        self
    }
}

/// One share of both sides in an open-addressed table.
#[derive(Default)]
struct Share {
    /// Codes with their marks; zero = free.
    slots: Vec<u64>,
    gathered: Vec<Code>,
}

impl Share {
    fn fill(&mut self, source: &[Sorted<Code>], target: &[Sorted<Code>], share: usize) {
        self.gathered.clear();
        gather(source, share, &mut self.gathered);
        let of_source = self.gathered.len();
        gather(target, share, &mut self.gathered);
        self.slots.clear();
        self.slots.resize((self.gathered.len() * 2).next_power_of_two(), 0);
        let mask = self.slots.len() - 1;
        for (i, code) in self.gathered.iter().enumerate() {
            let mark = if i < of_source { SOURCE } else { TARGET };
            let mut slot = code.hash() as usize & mask;
            while self.slots[slot] != 0 && self.slots[slot] & !(SOURCE | TARGET) != code.0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] |= code.0 | mark;
        }
    }

    fn judge(&self, standings: &[Vec<Standing>; 2]) -> Joined {
        let mut done = Joined::default();
        for slot in self.slots.iter().filter(|slot| **slot != 0) {
            let pair = Code(*slot).pair();
            let ends = [standings[0][pair.0 as usize], standings[1][pair.1 as usize]];
            let is_held = slot & TARGET != 0;
            if slot & SOURCE != 0 {
                if ends == [Standing::Wanted; 2] {
                    match is_held {
                        true => done.confirmed += 1,
                        false => done.lacking.push(pair),
                    }
                    continue;
                }
                if ends.iter().all(|end| matches!(end, Standing::Wanted | Standing::Undecided)) {
                    done.waiting.push(pair);
                } else {
                    done.outside += 1;
                }
            }
            if is_held && !ends.contains(&Standing::Leaving) {
                if ends.contains(&Standing::Undecided) {
                    done.undecided.push(pair);
                } else {
                    done.unwanted.push(pair);
                }
            }
        }
        done
    }
}
