//! The hash of a text of a row's length: a sum of products of its words with a random key, which needs no order.
//!
//! It is NH (of UMAC, RFC 4418, section 5.2.2) over words of 64 bits: two different texts have the same sum with a chance
//! of 2^-64, whatever they are, as long as nobody who wrote them knows the key. The sum's two halves are then mixed.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_secret};

/// Bytes of the longest text that has a key as long as itself.
const LONGEST: usize = 1 << 10;
/// Bytes of two words.
const PAIR: usize = 16;
/// Bytes of the secret of XXH3.
const SECRET: usize = 192;

/// Hashes texts with keys that one seed makes.
pub(super) struct TextHash {
    key: [[u64; 2]; LONGEST / PAIR],
    last: [u64; 2],
    /// For what is longer, and where 128 bits are asked for. From a seed, XXH3 would make it again for each long text.
    secret: [u8; SECRET],
}

impl TextHash {
    pub(super) fn new(seed: u64) -> Self {
        let mut numbers = (0u64..).map(|i| xxh3_64_with_seed(&i.to_le_bytes(), seed));
        let mut next = || numbers.next().unwrap_or_default();
        Self {
            key: [(); LONGEST / PAIR].map(|()| [next(), next()]),
            last: [next(), next()],
            secret: {
                let mut secret = [0; SECRET];
                secret.as_chunks_mut::<8>().0.iter_mut().for_each(|part| *part = next().to_le_bytes());
                secret
            },
        }
    }

    /// 64 bits.
    #[inline]
    pub(super) fn short(&self, text: &[u8]) -> u64 {
        if text.len() > LONGEST {
            return self.long(text) as u64;
        }
        let (pairs, rest) = text.as_chunks::<PAIR>();
        let mut sum = text.len() as u128;
        for (pair, key) in pairs.iter().zip(&self.key) {
            sum = sum.wrapping_add(product(pair, key));
        }
        if let Some(key) = self.key.get(pairs.len()).filter(|_| !rest.is_empty()) {
            // The last bytes, some of them for the second time: that costs less than to fill a pair up.
            let last = match text.last_chunk::<PAIR>() {
                Some(last) => *last,
                None => {
                    let mut last = [0; PAIR];
                    last[..rest.len()].copy_from_slice(rest);
                    last
                }
            };
            sum = sum.wrapping_add(product(&last, key));
        }
        let mixed = u128::from(sum as u64 ^ self.last[0]) * u128::from((sum >> 64) as u64 ^ self.last[1]);
        mixed as u64 ^ (mixed >> 64) as u64
    }

    /// 128 bits.
    #[inline]
    pub(super) fn long(&self, text: &[u8]) -> u128 {
        xxh3_128_with_secret(text, &self.secret)
    }
}

#[inline]
fn product(pair: &[u8; PAIR], key: &[u64; 2]) -> u128 {
    let word = |i: usize| u64::from_le_bytes(pair.as_chunks::<8>().0[i]).wrapping_add(key[i]);
    u128::from(word(0)) * u128::from(word(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn texts_that_differ_in_a_bit_a_length_or_a_number_have_other_hashes() {
        let hash = TextHash::new(1);
        let mut seen = HashSet::new();
        for length in [0, 1, 7, 15, 16, 17, 31, 32, 100, 236, 1_008, 1_023, 1_024, 1_025, 3_000] {
            let mut text = vec![0u8; length];
            assert!(seen.insert(hash.short(&text)), "{length} zeros");
            for at in (0..length).step_by(3) {
                text[at] ^= 1 << (at % 8);
                assert!(seen.insert(hash.short(&text)), "{length} bytes, another at {at}");
                text[at] = 0;
            }
        }
        // What tells keys apart in a comparison is a part of the first bits.
        let keys: HashSet<u64> = (0..200_000).map(|i| hash.short(format!("person-{i}").as_bytes()) >> 20).collect();
        assert_eq!(keys.len(), 200_000);
        assert_ne!(TextHash::new(2).short(b"jane"), hash.short(b"jane"));
    }
}
