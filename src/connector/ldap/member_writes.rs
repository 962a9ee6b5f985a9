//! Changes of members: many in one request, taken apart where one of them is refused.

use std::collections::{BTreeMap, HashSet};

use ldap3::Mod;

use super::LdapSystem;
use super::link::Asking;
use super::members::{Sides, ends};
use super::write::{above, answered, sent, session};
use crate::connector::failure_table::{Asked, LAST_MEMBER};
use crate::connector::target::{Applied, RowChange};
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::order::Operation;
use crate::model::outcome::Effected;

/// The entry would lack an attribute that it must have (RFC 4511 appendix A.2).
const OBJECT_CLASS_VIOLATION: u16 = 65;

pub(super) async fn apply_rows(
    system: &LdapSystem,
    resource: &str,
    operation: Operation,
    rows: &[RowChange],
) -> Vec<Result<Applied, Failure>> {
    let mut results: Vec<Option<Result<Applied, Failure>>> = rows.iter().map(|_| None).collect();
    let mut owners: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    for (position, row) in rows.iter().enumerate() {
        match ends(system, resource, &row.ends) {
            Ok((owner, member)) => owners.entry(owner).or_default().push((position, member)),
            Err(failure) => results[position] = Some(Err(failure)),
        }
    }
    let mut stop: Option<Failure> = None;
    for (owner, members) in owners {
        let group = match &stop {
            Some(failure) => Err(failure.clone()),
            None => Group::open(system, resource, operation, owner, &members).await,
        };
        let group = match group {
            Ok(group) => group,
            Err(failure) => {
                for (position, _) in members {
                    results[position] = Some(Err(failure.clone()));
                }
                continue;
            }
        };
        let mut waiting: Vec<Vec<(usize, &str)>> = Vec::new();
        let there: Vec<(usize, &str)> = members
            .into_iter()
            .filter(|(position, member)| match group.without_asking(member) {
                Some(settled) => {
                    results[*position] = Some(settled);
                    false
                }
                None => true,
            })
            .collect();
        waiting.extend(there.chunks(system.config.member_batch.max(1)).rev().map(<[_]>::to_vec));
        while let Some(batch) = waiting.pop() {
            let ids: Vec<&str> = batch.iter().map(|(_, member)| *member).collect();
            let sent = match &stop {
                Some(failure) => Err(failure.clone()),
                None => group.change(&ids).await,
            };
            match sent {
                Ok(()) => {
                    for (position, _) in batch {
                        results[position] = Some(Ok(Applied { id: None, effected: Effected::Sent, note: None }));
                    }
                }
                // The request as a whole was refused: one of its rows is the culprit.
                Err(failure) if batch.len() > 1 && is_about_content(&failure) => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    waiting.push(second.to_vec());
                    waiting.push(first.to_vec());
                }
                Err(failure) => {
                    if stop.is_none() && !is_about_content(&failure) && failure.recourse != Recourse::GiveUp {
                        // What is left was never sent.
                        stop = Some(Failure { effect: Effect::None, ..failure.clone() });
                    }
                    for (position, member) in batch {
                        results[position] = Some(group.settle(member, &failure).await);
                    }
                }
            }
        }
    }
    let lost = || Err(system.failure(Class::Server, "the row was not tried", "`muster retry` sends it"));
    results.into_iter().map(|result| result.unwrap_or_else(lost)).collect()
}

/// Whether a refusal is about what was sent, and certainly nothing of it was done.
fn is_about_content(failure: &Failure) -> bool {
    failure.effect == Effect::None
        && failure.recourse == Recourse::GiveUp
        && matches!(
            failure.class,
            Class::Data | Class::Conflict | Class::Stale | Class::Unsupported | Class::Configuration
        )
}

/// A group whose members are changed.
struct Group<'a> {
    sides: Sides<'a>,
    operation: Operation,
    id: &'a str,
    /// Its name; `None` where it is not there any more.
    dn: Option<String>,
    /// What stands for each member, by id.
    values: BTreeMap<String, String>,
}

impl<'a> Group<'a> {
    async fn open(
        system: &'a LdapSystem,
        resource: &str,
        operation: Operation,
        id: &'a str,
        members: &[(usize, &str)],
    ) -> Result<Self, Failure> {
        let sides = Sides::of(system, resource).await?;
        let dn = sides.group(id).await?;
        let ids: Vec<&str> = members.iter().map(|(_, member)| *member).collect();
        let values = if dn.is_some() { sides.values(&ids).await? } else { BTreeMap::new() };
        Ok(Self { sides, operation, id, dn, values })
    }

    /// What is clear of a row before anything is sent: one of its ends is not there.
    fn without_asking(&self, member: &str) -> Option<Result<Applied, Failure>> {
        let gone = if self.dn.is_none() {
            format!("the group `{}` is not there any more", self.id)
        } else if !self.values.contains_key(member) {
            format!("`{member}` is not there any more")
        } else {
            return None;
        };
        Some(match self.operation {
            Operation::Remove => Ok(Applied { id: None, effected: Effected::AlreadySo, note: Some(gone) }),
            _ => Err(self.sides.system.failure(Class::Stale, gone, "the next run correlates it anew")),
        })
    }

    async fn change(&self, members: &[&str]) -> Result<(), Failure> {
        let values: HashSet<Vec<u8>> =
            members.iter().filter_map(|id| self.values.get(*id)).map(|value| value.clone().into_bytes()).collect();
        let attribute = self.sides.membership.attribute.as_bytes().to_vec();
        if self.operation == Operation::Add {
            return self.modify(vec![Mod::Add(attribute, values)]).await;
        }
        let taken = Mod::Delete(attribute.clone(), values);
        match self.modify(vec![taken.clone()]).await {
            // They were all that there were. Something may stand in for them, in the same request.
            Err(failure) if failure.status == Some(OBJECT_CLASS_VIOLATION) => {
                let Some(stand_in) = &self.sides.membership.stand_in else { return Err(failure) };
                let stands = Mod::Add(attribute, HashSet::from([stand_in.clone().into_bytes()]));
                self.modify(vec![stands, taken]).await.map_err(|_| last_member(failure))
            }
            other => other,
        }
    }

    async fn modify(&self, changes: Vec<Mod<Vec<u8>>>) -> Result<(), Failure> {
        let dn = self.dn.as_deref().unwrap_or("");
        let what = format!("changing members of {dn}");
        let system = self.sides.system;
        let mut session = session(system, None).await?;
        let asking = Asking::new("modify members", above(dn), sent(&changes));
        let result = session.modify(dn, changes).await;
        answered(system, Asked::Write, &what, asking, result).map(|_| ())
    }

    /// A refusal of a single row is success where things are as they should be already.
    async fn settle(&self, member: &str, failure: &Failure) -> Result<Applied, Failure> {
        let (Some(dn), Some(value), true) = (&self.dn, self.values.get(member), is_about_content(failure)) else {
            return Err(failure.clone());
        };
        let is_so = self.sides.holds(dn, value).await? == (self.operation == Operation::Add);
        if is_so { Ok(Applied { id: None, effected: Effected::AlreadySo, note: None }) } else { Err(failure.clone()) }
    }
}

fn last_member(failure: Failure) -> Failure {
    let (says, remedy) = LAST_MEMBER;
    Failure { cause: format!("{}: {says}", failure.cause), remedy: remedy.to_owned(), ..failure }
}
