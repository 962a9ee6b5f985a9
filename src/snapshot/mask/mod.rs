//! Finds the bytes that structure CSV, 64 at a time, without a branch a byte.
//!
//! Three twins do the same: two with vector instructions of x86-64, chosen where the processor has them, and one with
//! 64-bit arithmetic that every machine has. This is the only folder with `unsafe` in it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod swar;

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

    /// Takes the block that begins at a byte of the text. `note` writes where the bits of a mask are, counted from a
    /// base, one after the other; behind them, it may write anything. Must be `#[inline(always)]`, so that it is
    /// compiled with the instructions of the twin that calls it.
    fn block(&mut self, state: &mut Self::State, base: usize, masks: Masks, note: impl Fn(u64, u32, &mut [u32; BLOCK]));
}

/// What finds the bytes; the answer does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// 64-bit arithmetic.
    Portable,
    /// The vector instructions AVX2, and carry-less multiplication.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// The vector instructions AVX-512, which newer processors have besides.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
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

/// Proof that the processor has what the AVX-512 twin needs: only `detect` makes one.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    fn detect() -> Option<Self> {
        let has_all = Avx2::detect().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2");
        has_all.then_some(Self(()))
    }
}

impl Twin {
    /// Every twin that this machine can run, the fastest first.
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = [Avx512::detect().map(Self::Avx512), Avx2::detect().map(Self::Avx2)].into_iter().flatten();
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = std::iter::empty();
        vectors.chain([Self::Portable]).collect()
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
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
        }
    }

    /// Goes through all blocks of a text, the last filled up with spaces, and gives the state after it.
    #[allow(unsafe_code, reason = "instructions that not every processor has can be called in no other way")]
    pub(super) fn sweep<S: Sweep>(self, bytes: &[u8], sweep: &mut S) -> S::State {
        match self {
            Self::Portable => sweep_by(bytes, sweep, swar::masks, swar::note),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Avx2` is made only by `detect`, which asked the processor for every feature that
            // `avx2::sweep` is compiled with.
            Self::Avx2(_) => unsafe { avx2::sweep(bytes, sweep) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the same holds of `Avx512` and `avx512::sweep`.
            Self::Avx512(_) => unsafe { avx512::sweep(bytes, sweep) },
        }
    }
}

#[inline(always)]
fn sweep_by<S: Sweep>(
    bytes: &[u8],
    sweep: &mut S,
    masks: impl Fn(&[u8; BLOCK]) -> Masks,
    note: impl Fn(u64, u32, &mut [u32; BLOCK]),
) -> S::State {
    let mut state = S::State::default();
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    for (i, block) in blocks.iter().enumerate() {
        sweep.block(&mut state, i * BLOCK, masks(block), &note);
    }
    if !tail.is_empty() {
        let mut block = [b' '; BLOCK];
        block[..tail.len()].copy_from_slice(tail);
        sweep.block(&mut state, blocks.len() * BLOCK, masks(&block), &note);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Collected {
        masks: Vec<Masks>,
        /// Where the commas are.
        commas: Vec<u32>,
    }

    impl Sweep for Collected {
        type State = ();

        #[inline(always)]
        fn block(&mut self, (): &mut (), base: usize, masks: Masks, note: impl Fn(u64, u32, &mut [u32; BLOCK])) {
            assert_eq!(base, self.masks.len() * BLOCK);
            let mut places = [0; BLOCK];
            note(masks.commas, base as u32, &mut places);
            self.commas.extend_from_slice(&places[..masks.commas.count_ones() as usize]);
            self.masks.push(masks);
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
            let commas: Vec<u32> = (0u32..).zip(&bytes).filter(|(_, byte)| **byte == b',').map(|(i, _)| i).collect();
            for twin in Twin::available() {
                let mut collected = Collected::default();
                twin.sweep(&bytes, &mut collected);
                // Which bit stands for a NUL is each twin's own matter.
                collected.masks.iter_mut().for_each(|masks| masks.nuls = u64::from(masks.nuls != 0));
                prop_assert_eq!(&collected.masks, &want, "{}", twin.name());
                prop_assert_eq!(&collected.commas, &commas, "{}", twin.name());
            }
        }
    }
}
