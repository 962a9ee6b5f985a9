//! People: from which resource, to which, and which column goes where.

use std::collections::{BTreeMap, BTreeSet};

use super::meaning::{Meaning, links, of_people, plain};
use super::{ObjectFlow, Side, is_list, rule, takes};
use crate::model::capabilities::{AttributeType, Form, ResourceCapabilities};

/// Attributes that say what somebody may do, lead to other objects, or are secrets: never copied because of their name.
const NEVER: &[&str] = &[
    "password",
    "userpassword",
    "unicodepwd",
    "roles",
    "entitlements",
    "policies",
    "groups",
    "memberof",
    "objectclass",
    "x509certificates",
    "requiredactions",
    "schemas",
    "id",
    "externalid",
    "dn",
    "photos",
    "emailverified",
];

/// The resource that holds people.
pub(super) fn resource(side: &Side) -> Option<&str> {
    let objects = || {
        let all = side.offered.resources.iter();
        all.filter(|(name, offered)| offered.ends.is_empty() && super::is_resource(name))
    };
    let named = objects().filter_map(|(name, _)| Some((of_people(name)?, name))).min().map(|(_, name)| name);
    // A file may have any name; what people have, no other file has.
    let meanings = |offered: &ResourceCapabilities| {
        let found: BTreeSet<Meaning> =
            offered.attributes.keys().filter_map(|name| Some(Meaning::of(name)?.0)).collect();
        found.len()
    };
    let like = || objects().map(|(name, offered)| (meanings(offered), name)).filter(|(found, _)| *found > 1);
    let liked = || if side.kind == "csv" { like().max().map(|(_, name)| name) } else { None };
    let only = || objects().next().map(|(name, _)| name).filter(|_| side.kind == "csv" && objects().count() == 1);
    named.or_else(liked).or_else(only).map(String::as_str)
}

/// The source's columns by what they mean, the likeliest of each.
struct Columns<'a> {
    side: &'a Side,
    resource: &'a str,
    offered: &'a ResourceCapabilities,
    by_meaning: BTreeMap<Meaning, &'a str>,
    key: String,
}

impl<'a> Columns<'a> {
    fn of(side: &'a Side, resource: &'a str, offered: &'a ResourceCapabilities) -> Self {
        let mut likeliest: BTreeMap<Meaning, (usize, &str)> = BTreeMap::new();
        for name in offered.attributes.keys() {
            let Some((meaning, place)) = Meaning::of(name) else { continue };
            if likeliest.get(&meaning).is_none_or(|(known, _)| place < *known) {
                likeliest.insert(meaning, (place, name));
            }
        }
        let by_meaning = likeliest.into_iter().map(|(meaning, (_, name))| (meaning, name)).collect();
        let mut columns = Self { side, resource, offered, by_meaning, key: String::new() };
        columns.key = columns.key_column();
        columns
    }

