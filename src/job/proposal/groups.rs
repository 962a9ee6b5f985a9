//! Groups, and who is in which, where both sides have them.

use std::collections::BTreeMap;

use super::meaning::{links, of_groups, plain};
use super::{MembershipFlow, ObjectFlow, Side, is_resource, rule, takes};
use crate::model::capabilities::ResourceCapabilities;
use crate::model::resource::ResourceName;

/// What a group's name is called, the likeliest first.
const NAMES: &[&str] = &["displayname", "name", "cn", "groupname", "title"];

fn resource(side: &Side) -> Option<(&str, &ResourceCapabilities)> {
    let objects = side.offered.resources.iter().filter(|(name, offered)| offered.ends.is_empty() && is_resource(name));
    let found = objects.filter_map(|(name, offered)| Some((of_groups(name)?, name, offered)));
    found.min_by_key(|(place, ..)| *place).map(|(_, name, offered)| (name.as_str(), offered))
}

fn name_of(offered: &ResourceCapabilities) -> Option<&str> {
    let find = |wanted: &&str| offered.attributes.keys().find(|name| plain(name) == *wanted);
    NAMES.iter().find_map(find).map(String::as_str)
}

/// What flows of groups; `None` where a side has none, or nothing tells them apart.
pub(super) fn flow(from: &Side, to: &Side) -> Option<ObjectFlow> {
    let ((source, source_has), (target, target_has)) = (resource(from)?, resource(to)?);
    let key = source_has.key.first()?;
    // Groups of a realm are a tree: the same name may stand in two places, a path in one alone.
    let name = if from.kind == "keycloak" { Some("path") } else { name_of(source_has) }.unwrap_or(key);
    let mut flow = ObjectFlow::between((from, source), (to, target), target_has);
    let by_id = links(&to.kind).iter().find(|link| **link == "externalId" && takes(&to.kind, target_has, link));
    if let Some(link) = by_id {
        let rule = rule::column(key)?;
        flow.map(*link, &rule);
        flow.matching.push((rule, (*link).to_owned(), 100));
    }
    if let Some(attribute) = name_of(target_has).filter(|attribute| takes(&to.kind, target_has, attribute)) {
        let rule = rule::column(name)?;
        flow.map(attribute, &rule);
        let confidence = if flow.matching.is_empty() { 100 } else { 80 };
        flow.matching.push((rule, attribute.to_owned(), confidence));
        flow.required.push(attribute.to_owned());
    }
    let description = |offered: &ResourceCapabilities| offered.attributes.contains_key("description");
    if description(source_has) && description(target_has) && takes(&to.kind, target_has, "description") {
        flow.map("description", "description");
    }
    let is_missing = |name: &&String| !flow.maps(name) && !target_has.writes_itself(name);
    flow.open = target_has.required.iter().filter(is_missing).cloned().collect();
    (!flow.matching.is_empty()).then_some(flow)
}

/// Who is in which group, where both sides have rows of it under the same ends.
pub(super) fn memberships(
    from: &Side,
    to: &Side,
    people: &ObjectFlow,
    groups: &ObjectFlow,
    stated: &mut Option<(String, BTreeMap<String, String>)>,
) -> Option<MembershipFlow> {
    let leads = |of: &[String], to: &ResourceName| of.contains(&to.resource);
    let associations =
        to.offered.resources.iter().filter(|(name, offered)| offered.ends.len() == 2 && is_resource(name));
    for (target, offered) in associations {
        let of_people = offered.ends.iter().find(|(_, of)| leads(of, &people.to)).map(|(end, _)| end);
        let of_groups = offered.ends.iter().find(|(_, of)| leads(of, &groups.to)).map(|(end, _)| end);
        let (Some(user), Some(group)) = (of_people, of_groups) else { continue };
        let Some((source, known)) = source_rows(from, [group, user]) else { continue };
        let ends: BTreeMap<String, [ResourceName; 2]> = [
            (user.clone(), [people.from.clone(), people.to.clone()]),
            (group.clone(), [groups.from.clone(), groups.to.clone()]),
        ]
        .into();
        let is_known =
            |(end, [from, _]): (&String, &[ResourceName; 2])| known.get(end).is_some_and(|of| leads(of, from));
        if !ends.iter().all(is_known) {
            if from.kind != "csv" {
                continue;
            }
            let points = ends.iter().map(|(end, [from, _])| (end.clone(), from.resource.clone())).collect();
            *stated = Some((source.to_owned(), points));
        }
        let has_nestings = from
            .offered
            .resources
            .get("nestings")
            .is_some_and(|nestings| ["parent", "child"].iter().all(|end| nestings.ends.contains_key(*end)));
        return Some(MembershipFlow {
            from: ResourceName::new(&from.system, source),
            to: ResourceName::new(&to.system, target),
            ends,
            nestings: has_nestings.then(|| ResourceName::new(&from.system, "nestings")),
        });
    }
    None
}

/// Rows of the source with these ends.
fn source_rows<'a>(from: &'a Side, ends: [&String; 2]) -> Option<(&'a str, &'a BTreeMap<String, Vec<String>>)> {
    let has = |offered: &ResourceCapabilities| {
        let is_exact = offered.ends.len() == 2 && ends.iter().all(|end| offered.ends.contains_key(*end));
        let file = from.kind == "csv" && offered.ends.is_empty();
        is_exact
            || file && offered.attributes.len() == 2 && ends.iter().all(|end| offered.attributes.contains_key(*end))
    };
    let found = from.offered.resources.iter().find(|(name, offered)| is_resource(name) && has(offered));
    found.map(|(name, offered)| (name.as_str(), &offered.ends))
}
