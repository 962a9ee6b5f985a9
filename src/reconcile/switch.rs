//! A disable that nothing else holds up: who leaves does not keep access because of some other value.

use super::compare::Comparison;
use super::decide::Decider;
use super::given;
use super::guard;
use crate::model::order::{Block, BlockReason, Change, Operation};
use crate::snapshot::row::OwnedRow;

impl Decider<'_> {
    /// What keeps a disable from changing anything but the switch: a class that cannot be told, a value that the target does
    /// not take.
    pub(crate) fn in_the_way_of_the_rest(
        &self,
        key: &str,
        (source, held): (&OwnedRow, &OwnedRow),
        changes: &[Change],
        is_new: bool,
    ) -> Option<Block> {
        let (input, to) = (self.scanner.input, &self.scanner.input.sync.to);
        given::unsure(self.scanner, source, key, changes, is_new)
            .map(|(block, _)| block)
            .filter(|block| block.reason == BlockReason::Incomplete)
            .or_else(|| self.in_the_way(source, held, changes))
            .or_else(|| guard::unsupported(input.capabilities, to, Operation::Disable, changes))
    }

    /// Leaves of a disable the switch alone. Says so, as the end of a reason; the rest is planned, and blocked, once the account is out of use.
    pub(crate) fn only_the_switch(&self, comparison: &mut Comparison, because: &Block) -> String {
        let flag = self.scanner.input.capabilities.enabled.as_deref().unwrap_or_default();
        comparison.changes.retain(|change| change.attribute == flag);
        comparison.references.retain(|reference| reference.attribute == flag);
        comparison.unusual.retain(|(attribute, _)| attribute == flag);
        comparison.generated.clear();
        format!("; nothing else of it is changed now ({}: {})", because.reason, because.detail)
    }
}
