//! Who is there: with an increment the ids of all that a list holds are read, so that whatever is not among them is gone.
//!
//! Ids are all that is asked for (`attributes=id`, RFC 7644 section 3.4.2.5). A service that sends whole resources all the
//! same is noticed: it takes longer, and says as much. A list that is not whole says nothing of who is gone.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value as Json;

use super::pager::{Pager, total};
use super::{ScimSystem, id_of};
use crate::connector::second_look::doubt;
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::numbers::{count, counted};
use crate::scim::schema::{Definition, Returned};

/// The word of the proof where what was asked for comes, and no more.
const ALONE: &str = "honoured";
/// The other one.
const IGNORED: &str = "ignored";

/// The name of the proof for a list.
pub(super) fn proof_of(list: &str) -> String {
    format!("ids of {list} alone")
}

/// What asks for ids alone.
pub(super) fn parameters() -> [(&'static str, String); 1] {
    [("attributes", "id".to_owned())]
}

/// Who is in each list that was read, or why that is not known.
#[derive(Default)]
pub(super) struct Present(BTreeMap<String, Result<HashSet<String>, String>>);

impl Present {
    /// Reads the ids of a list, once; and again where the first look leaves a doubt.
    ///
    /// # Errors
    /// Where the service cannot be reached. One that answers and refuses leaves open who is there.
    pub(super) async fn read(
        &mut self,
        system: &ScimSystem,
        list: &str,
        definition: &Definition,
    ) -> Result<(), Failure> {
        if self.0.contains_key(list) {
            return Ok(());
        }
        let mut looked = look(system, list, definition).await;
        if let Ok(Err(_)) = looked {
            looked = look(system, list, definition).await;
        }
        let read = match looked {
            Ok(read) => read,
            Err(failure) if is_an_answer(&failure) => Err(failure.cause),
            Err(failure) => return Err(failure),
        };
        if let Err(why) = &read {
            system.notice_once(format!("{list}: who is gone is not known before a complete run: {why}"));
        }
        self.0.insert(list.to_owned(), read);
        Ok(())
    }

    /// The ids of all that a list holds, where they are known.
    pub(super) fn ids(&self, list: &str) -> Option<&HashSet<String>> {
        self.0.get(list)?.as_ref().ok()
    }

    /// Why they are not.
    pub(super) fn doubt(&self, list: &str) -> Option<&str> {
        self.0.get(list)?.as_ref().err().map(String::as_str)
    }
}

fn is_an_answer(failure: &Failure) -> bool {
    failure.class != Class::Credential && (failure.status.is_some() || failure.recourse == Recourse::GiveUp)
}

/// The ids, or why they are not all of them.
async fn look(
    system: &ScimSystem,
    list: &str,
    definition: &Definition,
) -> Result<Result<HashSet<String>, String>, Failure> {
    let endpoint = &definition.resource_type.endpoint;
    let mut pager = Pager::new(system, endpoint, parameters().to_vec()).await?;
    let (mut ids, mut without, mut is_first) = (HashSet::new(), 0, true);
    while let Some(page) = pager.next().await? {
        if std::mem::take(&mut is_first) && !note(system, list, definition, &page).await? {
            system.notice_once(format!(
                "{list}: the service sends whole resources where only their ids are asked for: finding out who is gone takes \
                 as long as reading everything"
            ));
        }
        for resource in &page {
            match id_of(resource) {
                Some(id) => drop(ids.insert(id)),
                None => without += 1,
            }
        }
    }
    let seen = pager.evidence;
    // The total of the list as it is read otherwise: one of ids alone may be another list.
    let listed = total(system, endpoint, &[]).await?;
    let found = ids.len() as u64;
    let doubt = if without > 0 {
        Some(format!("{} came without an id", counted(without, "row")))
    } else if let Some(why) = doubt(&seen) {
        Some(why)
    } else if found != seen.rows_received {
        Some(format!("of {} with their ids alone, {} are different", counted(seen.rows_received, "row"), count(found)))
    } else {
        let other = listed.filter(|listed| *listed != found);
        other.map(|listed| {
            format!("{} came, the server's own total of the list is {}", counted(found, "id"), count(listed))
        })
    };
    Ok(doubt.map_or(Ok(ids), Err))
}

/// Whether resources hold no more than their ids, which is kept as proved. What comes always is no more (RFC 7643 section
/// 7, `returned`).
pub(super) async fn note(
    system: &ScimSystem,
    list: &str,
    definition: &Definition,
    resources: &[Json],
) -> Result<bool, Failure> {
    let is_always = |name: &String| {
        ["id", "schemas", "meta"].iter().any(|common| common.eq_ignore_ascii_case(name))
            || definition.attribute(None, name, None).is_some_and(|found| found.returned == Returned::Always)
    };
    let is_alone = resources.iter().filter_map(Json::as_object).all(|resource| resource.keys().all(is_always));
    let (what, found) = (proof_of(list), if is_alone { ALONE } else { IGNORED });
    if system.proved(&what).await?.is_none_or(|proof| proof.found != found) {
        system.keep(&what, found);
    }
    Ok(is_alone)
}
