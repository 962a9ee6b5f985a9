//! Eight bytes are treated as one word: arithmetic on all lanes at once marks the bytes looked for, and a multiplication
//! gathers the eight marks into eight bits.

use super::{BLOCK, Masks};

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const HIGH: u64 = 0x8080_8080_8080_8080;
const QUOTES: u64 = 0x2222_2222_2222_2222;
const COMMAS: u64 = 0x2c2c_2c2c_2c2c_2c2c;
/// Added to a byte below 0x20, leaves its high bit clear.
const NOT_CONTROL: u64 = 0x6060_6060_6060_6060;
/// Moves bit 8·i to bit 56 + i.
const GATHER: u64 = 0x0102_0408_1020_4080;

#[inline(always)]
pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
    let (mut quotes, mut commas, mut controls) = (0, 0, 0);
    for (i, bytes) in block.as_chunks::<8>().0.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        quotes |= gather(equal(word, QUOTES)) << (i * 8);
        commas |= gather(equal(word, COMMAS)) << (i * 8);
        controls |= gather(control(word)) << (i * 8);
    }
    // Control characters are few: a look at each costs less than three more searches.
    let (mut lines, mut returns, mut nuls) = (0, 0, 0);
    while controls != 0 {
        let bit = controls & controls.wrapping_neg();
        match block[controls.trailing_zeros() as usize % BLOCK] {
            b'\n' => lines |= bit,
            b'\r' => returns |= bit,
            0 => nuls |= bit,
            _ => {}
        }
        controls ^= bit;
    }
    Masks { quotes, parity: parity(quotes), commas, lines, returns, nuls }
}

#[inline]
fn parity(mut marks: u64) -> u64 {
    for distance in [1, 2, 4, 8, 16, 32] {
        marks ^= marks << distance;
    }
    marks
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

/// Marks of most blocks.
const FEW: usize = 8;

/// Writes where the marks are, counted from `base`, one after the other. What lies behind them may be written to, too.
#[inline(always)]
pub(super) fn note(mut marks: u64, base: u32, out: &mut [u32; BLOCK]) {
    let count = marks.count_ones() as usize;
    let mut next = |place: &mut u32| {
        *place = base + marks.trailing_zeros();
        marks &= marks.wrapping_sub(1);
    };
    // Most blocks have few: a fixed number is noted without asking, what is too many is overwritten.
    out[..FEW].iter_mut().for_each(&mut next);
    if count > FEW {
        out[FEW..count].iter_mut().for_each(&mut next);
    }
}
