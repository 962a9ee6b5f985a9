//! Why a value differs, judged against the agreed state.

use crate::model::link::AgreedView;
use crate::model::situation::Cause;

/// The cause of one attribute's difference, from the digests of what the rules want and of what the target holds.
/// `is_as_it_was` says of the source row's digest at the time of the agreement whether the row is still the same.
pub(crate) fn judge(
    agreed: Option<AgreedView<'_>>,
    attribute: &str,
    wanted: u64,
    held: u64,
    is_as_it_was: impl FnOnce(u64) -> bool,
) -> Cause {
    let Some((agreed, before)) = agreed.and_then(|a| Some((a, a.digest(attribute)?))) else {
        return Cause::Initial;
    };
    match (held != before, wanted != before) {
        (true, true) => Cause::Both,
        (true, false) => Cause::Drift,
        (false, _) if is_as_it_was(agreed.source_digest) => Cause::Rule,
        (false, _) => Cause::Source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::link::Agreed;

    #[test]
    fn every_way_to_differ() {
        let agreed = Agreed::new(9, &[("a".to_owned(), 5)].into());
        for (wanted, held, source, expected) in
            [(5, 6, 9, Cause::Drift), (6, 5, 8, Cause::Source), (6, 5, 9, Cause::Rule), (6, 7, 8, Cause::Both)]
        {
            assert_eq!(
                judge(Some(agreed.view()), "a", wanted, held, |before| before == source),
                expected,
                "{wanted} {held}"
            );
        }
        assert_eq!(judge(Some(agreed.view()), "b", 5, 6, |_| true), Cause::Initial);
        assert_eq!(judge(None, "a", 5, 6, |_| true), Cause::Initial);
    }
}
