//! What is known of a product's SCIM service beyond the standard: a data file each, `dialects/NAME.toml`.
//!
//! A dialect is a claim like the service's own. What can be proved on the target is proved all the same; what a dialect
//! adds is what no answer tells: what is not worth asking, what is answered with success and not done, what a message
//! means there. Settings of the job go before it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::connector::config::{Paging, Refused};
use crate::connector::failure_table::{ANY, Asked, Row};
use crate::model::failure::{Class, Recourse};

/// A product's quirks.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dialect {
    /// Its name in job files.
    #[serde(skip)]
    pub name: &'static str,
    /// The product, for people.
    pub product: String,
    /// Rows of one page that are asked for at most.
    pub page_size: Option<u64>,
    /// How lists are read.
    pub paging: Option<Paging>,
    /// Pages of one list that are asked for at once.
    pub pages_in_flight: Option<usize>,
    /// Member changes in one request at most.
    pub member_batch: Option<usize>,
    /// How members are taken out of a group; left out = the standard's form first, the other where it is refused.
    pub member_removal: Option<MemberRemoval>,
    /// Where the members of a group can be read.
    pub members: MembersShown,
    /// The attribute of users by which groups call their members, `id` where it is the id; left out = as the members show.
    pub members_by: Option<String>,
    /// By resource, the attributes by which `eq` is worth being asked; others are looked for by reading. Left out = all.
    pub filters: Option<BTreeMap<String, Vec<String>>>,
    /// Whether lists can be limited to what changed since a moment; left out = as the service says and as is proved.
    pub incremental: Option<bool>,
    /// By resource, operations that the service does not offer, or answers without doing them.
    pub refuses: BTreeMap<String, Vec<Refused>>,
    /// By resource, attributes that keep the value that they were created with.
    pub immutable: BTreeMap<String, Vec<String>>,
    /// By resource, the only attributes whose changes have an effect.
    pub changeable: BTreeMap<String, Vec<String>>,
    /// By resource, attributes without which an object is taken and does not work, or is refused.
    pub required: BTreeMap<String, Vec<String>>,
    /// Objects that belong to another directory, and what of them only that one changes.
    pub federated: Vec<Federated>,
    /// Refusals in a row after which the service switches itself off.
    pub errors_in_a_row: Option<u64>,
    /// What is taken for granted because nothing at the target proves it, in sentences.
    pub assumed: Vec<String>,
    /// What its messages mean; they are searched before the table of all services.
    failures: Vec<Meaning>,
    #[serde(skip)]
    rows: Vec<Row>,
}

/// How members are taken out of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberRemoval {
    /// `remove` with the path `members[value eq "id"]` (RFC 7644 section 3.5.2.2).
    ByPath,
    /// `remove` with the path `members` and a list of values.
    ByValues,
}

/// Where the members of a group can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MembersShown {
    /// In lists of groups or in single groups, which is found out.
    #[default]
    Somewhere,
    /// In no answer; who is in a group is asked by a filter on `members`, user by user.
    ByFilter,
}

/// Objects that belong to another directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Federated {
    /// The resource.
    pub resource: String,
    /// The attribute that has a value where an object belongs to another directory.
    pub marked_by: String,
    /// What only that directory changes; a name covers its parts.
    pub attributes: Vec<String>,
}

/// What an answer means, as a dialect's file writes it: see [`Row`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meaning {
    name: String,
    #[serde(default)]
    asked: Vec<Asked>,
    #[serde(default)]
    statuses: Vec<u16>,
    #[serde(default)]
    messages: Vec<String>,
    class: Class,
    #[serde(default = "give_up")]
    recourse: Recourse,
    says: String,
    remedy: String,
}

fn give_up() -> Recourse {
    Recourse::GiveUp
}

/// The files, by name; sorted.
const FILES: &[(&str, &str)] = &[
    ("aws", include_str!("dialects/aws.toml")),
    ("cato", include_str!("dialects/cato.toml")),
    ("delinea", include_str!("dialects/delinea.toml")),
    ("entra", include_str!("dialects/entra.toml")),
    ("generic", include_str!("dialects/generic.toml")),
    ("incydr", include_str!("dialects/incydr.toml")),
    ("keycloak", include_str!("dialects/keycloak.toml")),
    ("okta", include_str!("dialects/okta.toml")),
    ("secret-server", include_str!("dialects/secret-server.toml")),
];

