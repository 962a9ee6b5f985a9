//! Refusals in a row, for services that switch themselves off after so many of them until an administrator switches them
//! on again: half of that is enough.

use std::sync::Mutex;

use reqwest::Method;

use super::{Http, Request};
use crate::connector::failure_table::Asked;
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::numbers::count;

/// What was refused since anything last succeeded.
#[derive(Default)]
pub(super) struct Patience {
    /// After how many the service switches itself off; `None` = never.
    most: Option<u64>,
    refused: Mutex<Refused>,
}

#[derive(Default)]
struct Refused {
    all: u64,
    changes: u64,
}

/// What may come next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The request.
    Go,
    /// First something that succeeds: what was refused were questions, such as for an object that is not there.
    Breathe,
    /// Nothing: so many changes in a row were refused.
    Stop(u64),
}

impl Patience {
    /// Of a service that switches itself off after so many refusals.
    pub(super) fn of(most: Option<u64>) -> Self {
        Self { most, ..Self::default() }
    }

    /// An answer came.
    pub(super) fn answered(&self, is_success: bool, is_change: bool) {
        let mut refused = self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if is_success {
            *refused = Refused::default();
        } else {
            refused.all += 1;
            refused.changes += u64::from(is_change);
        }
    }

    /// What may come next.
    pub(super) fn next(&self) -> Next {
        let Some(half) = self.most.map(|most| (most / 2).max(1)) else { return Next::Go };
        let refused = self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match (refused.changes >= half, refused.all >= half) {
            (true, _) => Next::Stop(refused.changes),
            (_, true) => Next::Breathe,
            _ => Next::Go,
        }
    }
}

impl Http {
    /// Before each request: lets something succeed in between, or leaves the service alone.
    pub(super) async fn be_patient(&self) -> Result<(), Failure> {
        match self.patience.next() {
            Next::Go => Ok(()),
            // Its count begins anew with whatever succeeds; where this does not, the request says why.
            Next::Breathe => {
                let harmless = self.address(&["ServiceProviderConfig"]);
                let _ = self.send_once(&Request::new(Method::GET, harmless, Asked::Discovery), &mut None).await;
                Ok(())
            }
            Next::Stop(refused) => Err(self.left_alone(refused)),
        }
    }

    fn left_alone(&self, refused: u64) -> Failure {
        Failure::new(
            Class::Configuration,
            Recourse::Stop,
            &self.system,
            format!(
                "{} changes in a row were refused, and this service switches itself off after {}: nothing more is sent",
                count(refused),
                count(self.patience.most.unwrap_or(refused))
            ),
            "see with `muster report` what was refused and mend it, then `muster apply`; what was not sent stays approved",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_switches_a_service_off_is_enough() {
        let patience = Patience::of(Some(20));
        (0..10).for_each(|_| patience.answered(false, false));
        assert_eq!(patience.next(), Next::Breathe);
        patience.answered(true, false);
        (0..9).for_each(|_| patience.answered(false, true));
        assert_eq!(patience.next(), Next::Go);
        patience.answered(false, true);
        assert_eq!(patience.next(), Next::Stop(10));
        let endless = Patience::default();
        (0..99).for_each(|_| endless.answered(false, true));
        assert_eq!(endless.next(), Next::Go);
    }
}
