//! The state machine of orders: which step follows which.

use crate::model::order::OrderState::{self, *};

/// Whether an order may go from one state to another.
///
/// `rejected`, `applied`, `stale` and `superseded` are ends: what is wanted again is raised as a new order. What is
/// in flight can only be ended by its attempt's outcome, never decided on or replaced meanwhile. What was not sent becomes
/// `stale` where its plan is lost.
pub fn may_become(from: OrderState, to: OrderState) -> bool {
    match from {
        // A row whose end cannot come into being is blocked after planning, too.
        PendingReview => matches!(to, Approved | Rejected | Blocked | Stale | Superseded),
        // Lifted by a person, or its threshold was accepted, or its cause is gone.
        Blocked => matches!(to, Approved | PendingReview | Rejected | Stale | Superseded),
        // Back to review where its approval expired.
        Approved => matches!(to, InFlight | PendingReview | Rejected | Blocked | Stale | Superseded),
        // Back to approved where the request certainly was not sent.
        InFlight => matches!(to, Applied | Errored | Stale | Uncertain | Approved),
        // Retried under its approval, or under a new one.
        Errored => matches!(to, Approved | PendingReview | Rejected | Stale | Superseded),
        // A person says what became of it, or a newer plan saw.
        Uncertain => matches!(to, Applied | PendingReview | Rejected | Superseded),
        Rejected | Applied | Stale | Superseded => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line a state, `+` for a step that is allowed; columns as in `OrderState::ALL`.
    const TABLE: &[(OrderState, &str)] = &[
        //               pend block appr rej  fly  appl err  stale unc  sup
        (PendingReview, " .    +    +    +    .    .    .    +     .    +"),
        (Blocked, "       +    .    +    +    .    .    .    +     .    +"),
        (Approved, "      +    +    .    +    +    .    .    +     .    +"),
        (Rejected, "      .    .    .    .    .    .    .    .     .    ."),
        (InFlight, "      .    .    +    .    .    +    +    +     +    ."),
        (Applied, "       .    .    .    .    .    .    .    .     .    ."),
        (Errored, "       +    .    +    +    .    .    .    +     .    +"),
        (Stale, "         .    .    .    .    .    .    .    .     .    ."),
        (Uncertain, "     +    .    .    +    .    +    .    .     .    +"),
        (Superseded, "    .    .    .    .    .    .    .    .     .    ."),
    ];

    #[test]
    fn the_table_is_the_machine() {
        assert_eq!(TABLE.len(), OrderState::ALL.len());
        for (from, marks) in TABLE {
            let marks: Vec<&str> = marks.split_whitespace().collect();
            assert_eq!(marks.len(), OrderState::ALL.len());
            for (to, mark) in OrderState::ALL.iter().zip(marks) {
                assert_eq!(may_become(*from, *to), mark == "+", "{from} to {to}");
            }
        }
    }

    #[test]
    fn what_is_not_live_never_lives_again_and_only_approved_orders_are_sent() {
        for from in OrderState::ALL {
            for to in OrderState::ALL {
                if may_become(*from, *to) {
                    assert!(from.is_live(), "{from} to {to}");
                    assert!(*to != InFlight || *from == Approved, "{from} to {to}");
                    assert!(*to != Applied || matches!(from, InFlight | Uncertain), "{from} to {to}");
                }
            }
        }
    }
}
