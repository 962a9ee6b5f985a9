//! The one bridge between waiting and computing: tokio waits, rayon computes.

/// Computes on the calling thread while the runtime moves its other tasks elsewhere.
pub(super) fn compute<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
