//! Turns a checked file into the job that it means.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{
    AlikeFile, ApplyFile, ChecksFile, DriftWord, ExportFile, FixedFile, GenerateFile, JobFile, KeepOneFile,
    MembersWord, NoDisableWord, OnFile, OperationWord, ReferenceFile, RemovalWord, RenameFile, RequireFile,
    RequireWord, ReviewFile, SnapshotFile, SyncFile, UnmanagedWord,
};
use super::operation_file::{RetentionFile, ScheduleFile};
use super::place::{Places, entry_path, key_path};
use super::{Job, SnapshotSettings, Sync, SyncKind, build_derived, build_report, build_thresholds, size, timer};
use crate::connector::config::SystemConfig;
use crate::model::digest::Digest;
use crate::model::evidence::Check;
use crate::model::order::Operation;
use crate::model::resource::ResourceName;
use crate::model::settings::{
    ApplySettings, ExportSettings, Require, RetentionSettings, ReviewSettings, ScheduleSettings, TimeOfDay,
};
use crate::reconcile::generate::{Collision, GenerateRule};
use crate::reconcile::policy::{
    Actions, AssociationSync, DriftAction, EndSync, Fixed, KeepOne, Members, NoDisableAction, ObjectSync, OrphanAction,
    OutOfScopeAction, ReferenceRule, RenamePolicy, UnmanagedAction,
};
use crate::rules::ObjectRules;
use crate::rules::expression::Expression;
use crate::rules::grants::ValueTable;
use crate::rules::mapping::Mapping;
use crate::rules::matching::MatchRule;
use crate::rules::problem::RuleProblem;
use crate::rules::scope::Scope;

/// Builds the job. The checks have found nothing, so that an error here is a check that is missing.
pub(super) fn job(
    file: JobFile,
    systems: BTreeMap<String, SystemConfig>,
    path: &Path,
    folder: PathBuf,
    digest: Digest,
    places: &Places<'_>,
) -> Result<Job, String> {
    let (attributes, ignored): (Vec<String>, Vec<String>) =
        file.ignore.into_iter().partition(|name| name.contains('/'));
    let mut syncs: Vec<Sync> = Vec::new();
    for (index, one) in file.sync.into_iter().flatten().enumerate() {
        let from: ResourceName = one.from.as_deref().unwrap_or_default().parse()?;
        let to: ResourceName = one.to.as_deref().unwrap_or_default().parse()?;
        let earlier = syncs.iter().filter(|sync| sync.from == from && sync.to == to).count();
        let id = match earlier {
            0 => format!("{from}->{to}"),
            _ => format!("{from}->{to}#{}", earlier + 1),
        };
        let mut kind = kind(one, &id, index, &from, &to, places)?;
        if let SyncKind::Objects(objects) = &mut kind {
            let own = |name: &String| Some(name.strip_prefix(&to.to_string())?.strip_prefix('/')?.to_owned());
            objects.idle = attributes.iter().filter_map(own).collect();
        }
        syncs.push(Sync { index, id, from, to, kind });
    }
    let mut snapshots: BTreeMap<ResourceName, SnapshotSettings> =
        syncs.iter().flat_map(Sync::resources).map(|name| (name, SnapshotSettings::default())).collect();
    for (name, one) in file.snapshot {
        snapshots.insert(name.parse()?, snapshot(one)?);
    }
    Ok(Job {
        name: file.name.unwrap_or_default(),
        path: path.to_owned(),
        digest,
        systems,
        syncs,
        ignored: ignored.iter().map(|name| name.parse()).collect::<Result<_, String>>()?,
        snapshots,
        export: export(file.export)?,
        review: review(file.review, &folder)?,
        apply: apply(file.apply)?,
        schedule: schedule(&file.schedule)?,
        retention: retention(file.retention)?,
        report: build_report::report(file.report)?,
        folder,
    })
}

