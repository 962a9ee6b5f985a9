//! A small world to plan in: users, groups and memberships as CSV texts.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tempfile::TempDir;

use super::derived::Derived;
use super::input::{AssociationInput, LiveOrder, Memory, ObjectInput, Past, PlanInput, Prior, SyncInput, Wishes};
use super::policy::{Actions, AssociationSync, EndSync, Members, Nested, ObjectSync, OrderThresholds, RenamePolicy};
use super::{PlanDraft, ReconcileError, assemble};
use crate::model::capabilities::{AttributeType, OwnAccount, ResourceCapabilities};
use crate::model::grace::Grace;
use crate::model::link::{How, Link, Links};
use crate::model::order::{Fingerprint, ObjectKey, Operation, Order, OrderId, OrderState};
use crate::model::record::{TakenBack, WithheldFor, Withholding};
use crate::model::run::RunId;
use crate::rules::ObjectRules;
use crate::rules::lookup::Lookups;
use crate::rules::mapping::Mapping;
use crate::rules::matching::MatchRule;
use crate::rules::scope::Scope;
use crate::snapshot::table::Table;

/// One sync of objects.
pub(crate) struct Side {
    pub(crate) sync: ObjectSync,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) links: Vec<Link>,
    pub(crate) graces: BTreeMap<String, Grace>,
    pub(crate) former: BTreeMap<String, Vec<String>>,
    pub(crate) claimed: BTreeMap<String, String>,
    pub(crate) capabilities: ResourceCapabilities,
    pub(crate) first_run: bool,
    pub(crate) free: Option<u64>,
    pub(crate) seats: Option<u64>,
    pub(crate) account: Option<OwnAccount>,
    pub(crate) absence: (bool, bool),
    pub(crate) derived: Option<Derived>,
}

/// An association.
pub(crate) struct Ties {
    pub(crate) sync: AssociationSync,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) managed_rows: BTreeSet<String>,
    pub(crate) absence: (bool, bool),
}

impl Side {
    /// The links as the database gives them.
    pub(crate) fn remembered(&self) -> Links {
        let mut links = Links::default();
        for link in &self.links {
            let one: Links = std::iter::once(link.clone()).collect();
            let view = one.get(0);
            match view.agreed {
                None => links.push(view.source_key, view.target_id, view.how, None),
                Some(agreed) => {
                    let digests = &mut agreed.digests.iter().copied();
                    links.push(
                        view.source_key,
                        view.target_id,
                        view.how,
                        Some((agreed.source_digest, agreed.names, digests)),
                    );
                }
            }
            self.graces.get(&link.source_key).into_iter().for_each(|grace| links.set_grace(*grace));
            self.former.get(&link.source_key).into_iter().for_each(|keys| links.set_former(keys.clone()));
        }
        links
    }
}

/// Everything that a plan is made from.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) users: Side,
    pub(crate) groups: Side,
    pub(crate) ties: Option<Ties>,
    pub(crate) live: Vec<LiveOrder>,
    pub(crate) priors: HashMap<Fingerprint, Prior>,
    pub(crate) withholding: Vec<Withholding>,
    pub(crate) taken_back: Vec<TakenBack>,
    pub(crate) accepted: BTreeMap<String, u64>,
    pub(crate) past: Past,
    pub(crate) protect: BTreeSet<String>,
    pub(crate) block_all: bool,
    pub(crate) ask_again: bool,
    pub(crate) delete_after: Option<Duration>,
    pub(crate) now: DateTime<Utc>,
}

impl Memory for World {
    fn standing(&self, _: &str, fingerprints: &[&Fingerprint]) -> Result<Vec<Prior>, ReconcileError> {
        Ok(fingerprints.iter().map(|fingerprint| self.priors.get(*fingerprint).cloned().unwrap_or_default()).collect())
    }

    fn taken_back(&self, _: &str) -> Result<Vec<TakenBack>, ReconcileError> {
        Ok(self.taken_back.clone())
    }

    fn added(&self, _: &str, rows: &[ObjectKey]) -> Result<Vec<bool>, ReconcileError> {
        let known = self.ties.as_ref().map(|ties| &ties.managed_rows);
        Ok(rows.iter().map(|row| known.is_some_and(|known| known.contains(&row.0))).collect())
    }
}

