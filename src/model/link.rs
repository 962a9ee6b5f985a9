//! Remembered pairs of source and target objects.

use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::grace::Grace;
use super::texts::Texts;

/// How a link came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// A match rule of full confidence found it.
    Matched,
    /// A person said so: `link`, or approving an order of low confidence.
    Person,
    /// An order created the object.
    Applied,
    /// An order found the object there already, equal to what was wanted.
    Adopted,
}

impl How {
    /// Every value, in the order of declaration.
    pub const ALL: [Self; 4] = [Self::Matched, Self::Person, Self::Applied, Self::Adopted];

    /// The word used in listings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Person => "person",
            Self::Applied => "applied",
            Self::Adopted => "adopted",
        }
    }
}

/// What source and target agreed on when an object was last found confirmed or read back after an apply: 64-bit
/// digests, never values.
///
/// The names are shared among all links with the same mapped attributes, so a million links stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    source_digest: u64,
    names: Arc<[String]>,
    digests: Box<[u64]>,
}

impl Agreed {
    /// The agreed state of a source row with this digest (of all its cells), whose mapped attributes had these digests
    /// of their canonical values; an attribute that was absent is in it too.
    pub fn new(source_digest: u64, attributes: &BTreeMap<String, u64>) -> Self {
        Self {
            source_digest,
            names: attributes.keys().cloned().collect(),
            digests: attributes.values().copied().collect(),
        }
    }

    /// The same from sorted names and a digest for each of them; `None` where their numbers differ.
    pub fn of(source_digest: u64, names: &Arc<[String]>, digests: &[u64]) -> Option<Self> {
        (digests.len() == names.len()).then(|| Self {
            source_digest,
            names: Arc::clone(names),
            digests: digests.into(),
        })
    }

    /// The digest of the source row.
    pub fn source_digest(&self) -> u64 {
        self.source_digest
    }

    /// The sorted names of the mapped attributes.
    pub fn names(&self) -> &Arc<[String]> {
        &self.names
    }

    /// The digest of each attribute's value, in the order of the names.
    pub fn digests(&self) -> &[u64] {
        &self.digests
    }

    /// Each attribute with its digest, sorted by name.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.view().attributes()
    }

    /// The same, borrowed.
    pub fn view(&self) -> AgreedView<'_> {
        AgreedView { source_digest: self.source_digest, names: &self.names, digests: &self.digests }
    }
}

/// An agreed state where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgreedView<'a> {
    /// The digest of the source row.
    pub source_digest: u64,
    /// The sorted names of the mapped attributes.
    pub names: &'a Arc<[String]>,
    /// The digest of each attribute's value, in the order of the names.
    pub digests: &'a [u64],
}

impl<'a> AgreedView<'a> {
    /// The digest of one attribute's agreed value; `None` where the attribute was not mapped then.
    pub fn digest(&self, attribute: &str) -> Option<u64> {
        let position = self.names.binary_search_by(|name| name.as_str().cmp(attribute)).ok()?;
        self.digests.get(position).copied()
    }

    /// Each attribute with its digest, sorted by name.
    pub fn attributes(self) -> impl Iterator<Item = (&'a str, u64)> {
        self.names.iter().map(String::as_str).zip(self.digests.iter().copied())
    }
}

/// A remembered pair of one sync. An object with a link is managed by the sync that recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The source row's key.
    pub source_key: String,
    /// The target's id of the object.
    pub target_id: String,
    /// How it came to be.
    pub how: How,
    /// What was last agreed; `None` = never yet.
    pub agreed: Option<Agreed>,
}

/// A pair where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkView<'a> {
    /// The source row's key.
    pub source_key: &'a str,
    /// The target's id of the object.
    pub target_id: &'a str,
    /// How it came to be.
    pub how: How,
    /// What was last agreed; `None` = never yet.
    pub agreed: Option<AgreedView<'a>>,
    /// Where its object is out of use and to be deleted after a grace: how far that has come.
    pub grace: Option<Grace>,
}

/// All links of one sync, column by column: for a million of them some 200 bytes each, and a handful of allocations.
#[derive(Clone, Debug, Default)]
pub struct Links {
    source_keys: Texts,
    target_ids: Texts,
    how: Vec<How>,
    source_digests: Vec<u64>,
    /// The names of the agreed attributes, by position in `sets`; `NEVER` where nothing was agreed.
    set: Vec<u32>,
    sets: Vec<Arc<[String]>>,
    /// Where the digests of each link end.
    ends: Vec<u64>,
    digests: Vec<u64>,
    /// By position, what few links have.
    graces: HashMap<u32, Grace>,
    former: HashMap<u32, Vec<String>>,
}

