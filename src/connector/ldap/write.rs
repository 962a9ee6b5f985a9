//! Changes of single entries: add, modify, modify DN, delete (RFC 4511 sections 4.6 to 4.9).

use std::collections::HashSet;

use ldap3::asn1::parse_tag;
use ldap3::controls::{Assertion, PostRead, RawControl};
use ldap3::{Ldap, LdapError, LdapResult, Mod};

use super::entry::Entry;
use super::flavour::POST_READ;
use super::layout::{Layout, ResourceType};
use super::link::Asking;
use super::modifications::Wishes;
use super::refusal::Question;
use super::{LdapSystem, dn, filter, lookup, search, syntax};
use crate::connector::config::Flavour;
use crate::connector::failure_table::Asked;
use crate::connector::target::{Applied, ObjectChange};
use crate::model::failure::{Class, Effect, Failure};
use crate::model::order::Operation;
use crate::model::outcome::Effected;

/// What was asserted does not hold (RFC 4528).
const ASSERTION_FAILED: u16 = 122;

pub(super) async fn apply(system: &LdapSystem, change: &ObjectChange) -> Result<Applied, Failure> {
    let (layout, of) = system.resource(&change.resource).await?;
    let order = Order { system, layout, of, change };
    match change.operation {
        Operation::Create => order.create().await,
        Operation::Disable | Operation::Enable if of.switch.is_none() => Err(system.failure(
            Class::Unsupported,
            format!("{} cannot be disabled or enabled: nothing says whether they are in use", change.resource),
            "name the attribute that says so in `enabled` of this resource, or use another action in `on`",
        )),
        Operation::Update | Operation::Disable | Operation::Enable => order.update().await,
        Operation::Delete => order.delete().await,
        Operation::Add | Operation::Remove => Err(system.failure(
            Class::Configuration,
            format!("`{}` is no association", change.resource),
            "correct the sync's `to` in the job file",
        )),
    }
}

/// The shared session, ready for one request.
pub(super) async fn session(system: &LdapSystem, condition: Option<RawControl>) -> Result<Ldap, Failure> {
    system.link.turn().await;
    let mut ldap = system.link.session().await?;
    ldap.with_timeout(system.link.timeout());
    if let Some(condition) = condition {
        ldap.with_controls(condition);
    }
    Ok(ldap)
}

/// What became of a request.
pub(super) fn answered(
    system: &LdapSystem,
    asked: Asked,
    what: &str,
    asking: Asking,
    result: Result<LdapResult, LdapError>,
) -> Result<LdapResult, Failure> {
    system.link.answered(asking, 0, result.as_ref());
    let question = Question { system: &system.name, asked, what };
    let result = result.map_err(|error| question.lost(&error))?;
    if result.rc == 0 { Ok(result) } else { Err(question.refused(&result)) }
}

/// The name of the entry above another.
pub(super) fn above(name: &str) -> &str {
    dn::split(name).map_or("", |(_, above)| above)
}

/// Bytes of the values of some changes.
pub(super) fn sent(changes: &[Mod<Vec<u8>>]) -> u64 {
    let bytes = |change: &Mod<Vec<u8>>| match change {
        Mod::Add(_, values) | Mod::Delete(_, values) | Mod::Replace(_, values) => values.iter().map(Vec::len).sum(),
        Mod::Increment(..) => 0,
    };
    changes.iter().map(bytes).sum::<usize>() as u64
}

/// A change of one entry.
enum Request {
    Modify(Vec<Mod<Vec<u8>>>),
    /// To a new first part, below the same entry or another one.
    Rename {
        rdn: String,
        parent: String,
        moves: bool,
    },
    Delete,
}

struct Order<'a> {
    system: &'a LdapSystem,
    layout: &'a Layout,
    of: &'a ResourceType,
    change: &'a ObjectChange,
}

fn applied(id: Option<String>, effected: Effected, note: Option<String>) -> Result<Applied, Failure> {
    Ok(Applied { id, effected, note })
}