fn side(index: usize, kind: &str, mapping: &[(&str, &str)], matching: &[(&str, &str, u8)]) -> Side {
    let rules: BTreeMap<String, String> = mapping.iter().map(|(a, r)| ((*a).to_owned(), (*r).to_owned())).collect();
    let (from, to) = (format!("idp.{kind}").parse().unwrap(), format!("vault.{kind}").parse().unwrap());
    Side {
        sync: ObjectSync {
            id: format!("{from} → {to}"),
            index,
            from,
            to,
            rules: ObjectRules {
                scope: Scope::default(),
                mapping: Mapping::compile(&rules, &BTreeSet::new()).unwrap(),
                matching: matching.iter().map(|(s, t, c)| MatchRule::compile(s, t, *c).unwrap()).collect(),
                lines: BTreeMap::new(),
                required: Vec::new(),
                unique: Vec::new(),
            },
            on: Actions::default(),
            rename: RenamePolicy::default(),
            thresholds: OrderThresholds::OFF,
            scoped: Vec::new(),
            fixed: Vec::new(),
            generated: Vec::new(),
            references: Vec::new(),
            derivation: super::derived::Derivation::default(),
            idle: BTreeSet::new(),
            tables: Vec::new(),
        },
        source: String::new(),
        target: String::new(),
        links: Vec::new(),
        graces: BTreeMap::new(),
        former: BTreeMap::new(),
        claimed: BTreeMap::new(),
        capabilities: ResourceCapabilities {
            operations: Operation::ALL.to_vec(),
            enabled: Some("active".into()),
            ..ResourceCapabilities::default()
        },
        first_run: false,
        free: None,
        seats: None,
        account: None,
        absence: (true, true),
        derived: None,
    }
}

