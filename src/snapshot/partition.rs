//! Values by the first bits of their hash: small shares that a core's cache holds, without one big copy.
//!
//! Each chunk of a file sorts its own values by share; a share is then read across all chunks, in file order.

use std::ops::Range;

/// Something that is told apart by a hash.
pub(crate) trait Hashed: Copy + Send + Sync {
    /// 64 well-mixed bits.
    fn hash(&self) -> u64;
}

impl Hashed for u64 {
    fn hash(&self) -> u64 {
        *self
    }
}

/// Values a share should have.
pub(super) const SHARE: u64 = 16_384;

/// The most bits that choose a share.
pub(super) const MOST_BITS: u32 = 16;

/// How many bits make shares of the wished size out of so many values.
pub(crate) fn bits_for(values: u64) -> u32 {
    values.div_ceil(SHARE).max(1).next_power_of_two().trailing_zeros().min(MOST_BITS)
}

/// Where each share of sorted values ends.
#[derive(Debug)]
pub(crate) struct Ends(Vec<u32>);

impl Ends {
    /// Ends that were computed before; `None` where they are not in order.
    pub(super) fn known(ends: Vec<u32>) -> Option<Self> {
        ends.is_sorted().then_some(Self(ends))
    }

    /// The positions of the values of some shares.
    pub(super) fn range(&self, shares: Range<usize>) -> Range<usize> {
        let end = |shares: usize| shares.checked_sub(1).map_or(0, |last| self.0[last] as usize);
        end(shares.start)..end(shares.end)
    }
}

/// The values of one chunk, sorted by share.
#[derive(Debug)]
pub(crate) struct Sorted<T> {
    /// All of them.
    pub(crate) values: Vec<T>,
    /// Where each share ends.
    pub(crate) ends: Ends,
}

impl<T: Copy> Sorted<T> {
    /// Sorts values into 2^bits shares; values of one share keep their order.
    pub(crate) fn new(values: &[T], bits: u32) -> Self
    where
        T: Hashed,
    {
        Self::of(values.to_vec(), values, bits, |value| *value)
    }

    /// The same of what `keep` leaves of each value, in memory for as many that is written over.
    pub(super) fn of<V: Hashed>(mut sorted: Vec<T>, values: &[V], bits: u32, keep: impl Fn(&V) -> T) -> Self {
        let share = |value: &V| share_of(value.hash(), bits);
        let mut ends = vec![0u32; 1 << bits];
        for value in values {
            ends[share(value)] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            sum += *end;
            *end = sum - *end;
        }
        for value in values {
            let next = &mut ends[share(value)];
            sorted[*next as usize] = keep(value);
            *next += 1;
        }
        Self { values: sorted, ends: Ends(ends) }
    }
}

/// All values of one share, in file order.
pub(crate) fn gather<'c, T: Copy + 'c>(
    chunks: impl IntoIterator<Item = &'c Sorted<T>>,
    share: usize,
    out: &mut Vec<T>,
) {
    for chunk in chunks {
        out.extend_from_slice(&chunk.values[chunk.ends.range(share..share + 1)]);
    }
}

#[inline]
fn share_of(hash: u64, bits: u32) -> usize {
    // A shift by 64 bits is none at all.
    if bits == 0 { 0 } else { (hash >> (64 - bits)) as usize }
}
