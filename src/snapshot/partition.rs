//! Values by the first bits of their hash: small shares that a core's cache holds, without one big copy.
//!
//! Each chunk of a file sorts its own values by share; a share is then read across all chunks, in file order.

/// Something that is told apart by a hash.
pub(super) trait Hashed: Copy + Send + Sync {
    /// 64 well-mixed bits.
    fn hash(&self) -> u64;
}

impl Hashed for u64 {
    fn hash(&self) -> u64 {
        *self
    }
}

/// Values a share should have.
const SHARE: u64 = 16_384;

/// How many bits make shares of the wished size out of so many values.
pub(super) fn bits_for(values: u64) -> u32 {
    values.div_ceil(SHARE).max(1).next_power_of_two().trailing_zeros().min(16)
}

/// The values of one chunk, sorted by share.
#[derive(Debug)]
pub(super) struct Sorted<T> {
    values: Vec<T>,
    /// Where each share ends.
    ends: Vec<u32>,
}

impl<T: Hashed> Sorted<T> {
    /// Sorts values into 2^bits shares; values of one share keep their order.
    pub(super) fn new(values: &[T], bits: u32) -> Self {
        let share = |value: &T| share_of(value.hash(), bits);
        let mut ends = vec![0u32; 1 << bits];
        for value in values {
            ends[share(value)] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            sum += *end;
            *end = sum - *end;
        }
        let mut sorted = values.to_vec();
        for value in values {
            let next = &mut ends[share(value)];
            sorted[*next as usize] = *value;
            *next += 1;
        }
        Self { values: sorted, ends }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The values of one share.
    pub(super) fn share(&self, share: usize) -> &[T] {
        let start = if share == 0 { 0 } else { self.ends[share - 1] };
        &self.values[start as usize..self.ends[share] as usize]
    }
}

/// All values of one share, in file order.
pub(super) fn gather<T: Hashed>(chunks: &[Sorted<T>], share: usize, out: &mut Vec<T>) {
    for chunk in chunks {
        out.extend_from_slice(chunk.share(share));
    }
}

#[inline]
fn share_of(hash: u64, bits: u32) -> usize {
    // A shift by 64 bits is none at all.
    if bits == 0 { 0 } else { (hash >> (64 - bits)) as usize }
}