impl World {
    /// Users `id,email,title,enabled` into `id,userName,title,active`, matched by `email = userName`.
    pub(crate) fn new() -> Self {
        let users = side(
            0,
            "users",
            &[("userName", "email"), ("title", "title"), ("active", "enabled")],
            &[("email", "userName", 100)],
        );
        let mut groups = side(1, "groups", &[("displayName", "name")], &[("name", "displayName", 100)]);
        groups.source = "id,name\n".into();
        groups.target = "id,displayName\n".into();
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            users,
            groups,
            ties: None,
            live: Vec::new(),
            priors: HashMap::new(),
            withholding: Vec::new(),
            taken_back: Vec::new(),
            accepted: BTreeMap::new(),
            past: Past::default(),
            protect: BTreeSet::new(),
            block_all: false,
            ask_again: false,
            delete_after: None,
            now: DateTime::UNIX_EPOCH,
        };
        world.users(&[], &[]);
        world
    }

    /// Sets both sides' users, a line each.
    pub(crate) fn users(&mut self, source: &[&str], target: &[&str]) -> &mut Self {
        self.users.source = format!("id,email,title,enabled\n{}", lines(source));
        self.users.target = format!("id,userName,title,active\n{}", lines(target));
        self
    }

    /// Links users, `source key → target id`, without an agreed state.
    pub(crate) fn link(&mut self, pairs: &[(&str, &str)]) -> &mut Self {
        self.users.links.extend(pairs.iter().map(|(source, target)| link(source, target)));
        self
    }

    /// Replaces the rules of the users' mapping.
    pub(crate) fn map(&mut self, mapping: &[(&str, &str)], clear: &[&str]) -> &mut Self {
        let rules: BTreeMap<String, String> = mapping.iter().map(|(a, r)| ((*a).to_owned(), (*r).to_owned())).collect();
        let clear = clear.iter().map(|name| (*name).to_owned()).collect();
        self.users.sync.rules.mapping = Mapping::compile(&rules, &clear).unwrap();
        self
    }

    /// Ties users to groups; memberships as `group,user` lines.
    pub(crate) fn tie(&mut self, source: &[&str], target: &[&str]) -> &mut Ties {
        let end = |name: &str, kind: &str| EndSync {
            name: name.to_owned(),
            from: format!("idp.{kind}").parse().unwrap(),
            to: format!("vault.{kind}").parse().unwrap(),
        };
        self.ties.insert(Ties {
            sync: AssociationSync {
                id: "idp.memberships → vault.memberships".into(),
                index: 2,
                from: "idp.memberships".parse().unwrap(),
                to: "vault.memberships".parse().unwrap(),
                ends: vec![end("group", "groups"), end("user", "users")],
                members: Members::Additive,
                nested: Nested::Flatten,
                nestings: None,
                thresholds: OrderThresholds::OFF,
                scoped: Vec::new(),
                keep_one: None,
            },
            source: format!("group,user\n{}", lines(source)),
            target: format!("group,user\n{}", lines(target)),
            managed_rows: BTreeSet::new(),
            absence: (true, true),
        })
    }

    fn table(&self, name: &str, text: &str, key: &[&str]) -> Table {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
        Table::open(&path, &key).unwrap()
    }

    /// Makes the plan.
    pub(crate) fn plan(&self) -> PlanDraft {
        self.planned_by(|input| assemble(input).unwrap())
    }

    /// Hands out what the plan is made from.
    pub(crate) fn planned_by<T>(&self, plan: impl FnOnce(&PlanInput<'_>) -> T) -> T {
        let sides: Vec<(&Side, Table, Table, Links)> = [&self.users, &self.groups]
            .into_iter()
            .map(|side| {
                let (from, to) = (side.sync.from.to_string(), side.sync.to.to_string());
                let links = side.remembered();
                (side, self.table(&from, &side.source, &["id"]), self.table(&to, &side.target, &["id"]), links)
            })
            .collect();
        let capabilities = ResourceCapabilities { operations: Operation::ALL.to_vec(), ..Default::default() };
        let ties = self.ties.as_ref().map(|ties| {
            let source = self.table("idp.memberships", &ties.source, &["group", "user"]);
            (ties, source, self.table("vault.memberships", &ties.target, &["group", "user"]))
        });
        let lookups = Lookups::default();
        let mut syncs: Vec<SyncInput<'_>> = sides
            .iter()
            .map(|(side, source, target, links)| {
                SyncInput::Objects(ObjectInput {
                    sync: &side.sync,
                    source,
                    derived: side.derived.as_ref(),
                    target,
                    source_absence: side.absence.0,
                    target_absence: side.absence.1,
                    lookups: &lookups,
                    links,
                    claimed: &side.claimed,
                    capabilities: &side.capabilities,
                    identity: "https://vault",
                    first_run: side.first_run,
                    earlier: None,
                    free: side.free,
                    seats: side.seats,
                    account: side.account.as_ref(),
                })
            })
            .collect();
        if let Some((ties, source, target)) = &ties {
            syncs.push(SyncInput::Association(AssociationInput {
                sync: &ties.sync,
                nestings: None,
                source,
                target,
                source_sha256: None,
                target_sha256: None,
                source_absence: ties.absence.0,
                target_absence: ties.absence.1,
                capabilities: &capabilities,
                identity: "https://vault",
                first_run: false,
            }));
        }
        plan(&PlanInput {
            syncs: &syncs,
            unplanned: &[],
            live: &self.live,
            memory: self,
            withholding: &self.withholding,
            ask_again: self.ask_again,
            accepted: &self.accepted,
            past: &self.past,
            block_all: self.block_all,
            wishes: Wishes { protect: &self.protect, delete_after: self.delete_after, now: self.now, list: true },
        })
    }

    /// Makes a plan's orders live, in a state.
    pub(crate) fn raise(&mut self, draft: &PlanDraft, state: OrderState) -> &mut Self {
        for order in &draft.orders {
            self.live.push(live(order, state));
            let prior = self.priors.entry(order.fingerprint.clone()).or_default();
            prior.raised += 1;
            prior.newest = Some((order.id.clone(), state, false));
            prior.ground = Some(order.ground.clone());
        }
        self
    }

    /// A person rejects these orders.
    pub(crate) fn reject(&mut self, draft: &PlanDraft) -> &mut Self {
        self.raise(draft, OrderState::PendingReview);
        for order in &draft.orders {
            self.end(&order.id, OrderState::Rejected, false);
            self.withholding.push(Withholding {
                order: order.id.clone(),
                run: RunId("20260101T000000Z-0001".into()),
                why: WithheldFor::Rejected,
                object: order.object.clone(),
                target_identity: "https://vault".into(),
                resource: order.resource.clone(),
                operation: order.operation,
                key: order.key.clone(),
                withheld: order.id.clone(),
                contents: vec![order.fingerprint.clone()],
                ground: Some(order.ground.clone()),
                since: DateTime::UNIX_EPOCH,
            });
        }
        self
    }

    /// Makes a plan and remembers what lapsed by it: the keys.
    pub(crate) fn lapses(&mut self) -> Vec<String> {
        let lapsed: Vec<OrderId> = self.plan().lapsed.into_iter().map(|(order, _)| order).collect();
        for prior in self.priors.values_mut() {
            prior.newest = prior.newest.take().filter(|(id, ..)| !lapsed.contains(id));
        }
        let (gone, left) = self.withholding.drain(..).partition(|w| lapsed.contains(&w.order));
        self.withholding = left;
        Vec::into_iter(gone).map(|w: Withholding| w.key).collect()
    }

    /// Ends an order: it is live no longer.
    pub(crate) fn end(&mut self, id: &OrderId, state: OrderState, handed_over: bool) -> &mut Self {
        self.live.retain(|live| live.id != *id);
        for prior in self.priors.values_mut() {
            if let Some(newest) = prior.newest.as_mut().filter(|newest| newest.0 == *id) {
                (newest.1, newest.2) = (state, handed_over);
            }
        }
        self
    }
}

