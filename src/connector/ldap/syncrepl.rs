//! What changed below the system's base since a cookie (content synchronization, RFC 4533, by one refresh).
//!
//! The request tells which entries changed. Which are deleted it tells only where the server still knows: that is found by
//! the list of all that are there.

use ldap3::asn1::{StructureTag, parse_tag, parse_uint};
use ldap3::controls::{Control, RawControl, RefreshMode, SyncRequest};
use ldap3::{ResultEntry, Scope};

use super::changes::Changes;
use super::increment::unsupported;
use super::layout::Layout;
use super::refusal::Question;
use super::search::{self, Search};
use super::syntax;
use super::{LdapSystem, filter};
use crate::connector::failure_table::Asked;
use crate::model::failure::{Class, Failure, Recourse};

/// The controls and the message of RFC 4533 section 2.
pub(super) const SYNC_REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";
const SYNC_STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
const SYNC_DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
/// What names entries here.
pub(super) const KEY: &str = "entryUUID";
/// What a cursor of this kind begins with.
const PREFIX: &str = "syncrepl:";
/// The cookie cannot be gone on from (e-syncRefreshRequired, RFC 4533 section 2.6).
const REFRESH_REQUIRED: u16 = 4096;

/// The cursor of this moment.
pub(super) async fn now(system: &LdapSystem) -> Result<String, Failure> {
    // Nothing is found, and the cookie is that of everything all the same.
    let nothing = format!("(!{})", filter::present("objectClass"));
    Ok(refresh(system, &nothing, None).await?.cursor)
}

/// What changed since a cursor.
pub(super) async fn since(system: &LdapSystem, cursor: &str) -> Result<Changes, Failure> {
    let cookie = cursor.strip_prefix(PREFIX).and_then(syntax::from_base64);
    let cookie = cookie.ok_or_else(|| unsupported(system, format!("`{cursor}` is no cookie of syncrepl")))?;
    let changes = refresh(system, &filter::present("objectClass"), Some(cookie)).await;
    changes.map_err(|failure| match failure.status {
        Some(2 | 12 | 53 | REFRESH_REQUIRED) => unsupported(system, failure.cause),
        _ => failure,
    })
}

/// Whether a server offers it.
pub(super) fn is_offered(layout: &Layout) -> bool {
    layout.root.knows(SYNC_REQUEST)
}

async fn refresh(system: &LdapSystem, filter: &str, cookie: Option<Vec<u8>>) -> Result<Changes, Failure> {
    let mut failed = 0;
    loop {
        match once(system, filter, cookie.clone()).await {
            Ok(changes) => return Ok(changes),
            Err(failure) => {
                failed += 1;
                system.link.wait(&failure, failed).await.ok_or(failure)?;
            }
        }
    }
}

async fn once(system: &LdapSystem, filter: &str, before: Option<Vec<u8>>) -> Result<Changes, Failure> {
    let search = Search {
        base: system.config.base.clone(),
        scope: Scope::Subtree,
        filter: filter.to_owned(),
        // The id comes with the entry's state.
        attributes: vec!["1.1".to_owned()],
    };
    let what = "asking for changes by syncrepl";
    let request = SyncRequest { mode: RefreshMode::RefreshOnly, cookie: before.clone(), reload_hint: false };
    let control = RawControl { crit: true, ..request.into() };
    let mut changes = Changes::default();
    let question = Question { system: system.link.system(), asked: Asked::List, what };
    let result = search::each(&system.link, &search, &question, 0, vec![control], &mut |entry| {
        note(&mut changes, &entry).ok_or_else(|| unusable(system, "an entry's state cannot be read"))
    })
    .await?;
    if result.rc != 0 {
        return Err(question.refused(&result));
    }
    let done = result.ctrls.iter().find(|Control(_, control)| control.ctype == SYNC_DONE);
    let Some(Control(_, done)) = done else { return Err(unusable(system, "it does not say that these are all")) };
    // Where nothing changed, OpenLDAP gives no other cookie.
    let cookie = done.val.as_deref().and_then(cookie_of).or(before);
    let cookie = cookie.ok_or_else(|| unusable(system, "it gives no cookie to go on from"))?;
    changes.cursor = format!("{PREFIX}{}", syntax::base64(&cookie));
    Ok(changes)
}

fn unusable(system: &LdapSystem, why: &str) -> Failure {
    Failure::new(
        Class::Server,
        Recourse::GiveUp,
        system.link.system(),
        format!("the server gives changes by syncrepl, but {why}"),
        "see the server's own log, or leave `increments` out",
    )
}

/// One entry with its state.
fn note(changes: &mut Changes, entry: &ResultEntry) -> Option<()> {
    if entry.is_ref() || entry.is_intermediate() {
        return Some(());
    }
    let Control(_, control) = entry.1.iter().find(|Control(_, control)| control.ctype == SYNC_STATE)?;
    let (_, tag) = parse_tag(control.val.as_deref()?).ok()?;
    let mut parts = tag.expect_constructed()?.into_iter().map(StructureTag::expect_primitive);
    let (_, state) = parse_uint(&parts.next()??).ok().map(|(rest, state)| (rest.len(), state))?;
    let id = uuid_of(&parts.next()??)?;
    match state {
        // Present, as it was; or deleted.
        0 | 3 => {}
        1 | 2 => changes.note_changed(id).note_more(),
        _ => return None,
    }
    Some(())
}

fn uuid_of(bytes: &[u8]) -> Option<String> {
    uuid::Uuid::from_slice(bytes).ok().map(|id| id.to_string())
}

/// The cookie of the control behind a refresh: SEQUENCE { cookie OCTET STRING OPTIONAL, refreshDeletes BOOLEAN }.
fn cookie_of(value: &[u8]) -> Option<Vec<u8>> {
    let (_, tag) = parse_tag(value).ok()?;
    let first = tag.expect_constructed()?.into_iter().next()?;
    (first.id == 4).then(|| first.expect_primitive())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_and_nonsense_is_none() {
        assert_eq!(cookie_of(&[0x30, 0x06, 0x04, 0x01, b'x', 0x01, 0x01, 0xff]), Some(b"x".to_vec()));
        assert_eq!(cookie_of(&[0x30, 0x03, 0x01, 0x01, 0xff]), None);
        for nonsense in [&b""[..], &[0x30, 0x80], &[0x04, 0x01, 0x00], &[0x30, 0x00]] {
            assert_eq!(cookie_of(nonsense), None);
        }
    }
}
