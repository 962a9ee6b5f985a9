//! What `check` proves on a provider, by questions alone, and what it tells of proofs that only a change can bring.

use std::time::Instant;

use reqwest::Method;

use super::condition;
use super::discovery::Discovery;
use super::lookup::{self, Proof};
use super::member_names::NAMES;
use super::members::{BY_PATH, REMOVAL};
use super::pager::page;
use super::probe::list_of;
use super::{MEMBERSHIPS, ScimSystem, id_of, present};
use crate::connector::config::{Paging, Refused};
use crate::connector::http::reach::step;
use crate::connector::source::{Needs, Step};
use crate::model::failure::{Failure, Stage};
use crate::model::numbers::{count, counted};

/// One step for each thing that muster relies on.
pub(super) async fn probe(system: &ScimSystem, discovery: &Discovery, needs: &Needs) -> Vec<Step> {
    let told = |what: &str, told: String| step(Stage::Proof, what.to_owned(), Ok(told), Instant::now());
    let mut steps = vec![told("version", discovery.version.clone())];
    steps.push(told("dialect", format!("{}: {}", system.dialect.name, system.dialect.product)));
    steps.extend(system.dialect.assumed.iter().map(|sentence| told("taken for granted", sentence.clone())));
    let mut lists: Vec<&str> = needs.reads.keys().chain(&needs.writes).map(|name| list_of(name)).collect();
    lists.sort_unstable();
    lists.dedup();
    for list in lists.into_iter().filter(|list| discovery.types.contains_key(*list)) {
        let started = Instant::now();
        let result = paging(system, discovery, list).await;
        steps.push(step(Stage::Proof, format!("pages of {list}"), Ok(result.unwrap_or_else(unknown)), started));
        if needs.reads.keys().any(|name| list_of(name) == list) && has_increments(system, discovery) {
            let started = Instant::now();
            let result = ids_alone(system, discovery, list).await.unwrap_or_else(|failure| {
                format!("{}: who is gone is not known before a complete run", unknown(failure))
            });
            steps.push(step(Stage::Proof, present::proof_of(list), Ok(result), started));
        }
    }
    for (resource, attributes) in &needs.finds {
        for attribute in attributes {
            let started = Instant::now();
            let result = lookup::prove(system, resource, attribute).await.map(|proof| filter(proof, resource));
            let what = format!("filter {resource} by {attribute}");
            steps.push(step(Stage::Proof, what, Ok(result.unwrap_or_else(unknown)), started));
        }
    }
    let writes = |wanted: fn(&str) -> bool| needs.writes.iter().any(|name| wanted(name));
    if writes(|name| list_of(name) == name) {
        let change = if discovery.provider.patch { Method::PATCH } else { Method::PUT };
        let offers_delete = |name: &String| !system.refuses(name, Refused::Delete);
        let delete = needs.writes.iter().any(offers_delete).then_some(Method::DELETE);
        for method in std::iter::once(change).chain(delete) {
            let what = condition::name(&method);
            let proof = system.proofs.known(system.name(), &discovery.version, &what);
            steps.push(told(&what, condition::told(&method, proof.as_ref())));
        }
    }
    if writes(|name| list_of(name) != name) && discovery.provider.patch && system.dialect.member_removal.is_none() {
        let proof = system.proofs.known(system.name(), &discovery.version, REMOVAL);
        let text = match proof {
            None => "not proved yet: the first approved removal tells".to_owned(),
            Some(proof) => {
                let way = if proof.found == BY_PATH { "members[value eq …]" } else { "a list of values" };
                format!("by {way} (proved {})", proof.at.format("%Y-%m-%d"))
            }
        };
        steps.push(told(REMOVAL, text));
    }
    if needs.reads.keys().chain(&needs.writes).any(|name| name == MEMBERSHIPS) {
        let proof = system.proofs.known(system.name(), &discovery.version, NAMES);
        let text = match (&system.ways.members_by, proof) {
            (Some(stated), _) => format!("by {stated}, as the job or the dialect says"),
            (None, Some(proof)) => format!("by {} (proved {})", proof.found, proof.at.format("%Y-%m-%d")),
            (None, None) => "not proved yet: the first members that an export sees tell".to_owned(),
        };
        steps.push(told(NAMES, text));
    }
    steps
}