fn kind(
    one: SyncFile,
    id: &str,
    index: usize,
    from: &ResourceName,
    to: &ResourceName,
    places: &Places<'_>,
) -> Result<SyncKind, String> {
    let (id, from, to) = (id.to_owned(), from.clone(), to.clone());
    let thresholds = build_thresholds::of_orders(&one)?;
    let scoped = build_thresholds::scoped(&one.threshold)?;
    if one.ends.is_empty() {
        let on = actions(&one.on);
        let fixed = one.fixed.iter().map(fixed).collect::<Result<_, _>>()?;
        let rename = match one.rename {
            Some(RenameFile::Off(_)) => RenamePolicy::Off,
            Some(RenameFile::Alike(AlikeFile { similarity: Some(least) })) => RenamePolicy::Alike(least),
            Some(RenameFile::Alike(AlikeFile { similarity: None })) | None => RenamePolicy::default(),
        };
        let references = references(&one, &from, &to)?;
        let tables = build_derived::tables(&one, &format!("sync[{index}]"), places)?;
        let rules = rules(&one, &tables, lines(&one, index, places))?;
        let mut reads: BTreeSet<String> = rules.columns().into_iter().collect();
        reads.extend(scoped.iter().flat_map(|scoped| scoped.scope.columns()));
        let derivation = build_derived::derivation(&one, &reads)?;
        let idle = BTreeSet::new();
        let generated = one.generate.iter().map(generate).collect::<Result<_, _>>()?;
        let sync = ObjectSync {
            id,
            index,
            from,
            to,
            rules,
            on,
            rename,
            thresholds,
            scoped,
            fixed,
            generated,
            references,
            derivation,
            idle,
            tables,
        };
        return Ok(SyncKind::Objects(Box::new(sync)));
    }
    let mut ends = Vec::new();
    for (name, [from, to]) in one.ends {
        ends.push(EndSync { name, from: from.parse()?, to: to.parse()? });
    }
    let members = match one.members {
        Some(MembersWord::Additive) => Members::Additive,
        Some(MembersWord::Authoritative) => Members::Authoritative,
        None => Members::default(),
    };
    let nested = build_derived::nested(one.nested);
    let keep_one = one.keep_one.as_ref().map(keep_one).transpose()?;
    let nestings = one.nestings.as_deref().map(str::parse).transpose()?;
    let sync = AssociationSync { id, index, from, to, ends, members, nested, nestings, thresholds, scoped, keep_one };
    Ok(SyncKind::Association(Box::new(sync)))
}

/// On which lines attributes are mapped.
fn lines(one: &SyncFile, index: usize, places: &Places<'_>) -> BTreeMap<String, usize> {
    let sync = entry_path("sync", index);
    let of = |table: &str, name: &String| places.line(&key_path(&key_path(&sync, table), name));
    let mapped = one.attributes.keys().map(|name| (name.clone(), of("attributes", name)));
    let referring = one.references.keys().map(|name| (name.clone(), of("references", name)));
    let generated = one.generate.keys().map(|name| (name.clone(), of("generate", name)));
    let given = one.grants.keys().map(|name| (name.clone(), of("grants", name)));
    mapped.chain(referring).chain(generated).chain(given).collect()
}

fn references(one: &SyncFile, from: &ResourceName, to: &ResourceName) -> Result<Vec<ReferenceRule>, String> {
    let side = |text: &Option<String>, own: &ResourceName| text.as_ref().map_or(Ok(own.clone()), |text| text.parse());
    let rule = |(attribute, one): (&String, &ReferenceFile)| {
        let by = one.by.as_deref().map(Expression::compile).transpose().map_err(|problem| problem.to_string())?;
        let attribute = attribute.clone();
        Ok::<_, String>(ReferenceRule { attribute, from: side(&one.from, from)?, to: side(&one.to, to)?, by })
    };
    one.references.iter().map(rule).collect()
}

fn generate((attribute, one): (&String, &GenerateFile)) -> Result<GenerateRule, String> {
    Ok(GenerateRule {
        attribute: attribute.clone(),
        on_collision: Collision::parse(one.on_collision.as_deref().unwrap_or("{value}{n}"))?,
        from: one.from.unwrap_or(2),
        follow: one.follow,
    })
}

fn fixed(one: &FixedFile) -> Result<Fixed, String> {
    let text = one.target.clone().unwrap_or_default();
    let target = Scope::compile(std::slice::from_ref(&text)).map_err(sentence)?;
    Ok(Fixed { target, text, attributes: one.attributes.clone() })
}

