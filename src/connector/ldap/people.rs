//! Who is behind a member's name: a map from names to ids, so that groups can be exported by ids.
//!
//! It costs about 60 bytes an entry: 15 MB for 200,000 users and groups.

use std::collections::HashMap;

use super::entry::Entry;
use super::layout::{Membership, ResourceType};
use super::{NESTINGS, dn, members};
use crate::connector::source::{ExportError, ExportSink};
use crate::model::evidence::Evidence;

/// An id in as few bytes as it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Id {
    Uuid(uuid::Uuid),
    Text(Box<str>),
}

impl Id {
    pub(super) fn of(text: &str) -> Self {
        match uuid::Uuid::try_parse(text) {
            // Only where it is written back as it came.
            Ok(id) if id.to_string() == text => Self::Uuid(id),
            _ => Self::Text(text.into()),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Uuid(id) => id.to_string(),
            Self::Text(text) => text.to_string(),
        }
    }
}

/// Users and groups by what stands for them in a group.
#[derive(Default)]
pub(super) struct People {
    /// The digest of a name, or of a login, → the id, and whether it is a group's.
    ids: HashMap<u128, (Id, bool)>,
    /// Why they are not all of them.
    pub(super) cut_off: Option<String>,
}

/// One member of a group.
pub(super) enum Member {
    User(String),
    Group(String),
    /// Neither a user nor a group of this system.
    Outside,
}

impl People {
    /// Notes an entry of the users or the groups.
    pub(super) fn note(&mut self, of: &ResourceType, membership: Option<&Membership>, entry: &Entry, is_group: bool) {
        let Some(id) = of.id(entry) else { return };
        let login = membership.and_then(|membership| membership.login.as_deref()).filter(|_| !is_group);
        let stands_for = match login {
            Some(login) => entry.text(login).map(login_digest),
            None => Some(dn::digest(&entry.dn)),
        };
        if let Some(key) = stands_for {
            self.ids.insert(key, (Id::of(&id), is_group));
        }
    }

    /// Notes that a walk through them was cut off: a member that is not among them may be one all the same.
    pub(super) fn lack(&mut self, evidence: &Evidence) {
        self.cut_off = self.cut_off.take().or_else(|| evidence.cut_off.clone());
    }

    /// The ids of all groups, or of all users, that can be members.
    pub(super) fn all(&self, groups: bool) -> impl Iterator<Item = String> {
        self.ids.values().filter(move |(_, is_group)| *is_group == groups).map(|(id, _)| id.text())
    }

    /// Opens an association; of an increment, nobody but them is at its ends any more.
    pub(super) fn begin(
        &self,
        sink: &mut dyn ExportSink,
        resource: &str,
        is_increment: bool,
    ) -> Result<(), ExportError> {
        let (owner, member) = members::ends_of(resource).unwrap_or(("group", "user"));
        let ends = [owner.to_owned(), member.to_owned()];
        sink.begin(resource, &ends, &ends)?;
        if is_increment && self.cut_off.is_none() {
            sink.only(resource, owner, &mut self.all(true))?;
            sink.only(resource, member, &mut self.all(resource == NESTINGS))?;
        }
        Ok(())
    }

    /// Who a member is.
    pub(super) fn member(&self, membership: &Membership, value: &str) -> Member {
        match self.ids.get(&digest(membership, value)) {
            Some((id, false)) => Member::User(id.text()),
            Some((id, true)) => Member::Group(id.text()),
            None => Member::Outside,
        }
    }
}

/// A member's name or login, so that equal ones are equal.
pub(super) fn digest(membership: &Membership, value: &str) -> u128 {
    if membership.login.is_some() { login_digest(value) } else { dn::digest(value) }
}

/// Logins of `memberUid` are compared exactly (RFC 2307 section 3).
fn login_digest(login: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128(login.as_bytes())
}