impl Order<'_> {
    async fn create(&self) -> Result<Applied, Failure> {
        let (system, of) = (self.system, self.of);
        let mut wishes = Wishes::of(system, self.layout, of, self.change)?;
        wishes.values.retain(|_, values| !values.is_empty());
        let name = self.name_of_new(&mut wishes)?;
        if wishes.get("objectClass").is_none() {
            let classes = of.classes.iter().map(|class| class.clone().into_bytes()).collect();
            wishes.values.insert("objectClass".to_owned(), classes);
        }
        if let Some(membership) = &of.member
            && let Some(stand_in) = &membership.stand_in
            && wishes.get(&membership.attribute).is_none()
        {
            wishes.values.insert(membership.attribute.clone(), vec![stand_in.clone().into_bytes()]);
        }
        let mut note = None;
        if let Some((attribute, value)) = wishes.switch_of_new(of) {
            let needs_password = self.layout.flavour == Flavour::Ad && wishes.enabled != Some(false);
            if needs_password && of.name == "users" && wishes.get("unicodePwd").is_none() {
                // An account without a password cannot be in use; nobody is told this one.
                let random = format!("{}Aa1!{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
                wishes.values.insert("unicodePwd".to_owned(), vec![syntax::unicode_password(&random)]);
                note = Some("it has a random password that nobody knows: a person has to set another one".to_owned());
            }
            wishes.values.insert(attribute, vec![value]);
        }
        let attributes: Vec<(Vec<u8>, HashSet<Vec<u8>>)> =
            wishes.values.into_iter().map(|(name, values)| (name.into_bytes(), values.into_iter().collect())).collect();
        let key = of.key.as_ref().map(|key| key.attribute.clone());
        let reads_back = self.layout.post_reads();
        let what = format!("adding {name}");
        let control = key.as_ref().filter(|_| reads_back).map(|key| PostRead::new(vec![key.as_str()]));
        let sent = attributes.iter().flat_map(|(_, values)| values).map(Vec::len).sum::<usize>() as u64;
        let mut session = session(system, control).await?;
        let asking = Asking::new("add", above(&name), sent);
        let added = session.add(&name, attributes).await;
        let result = answered(system, Asked::Write, &what, asking, added)?;
        let id = match (post_read(&result).and_then(|entry| of.id(&entry)), &key) {
            (_, None) => Some(name.clone()),
            (Some(id), _) => Some(id),
            (None, Some(key)) => {
                search::entry(&system.link, &name, &[key]).await.ok().flatten().and_then(|entry| of.id(&entry))
            }
        };
        let id = id.ok_or_else(|| {
            let key = key.as_deref().unwrap_or("dn");
            let mut failure = system.failure(
                Class::Server,
                format!("{name} was added, but its {key} cannot be read"),
                "let the account of `auth` read this attribute",
            );
            failure.effect = Effect::Unknown;
            failure
        })?;
        system.remember_name(&id, &name);
        applied(Some(id), Effected::Sent, note)
    }

    /// The name of a new entry: the one that the order states, or that of its naming attribute below the base.
    fn name_of_new(&self, wishes: &mut Wishes) -> Result<String, Failure> {
        let of = self.of;
        if let Some(name) = wishes.dn.take() {
            let parts = dn::parse(&name).filter(|parts| !parts.is_empty()).ok_or_else(|| self.no_name(&name))?;
            // What names an entry is among its values.
            for part in parts.into_iter().next().unwrap_or_default() {
                let values = wishes.take(&part.attribute).unwrap_or_default();
                let mut values: Vec<Vec<u8>> = values.into_iter().filter(|value| *value != part.value).collect();
                values.push(part.value);
                wishes.values.insert(part.attribute, values);
            }
            return Ok(name);
        }
        let value =
            wishes.get(&of.rdn).and_then(|values| values.first()).and_then(|value| std::str::from_utf8(value).ok());
        let Some(value) = value else {
            return Err(self.system.failure(
                Class::Data,
                format!("{} has no `{}`, which its entry would be named by", self.change.name, of.rdn),
                format!("map `{}`, or the whole name as `dn`, or set another `rdn` for this resource", of.rdn),
            ));
        };
        Ok(dn::below(&dn::rdn(&of.rdn, value), &of.base))
    }

    fn no_name(&self, name: &str) -> Failure {
        self.system.failure(
            Class::Data,
            format!("`{name}`, the `dn` of {}, is no distinguished name", self.change.name),
            "correct the rule for `dn`: escape what stands in it (RFC 4514)",
        )
    }

    fn id(&self) -> Result<&str, Failure> {
        self.change.id.as_deref().filter(|id| !id.is_empty()).ok_or_else(|| {
            self.system.failure(
                Class::Stale,
                format!("`{}` has no id at the target to {} it by", self.change.name, self.change.operation),
                "the next run correlates it anew",
            )
        })
    }

    /// The entry as it is now.
    async fn entry(&self, id: &str) -> Result<Option<Entry>, Failure> {
        lookup::read(self.system, self.layout, self.of, id, std::slice::from_ref(&self.of.rdn)).await
    }

    fn gone(&self, id: &str) -> Failure {
        let mut gone = self.system.failure(
            Class::Stale,
            format!("`{}` ({id}) is not there any more", self.change.name),
            "the next run correlates it anew; nothing has to be done unless it comes back",
        );
        gone.status = Some(32);
        gone
    }

    /// What has to hold for a change: that the name is still that of this entry, and, where the plan has read it, that
    /// the entry is as it was read.
    fn condition(&self, id: &str, with_version: bool) -> Option<RawControl> {
        let key = self.of.key.as_ref().filter(|_| self.layout.asserts())?;
        let is_it = filter::equals(&key.attribute, &key.syntax.write(id).ok()?);
        let version = self.layout.version_attribute().zip(self.change.version.as_deref()).filter(|_| with_version);
        let filter = match version {
            Some((attribute, version)) => filter::all(&[&is_it, &filter::equals(attribute, version.as_bytes())]),
            None => is_it,
        };
        Some(RawControl { crit: true, ..Assertion::new(filter) })
    }

    async fn update(&self) -> Result<Applied, Failure> {
        let id = self.id()?;
        let mut wishes = Wishes::of(self.system, self.layout, self.of, self.change)?;
        let entry = self.entry(id).await?.ok_or_else(|| self.gone(id))?;
        let renamed = self.new_name(&mut wishes, &entry)?;
        let changes = wishes.modifications(self.of, &entry);
        if renamed.is_none() && changes.is_empty() {
            return applied(Some(id.to_owned()), Effected::AlreadySo, None);
        }
        let mut name = entry.dn.clone();
        if let Some((rdn, parent)) = &renamed {
            self.rename(id, &entry.dn, rdn, parent).await?;
            name = dn::below(rdn, parent);
            self.system.remember_name(id, &name);
        }
        if !changes.is_empty() {
            self.modify(id, &name, changes, renamed.is_none()).await.map_err(|failure| match &renamed {
                // Half of it is done: whoever looks sees which.
                Some(_) => Failure {
                    effect: Effect::Unknown,
                    cause: format!("it was renamed to {name}, and then {}", failure.cause),
                    ..failure
                },
                None => failure,
            })?;
        }
        applied(Some(id.to_owned()), Effected::Sent, None)
    }

    async fn modify(
        &self,
        id: &str,
        name: &str,
        changes: Vec<Mod<Vec<u8>>>,
        with_version: bool,
    ) -> Result<(), Failure> {
        self.bound(id, name, &Request::Modify(changes), with_version).await
    }

    /// Sends a change that holds only if the name is still that of this entry.
    async fn bound(&self, id: &str, name: &str, request: &Request, with_version: bool) -> Result<(), Failure> {
        match self.request(self.condition(id, with_version), name, request).await {
            // OpenLDAP's overlay `unique` holds its own searches against the condition, and finds that it fails.
            Err(failure) if failure.message.as_deref().is_some_and(|text| text.contains("unique_search")) => {
                let Some(now) = self.entry(id).await? else { return Err(self.gone(id)) };
                let version = self.layout.version_attribute().and_then(|attribute| now.text(attribute));
                let is_as_read =
                    !with_version || self.change.version.as_deref().is_none_or(|read| version == Some(read));
                if now.dn != name || !is_as_read {
                    return Err(failure);
                }
                self.system.notice_once(
                    "the server's overlay `unique` does not bear conditions: where they fail by it, a change is sent without one, right after the entry was read".to_owned(),
                );
                self.request(None, name, request).await
            }
            other => other,
        }
    }

    async fn request(&self, condition: Option<RawControl>, name: &str, request: &Request) -> Result<(), Failure> {
        let mut session = session(self.system, condition).await?;
        let asking = |verb, sent| Asking::new(verb, above(name), sent);
        let (asked, what, asking, result) = match request {
            Request::Modify(changes) => {
                let (what, asking) = (format!("modifying {name}"), asking("modify", sent(changes)));
                (Asked::Write, what, asking, session.modify(name, changes.clone()).await)
            }
            Request::Rename { rdn, parent, moves } => {
                let what = format!("renaming {name} to {}", dn::below(rdn, parent));
                let asking = asking("modify DN", (rdn.len() + parent.len()) as u64);
                (Asked::Write, what, asking, session.modifydn(name, rdn, true, moves.then_some(parent.as_str())).await)
            }
            Request::Delete => {
                let asking = asking("delete", 0);
                (Asked::Delete, format!("deleting {name}"), asking, session.delete(name).await)
            }
        };
        answered(self.system, asked, &what, asking, result).map(|_| ())
    }

    /// A new name for the entry, where the order changes what it is named by, or where it stands: its first part, and
    /// the name above it. What only a rename changes is taken out of the wishes.
    fn new_name(&self, wishes: &mut Wishes, entry: &Entry) -> Result<Option<(String, String)>, Failure> {
        let (first, parent) = dn::split(&entry.dn).ok_or_else(|| self.no_name(&entry.dn))?;
        let named_by = dn::parse(first).unwrap_or_default().into_iter().flatten().collect::<Vec<_>>();
        if let Some(wanted) = wishes.dn.take() {
            let (rdn, above) = dn::split(&wanted).ok_or_else(|| self.no_name(&wanted))?;
            let new_parts = dn::parse(rdn).unwrap_or_default().into_iter().flatten();
            for part in named_by.iter().cloned().chain(new_parts) {
                if wishes.get(&part.attribute).is_some_and(|values| values.len() <= 1) {
                    wishes.take(&part.attribute);
                }
            }
            return Ok((entry.dn != wanted).then(|| (rdn.to_owned(), above.to_owned())));
        }
        let [part] = named_by.as_slice() else { return Ok(None) };
        let Some(values) = wishes.get(&part.attribute) else { return Ok(None) };
        let wanted = match values.as_slice() {
            [] => {
                return Err(self.system.failure(
                    Class::Data,
                    format!("`{}` of {} cannot be cleared: the entry is named by it", part.attribute, entry.dn),
                    "leave this value as it is, or map another one: the next run plans it anew",
                ));
            }
            [value] => String::from_utf8_lossy(value).into_owned(),
            // The name stays as long as its value is among them.
            values if values.contains(&part.value) => return Ok(None),
            [value, ..] => String::from_utf8_lossy(value).into_owned(),
        };
        if values.len() == 1 {
            wishes.take(&part.attribute);
        }
        if wanted.as_bytes() == part.value {
            return Ok(None);
        }
        let attribute = first.split('=').next().unwrap_or(&part.attribute).trim();
        Ok(Some((dn::rdn(attribute, &wanted), parent.to_owned())))
    }

    async fn rename(&self, id: &str, from: &str, rdn: &str, parent: &str) -> Result<(), Failure> {
        let (_, above) = dn::split(from).ok_or_else(|| self.no_name(from))?;
        let moves = !dn::is_same(above, parent);
        let request = Request::Rename { rdn: rdn.to_owned(), parent: parent.to_owned(), moves };
        self.bound(id, from, &request, true).await
    }

    async fn delete(&self) -> Result<Applied, Failure> {
        let id = self.id()?;
        let absent = || applied(Some(id.to_owned()), Effected::AlreadySo, Some("it was absent already".to_owned()));
        // Bound to its id, the entry's last known name will do; otherwise its name has to be asked for.
        let remembered = self.system.forget_name(id).filter(|_| self.layout.asserts() && self.of.key.is_some());
        if let Some(name) = remembered {
            match self.delete_by(id, &name).await {
                Ok(()) => return applied(Some(id.to_owned()), Effected::Sent, None),
                Err(failure) if matches!(failure.status, Some(32 | ASSERTION_FAILED)) => {}
                Err(failure) => return Err(failure),
            }
        }
        let Some(entry) = self.entry(id).await? else { return absent() };
        match self.delete_by(id, &entry.dn).await {
            Ok(()) => applied(Some(id.to_owned()), Effected::Sent, None),
            Err(failure) if failure.status == Some(32) => absent(),
            Err(failure) => Err(failure),
        }
    }

    async fn delete_by(&self, id: &str, name: &str) -> Result<(), Failure> {
        self.bound(id, name, &Request::Delete, true).await
    }
}

/// What the server says that an entry holds after a change (RFC 4527 section 3.2).
fn post_read(result: &LdapResult) -> Option<Entry> {
    let control = result.ctrls.iter().find(|control| control.1.ctype == POST_READ)?;
    let (_, tag) = parse_tag(control.1.val.as_deref()?).ok()?;
    Entry::read(tag)
}