fn keep_one(one: &KeepOneFile) -> Result<KeepOne, String> {
    let scope =
        |text: &String| Ok::<_, String>((Scope::compile(std::slice::from_ref(text)).map_err(sentence)?, text.clone()));
    Ok(KeepOne { end: one.end.clone().unwrap_or_default(), scope: one.scope.as_ref().map(scope).transpose()? })
}

fn sentence(problems: Vec<RuleProblem>) -> String {
    problems.first().map_or_else(String::new, ToString::to_string)
}

fn rules(one: &SyncFile, tables: &[ValueTable], lines: BTreeMap<String, usize>) -> Result<ObjectRules, String> {
    let mut matching = Vec::new();
    for rule in &one.matching {
        let source = rule.source.as_deref().unwrap_or_default();
        let target = rule.target.as_deref().unwrap_or_default();
        let confidence = rule.weight.or(rule.confidence).unwrap_or(100);
        let compiled = MatchRule::compile(source, target, confidence).map_err(|problem| problem.to_string())?;
        let first = |tier: &String| one.matching.iter().position(|other| other.tier.as_ref() == Some(tier));
        let tier = rule.tier.as_ref().and_then(first).map(|first| first as u16);
        matching.push(MatchRule { tier, ..compiled });
    }
    // What a reference names is mapped as any value is; what becomes of it is not.
    let mut attributes: BTreeMap<String, String> =
        one.attributes.iter().map(|(attribute, rules)| (attribute.clone(), build_derived::rule(rules))).collect();
    attributes.extend(tables.iter().map(|table| (table.attribute.clone(), table.rule())));
    let source = |one: &ReferenceFile| one.source.clone().unwrap_or_default();
    attributes.extend(one.references.iter().map(|(attribute, one)| (attribute.clone(), source(one))));
    // And so is what a generated value is made from.
    let rule = |one: &GenerateFile| one.rule.clone().unwrap_or_default();
    attributes.extend(one.generate.iter().map(|(attribute, one)| (attribute.clone(), rule(one))));
    Ok(ObjectRules {
        scope: Scope::compile(&one.scope).map_err(sentence)?,
        mapping: Mapping::compile(&attributes, &one.clear.iter().cloned().collect()).map_err(sentence)?,
        matching,
        lines,
        required: one.required.clone(),
        unique: one.unique.clone(),
    })
}

fn actions(on: &OnFile) -> Actions {
    let default = Actions::default();
    Actions {
        orphan: on.orphan.map_or(default.orphan, |word| match word {
            RemovalWord::Disable => OrphanAction::Disable,
            RemovalWord::Delete => OrphanAction::Delete,
            RemovalWord::Ignore => OrphanAction::Ignore,
        }),
        out_of_scope: on.out_of_scope.map_or(default.out_of_scope, |word| match word {
            RemovalWord::Disable => OutOfScopeAction::Disable,
            RemovalWord::Delete => OutOfScopeAction::Delete,
            RemovalWord::Ignore => OutOfScopeAction::Ignore,
        }),
        unmanaged: on.unmanaged.map_or(default.unmanaged, |word| match word {
            UnmanagedWord::Ignore => UnmanagedAction::Ignore,
            UnmanagedWord::Adopt => UnmanagedAction::Adopt,
        }),
        drift: on.drift.map_or(default.drift, |word| match word {
            DriftWord::Correct => DriftAction::Correct,
            DriftWord::Report => DriftAction::Report,
            DriftWord::Leave => DriftAction::Leave,
        }),
        no_disable: on.no_disable.map_or(default.no_disable, |word| match word {
            NoDisableWord::Block => NoDisableAction::Block,
            NoDisableWord::Wait => NoDisableAction::Wait,
        }),
    }
}

fn snapshot(one: SnapshotFile) -> Result<SnapshotSettings, String> {
    Ok(SnapshotSettings {
        thresholds: build_thresholds::of_snapshot(&one.thresholds, one.window.as_deref())?,
        sentinels: one.sentinels,
        allow_empty: one.allow_empty,
        off: switched_off(&one.checks),
    })
}

