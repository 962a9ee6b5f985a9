//! Work on a long file: one reads, several think, one puts together, in the sequence of the file.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Parts that wait to be thought about.
const AHEAD: usize = 4;

/// Reads parts until there are none, works on them on all cores, and puts the results together in their sequence. The
/// first error ends it.
pub(super) fn in_parts<P: Send, R: Send, E: Send>(
    mut read: impl FnMut() -> Result<Option<P>, E>,
    work: impl Fn(P) -> Result<R, E> + Sync,
    mut put: impl FnMut(R) -> Result<(), E> + Send,
) -> Result<(), E> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    let (parts, to_do) = sync_channel::<(usize, P)>(AHEAD);
    let (results, done) = sync_channel::<(usize, Result<R, E>)>(AHEAD);
    let to_do = Mutex::new(to_do);
    let (to_do, work) = (&to_do, &work);
    thread::scope(|scope| {
        let put_together = scope.spawn(move || {
            let mut early = BTreeMap::new();
            let mut next = 0;
            for (number, result) in done {
                early.insert(number, result);
                while let Some(result) = early.remove(&next) {
                    put(result?)?;
                    next += 1;
                }
            }
            Ok(())
        });
        for _ in 0..threads {
            let results = results.clone();
            scope.spawn(move || {
                while let Some((number, part)) = taken(to_do) {
                    // Nobody hears it any more once one went wrong; the reader must not wait for that.
                    let _ = results.send((number, work(part)));
                }
            });
        }
        drop(results);
        let mut failed = None;
        for number in 0.. {
            let is_heard = match read() {
                Ok(Some(part)) => parts.send((number, part)).is_ok(),
                Ok(None) => false,
                Err(error) => {
                    failed = Some(error);
                    false
                }
            };
            if !is_heard || put_together.is_finished() {
                break;
            }
        }
        drop(parts);
        let put = put_together.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        failed.map_or(put, Err)
    })
}

fn taken<P>(to_do: &Mutex<Receiver<(usize, P)>>) -> Option<(usize, P)> {
    to_do.lock().ok()?.recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_sequence_of_their_parts_and_an_error_ends_it() {
        let mut numbers = 0..1000_u64;
        let mut found = Vec::new();
        let square = |n: u64| Ok::<_, String>(n * n);
        let all = in_parts(
            || Ok(numbers.next()),
            square,
            |n| {
                found.push(n);
                Ok(())
            },
        );
        assert_eq!(all, Ok(()));
        assert_eq!(found, (0..1000).map(|n| n * n).collect::<Vec<u64>>());

        let mut numbers = 0..1000_u64;
        let fails = |n: u64| if n == 500 { Err("500") } else { Ok(n) };
        assert_eq!(in_parts(|| Ok(numbers.next()), fails, |_| Ok(())), Err("500"));
    }
}
