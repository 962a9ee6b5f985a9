//! What changed in a domain since a cookie (DirSync, MS-ADTS section 3.1.1.3.4.1.3): changed entries, and single members
//! that came and went.

use ldap3::asn1::{ASNTag as _, Integer, OctetString, Sequence, StructureTag, Tag, parse_tag, parse_uint, write};
use ldap3::controls::RawControl;
use ldap3::{LdapResult, Scope};

use super::changes::{Change, Changes};
use super::entry::Entry;
use super::increment::unsupported;
use super::layout::Layout;
use super::members;
use super::refusal::Question;
use super::search::{self, Search};
use super::syntax::{self, Syntax};
use super::{LdapSystem, filter};
use crate::connector::failure_table::Asked;
use crate::connector::source::ResourceRequest;
use crate::model::failure::{Class, Failure, Recourse};

/// The control (MS-ADTS section 3.1.1.3.4.1.3).
const DIRSYNC: &str = "1.2.840.113556.1.4.841";
/// Names come with the GUID of what they name (MS-ADTS section 3.1.1.3.4.1.5).
const EXTENDED_DN: &str = "1.2.840.113556.1.4.529";
/// What names entries here.
pub(super) const KEY: &str = "objectGUID";
/// LDAP_DIRSYNC_OBJECT_SECURITY: what the account may see, and no right to replicate is needed.
const OBJECT_SECURITY: i64 = 1;
/// LDAP_DIRSYNC_INCREMENTAL_VALUES: the members that came and went, not all of them. A number of 32 bits with a sign.
const INCREMENTAL_VALUES: i64 = i32::MIN as i64;
/// What an entry is always told with.
const ALWAYS: &[&str] = &[KEY, "instanceType", "parentGUID"];
/// What a cursor of this kind begins with.
const PREFIX: &str = "dirsync:";

/// The cursor of this moment.
pub(super) async fn now(system: &LdapSystem, layout: &Layout) -> Result<String, Failure> {
    // Nothing is found, and the cookie is that of everything all the same.
    let walk = Walk { system, layout, filter: "(!(objectClass=*))", attributes: vec![KEY.to_owned()] };
    let (_, cookie) = walk.to_the_end(Vec::new()).await?;
    Ok(format!("{PREFIX}{}", syntax::base64(&cookie)))
}

/// What changed since a cursor, of everything that some resources are read with.
pub(super) async fn since(
    system: &LdapSystem,
    layout: &Layout,
    cursor: &str,
    wanted: &[ResourceRequest],
) -> Result<Changes, Failure> {
    let cookie = cursor.strip_prefix(PREFIX).and_then(syntax::from_base64);
    let cookie = cookie.ok_or_else(|| unsupported(system, format!("`{cursor}` is no cursor of DirSync")))?;
    let walk = Walk { system, layout, filter: "(objectClass=*)", attributes: attributes(layout, wanted) };
    let (entries, cookie) = walk.to_the_end(cookie).await.map_err(|failure| match failure.status {
        // A cookie that the server does not take, for it was put back, or is another one.
        Some(2 | 12 | 53) => unsupported(system, failure.cause),
        _ => failure,
    })?;
    let mut changes = Changes::until(format!("{PREFIX}{}", syntax::base64(&cookie)));
    let member = layout.types.get("groups").and_then(|groups| groups.member.as_ref());
    for entry in entries {
        let Some(id) = entry.values(KEY).first().and_then(|value| Syntax::Guid.read(value)) else { continue };
        if entry.text("isDeleted").is_some_and(|told| told.eq_ignore_ascii_case("true")) {
            changes.note_gone(&id);
        } else {
            note(changes.note_changed(id), &entry, member.map_or("member", |member| &member.attribute));
        }
    }
    Ok(changes)
}

/// What an entry tells of itself.
fn note(change: &mut Change, entry: &Entry, member: &str) {
    for (name, values) in entry.attributes() {
        let (attribute, option) = name.split_once(';').unwrap_or((name, ""));
        if ALWAYS.iter().any(|always| always.eq_ignore_ascii_case(attribute)) {
            continue;
        }
        let came = match option.to_ascii_lowercase().as_str() {
            "range=1-1" if attribute.eq_ignore_ascii_case(member) => true,
            "range=0-0" if attribute.eq_ignore_ascii_case(member) => false,
            _ => {
                change.note_more();
                continue;
            }
        };
        for value in values {
            let name = std::str::from_utf8(value).unwrap_or_default();
            match guid_of(name) {
                Some(id) if came => change.note_joined(id, plain(name)),
                Some(id) => change.note_left(id),
                // The group is read as a whole then.
                None => change.note_more(),
            }
        }
    }
}

/// Everything whose change matters to some resources: what they are read with, and what decides whether an entry is one
/// of them.
fn attributes(layout: &Layout, wanted: &[ResourceRequest]) -> Vec<String> {
    let mut names: Vec<String> = ["name", "isDeleted", KEY].map(str::to_owned).into();
    for wanted in wanted {
        if members::ends_of(&wanted.resource).is_some() {
            let groups = layout.types.get("groups");
            names.extend(groups.and_then(|groups| Some(groups.member.as_ref()?.attribute.clone())));
            continue;
        }
        let Some(of) = layout.types.get(&wanted.resource) else { continue };
        names.extend(layout.asked(of, &of.columns(&wanted.columns)));
        names.extend(filter::attributes(&of.filter));
    }
    names.sort_by_key(|name| name.to_ascii_lowercase());
    names.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    names
}

