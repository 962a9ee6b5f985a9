//! The SHA-256 of a file while it is written: of one that is not small, on a thread of its own.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

use sha2::{Digest as _, Sha256};

use crate::model::digest::Digest;

/// Bytes of a file for which no thread is begun.
const LITTLE: u64 = 1 << 20;

/// Pieces that may wait to be hashed.
const WAITING: usize = 4;

/// Hashes what is written, in its order.
#[derive(Debug, Default)]
pub(super) struct Hashing {
    here: Sha256,
    apart: Option<Apart>,
    bytes: u64,
}

/// A thread that hashes.
#[derive(Debug)]
struct Apart {
    full: SyncSender<Vec<u8>>,
    /// What was hashed is written over.
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<Sha256>,
}

impl Hashing {
    /// The next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.apart.is_none() && self.bytes > LITTLE {
            // Where no thread can be had, it is hashed here.
            self.apart = Apart::begin(&self.here);
        }
        let Some(apart) = &self.apart else { return self.here.update(bytes) };
        let mut piece = apart.empty.try_recv().unwrap_or_default();
        piece.clear();
        piece.extend_from_slice(bytes);
        // Whoever receives no more has panicked, which `finish` tells.
        let _ = apart.full.send(piece);
    }

    /// Of all of them.
    pub(super) fn finish(self) -> Digest {
        let whole = match self.apart {
            None => self.here,
            Some(Apart { full, thread, .. }) => {
                drop(full);
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
        };
        Digest::from_bytes(&whole.finalize())
    }
}

impl Apart {
    /// Goes on from what was hashed.
    fn begin(from: &Sha256) -> Option<Self> {
        let mut hasher = from.clone();
        let (full, pieces) = sync_channel::<Vec<u8>>(WAITING);
        let (done, empty) = channel();
        let work = move || {
            for piece in pieces {
                hasher.update(&piece);
                // Nobody needs it where the writer has ended.
                let _ = done.send(piece);
            }
            hasher
        };
        let thread = Builder::new().name("sha256".to_owned()).spawn(work).ok()?;
        Some(Self { full, empty, thread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_hashes_it_is_the_same() {
        let bytes: Vec<u8> = (0..3 * LITTLE).map(|i| ((i * i) >> 7) as u8).collect();
        for (length, piece) in [(0, 1), (1_000, 7), (LITTLE as usize, 100_000), (bytes.len(), 300_001)] {
            let mut hashing = Hashing::default();
            bytes[..length].chunks(piece).for_each(|piece| hashing.update(piece));
            assert_eq!(hashing.apart.is_some(), length as u64 > LITTLE);
            assert_eq!(hashing.finish(), Digest::of(&bytes[..length]), "{length}");
        }
    }
}