fn live(order: &Order, state: OrderState) -> LiveOrder {
    LiveOrder {
        id: order.id.clone(),
        fingerprint: order.fingerprint.clone(),
        run: RunId("20260101T000000Z-0001".into()),
        object: order.object.clone(),
        target_id: order.target_id.clone(),
        identity: "https://vault".into(),
        resource: order.resource.clone(),
        operation: order.operation,
        key: order.key.clone(),
        state: if order.block.is_some() && state == OrderState::PendingReview { OrderState::Blocked } else { state },
        block: order.block.as_ref().map(|block| block.reason),
        changes: Some(order.changes.clone()),
        ends: order.ends.iter().map(|end| end.object.clone()).collect(),
        references: order.references.iter().map(|reference| reference.object.clone()).collect(),
        closes: order.closes.clone(),
        after: order.after.clone(),
        thresholds: order.thresholds.clone(),
        undoes: order.undoes.is_some(),
        of_other_job: None,
    }
}

pub(crate) fn link(source: &str, target: &str) -> Link {
    Link { source_key: source.to_owned(), target_id: target.to_owned(), how: How::Matched, agreed: None }
}

/// Remembers what a plan found confirmed: new links, and new agreed states of those that there are.
pub(crate) fn agree(side: &mut Side, draft: &PlanDraft) {
    for book in draft.links.iter().filter(|book| book.sync_id == side.sync.id) {
        for link in book.links() {
            side.links.retain(|known| known.source_key != link.source_key);
            side.links.push(link);
        }
        for (key, grace) in &book.graces {
            side.graces.remove(key);
            side.graces.extend(grace.map(|grace| (key.clone(), grace)));
        }
    }
}

/// `create ann ! incomplete` for each order: operation, key, and the block's reason where it has one.
pub(crate) fn shown(draft: &PlanDraft) -> Vec<String> {
    let show = |order: &Order| {
        let block = order.block.as_ref().map_or(String::new(), |block| format!(" ! {}", block.reason));
        format!("{} {}{block}", order.operation, order.key)
    };
    draft.orders.iter().map(show).collect()
}

/// The block's detail of the only order.
pub(crate) fn detail(draft: &PlanDraft) -> &str {
    draft.orders.first().and_then(|order| order.block.as_ref()).map_or("", |block| &block.detail)
}

fn lines(rows: &[&str]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// The type that makes text compare without regard to case.
pub(crate) const CASELESS: AttributeType = AttributeType::CaselessText;
