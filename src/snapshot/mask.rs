//! Finds the bytes that structure CSV, 64 at a time, without a branch a byte.
//!
//! Two twins do the same: one with the vector instructions of x86-64, chosen where the processor has them, and one
//! with 64-bit arithmetic that every machine has. This is the only file with `unsafe` in it.

/// Bytes in one block.
pub(super) const BLOCK: usize = 64;

/// The interesting bytes of one block; bit i stands for byte i.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks {
    /// Double quotes.
    pub(super) quotes: u64,
    /// For each bit, whether the quotes up to it (itself included) are odd in number.
    pub(super) parity: u64,
    /// Commas.
    pub(super) commas: u64,
    /// Line feeds.
    pub(super) lines: u64,
    /// Carriage returns.
    pub(super) returns: u64,
    /// Not zero where there is any NUL.
    pub(super) nuls: u64,
}

/// Something to be done with all blocks of a text, in their order.
pub(super) trait Sweep {
    /// What one block leaves for the next. Apart from the rest, so that it stays in registers.
    type State: Default;

    /// Takes the block that begins at a byte of the text. Must be `#[inline(always)]`, so that it is compiled with the
    /// instructions of the twin that calls it.
    fn block(&mut self, state: &mut Self::State, base: usize, masks: Masks);
}

/// What finds the bytes; the answer does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// 64-bit arithmetic.
    Portable,
    /// The vector instructions AVX2, and carry-less multiplication.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

/// Proof that the processor has what the AVX2 twin needs: only `detect` makes one.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("pclmulqdq");
        has_all.then_some(Self(()))
    }
}

impl Twin {
    /// Every twin that this machine can run, the fastest first.
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = Avx2::detect().map(Self::Avx2);
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = None;
        vectors.into_iter().chain([Self::Portable]).collect()
    }

    /// The fastest that this machine can run.
    pub fn fastest() -> Self {
        Self::available().first().copied().unwrap_or(Self::Portable)
    }

    /// Its name, for measurements.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
        }
    }

    /// Goes through all blocks of a text, the last filled up with spaces, and gives the state after it.
    #[allow(unsafe_code, reason = "instructions that not every processor has can be called in no other way")]
    pub(super) fn sweep<S: Sweep>(self, bytes: &[u8], sweep: &mut S) -> S::State {
        match self {
            Self::Portable => sweep_by(bytes, sweep, swar::masks),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Avx2` is made only by `detect`, which asked the processor for every feature that
            // `avx2::sweep` is compiled with.
            Self::Avx2(_) => unsafe { avx2::sweep(bytes, sweep) },
        }
    }
}

#[inline(always)]
fn sweep_by<S: Sweep>(bytes: &[u8], sweep: &mut S, masks: impl Fn(&[u8; BLOCK]) -> Masks) -> S::State {
    let mut state = S::State::default();
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    for (i, block) in blocks.iter().enumerate() {
        sweep.block(&mut state, i * BLOCK, masks(block));
    }
    if !tail.is_empty() {
        let mut block = [b' '; BLOCK];
        block[..tail.len()].copy_from_slice(tail);
        sweep.block(&mut state, blocks.len() * BLOCK, masks(&block));
    }
    state
}

/// Eight bytes are treated as one word: arithmetic on all lanes at once marks the bytes looked for, and a
/// multiplication gathers the eight marks into eight bits.
mod swar {
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
}

/// Thirty-two bytes are compared at once.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_set1_epi8, _mm256_cmpeq_epi8,
        _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_set1_epi8, _mm256_setzero_si256,
    };

    use super::{BLOCK, Masks, Sweep, sweep_by};

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
    pub(super) fn sweep<S: Sweep>(bytes: &[u8], sweep: &mut S) -> S::State {
        sweep_by(bytes, sweep, |block| masks(block))
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
    fn parity(marks: u64) -> u64 {
        _mm_cvtsi128_si64(_mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(marks as i64), _mm_set1_epi8(-1))) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Collected(Vec<Masks>);

    impl Sweep for Collected {
        type State = ();

        #[inline(always)]
        fn block(&mut self, (): &mut (), base: usize, masks: Masks) {
            assert_eq!(base, self.0.len() * BLOCK);
            self.0.push(masks);
        }
    }

    /// The masks of a block, byte by byte.
    fn plain(block: &[u8]) -> Masks {
        let mut masks = Masks { quotes: 0, parity: 0, commas: 0, lines: 0, returns: 0, nuls: 0 };
        let mut odd = false;
        for i in 0..BLOCK {
            let byte = block.get(i).copied().unwrap_or(b' ');
            odd ^= byte == b'"';
            masks.parity |= u64::from(odd) << i;
            masks.quotes |= u64::from(byte == b'"') << i;
            masks.commas |= u64::from(byte == b',') << i;
            masks.lines |= u64::from(byte == b'\n') << i;
            masks.returns |= u64::from(byte == b'\r') << i;
            masks.nuls |= u64::from(byte == 0);
        }
        masks
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn each_twin_marks_what_a_loop_marks(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            picks in proptest::collection::vec(any::<bool>(), 300),
        ) {
            // Of any bytes, half are made ones that matter, or differ from one in a single bit.
            for (byte, pick) in bytes.iter_mut().zip(picks) {
                if pick {
                    *byte = b"\",\n\r\0\t,\"\x1f\x20\x80\xac\xa2\x8d\x8a"[usize::from(*byte) % 15];
                }
            }
            let want: Vec<Masks> = bytes.chunks(BLOCK).map(plain).collect();
            for twin in Twin::available() {
                let mut collected = Collected(Vec::new());
                twin.sweep(&bytes, &mut collected);
                // Which bit stands for a NUL is each twin's own matter.
                collected.0.iter_mut().for_each(|masks| masks.nuls = u64::from(masks.nuls != 0));
                prop_assert_eq!(&collected.0, &want, "{}", twin.name());
            }
        }
    }
}