    fn get(&self, meaning: Meaning) -> Option<&'a str> {
        self.by_meaning.get(&meaning).copied()
    }

    /// The column that identifies rows. A file's is what it takes by itself where that tells rows apart and no number
    /// of the employer's is there.
    fn key_column(&self) -> String {
        let own = self.offered.key.first().cloned().unwrap_or_default();
        if self.side.kind != "csv" || own == "id" && self.tells_apart(&own) {
            return own;
        }
        let likely =
            [Meaning::Number, Meaning::Login, Meaning::Email].into_iter().filter_map(|meaning| self.get(meaning));
        let number = self.get(Meaning::Number).filter(|name| self.tells_apart(name)).map(str::to_owned);
        let apart = || likely.chain([own.as_str()]).find(|name| self.tells_apart(name)).map(str::to_owned);
        let own_if_apart = Some(own.clone()).filter(|own| self.tells_apart(own));
        number.or(own_if_apart).or_else(apart).unwrap_or(own)
    }

    fn tells_apart(&self, column: &str) -> bool {
        self.side.looks.get(self.resource).is_none_or(|look| look.tells_apart(column))
    }

    fn has_gaps(&self, column: &str) -> bool {
        self.side.looks.get(self.resource).is_some_and(|look| look.has_gaps(column))
    }

    fn rule(&self, meaning: Meaning) -> Option<String> {
        let name = self.get(meaning)?;
        rule::column(name)
    }

    /// How the column that says whether an account is in use is read; the error names it where it says something else.
    fn in_use(&self) -> Result<Option<String>, &'a str> {
        let Some(name) = self.get(Meaning::InUse) else { return Ok(None) };
        let look = self.side.looks.get(self.resource).filter(|look| look.rows > 0);
        let is_truth =
            self.offered.enabled.as_deref() == Some(name) || self.offered.kind(name) == AttributeType::Boolean;
        match look {
            Some(look) => match look.yes(name) {
                Some("true") => Ok(rule::column(name)),
                Some(yes) => {
                    let cell = rule::inside(name).ok_or(name)?;
                    Ok(Some(format!("{cell}.lowerAscii() == '{yes}'")))
                }
                None => Err(name),
            },
            None if is_truth || self.side.kind == "csv" && name != "status" => Ok(rule::column(name)),
            None => Err(name),
        }
    }

    /// Given and family name in one.
    fn full_name(&self) -> Option<String> {
        let of_parts = || {
            let part = |meaning| rule::inside(self.get(meaning)?);
            Some(format!("{} + ' ' + {}", part(Meaning::GivenName)?, part(Meaning::FamilyName)?))
        };
        // Every entry of a directory has a common name; a display name is often left out.
        let is_common = self.side.kind == "ldap" && self.offered.attributes.contains_key("cn");
        let common = is_common.then(|| "cn".to_owned());
        common.or_else(|| self.rule(Meaning::FullName)).or_else(of_parts)
    }

    /// What somebody logs in by: a column for it, else the mail address, of which a directory takes the first part.
    fn login(&self, kind: &str) -> Option<String> {
        let of_mail = || {
            let name = self.get(Meaning::Email).filter(|name| !is_list(self.offered, name))?;
            let mail = rule::inside(name)?;
            Some(if kind == "ldap" {
                format!("{mail}.split('@')[0].lowerAscii()")
            } else {
                format!("{mail}.lowerAscii()")
            })
        };
        self.rule(Meaning::Login).or_else(of_mail)
    }
}

/// What flows of people.
pub(super) fn flow(
    from: &Side,
    to: &Side,
    said: &BTreeMap<String, String>,
    keys: &mut BTreeMap<String, String>,
) -> Result<ObjectFlow, String> {
    let missing = |side: &Side| {
        let has: Vec<&str> = side.offered.resources.keys().map(String::as_str).collect();
        let of_file = if side.kind == "csv" { "call the file of people users.csv, or " } else { "" };
        format!(
            "nothing of system {} looks like people (it has {}): {of_file}write the job by hand, as README.md shows",
            side.system,
            has.join(", ")
        )
    };
    let (source, target) = (resource(from).ok_or_else(|| missing(from))?, resource(to).ok_or_else(|| missing(to))?);
    let (Some(source_has), Some(target_has)) = (from.offered.resources.get(source), to.offered.resources.get(target))
    else {
        return Err(missing(from));
    };
    let columns = Columns::of(from, source, source_has);
    if from.kind == "csv" && source_has.key.first() != Some(&columns.key) {
        keys.insert(source.to_owned(), columns.key.clone());
    }
    let mut flow = ObjectFlow::between((from, source), (to, target), target_has);
    for (attribute, rule) in said {
        flow.map(attribute, rule);
    }
    link(&mut flow, &columns, to, target_has);
    let login = map_meanings(&mut flow, &columns, to, target_has);
    if let Some((attribute, rule)) = &login {
        let confidence = if flow.matching.is_empty() { 100 } else { 80 };
        flow.matching.push((rule.clone(), attribute.clone(), confidence));
        flow.required.push(attribute.clone());
        flow.unique.push(attribute.clone());
    }
    map_equal_names(&mut flow, &columns, to, target_has);
    needs(&mut flow, &columns, to, target_has);
    if flow.matching.is_empty() {
        return Err(format!(
            "nothing of {} would find its object among {}: neither an id nor a login is there on both sides; add such a column, or write the job by hand, as README.md shows",
            flow.from, flow.to
        ));
    }
    let is_told = columns.get(Meaning::InUse).and_then(rule::column).is_some_and(|in_use| {
        flow.attributes.iter().any(|(_, rule)| *rule == in_use || rule::columns(rule).contains(&in_use))
    });
    let leaves_out = flow.disables || !is_told;
    flow.scope = scope(&columns, login.as_ref().map(|(_, rule)| rule.as_str()), leaves_out);
    flow.unused = unused(&flow, &columns);
    Ok(flow)
}