/// Seats, where they are known.
pub(super) async fn capacity(system: &ScimSystem, discovery: &Discovery, needs: &Needs) -> Vec<Step> {
    let mut steps = Vec::new();
    for (resource, seats) in system.config.seats.iter().filter(|(name, _)| discovery.types.contains_key(*name)) {
        let started = Instant::now();
        let result = page(system, endpoint(discovery, resource), &[], 1).await;
        let told = match result.map(|list| list.total) {
            Ok(Some(total)) if total >= *seats => {
                format!("{} and {}: a create may find none free", objects(total), counted(*seats, "seat"))
            }
            Ok(Some(total)) => format!("{}, {}", objects(total), counted(*seats, "seat")),
            Ok(None) => "not known: the list has no total".to_owned(),
            Err(failure) => unknown(failure),
        };
        steps.push(step(Stage::Capacity, format!("seats of {resource}"), Ok(told), started));
    }
    if steps.is_empty() {
        let told = match needs.writes.is_empty() {
            true => "nothing is created here",
            false => {
                "not told by SCIM; `seats` of the system says how many there are, a refusal says when none is free"
            }
        };
        steps.push(step(Stage::Capacity, "seats".to_owned(), Ok(told.to_owned()), Instant::now()));
    }
    steps
}

fn objects(total: u64) -> String {
    counted(total, "object")
}

fn unknown(failure: Failure) -> String {
    format!("not known: {}", failure.account())
}

fn endpoint<'a>(discovery: &'a Discovery, list: &str) -> &'a str {
    discovery.types.get(list).map_or("", |definition| definition.resource_type.endpoint.as_str())
}

/// Asks for the first row, the second, and one behind the end.
async fn paging(system: &ScimSystem, discovery: &Discovery, list: &str) -> Result<String, Failure> {
    let by_cursor = match system.ways.paging {
        Paging::Auto => discovery.provider.cursor || !discovery.provider.index,
        Paging::Index => false,
        Paging::Cursor => true,
    };
    if by_cursor {
        return Ok("by cursor: each export walks until none comes, and counts what came".to_owned());
    }
    let endpoint = endpoint(discovery, list);
    let first = page(system, endpoint, &[], 1).await?;
    let Some(total) = first.total.filter(|total| *total > 1) else {
        return Ok("not provable yet: there are less than two rows".to_owned());
    };
    let of = |list: &crate::scim::list::ListResponse| list.resources.first().and_then(id_of);
    let second = page(system, endpoint, &[], 2).await?;
    if of(&second).is_none() || of(&second) == of(&first) {
        let came = counted(first.resources.len() as u64, "row");
        return Ok(match first.resources.len() as u64 >= total {
            true => format!("startIndex is ignored; one page holds all {came}"),
            false => format!(
                "startIndex is ignored: of {} only the first {came} can be read, and an export is held as suspect",
                count(total)
            ),
        });
    }
    let behind = page(system, endpoint, &[], total + 1).await;
    let end = match behind {
        Ok(list) if list.resources.is_empty() => "there is nothing behind the end",
        Ok(_) => "behind the end rows come again, which is seen through",
        Err(_) => "a start behind the end is refused, which is as good as no rows",
    };
    Ok(format!("by index, as many rows as come; {end}; the total ({}) is read again at the end", count(total)))
}

/// Whether a run may read what changed alone.
fn has_increments(system: &ScimSystem, discovery: &Discovery) -> bool {
    system.dialect.incremental != Some(false) && discovery.provider.filter.is_some()
}

/// Asks for the id of the first row, and for nothing else of it.
async fn ids_alone(system: &ScimSystem, discovery: &Discovery, list: &str) -> Result<String, Failure> {
    let Some(definition) = discovery.types.get(list) else { return Ok("not known".to_owned()) };
    let first = page(system, &definition.resource_type.endpoint, &present::parameters(), 1).await?;
    if first.resources.is_empty() {
        return Ok("not provable yet: there are no rows".to_owned());
    }
    let is_alone = present::note(system, list, definition, &first.resources).await?;
    Ok(match is_alone {
        true => "increments read them, so that whoever is not among them is gone",
        false => {
            "`attributes` is ignored, whole resources come: increments know who is gone all the same, and take as long as \
             reading everything"
        }
    }
    .to_owned())
}

/// What the proof of a filter says, for people.
fn filter(proof: Option<Proof>, resource: &str) -> String {
    match proof {
        None => format!("not provable yet: {resource} hold no value of it"),
        Some(Proof::Works | Proof::Hits) => "it finds who is there, and nobody by a value that nobody has".to_owned(),
        Some(Proof::RegardsCase) => {
            "it regards case, the schema does not: what it does not find is looked for in every spelling".to_owned()
        }
        Some(Proof::Useless) => "it cannot be relied on: everything is read and matched here".to_owned(),
    }
}
