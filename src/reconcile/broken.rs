//! Accounts that are at the target and do not work: without what one needs, or out of use though they are wanted.

use std::collections::{BTreeMap, HashMap};

use super::ends::name_in;
use super::error::ReconcileError;
use super::input::ObjectInput;
use super::rows::Admission;
use super::scan::{Scanner, Wanted};
use crate::snapshot::row::Cells;

/// What an account lacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// The attribute that is empty, or that says that the account is out of use.
    pub attribute: String,
    /// Whether the account is out of use; else the attribute is empty.
    pub is_disabled: bool,
    /// What the rules want the attribute to hold; `None` where they yield nothing.
    pub wanted: Option<String>,
    /// The rule that should yield it; `None` where the job has none.
    pub rule: Option<String>,
}

/// An account that does not work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokenAccount {
    /// The sync, as its position in the job file.
    pub sync: usize,
    /// The source row's key.
    pub source_key: String,
    /// The target's id.
    pub target_id: String,
    /// What it is called; may be empty.
    pub name: String,
    /// What it lacks, sorted.
    pub lacks: Vec<Lack>,
}

/// What a row of the target shows of a managed account.
struct Candidate {
    target_id: String,
    name: String,
    empty: Vec<String>,
    is_disabled: bool,
}

/// The managed accounts of a sync that are wanted and do not work, sorted by source key.
///
/// # Errors
/// Where a snapshot cannot be read or a rule does not fit it.
pub fn find(input: &ObjectInput<'_>) -> Result<Vec<BrokenAccount>, ReconcileError> {
    let scanner = Scanner::bind(input, &mut Vec::new())?;
    let needed: Vec<(&str, usize)> = scanner
        .attributes
        .iter()
        .map(|attribute| attribute.name.as_str())
        .chain(input.sync.rules.required.iter().chain(&input.capabilities.required).map(String::as_str))
        .filter(|name| scanner.requires(name) || is_mail(name))
        .filter_map(|name| Some((name, input.target.column(name)?)))
        .collect::<BTreeMap<&str, usize>>()
        .into_iter()
        .collect();
    let flag = input.capabilities.enabled.as_deref();
    let flag_column = flag.and_then(|flag| input.target.column(flag));
    let by_target: HashMap<&str, &str> = input.links.iter().map(|link| (link.target_id, link.source_key)).collect();
    let chunks = input.target.par_fold(Vec::new, |found: &mut Vec<(String, Candidate)>, row| {
        let id = input.target.key_of(row);
        let Some(key) = by_target.get(id.as_str()) else { return };
        let empty: Vec<String> = needed
            .iter()
            .filter(|(_, column)| row.cell(*column).is_empty())
            .map(|(name, _)| (*name).to_owned())
            .collect();
        let is_disabled = flag_column.is_some_and(|column| row.cell(column).eq_ignore_ascii_case("false"));
        if !empty.is_empty() || is_disabled {
            let name = name_in(input, row).unwrap_or_default();
            found.push(((*key).to_owned(), Candidate { target_id: id, name, empty, is_disabled }));
        }
    })?;
    let candidates: HashMap<String, Candidate> = chunks.into_iter().flatten().collect();
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let chunks = input.source.par_fold(Vec::new, |found: &mut Vec<BrokenAccount>, row| {
        let key = input.source.key_of(row);
        let Some(candidate) = candidates.get(&key).filter(|_| scanner.admission(row).0 == Admission::In) else {
            return;
        };
        let wanted: HashMap<&str, Wanted> =
            scanner.attributes.iter().map(|a| a.name.as_str()).zip(scanner.wanted(row)).collect();
        let value = |name: &str| match wanted.get(name) {
            Some(Wanted::Set(text) | Wanted::Generated(text)) => Some(text.clone()),
            _ => None,
        };
        let lack = |name: &str, is_disabled: bool| Lack {
            attribute: name.to_owned(),
            is_disabled,
            wanted: value(name),
            rule: input.sync.rules.mapping.rule(name).map(str::to_owned),
        };
        // What is to be out of use need not work.
        if flag.and_then(value).is_some_and(|wanted| wanted.eq_ignore_ascii_case("false")) {
            return;
        }
        let disabled = flag.filter(|_| candidate.is_disabled).map(|flag| lack(flag, true));
        let lacks: Vec<Lack> = candidate.empty.iter().map(|name| lack(name, false)).chain(disabled).collect();
        found.push(BrokenAccount {
            sync: input.sync.index,
            source_key: key,
            target_id: candidate.target_id.clone(),
            name: candidate.name.clone(),
            lacks,
        });
    })?;
    let mut found: Vec<BrokenAccount> = chunks.into_iter().flatten().collect();
    found.iter_mut().for_each(|account| account.lacks.sort());
    found.sort();
    Ok(found)
}

/// Whether an attribute holds mail addresses: without one nobody gets an invitation.
fn is_mail(attribute: &str) -> bool {
    let name = attribute.split(['[', '.']).next().unwrap_or_default();
    ["email", "emails", "mail"].iter().any(|known| name.eq_ignore_ascii_case(known))
}
