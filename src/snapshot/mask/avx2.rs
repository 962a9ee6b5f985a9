//! Thirty-two bytes are compared at once.

use std::arch::x86_64::{
    __m256i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_set1_epi8, _mm256_cmpeq_epi8,
    _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_set1_epi8, _mm256_setzero_si256,
};

use super::swar::note;
use super::{BLOCK, Masks, Sweep, sweep_by};

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
pub(super) fn sweep<S: Sweep>(bytes: &[u8], sweep: &mut S) -> S::State {
    sweep_by(bytes, sweep, |block| masks(block), note)
}

#[target_feature(enable = "avx2,pclmulqdq")]
#[inline]
fn masks(block: &[u8; BLOCK]) -> Masks {
    let (low, high) = halves(block);
    let marks = |byte: u8| {
        let pattern = _mm256_set1_epi8(byte as i8);
        u64::from(bits(_mm256_cmpeq_epi8(low, pattern))) | u64::from(bits(_mm256_cmpeq_epi8(high, pattern))) << 32
    };
    let quotes = marks(b'"');
    let smallest = _mm256_min_epu8(low, high);
    Masks {
        quotes,
        parity: parity(quotes),
        commas: marks(b','),
        lines: marks(b'\n'),
        returns: marks(b'\r'),
        nuls: u64::from(bits(_mm256_cmpeq_epi8(smallest, _mm256_setzero_si256()))),
    }
}

#[allow(unsafe_code, reason = "the one instruction that loads 32 bytes takes a pointer")]
#[target_feature(enable = "avx2")]
#[inline]
fn halves(block: &[u8; BLOCK]) -> (__m256i, __m256i) {
    let at = block.as_ptr().cast::<__m256i>();
    // SAFETY: a block has 64 bytes: 32 at its begin and 32 behind them. The load asks for no alignment.
    unsafe { (_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn bits(lanes: __m256i) -> u32 {
    _mm256_movemask_epi8(lanes) as u32
}

/// A product without carries by all ones: each bit is the parity of the marks up to it.
#[target_feature(enable = "pclmulqdq")]
#[inline]
pub(super) fn parity(marks: u64) -> u64 {
    _mm_cvtsi128_si64(_mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(marks as i64), _mm_set1_epi8(-1))) as u64
}