/// By which attribute a row is known at the target for ever.
fn link(flow: &mut ObjectFlow, columns: &Columns<'_>, to: &Side, target: &ResourceCapabilities) {
    let of_kind = links(&to.kind).iter().map(|name| (*name).to_owned());
    let by_name = target.attributes.keys().filter(|name| {
        to.kind == "csv" && {
            plain(name) == plain(&columns.key)
                || Meaning::of(name).is_some_and(|(meaning, _)| meaning == Meaning::Number)
        }
    });
    let own = target.key.iter().filter(|_| to.kind == "csv");
    let Some(attribute) =
        of_kind.chain(by_name.cloned()).chain(own.cloned()).find(|name| takes(&to.kind, target, name))
    else {
        return;
    };
    // Where the target keeps the employer's number, it is that, and not the id that the source gave somebody itself.
    let is_number = Meaning::of(&attribute).is_some_and(|(meaning, _)| meaning == Meaning::Number);
    let number = columns.get(Meaning::Number).filter(|name| is_number && columns.tells_apart(name));
    let stated = flow.attributes.iter().find(|(mapped, _)| *mapped == attribute).map(|(_, rule)| rule.clone());
    let Some(rule) = stated.or_else(|| rule::column(number.unwrap_or(&columns.key))) else { return };
    flow.map(&attribute, &rule);
    flow.matching.push((rule, attribute, 100));
}

/// Maps what is known on both sides by what it means; gives attribute and rule of the login.
fn map_meanings(
    flow: &mut ObjectFlow,
    columns: &Columns<'_>,
    to: &Side,
    target: &ResourceCapabilities,
) -> Option<(String, String)> {
    let mut login = None;
    for meaning in Meaning::ALL {
        let of_kind = meaning.attributes(&to.kind).iter().map(|name| (*name).to_owned());
        let by_name = target
            .attributes
            .keys()
            .filter(|name| to.kind == "csv" && Meaning::of(name).is_some_and(|(other, _)| other == meaning));
        let switch = target.enabled.iter().filter(|_| meaning == Meaning::InUse);
        let taken = switch.chain(by_name).cloned().chain(of_kind).find(|name| takes(&to.kind, target, name));
        let Some(attribute) = taken else { continue };
        let source = columns.get(meaning);
        if let Some(source) = source
            && is_list(columns.offered, source)
            && !is_list(target, &attribute)
            && meaning != Meaning::InUse
        {
            flow.doubtful.push((attribute, source.to_owned(), "it holds several values: say which of them"));
            continue;
        }
        let rule = match meaning {
            Meaning::Login => columns.login(&to.kind),
            Meaning::FullName => columns.full_name(),
            Meaning::InUse => match columns.in_use() {
                Ok(rule) => rule,
                Err(column) => {
                    let why = "it holds other words than true and false: write a condition, such as status == 'A'";
                    flow.doubtful.push((attribute.clone(), column.to_owned(), why));
                    None
                }
            },
            _ => columns.rule(meaning),
        };
        let Some(rule) = rule else { continue };
        flow.map(&attribute, &rule);
        if meaning == Meaning::Login {
            let mapped = flow.attributes.iter().find(|(mapped, _)| *mapped == attribute);
            login = mapped.cloned();
        }
    }
    // What a person stated counts as well.
    login.or_else(|| {
        let names = Meaning::Login.attributes(&to.kind);
        flow.attributes.iter().find(|(attribute, _)| names.contains(&attribute.as_str())).cloned()
    })
}

