//! What a server's resources are: the job's settings, the flavour's defaults and the server's own schema together.

use std::collections::{BTreeMap, BTreeSet};

use ldap3::Scope;

use super::entry::Entry;
use super::flavour::{self, ASSERTION, POST_READ, ROOT_ATTRIBUTES, Root};
use super::link::Link;
use super::schema::Schema;
use super::search::{self, Search};
use super::syntax::{self, Syntax};
use super::{dirsync, syncrepl};
use crate::connector::config::{EnabledBy, Flavour, Increments, LdapConfig, LdapResource, SearchScope};
use crate::connector::failure_table::Asked;
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::object::Object;
use crate::model::value::Value;

/// The column of an entry's id.
pub(super) const ID: &str = "id";
/// The column of an entry's name.
pub(super) const DN: &str = "dn";
/// The column that says whether an account is in use.
pub(super) const ENABLED: &str = "enabled";
/// The attribute that says so on Active Directory, and its bit (MS-ADTS section 2.2.16).
pub(super) const CONTROL: &str = "userAccountControl";
pub(super) const DISABLED: i64 = 2;

/// Everything that is known of a server before the first entry is read.
pub(super) struct Layout {
    pub(super) flavour: Flavour,
    pub(super) root: Root,
    pub(super) schema: Schema,
    pub(super) types: BTreeMap<String, ResourceType>,
}

/// One resource type.
#[derive(Clone, Debug)]
pub(super) struct ResourceType {
    pub(super) name: String,
    pub(super) base: String,
    pub(super) scope: Scope,
    pub(super) filter: String,
    pub(super) classes: Vec<String>,
    pub(super) rdn: String,
    /// What an entry's id is; `None` = its name.
    pub(super) key: Option<Key>,
    pub(super) member: Option<Membership>,
    pub(super) switch: Option<Switch>,
    /// Columns beyond id, name and switch.
    pub(super) attributes: Vec<String>,
    pub(super) lists: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) attribute: String,
    pub(super) syntax: Syntax,
    /// Whether every id is a UUID.
    pub(super) is_uuid: bool,
}

/// Where the members of a group are.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    pub(super) attribute: String,
    /// The attribute of a user that stands there, where it is not the user's name (`memberUid`, RFC 2307).
    pub(super) login: Option<String>,
    /// What stands in where there is no member; `None` where a group may be empty.
    pub(super) stand_in: Option<String>,
    /// Whether users are members through groups in the group as well, as the server finds them.
    pub(super) in_chain: bool,
}

/// What says whether an account is in use.
#[derive(Clone, Debug)]
pub(super) enum Switch {
    /// A bit of userAccountControl.
    Control,
    /// An attribute of its own.
    Attribute(EnabledBy),
}

impl Switch {
    pub(super) fn attribute(&self) -> &str {
        match self {
            Self::Control => CONTROL,
            Self::Attribute(by) => &by.attribute,
        }
    }

    fn is_on(&self, entry: &Entry) -> bool {
        let text = entry.text(self.attribute());
        match self {
            Self::Control => {
                text.and_then(|text| text.parse::<i64>().ok()).is_none_or(|control| control & DISABLED == 0)
            }
            Self::Attribute(by) => match (&by.off, &by.on) {
                (Some(off), _) => text.is_none_or(|text| !text.eq_ignore_ascii_case(off)),
                (None, _) => text.is_some(),
            },
        }
    }
}

impl Layout {
    /// Asks the server what it is.
    pub(super) async fn discover(link: &Link, config: &LdapConfig) -> Result<Self, Failure> {
        let root = root(link).await?;
        let flavour = config.flavour.unwrap_or_else(|| root.flavour());
        let schema = match &root.schema {
            Some(dn) => schema(link, dn).await?,
            None => Schema::default(),
        };
        let mut named: BTreeSet<&str> = ["users", "groups"].into();
        named.extend(config.resources.keys().map(String::as_str));
        let mut types = BTreeMap::new();
        for name in named {
            let stated = config.resources.get(name).cloned().unwrap_or_default();
            types.insert(name.to_owned(), resource(config, flavour, &schema, name, stated));
        }
        let layout = Self { flavour, root, schema, types };
        match layout.beyond(config) {
            Some(cause) => {
                let remedy = "leave this setting out, or see whether `url` leads to the server that is meant";
                Err(Failure::new(Class::Configuration, Recourse::Stop, link.system(), cause, remedy))
            }
            None => Ok(layout),
        }
    }