/// An agreed state in parts: the digest of the source row, the sorted names, and a digest for each of them.
pub type AgreedParts<'a> = (u64, &'a Arc<[String]>, &'a mut dyn Iterator<Item = u64>);

/// Nothing was agreed yet.
const NEVER: u32 = u32::MAX;

impl Links {
    /// Room for so many links.
    pub fn with_capacity(count: usize) -> Self {
        Self {
            // Most systems' ids are UUIDs.
            source_keys: Texts::with_capacity(count, count * 36),
            target_ids: Texts::with_capacity(count, count * 36),
            how: Vec::with_capacity(count),
            source_digests: Vec::with_capacity(count),
            set: Vec::with_capacity(count),
            sets: Vec::new(),
            ends: Vec::with_capacity(count),
            digests: Vec::new(),
            graces: HashMap::new(),
            former: HashMap::new(),
        }
    }

    /// Adds a link.
    pub fn push(&mut self, source_key: &str, target_id: &str, how: How, agreed: Option<AgreedParts<'_>>) {
        self.source_keys.push(source_key);
        self.target_ids.push(target_id);
        self.how.push(how);
        let (source_digest, set) = match agreed {
            None => (0, NEVER),
            Some((source_digest, names, digests)) => {
                self.digests.extend(digests);
                (source_digest, self.set_of(names))
            }
        };
        self.source_digests.push(source_digest);
        self.set.push(set);
        self.ends.push(self.digests.len() as u64);
    }

    /// Says of the link that was added last how far its grace has come.
    pub fn set_grace(&mut self, grace: Grace) {
        self.graces.insert((self.len() - 1) as u32, grace);
    }

    /// Says of the link that was added last by which keys its row went before, the oldest first.
    pub fn set_former(&mut self, keys: Vec<String>) {
        self.former.insert((self.len() - 1) as u32, keys);
    }

    /// Rows that went by other keys before: their key now, and those.
    pub fn former(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.former.iter().map(|(position, keys)| (self.source_keys.get(*position as usize), keys.as_slice()))
    }

    fn set_of(&mut self, names: &Arc<[String]>) -> u32 {
        let known = self.sets.iter().rposition(|set| Arc::ptr_eq(set, names) || set == names);
        known.unwrap_or_else(|| {
            self.sets.push(Arc::clone(names));
            self.sets.len() - 1
        }) as u32
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.how.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.how.is_empty()
    }

    /// The source keys, in the order of the links.
    pub fn source_keys(&self) -> &Texts {
        &self.source_keys
    }

    /// The target ids, in the order of the links.
    pub fn target_ids(&self) -> &Texts {
        &self.target_ids
    }

    /// The link at a position below [`Links::len`].
    pub fn get(&self, position: u32) -> LinkView<'_> {
        let at = position as usize;
        let agreed = self.sets.get(self.set[at] as usize).map(|names| {
            let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
            let digests = &self.digests[begin as usize..self.ends[at] as usize];
            AgreedView { source_digest: self.source_digests[at], names, digests }
        });
        LinkView {
            source_key: self.source_keys.get(at),
            target_id: self.target_ids.get(at),
            how: self.how[at],
            agreed,
            grace: self.graces.get(&position).copied(),
        }
    }

    /// Every link in its order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = LinkView<'_>> {
        (0..self.len()).map(|position| self.get(position as u32))
    }
}

impl LinkView<'_> {
    /// The pair by itself.
    pub fn to_link(self) -> Link {
        Link {
            source_key: self.source_key.to_owned(),
            target_id: self.target_id.to_owned(),
            how: self.how,
            agreed: self.agreed.and_then(|agreed| Agreed::of(agreed.source_digest, agreed.names, agreed.digests)),
        }
    }
}

impl FromIterator<Link> for Links {
    fn from_iter<I: IntoIterator<Item = Link>>(links: I) -> Self {
        let mut all = Self::default();
        for link in links {
            match &link.agreed {
                None => all.push(&link.source_key, &link.target_id, link.how, None),
                Some(agreed) => {
                    let digests = &mut agreed.digests.iter().copied();
                    all.push(
                        &link.source_key,
                        &link.target_id,
                        link.how,
                        Some((agreed.source_digest, &agreed.names, digests)),
                    );
                }
            }
        }
        all
    }
}

/// What a person said about the link of a source key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSaid {
    /// When.
    pub at: DateTime<Utc>,
    /// The object that it was linked with; `None`: its link was forgotten.
    pub target_id: Option<String>,
    /// Who said it.
    pub who: String,
}
