//! How the values of an attribute are spelled at a provider whose filter regards case although its schema does not.
//!
//! Reading everything for each value that is not found would read everything once an order. What was read is good for
//! a minute: an object that somebody adds meanwhile under another spelling is one that the provider itself has to
//! refuse; what muster adds is spelled as the filter is asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::model::failure::Failure;

const GOOD_FOR: Duration = Duration::from_secs(60);

/// Spellings by (resource, attribute).
#[derive(Default)]
pub(super) struct Spellings(Mutex<BTreeMap<(String, String), Read>>);

struct Read {
    at: Instant,
    /// By the value in lower case.
    by_value: BTreeMap<String, BTreeSet<String>>,
}

impl Spellings {
    /// All spellings of a value. `read` gives every value of the attribute; of several that ask at once, one reads.
    pub(super) async fn of(
        &self,
        resource: &str,
        attribute: &str,
        value: &str,
        read: impl AsyncFnOnce() -> Result<Vec<String>, Failure>,
    ) -> Result<Vec<String>, Failure> {
        let key = (resource.to_owned(), attribute.to_owned());
        let mut known = self.0.lock().await;
        if known.get(&key).is_none_or(|read| read.at.elapsed() > GOOD_FOR) {
            let at = Instant::now();
            let mut by_value: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for spelling in read().await? {
                by_value.entry(spelling.to_lowercase()).or_default().insert(spelling);
            }
            known.insert(key.clone(), Read { at, by_value });
        }
        let found = known.get(&key).and_then(|read| read.by_value.get(&value.to_lowercase()));
        Ok(found.into_iter().flatten().cloned().collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_is_read_once_and_every_spelling_is_told() {
        let spellings = Spellings::default();
        let mut reads = 0;
        for (value, expected) in [("jane", &["JANE", "Jane"][..]), ("JANE", &["JANE", "Jane"]), ("john", &[])] {
            let read = async || {
                reads += 1;
                Ok(["Jane", "JANE", "Zoë"].map(str::to_owned).to_vec())
            };
            assert_eq!(spellings.of("users", "userName", value, read).await.unwrap(), expected);
        }
        assert_eq!(reads, 1);
    }
}
