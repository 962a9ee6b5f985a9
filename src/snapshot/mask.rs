//! Finds the bytes that structure CSV, 64 at a time, without a branch a byte.
//!
//! Each 8 bytes are treated as one word: arithmetic on all lanes at once marks the bytes looked for, and a
//! multiplication gathers the eight marks into eight bits.

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const HIGH: u64 = 0x8080_8080_8080_8080;
const QUOTES: u64 = 0x2222_2222_2222_2222;
const COMMAS: u64 = 0x2c2c_2c2c_2c2c_2c2c;
const NOT_CONTROL: u64 = 0x6060_6060_6060_6060;
/// Moves bit 8·i to bit 56 + i.
const GATHER: u64 = 0x0102_0408_1020_4080;

/// Bytes in one block.
pub(super) const BLOCK: usize = 64;

/// The interesting bytes of one block; bit i stands for byte i.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks {
    /// Double quotes.
    pub(super) quotes: u64,
    /// Commas and control characters (below 0x20: line feeds, carriage returns, and the rest for the caller to sort out).
    pub(super) separators: u64,
}

/// Marks the quotes and separators of a block.
#[inline(always)]
pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
    let mut quotes = 0;
    let mut separators = 0;
    for (i, bytes) in block.as_chunks::<8>().0.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        quotes |= gather(equal(word, QUOTES)) << (i * 8);
        separators |= gather(equal(word, COMMAS) | control(word)) << (i * 8);
    }
    Masks { quotes, separators }
}

/// For each quote mark, whether the bytes from it to the next are inside: the parity of the marks up to each bit.
#[inline]
pub(super) fn parity(mut marks: u64) -> u64 {
    marks ^= marks << 1;
    marks ^= marks << 2;
    marks ^= marks << 4;
    marks ^= marks << 8;
    marks ^= marks << 16;
    marks ^ (marks << 32)
}

/// The high bit of each byte that equals the pattern's.
#[inline]
fn equal(word: u64, pattern: u64) -> u64 {
    let zero = word ^ pattern;
    !(((zero & LOW) + LOW) | zero) & HIGH
}

/// The high bit of each byte below 0x20.
#[inline]
fn control(word: u64) -> u64 {
    !((word & LOW) + NOT_CONTROL) & !word & HIGH
}

#[inline]
fn gather(high: u64) -> u64 {
    (high >> 7).wrapping_mul(GATHER) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn masks_mark_what_a_loop_marks(block in proptest::collection::vec(any::<u8>(), BLOCK), picks in any::<u64>()) {
            let mut bytes = [0u8; BLOCK];
            for (i, b) in block.iter().enumerate() {
                bytes[i] = if picks >> i & 1 == 1 { b"\",\n\r\0\t,\"\x1f\x20\x80\xac\xa2"[*b as usize % 13] } else { *b };
            }
            let mut want = Masks { quotes: 0, separators: 0 };
            let (mut inside, mut state) = (0u64, false);
            for (i, b) in bytes.iter().enumerate() {
                want.quotes |= u64::from(*b == b'"') << i;
                want.separators |= u64::from(*b == b',' || *b < 0x20) << i;
                state ^= *b == b'"';
                inside |= u64::from(state) << i;
            }
            prop_assert_eq!(masks(&bytes), want);
            prop_assert_eq!(parity(want.quotes), inside);
        }
    }
}