    /// What the job asks of a server that does not have it.
    fn beyond(&self, config: &LdapConfig) -> Option<String> {
        let is_ad = self.flavour == Flavour::Ad;
        let in_chain = self.types.values().any(|of| of.member.as_ref().is_some_and(|member| member.in_chain));
        if in_chain && !is_ad {
            return Some("`in_chain` of groups: only Active Directory has this matching rule".to_owned());
        }
        let (name, key, lacks) = match config.increments? {
            Increments::DirSync if !is_ad || self.root.domain.is_none() => {
                ("dirsync", dirsync::KEY, Some("only Active Directory has this control"))
            }
            Increments::DirSync => ("dirsync", dirsync::KEY, None),
            Increments::Syncrepl => {
                let lacks = "the server does not offer it (OpenLDAP: overlay syncprov)";
                ("syncrepl", syncrepl::KEY, (!syncrepl::is_offered(self)).then_some(lacks))
            }
        };
        let name = format!("`increments = \"{name}\"`");
        if let Some(lacks) = lacks {
            return Some(format!("{name}: {lacks}"));
        }
        let is_other = |of: &&ResourceType| of.key.as_ref().is_none_or(|own| !own.attribute.eq_ignore_ascii_case(key));
        let other = self.types.values().find(is_other)?;
        Some(format!("{name} names entries by {key}, and the `key` of {} is another one", other.name))
    }

    pub(super) fn syntax(&self, attribute: &str) -> Syntax {
        syntax::of(attribute, self.schema.attribute(attribute), self.flavour)
    }

    /// Whether changes can be bound to what an entry is.
    pub(super) fn asserts(&self) -> bool {
        self.root.knows(ASSERTION)
    }

    /// Whether the server tells what an entry holds after a change.
    pub(super) fn post_reads(&self) -> bool {
        self.root.knows(POST_READ)
    }

    /// The attribute that moves with every change of an entry.
    pub(super) fn change_attribute(&self) -> &'static str {
        if self.flavour == Flavour::Ad { "uSNChanged" } else { "modifyTimestamp" }
    }

    /// The attribute that is an entry's version, where changes can be bound to it.
    pub(super) fn version_attribute(&self) -> Option<&'static str> {
        (self.asserts() && self.schema.attribute("entryCSN").is_some()).then_some("entryCSN")
    }

    /// The names of everything that can be exported.
    pub(super) fn names(&self) -> Vec<&str> {
        let associations = [super::MEMBERSHIPS, super::NESTINGS];
        self.types.keys().map(String::as_str).chain(associations).collect()
    }

    /// What is asked of entries of a resource, for some columns.
    pub(super) fn asked(&self, of: &ResourceType, columns: &[String]) -> Vec<String> {
        let own = [ID, DN, ENABLED];
        let mut asked: Vec<String> = columns.iter().filter(|name| !own.contains(&name.as_str())).cloned().collect();
        asked.extend(of.key.as_ref().map(|key| key.attribute.clone()));
        asked.extend(of.switch.as_ref().map(|switch| switch.attribute().to_owned()));
        asked.extend(self.version_attribute().map(str::to_owned));
        asked.sort_by_key(|name| name.to_ascii_lowercase());
        asked.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
        asked
    }

    /// An entry's row: a cell for each column.
    pub(super) fn cells(&self, of: &ResourceType, columns: &[String], entry: &Entry) -> Vec<String> {
        columns
            .iter()
            .map(|name| self.value(of, name, entry).map(|value| value.to_cell()).unwrap_or_default())
            .collect()
    }

    fn value(&self, of: &ResourceType, column: &str, entry: &Entry) -> Option<Value> {
        match (column, &of.switch) {
            (ID, _) => Value::text(of.id(entry)?),
            (DN, _) => Value::text(entry.dn.clone()),
            (ENABLED, Some(switch)) => Value::text(switch.is_on(entry).to_string()),
            _ => {
                let syntax = self.syntax(column);
                let values = entry.values(column).iter().filter_map(|value| syntax.read(value));
                let mut values: Vec<String> = values.collect();
                if values.len() == 1 && !of.is_list(column) { Value::text(values.pop()?) } else { Value::many(values) }
            }
        }
    }

    /// An entry as an object.
    pub(super) fn object(&self, of: &ResourceType, columns: &[String], entry: &Entry) -> Option<Object> {
        let attributes = columns.iter().filter_map(|name| Some((name.clone(), self.value(of, name, entry)?))).collect();
        let version = self.version_attribute().and_then(|name| entry.text(name)).map(str::to_owned);
        Some(Object { id: of.id(entry)?, attributes, version })
    }
}

impl ResourceType {
    /// An entry's id.
    pub(super) fn id(&self, entry: &Entry) -> Option<String> {
        match &self.key {
            None => Some(entry.dn.clone()),
            Some(key) => key.syntax.read(entry.values(&key.attribute).first()?).filter(|id| !id.is_empty()),
        }
    }

    /// A search for all of it.
    pub(super) fn search(&self, attributes: Vec<String>) -> Search {
        Search { base: self.base.clone(), scope: self.scope, filter: self.filter.clone(), attributes }
    }

    pub(super) fn is_list(&self, attribute: &str) -> bool {
        self.lists.contains(&attribute.to_ascii_lowercase())
    }

