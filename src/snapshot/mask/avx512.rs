//! Sixty-four bytes are compared at once, and the places of their marks gathered by one instruction.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask, _mm512_cvtepu8_epi32,
    _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi8, _mm512_set1_epi8, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_storeu_si512,
};

use super::avx2::parity;
use super::{BLOCK, Masks, Sweep, sweep_by};

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
pub(super) fn sweep<S: Sweep>(bytes: &[u8], sweep: &mut S) -> S::State {
    sweep_by(bytes, sweep, |block| masks(block), |marks, base, out| note(marks, base, out))
}

#[target_feature(enable = "avx512f,avx512bw,pclmulqdq")]
#[inline]
fn masks(block: &[u8; BLOCK]) -> Masks {
    let bytes = load(block);
    let marks = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8));
    let quotes = marks(b'"');
    Masks {
        quotes,
        parity: parity(quotes),
        commas: marks(b','),
        lines: marks(b'\n'),
        returns: marks(b'\r'),
        nuls: _mm512_cmpeq_epi8_mask(bytes, _mm512_setzero_si512()),
    }
}

/// Writes where the marks are, counted from `base`, one after the other. What lies behind them may be written to, too.
#[target_feature(enable = "avx512f,avx512vbmi2,popcnt")]
#[inline]
fn note(marks: u64, base: u32, out: &mut [u32; BLOCK]) {
    let places = _mm512_maskz_compress_epi8(marks, load(&PLACES));
    let base = _mm512_set1_epi32(base as i32);
    let [first, second, third, fourth] = out.as_chunks_mut::<16>().0 else { return };
    store(first, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(places)), base));
    // Few blocks have more.
    if marks.count_ones() > 16 {
        store(second, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<1>(places)), base));
        store(third, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<2>(places)), base));
        store(fourth, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<3>(places)), base));
    }
}

/// The place of each byte of a block.
static PLACES: [u8; BLOCK] = {
    let mut places = [0; BLOCK];
    let mut place = 0;
    while place < BLOCK {
        places[place] = place as u8;
        place += 1;
    }
    places
};

#[allow(unsafe_code, reason = "the one instruction that loads 64 bytes takes a pointer")]
#[target_feature(enable = "avx512f")]
#[inline]
fn load(block: &[u8; BLOCK]) -> __m512i {
    // SAFETY: a block has 64 bytes. The load asks for no alignment.
    unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
}

#[allow(unsafe_code, reason = "the one instruction that stores 64 bytes takes a pointer")]
#[target_feature(enable = "avx512f")]
#[inline]
fn store(to: &mut [u32; 16], lanes: __m512i) {
    // SAFETY: sixteen numbers have 64 bytes, and are borrowed for writing. The store asks for no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), lanes) }
}
