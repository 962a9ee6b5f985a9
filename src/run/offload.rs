//! The one bridge between waiting and computing: tokio waits, rayon computes.

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Computes on the calling thread while the runtime moves its other tasks elsewhere.
pub(super) fn compute<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// Waits for some work on a thread of its own: it may compute, or read files, for as long as it likes between two waits.
pub(super) fn apart<T: Send + 'static>(set: &mut JoinSet<T>, work: impl Future<Output = T> + Send + 'static) {
    set.spawn_blocking(|| Handle::current().block_on(work));
}