impl Dialect {
    /// The names of all dialects, sorted.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FILES.iter().map(|(name, _)| *name)
    }

    /// The dialect with a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        all().iter().find(|dialect| dialect.name == name)
    }

    /// Whether a job file means a file of its own by this, and no name.
    pub fn is_file(name: &str) -> bool {
        Path::new(name).extension().is_some_and(|extension| extension == "toml")
    }

    /// What a job file calls a dialect: a name, or a file in `folder` that is written as those here are; `None` is
    /// [`Self::generic`].
    ///
    /// # Errors
    /// A file that cannot be read, with the place and what is wrong. (A name that there is not is found when the job file
    /// is read.)
    pub(super) fn of(called: Option<&str>, folder: &Path) -> Result<&'static Self, String> {
        let Some(file) = called.filter(|called| Self::is_file(called)) else {
            return Ok(called.and_then(Self::named).unwrap_or_else(Self::generic));
        };
        let text = std::fs::read_to_string(folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
        // Read once for each connection, and kept as the built-in ones are.
        let read = Self::read(file.to_owned().leak(), &text);
        read.map(|dialect| &*Box::leak(Box::new(dialect))).map_err(|error| format!("{file}: {error}"))
    }

    /// What is assumed of a service of which nothing is said.
    pub fn generic() -> &'static Self {
        static NOTHING: OnceLock<Dialect> = OnceLock::new();
        Self::named("generic").unwrap_or_else(|| NOTHING.get_or_init(Self::default))
    }

    /// What its messages mean, in the sequence in which they are searched.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether `eq` on an attribute is worth being asked.
    pub fn filters_by(&self, resource: &str, attribute: &str) -> bool {
        self.filters.as_ref().is_none_or(|filters| {
            filters.get(resource).is_some_and(|names| names.iter().any(|name| name.eq_ignore_ascii_case(attribute)))
        })
    }

    fn read(name: &'static str, text: &str) -> Result<Self, toml::de::Error> {
        let mut dialect: Self = toml::from_str(text)?;
        dialect.name = name;
        dialect.rows = std::mem::take(&mut dialect.failures).into_iter().map(Meaning::row).collect();
        // What is said beats the number that it is said with.
        dialect.rows.sort_by_key(|row| row.messages.is_empty());
        Ok(dialect)
    }
}

impl Meaning {
    /// As the table has it. The texts live as long as the program, like those of the built-in rows: each file is read
    /// once.
    fn row(self) -> Row {
        // Messages are compared in lower case.
        let messages: Vec<&'static str> = self.messages.into_iter().map(|text| &*text.to_lowercase().leak()).collect();
        Row {
            name: self.name.leak(),
            asked: self.asked.leak(),
            statuses: self.statuses.leak(),
            messages: messages.leak(),
            class: self.class,
            recourse: self.recourse,
            says: self.says.leak(),
            remedy: self.remedy.leak(),
            ..ANY
        }
    }
}

/// A file that cannot be read is left out; a test reads all of them.
fn all() -> &'static [Dialect] {
    static ALL: OnceLock<Vec<Dialect>> = OnceLock::new();
    ALL.get_or_init(|| FILES.iter().filter_map(|(name, text)| Dialect::read(name, text).ok()).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::connector::classify::row_among;

    #[test]
    fn every_file_is_read_and_every_row_is_taken_by_its_own_message() {
        for (name, text) in FILES {
            let dialect = Dialect::read(name, text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!dialect.product.is_empty(), "{name}");
            for row in dialect.rows() {
                assert!(row.messages.iter().all(|message| *message == message.to_lowercase()), "{}", row.name);
                let message = row.messages.first().map(|pattern| pattern.replace('*', " x "));
                let asked = row.asked.first().copied().unwrap_or(Asked::Write);
                let status = row.statuses.first().copied().unwrap_or(400);
                let taken = row_among(dialect.rows(), asked, status, None, message.as_deref()).unwrap();
                assert_eq!(taken.name, row.name, "{name}");
            }
        }
        assert_eq!(all().len(), FILES.len());
        assert!(Dialect::names().is_sorted());
    }

    #[test]
    fn what_a_dialect_does_not_list_is_not_asked() {
        let aws = Dialect::named("aws").unwrap();
        assert!(aws.filters_by("users", "USERNAME") && !aws.filters_by("users", "emails"));
        assert!(Dialect::generic().filters_by("users", "emails"));
    }
}
