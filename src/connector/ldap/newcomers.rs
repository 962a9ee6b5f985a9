//! Who came into view of a group that did not change, or went out of it: whoever is moved into the base of the users, or
//! begins to fit their filter, may have been in it for long; whoever is renamed may be in it no more; and the group does
//! not know.

use super::changes::{Change, Changes};
use super::entry::Entry;
use super::export::Export;
use super::increment::Since;
use super::lookup;
use super::members::{self, IDS_A_SEARCH, MEMBER_OF, Sides};
use super::people::{Member, People};
use super::search;
use super::walk::Walk;
use crate::connector::config::Flavour;
use crate::connector::source::{ExportError, ExportSink};
use crate::model::failure::Failure;

/// So many are asked for one by one, however few groups there are.
const FEW: usize = 100;

/// Who changed.
#[derive(Clone, Copy)]
pub(super) enum Told<'a> {
    Since(&'a Since),
    Changes(&'a Changes),
}

/// The rows of everybody who changed.
#[derive(Default)]
pub(super) struct Newcomers {
    /// The association, its owner, and its member.
    rows: Vec<(String, String, String)>,
    /// The association, and a member who has no other rows than these.
    whole: Vec<(String, String)>,
}

impl Newcomers {
    /// Hands over those of one association; how many rows they are.
    pub(super) fn hand_over(&self, resource: &str, sink: &mut dyn ExportSink) -> Result<u64, ExportError> {
        let (_, end) = members::ends_of(resource).unwrap_or(("group", "user"));
        for (_, member) in self.whole.iter().filter(|(of, _)| of == resource) {
            sink.replace(resource, end, member)?;
        }
        let mut count = 0;
        for (_, owner, member) in self.rows.iter().filter(|(of, ..)| of == resource) {
            sink.row(resource, &[owner, member])?;
            count += 1;
        }
        Ok(count)
    }
}

/// The rows of everybody who changed, old ones and new ones; `None` where these are so many that reading every group is
/// less work than asking for each of them, or where they cannot be told.
pub(super) async fn of_changed(
    export: &Export<'_>,
    told: Told<'_>,
    resources: &[&str],
    people: &People,
) -> Result<Option<Newcomers>, Failure> {
    let mut failed = 0;
    loop {
        match once(export, told, resources, people).await {
            Err(failure) => {
                failed += 1;
                export.system.link.wait(&failure, failed).await.ok_or(failure)?;
            }
            found => return found,
        }
    }
}

async fn once(
    export: &Export<'_>,
    told: Told<'_>,
    resources: &[&str],
    people: &People,
) -> Result<Option<Newcomers>, Failure> {
    let most = people.all(true).count().max(FEW);
    let mut found = Newcomers::default();
    for resource in resources {
        let sides = Sides::of(export.system, resource).await?;
        // Active Directory keeps with each entry which groups it is in. It may show a part of them: they are no proof that
        // there are no others, and need not be, for it renames members itself.
        let is_kept = export.layout.flavour == Flavour::Ad && sides.membership.attribute.eq_ignore_ascii_case("member");
        let columns: &[String] = if is_kept { &[MEMBER_OF.to_owned()] } else { &[] };
        let mut pages = match told {
            Told::Since(since) => {
                let filter = since.filter(export, sides.members);
                Pages::Walk(Box::new(export.walk(sides.members, columns, Some(filter), u64::MAX)))
            }
            Told::Changes(changes) => Pages::Ids(changes.ids(Change::is_more)),
        };
        let mut asked = 0;
        while let Some(entries) = pages.next(export, &sides, columns).await? {
            if asked == 0 && !is_kept && !entries.is_empty() && !sides.finds_members().await? {
                return Ok(None);
            }
            asked += entries.len();
            if !is_kept && asked > most {
                return Ok(None);
            }
            let mut lookups = Vec::new();
            for entry in &entries {
                lookups.push(owners(&sides, entry, is_kept.then_some(people)));
            }
            let all: Vec<Vec<String>> = members::at_once(lookups).await?;
            for (entry, owners) in entries.iter().zip(all) {
                let Some(id) = sides.members.id(entry) else { continue };
                found.rows.extend(owners.into_iter().map(|owner| ((*resource).to_owned(), owner, id.clone())));
                if !is_kept {
                    found.whole.push(((*resource).to_owned(), id));
                }
            }
        }
        if pages.is_cut_off() {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// The ids of the groups that an entry is in: as its own list names them, or as the groups do.
async fn owners(sides: &Sides<'_>, entry: &Entry, by_its_own: Option<&People>) -> Result<Vec<String>, Failure> {
    let Some(people) = by_its_own else {
        return match sides.stands(entry) {
            Some(value) => sides.groups_holding(&value).await,
            None => Ok(Vec::new()),
        };
    };
    let system = sides.system;
    let names = search::whole(&system.link, entry, MEMBER_OF, system.config.member_range).await?;
    let groups =
        names.iter().filter_map(|name| match people.member(sides.membership, &String::from_utf8_lossy(name)) {
            Member::Group(id) => Some(id),
            _ => None,
        });
    Ok(groups.collect())
}

/// Entries that changed, some at a time.
enum Pages<'a> {
    Walk(Box<Walk<'a>>),
    /// Those that are left to be looked up.
    Ids(Vec<&'a str>),
}

impl Pages<'_> {
    fn is_cut_off(&self) -> bool {
        matches!(self, Self::Walk(walk) if walk.is_cut_off())
    }

    async fn next(
        &mut self,
        export: &Export<'_>,
        sides: &Sides<'_>,
        columns: &[String],
    ) -> Result<Option<Vec<Entry>>, Failure> {
        match self {
            Self::Walk(walk) => walk.next().await,
            Self::Ids(ids) if ids.is_empty() => Ok(None),
            Self::Ids(ids) => {
                let chunk: Vec<&str> = ids.drain(..ids.len().min(IDS_A_SEARCH)).collect();
                let mut asked = export.layout.asked(sides.members, columns);
                asked.extend(sides.membership.login.clone());
                Ok(Some(lookup::by_ids(export.system, sides.members, &chunk, asked).await?))
            }
        }
    }
}