/// Maps what both sides call by the same name, where nothing else is known of it.
fn map_equal_names(flow: &mut ObjectFlow, columns: &Columns<'_>, to: &Side, target: &ResourceCapabilities) {
    for name in columns.offered.attributes.keys() {
        let plain = plain(name);
        if Meaning::of(name).is_some() || NEVER.contains(&plain.as_str()) || plain.contains("manager") {
            continue;
        }
        let known = target.attributes.keys().chain(target.shapes.keys());
        let Some(attribute) = known.into_iter().find(|known| known.eq_ignore_ascii_case(name)) else { continue };
        let same_form = target
            .shape(attribute)
            .is_none_or(|shape| shape.form == Form::Text && (shape.multi_valued || !is_list(columns.offered, name)));
        if same_form
            && takes(&to.kind, target, attribute)
            && *name != columns.key
            && let Some(rule) = rule::column(name)
        {
            flow.map(attribute, rule);
        }
    }
}

/// What the target needs: mapped by what it means where the source has it, else left open.
fn needs(flow: &mut ObjectFlow, columns: &Columns<'_>, to: &Side, target: &ResourceCapabilities) {
    for attribute in target.required.iter().filter(|name| !target.writes_itself(name)) {
        if !flow.maps(attribute) {
            let rule = Meaning::of(attribute).and_then(|(meaning, _)| match meaning {
                Meaning::Login => columns.login(&to.kind),
                Meaning::FullName => columns.full_name(),
                meaning => columns.rule(meaning),
            });
            match rule {
                Some(rule) => flow.map(attribute, rule),
                None => flow.open.push(attribute.clone()),
            }
        }
        let is_mapped = flow.attributes.iter().any(|(mapped, _)| mapped == attribute);
        if is_mapped && !flow.required.contains(attribute) {
            flow.required.push(attribute.clone());
        }
    }
    if !flow.attributes.iter().any(|(name, _)| Meaning::Login.attributes(&to.kind).contains(&name.as_str())) {
        let login = Meaning::Login.attributes(&to.kind).iter().find(|name| takes(&to.kind, target, name));
        flow.open
            .extend(login.filter(|name| !flow.open.iter().any(|open| open == *name)).map(|name| (*name).to_owned()));
    }
    for attribute in &target.unique {
        let is_mapped = flow.attributes.iter().any(|(mapped, _)| mapped == attribute);
        if is_mapped && !flow.unique.contains(attribute) {
            flow.unique.push(attribute.clone());
        }
    }
}

/// Whoever is in use, and has what logs them in where some rows have not.
///
/// Where the target cannot switch anybody off and has a column for it, whoever is not in use takes part as well: what the
/// column says is a value that changes, and nothing would tell it otherwise.
fn scope(columns: &Columns<'_>, login: Option<&str>, leaves_out: bool) -> Option<String> {
    let in_use = columns.in_use().ok().flatten().filter(|_| leaves_out);
    let by = [Meaning::Login, Meaning::Email].into_iter().filter_map(|meaning| columns.get(meaning));
    let gap = by
        .filter(|name| columns.has_gaps(name))
        .filter_map(rule::inside)
        .find(|cell| login.is_some_and(|rule| rule == cell || rule.starts_with(&format!("{cell}."))));
    let Some(gap) = gap.map(|cell| format!("{cell} != ''")) else { return in_use };
    // Beside another condition a column stands as part of an expression.
    let in_use = in_use.and_then(|rule| match columns.get(Meaning::InUse) {
        Some(name) if rule::column(name).as_ref() == Some(&rule) => rule::inside(name),
        _ => Some(rule),
    });
    Some(in_use.map_or_else(|| gap.clone(), |rule| format!("{rule} && {gap}")))
}

fn unused(flow: &ObjectFlow, columns: &Columns<'_>) -> Vec<String> {
    let rules = flow.attributes.iter().map(|(_, rule)| rule).chain(&flow.scope);
    let read: BTreeSet<String> = rules.flat_map(|rule| rule::columns(rule)).collect();
    let doubtful = |name: &String| flow.doubtful.iter().any(|(_, column, _)| column == name);
    let all = columns.offered.attributes.keys();
    all.filter(|name| !read.contains(*name) && !doubtful(name) && **name != columns.key).cloned().collect()
}