    /// The columns that are read, with further ones.
    pub(super) fn columns<'a>(&self, extra: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        let mut columns = vec![ID.to_owned(), DN.to_owned()];
        columns.extend(self.switch.is_some().then(|| ENABLED.to_owned()));
        let mut add = |name: &String| {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        };
        self.attributes.iter().for_each(&mut add);
        extra.into_iter().for_each(add);
        columns
    }
}

/// What the server says of itself.
pub(super) async fn root(link: &Link) -> Result<Root, Failure> {
    let search = Search::entry("", ROOT_ATTRIBUTES);
    let found = search::all(link, &search, Asked::Discovery).await?;
    Ok(Root::read(&found.into_iter().next().unwrap_or_default()))
}

/// The schema; empty where the account may not read it.
async fn schema(link: &Link, dn: &str) -> Result<Schema, Failure> {
    let search = Search {
        filter: "(objectClass=subschema)".to_owned(),
        ..Search::entry(dn, &["attributeTypes", "objectClasses"])
    };
    let found = match search::all(link, &search, Asked::Object).await {
        Ok(found) => found,
        Err(failure) if matches!(failure.class, Class::Permission | Class::Stale | Class::Unsupported) => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let Some(entry) = found.into_iter().next() else { return Ok(Schema::default()) };
    let attributes = search::whole(link, &entry, "attributeTypes", None).await?;
    let classes = search::whole(link, &entry, "objectClasses", None).await?;
    let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
    let (attributes, classes): (Vec<String>, Vec<String>) =
        (attributes.iter().map(text).collect(), classes.iter().map(text).collect());
    Ok(Schema::read(attributes.iter().map(String::as_str), classes.iter().map(String::as_str)))
}

fn resource(config: &LdapConfig, flavour: Flavour, schema: &Schema, name: &str, stated: LdapResource) -> ResourceType {
    let default = flavour::defaults(flavour, name);
    let says_classes = !stated.classes.is_empty();
    let classes = if says_classes { stated.classes } else { default.classes };
    let of_class = format!("(objectClass={})", classes.first().map_or("top", String::as_str));
    let filter = stated.filter.or(default.filter.filter(|_| !says_classes)).unwrap_or(of_class);
    let filter = if filter.starts_with('(') { filter } else { format!("({filter})") };
    let switch = match stated.enabled.or(default.enabled) {
        Some(by) if by.attribute.eq_ignore_ascii_case(CONTROL) => Some(Switch::Control),
        // A default only where the server has the attribute.
        Some(by) if !schema.is_known() || schema.attribute(&by.attribute).is_some() => Some(Switch::Attribute(by)),
        _ if flavour == Flavour::Ad && name == "users" => Some(Switch::Control),
        _ => None,
    };
    let member = stated.member.or(default.member).map(|attribute| {
        let login = attribute.eq_ignore_ascii_case("memberUid").then(|| "uid".to_owned());
        let required = schema.required(&classes).contains(&attribute.to_ascii_lowercase());
        let stand_in = required.then(|| stated.empty_member.unwrap_or_default());
        Membership { attribute, login, stand_in, in_chain: stated.in_chain }
    });
    let mut attributes = default.attributes;
    attributes.retain(|attribute| !schema.is_known() || schema.attribute(attribute).is_some());
    for attribute in stated.attributes.into_iter().chain(stated.lists.iter().cloned()) {
        if !attributes.iter().any(|known| known.eq_ignore_ascii_case(&attribute)) {
            attributes.push(attribute);
        }
    }
    let lists = default.lists.iter().chain(&stated.lists).map(|list| list.to_ascii_lowercase()).collect();
    ResourceType {
        name: name.to_owned(),
        base: stated.base.unwrap_or_else(|| config.base.clone()),
        scope: match stated.scope {
            SearchScope::One => Scope::OneLevel,
            SearchScope::Subtree => Scope::Subtree,
        },
        filter,
        classes,
        rdn: stated.rdn.or(default.rdn).unwrap_or_else(|| "cn".to_owned()),
        key: key(flavour, schema, stated.key),
        member,
        switch,
        attributes,
        lists,
    }
}

/// The id that entries have: as the job says, else what never changes on this kind of server.
fn key(flavour: Flavour, schema: &Schema, stated: Option<String>) -> Option<Key> {
    let attribute = stated.unwrap_or_else(|| match flavour {
        Flavour::Ad => "objectGUID".to_owned(),
        Flavour::Ds389 if schema.is_known() && schema.attribute("entryUUID").is_none() => "nsUniqueId".to_owned(),
        _ => "entryUUID".to_owned(),
    });
    if attribute.eq_ignore_ascii_case(DN) {
        return None;
    }
    let syntax = syntax::of(&attribute, schema.attribute(&attribute), flavour);
    let is_uuid = syntax == Syntax::Guid || attribute.eq_ignore_ascii_case("entryUUID");
    Some(Key { attribute, syntax, is_uuid })
}
