//! Who is in a group, as the group says it (RFC 7643 section 4.2).

use std::collections::HashSet;

use serde_json::Value as Json;

use crate::model::failure::Failure;
use crate::scim::path::member;

/// A group's members, told apart.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Split {
    pub(super) users: Vec<String>,
    pub(super) groups: Vec<String>,
}

/// What a member says about itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    /// Its `value`.
    pub(super) value: Option<String>,
    /// The last step of its `$ref`: the id of a resource (RFC 7643 section 2.3.7).
    pub(super) reference: Option<String>,
    /// Whether it is a group, where it says so.
    pub(super) is_group: Option<bool>,
}

impl Member {
    pub(super) fn read(element: &Json) -> Option<Self> {
        let address = member(element, "$ref").and_then(Json::as_str).unwrap_or("");
        let mut steps = address.trim_end_matches('/').rsplit('/');
        let (tail, list) = (steps.next().unwrap_or(""), steps.next().unwrap_or(""));
        let tail = percent_encoding::percent_decode_str(tail).decode_utf8_lossy().into_owned();
        let value = match member(element, "value").unwrap_or(element) {
            Json::String(id) if !id.is_empty() => Some(id.clone()),
            Json::Number(id) => Some(id.to_string()),
            _ => None,
        };
        let kind = member(element, "type").and_then(Json::as_str).unwrap_or("");
        let is_group = match (kind.to_ascii_lowercase().as_str(), list.to_ascii_lowercase().as_str()) {
            ("group", _) | ("", "groups") => Some(true),
            ("user", _) | ("", "users") => Some(false),
            _ => None,
        };
        let reference = Some(tail).filter(|tail| !tail.is_empty());
        (value.is_some() || reference.is_some()).then_some(Self { value, reference, is_group })
    }

    /// Its id, where groups call their members by it.
    pub(super) fn id(self) -> String {
        self.value.or(self.reference).unwrap_or_default()
    }

    /// Whether somebody is meant who has an id and is called so.
    pub(super) fn is(&self, id: &str, called: &str, are_same: &impl Fn(&str, &str) -> bool) -> bool {
        match (&self.value, &self.reference) {
            (Some(value), _) => are_same(value, called),
            (None, Some(reference)) => reference == id || are_same(reference, called),
            (None, None) => false,
        }
    }
}

/// A group's members, as they come.
pub(super) fn listed(group: &Json) -> impl Iterator<Item = Member> {
    elements(group).iter().filter_map(Member::read)
}

pub(super) fn elements(group: &Json) -> &[Json] {
    member(group, "members").and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// Whether any member does not say what it is.
pub(super) fn has_untyped(group: &Json) -> bool {
    listed(group).any(|member| member.is_group.is_none())
}

/// Whether a member is a group: as it says, else where `groups` holds its id.
pub(super) fn is_group(member: &Member, groups: Option<&HashSet<String>>) -> bool {
    let is_known = |id: &String| groups.is_some_and(|groups| groups.contains(id));
    member.is_group.unwrap_or_else(|| member.value.iter().chain(&member.reference).any(is_known))
}

/// A group's members, sorted and each once. A member that does not say what it is counts as a group where `groups`
/// holds its id; who a user is says `meant`.
pub(super) fn split(
    group: &Json,
    groups: Option<&HashSet<String>>,
    meant: impl Fn(Member) -> Result<String, Failure>,
) -> Result<Split, Failure> {
    let mut split = Split::default();
    for member in listed(group) {
        match is_group(&member, groups) {
            true => split.groups.push(member.id()),
            false => split.users.push(meant(member)?),
        }
    }
    for list in [&mut split.users, &mut split.groups] {
        list.sort();
        list.dedup();
    }
    Ok(split)
}

/// The ids of a group's members, where it calls them by their ids.
pub(super) fn member_ids(group: &Json) -> HashSet<String> {
    listed(group).map(Member::id).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_told_apart_by_type_reference_and_known_groups() {
        let group = json!({"Members": [
            {"value": "u1", "type": "User"}, {"value": "g1", "type": "Group"},
            {"$ref": "https://x/v2/Groups/g%202"}, {"value": "u2", "$ref": "../Users/u2"},
            {"value": "g3"}, "u3", {"value": 7}, {"value": "u1"}, {"display": "nobody"},
        ]});
        assert!(has_untyped(&group));
        let known = HashSet::from(["g3".to_owned()]);
        let text = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let expected = Split { users: text(&["7", "u1", "u2", "u3"]), groups: text(&["g 2", "g1", "g3"]) };
        let by_id = |member: Member| Ok(member.id());
        assert_eq!(split(&group, Some(&known), by_id).unwrap(), expected);
        assert_eq!(split(&json!({"members": null}), None, by_id).unwrap(), Split::default());
    }
}