fn switched_off(checks: &ChecksFile) -> BTreeSet<Check> {
    let off = |check: &Check| match check {
        Check::Empty => checks.empty,
        Check::Total => checks.total,
        Check::TotalMoved => checks.total_moved,
        Check::Pages => checks.pages,
        Check::DuplicateKeys => checks.duplicate_keys,
        Check::EmptyKeys => checks.empty_keys,
        Check::LastLine => checks.last_line,
        Check::Header => checks.header,
        Check::Sentinel => checks.sentinel,
        Check::EmptyColumn => checks.empty_column,
        Check::RoundMembers => checks.round_members,
        Check::Format => checks.format,
        Check::SwappedColumns => checks.swapped_columns,
        Check::FewerRows => checks.fewer_rows,
        Check::FewerOwners => checks.fewer_owners,
    };
    Check::ALL.iter().copied().filter(|check| off(check).is_some()).collect()
}

fn export(one: ExportFile) -> Result<ExportSettings, String> {
    Ok(ExportSettings { memory: one.memory.as_deref().map(size::memory).transpose()? })
}

fn review(one: ReviewFile, folder: &Path) -> Result<ReviewSettings, String> {
    let default = ReviewSettings::default();
    Ok(ReviewSettings {
        require: match one.require {
            None | Some(RequireFile::Word(RequireWord::Always)) => Require::Always,
            Some(RequireFile::Word(RequireWord::BlockedOrHeld)) => Require::BlockedOrHeld,
            Some(RequireFile::Operations(words)) => Require::Operations(words.into_iter().map(operation).collect()),
        },
        approvers: one.approvers.map(|file| folder.join(file)),
        reviewers: one.reviewers.unwrap_or(default.reviewers),
        four_eyes: one.four_eyes,
        expires: or_default(one.expires, default.expires)?,
    })
}

fn operation(word: OperationWord) -> Operation {
    match word {
        OperationWord::Create => Operation::Create,
        OperationWord::Update => Operation::Update,
        OperationWord::Disable => Operation::Disable,
        OperationWord::Enable => Operation::Enable,
        OperationWord::Delete => Operation::Delete,
        OperationWord::Add => Operation::Add,
        OperationWord::Remove => Operation::Remove,
    }
}

fn apply(one: ApplyFile) -> Result<ApplySettings, String> {
    let default = ApplySettings::default();
    let size = |figure: u64| usize::try_from(figure).unwrap_or(usize::MAX);
    Ok(ApplySettings {
        concurrency: one.concurrency.map_or(default.concurrency, size),
        rate: one.rate.as_deref().map(timer::rate).transpose()?,
        waves: one.waves.map_or(default.waves, |waves| waves.into_iter().map(size).collect()),
        stop_same_cause: one.stop_after.same_cause.unwrap_or(default.stop_same_cause),
        stop_errors: one.stop_after.errors.unwrap_or(default.stop_errors),
        stop_in_a_row: one.stop_after.in_a_row,
        retry_budget: or_default(one.retry_budget, default.retry_budget)?,
        delete_after: one.delete_after.as_deref().map(timer::duration).transpose()?,
        protect: one.protect.into_iter().collect(),
    })
}

/// When a job runs; the error says what is wrong with a time.
pub(super) fn schedule(one: &ScheduleFile) -> Result<ScheduleSettings, String> {
    let default = ScheduleSettings::default();
    Ok(ScheduleSettings {
        incremental: match one.incremental.as_deref() {
            None => default.incremental,
            Some("off") => None,
            Some(text) => Some(timer::interval(text)?),
        },
        complete: match one.complete.as_deref() {
            None => default.complete,
            Some("off") => None,
            Some(text) => Some(text.parse::<TimeOfDay>()?),
        },
        is_stated: one.incremental.is_some() || one.complete.is_some(),
    })
}

fn retention(one: RetentionFile) -> Result<RetentionSettings, String> {
    let default = RetentionSettings::default();
    let runs = or_default(one.runs, default.runs)?;
    let exports = or_default(one.exports, default.exports)?;
    let history = one.history.as_deref().map_or(Ok(None), timer::or_forever)?;
    Ok(RetentionSettings { exports, runs, requests: or_default(one.requests, runs)?, history })
}

fn or_default(text: Option<String>, default: Duration) -> Result<Duration, String> {
    text.as_deref().map_or(Ok(default), timer::duration)
}