/// The id in a name such as `<GUID=…>;<SID=…>;CN=…`: written as a UUID is, or as its bytes.
fn guid_of(name: &str) -> Option<String> {
    let (guid, _) = name.strip_prefix("<GUID=")?.split_once('>')?;
    if guid.contains('-') {
        return uuid::Uuid::try_parse(guid).ok().map(|id| id.to_string());
    }
    let id = uuid::Uuid::try_parse(guid).ok()?;
    Some(uuid::Uuid::from_bytes_le(id.into_bytes()).to_string())
}

/// The name itself.
fn plain(name: &str) -> &str {
    if name.starts_with('<') { name.rsplit(">;").next().unwrap_or(name) } else { name }
}

/// A walk through the whole domain: DirSync has no other base.
struct Walk<'a> {
    system: &'a LdapSystem,
    layout: &'a Layout,
    filter: &'a str,
    attributes: Vec<String>,
}

impl Walk<'_> {
    async fn to_the_end(&self, cookie: Vec<u8>) -> Result<(Vec<Entry>, Vec<u8>), Failure> {
        let (mut entries, mut cookie, mut failed) = (Vec::new(), cookie, 0);
        loop {
            match self.once(&cookie).await {
                Ok((some, more, next)) => {
                    entries.extend(some);
                    if !more {
                        return Ok((entries, next));
                    }
                    if next == cookie {
                        return Err(self.unusable("it says that there is more, and its cookie does not move"));
                    }
                    cookie = next;
                }
                Err(failure) => {
                    failed += 1;
                    self.system.link.wait(&failure, failed).await.ok_or(failure)?;
                }
            }
        }
    }

    async fn once(&self, cookie: &[u8]) -> Result<(Vec<Entry>, bool, Vec<u8>), Failure> {
        let search = Search {
            base: self.layout.root.domain.clone().unwrap_or_default(),
            scope: Scope::Subtree,
            filter: self.filter.to_owned(),
            attributes: self.attributes.clone(),
        };
        let controls =
            vec![control(DIRSYNC, &[FLAGS, i64::from(i32::MAX)], Some(cookie)), control(EXTENDED_DN, &[1], None)];
        let what = "asking for changes by DirSync";
        let (entries, result) = search::with_controls(&self.system.link, &search, what, controls).await?;
        if result.rc != 0 {
            return Err(Question { system: self.system.link.system(), asked: Asked::List, what }.refused(&result));
        }
        let (more, next) = told(&result).ok_or_else(|| self.unusable("it does not say where the next ones begin"))?;
        Ok((entries, more, next))
    }

    fn unusable(&self, why: &str) -> Failure {
        Failure::new(
            Class::Server,
            Recourse::GiveUp,
            self.system.link.system(),
            format!("the server gives changes by DirSync, but {why}"),
            "see the server's own log, or leave `increments` out",
        )
    }
}

const FLAGS: i64 = OBJECT_SECURITY | INCREMENTAL_VALUES;

/// A control of numbers, and perhaps a text at the end.
fn control(oid: &str, numbers: &[i64], text: Option<&[u8]>) -> RawControl {
    let mut inner: Vec<Tag> =
        numbers.iter().map(|inner| Tag::Integer(Integer { inner: *inner, ..Integer::default() })).collect();
    inner.extend(text.map(|text| Tag::OctetString(OctetString { inner: text.to_vec(), ..OctetString::default() })));
    let value = Tag::Sequence(Sequence { inner, ..Sequence::default() }).into_structure();
    let mut bytes = Default::default();
    let written = write::encode_into(&mut bytes, value).is_ok();
    RawControl { ctype: oid.to_owned(), crit: oid == DIRSYNC, val: written.then(|| bytes.to_vec()) }
}

/// Of an answer's control: whether there is more, and the cookie.
fn told(result: &LdapResult) -> Option<(bool, Vec<u8>)> {
    let control = result.ctrls.iter().find(|control| control.1.ctype == DIRSYNC)?;
    let (_, tag) = parse_tag(control.1.val.as_deref()?).ok()?;
    let mut parts = tag.expect_constructed()?.into_iter().map(StructureTag::expect_primitive);
    let more = parts.next()??;
    let (_, more) = parse_uint(&more).ok()?;
    Some((more != 0, parts.nth(1)??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_ids_are_read_in_both_spellings_and_the_control_survives_its_own_reader() {
        let id = Some("12345678-1234-5678-0102-030405060708".to_owned());
        assert_eq!(guid_of("<GUID=12345678-1234-5678-0102-030405060708>;<SID=S-1-5-21-1>;CN=a,DC=x"), id);
        assert_eq!(guid_of("<GUID=78563412341278560102030405060708>;CN=a,DC=x"), id);
        assert_eq!((guid_of("CN=a,DC=x"), guid_of("<GUID=1>;CN=a")), (None, None));
        assert_eq!((plain("<GUID=1>;<SID=2>;CN=a,DC=x"), plain("CN=a>;b,DC=x")), ("CN=a,DC=x", "CN=a>;b,DC=x"));
        let answered = |val: Option<Vec<u8>>| {
            let control = RawControl { ctype: DIRSYNC.to_owned(), crit: false, val };
            let ctrls = vec![ldap3::controls::Control(None, control)];
            told(&LdapResult { rc: 0, matched: String::new(), text: String::new(), refs: Vec::new(), ctrls })
        };
        assert_eq!(answered(control(DIRSYNC, &[1, 0], Some(b"here")).val), Some((true, b"here".to_vec())));
        assert_eq!(answered(control(DIRSYNC, &[0, 0], Some(b"")).val), Some((false, Vec::new())));
        for nonsense in [None, Some(vec![]), Some(vec![0x30, 0x80]), control(DIRSYNC, &[0], None).val] {
            assert_eq!(answered(nonsense), None);
        }
    }
}
