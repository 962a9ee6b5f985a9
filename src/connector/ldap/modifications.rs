//! What an order asks for, in the terms of a modify request (RFC 4511 section 4.6).

use std::collections::{BTreeMap, HashSet};

use ldap3::Mod;

use super::entry::Entry;
use super::layout::{CONTROL, DISABLED, DN, ENABLED, ID, Layout, ResourceType, Switch};
use super::{LdapSystem, lookup, syntax};
use crate::connector::target::ObjectChange;
use crate::model::failure::{Class, Failure};
use crate::model::order::Operation;
use crate::model::value::Value;

/// A normal account, and one that may have no password (MS-ADTS section 2.2.16).
const NORMAL: i64 = 0x200;

/// An order's wishes, checked and written as the directory keeps them.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Attribute → values; none = cleared.
    pub(super) values: BTreeMap<String, Vec<Vec<u8>>>,
    /// Whether the account is to be in use, where the order says.
    pub(super) enabled: Option<bool>,
    /// The whole name, where the order says.
    pub(super) dn: Option<String>,
}

impl Wishes {
    pub(super) fn of(
        system: &LdapSystem,
        layout: &Layout,
        of: &ResourceType,
        change: &ObjectChange,
    ) -> Result<Self, Failure> {
        let mut wishes = Self::default();
        for (name, wanted) in &change.attributes {
            match (name.as_str(), wanted) {
                (ID, _) => {
                    return Err(system.failure(
                        Class::Configuration,
                        format!("the `id` of {} is made by the directory", change.name),
                        "take `id` out of the mapping",
                    ));
                }
                (DN, Some(value)) => wishes.dn = Some(value.to_string()),
                (DN, None) => {}
                (ENABLED, _) if of.switch.is_some() => {
                    wishes.enabled = wanted.as_ref().map(|value| !value.to_string().eq_ignore_ascii_case("false"));
                }
                _ => {
                    lookup::known(system, layout, &of.name, name)?;
                    let values = written(system, layout, change, name, wanted.as_ref())?;
                    wishes.values.insert(name.clone(), values);
                }
            }
        }
        match change.operation {
            Operation::Disable => wishes.enabled = Some(false),
            Operation::Enable => wishes.enabled = Some(true),
            _ => {}
        }
        Ok(wishes)
    }

    /// The values of an attribute, where the order names it.
    pub(super) fn get(&self, name: &str) -> Option<&Vec<Vec<u8>>> {
        self.values.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, values)| values)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Vec<Vec<u8>>> {
        let known = self.values.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned()?;
        self.values.remove(&known)
    }

    /// What makes an entry look like this.
    pub(super) fn modifications(&self, of: &ResourceType, entry: &Entry) -> Vec<Mod<Vec<u8>>> {
        let mut changes: Vec<Mod<Vec<u8>>> = self
            .values
            .iter()
            .map(|(name, values)| Mod::Replace(name.clone().into_bytes(), values.iter().cloned().collect()))
            .collect();
        if let (Some(switch), Some(enabled)) = (&of.switch, self.enabled) {
            changes.extend(switched(switch, enabled, entry));
        }
        changes
    }

    /// The attribute that a new entry says by whether it is in use, and its value; `None` where absence says it.
    pub(super) fn switch_of_new(&self, of: &ResourceType) -> Option<(String, Vec<u8>)> {
        let enabled = self.enabled.unwrap_or(true);
        match of.switch.as_ref()? {
            Switch::Control => {
                let control = if enabled { NORMAL } else { NORMAL | DISABLED };
                self.get(CONTROL).is_none().then(|| (CONTROL.to_owned(), control.to_string().into_bytes()))
            }
            Switch::Attribute(by) => {
                let value = if enabled { by.on.as_ref() } else { by.off.as_ref() };
                value.map(|value| (by.attribute.clone(), value.clone().into_bytes()))
            }
        }
    }
}

fn written(
    system: &LdapSystem,
    layout: &Layout,
    change: &ObjectChange,
    name: &str,
    wanted: Option<&Value>,
) -> Result<Vec<Vec<u8>>, Failure> {
    let texts: Vec<&str> = match wanted {
        None => Vec::new(),
        Some(Value::Text(text)) => vec![text],
        Some(Value::Many(texts)) => texts.iter().map(String::as_str).collect(),
    };
    if name.eq_ignore_ascii_case("unicodePwd") {
        return Ok(texts.into_iter().map(syntax::unicode_password).collect());
    }
    let syntax = layout.syntax(name);
    let write = |text: &&str| {
        syntax.write(text).map_err(|problem| {
            let value: String = text.chars().take(60).collect();
            system.failure(
                Class::Data,
                format!("`{name}` of {} cannot be `{value}`: {problem}", change.name),
                "correct the value at the source, or the rule that makes it: the next run plans it anew",
            )
        })
    };
    texts.iter().map(write).collect()
}

/// What takes an account out of use, or puts it back.
fn switched(switch: &Switch, enabled: bool, entry: &Entry) -> Vec<Mod<Vec<u8>>> {
    let name = switch.attribute().as_bytes().to_vec();
    let one = |value: String| HashSet::from([value.into_bytes()]);
    match switch {
        Switch::Control => {
            let before = entry.text(CONTROL).and_then(|text| text.parse::<i64>().ok());
            let Some(before) = before else {
                let control = if enabled { NORMAL } else { NORMAL | DISABLED };
                return vec![Mod::Replace(name, one(control.to_string()))];
            };
            let after = if enabled { before & !DISABLED } else { before | DISABLED };
            if after == before {
                return Vec::new();
            }
            // Other bits may change meanwhile: the change holds only if they are what was read.
            vec![Mod::Delete(name.clone(), one(before.to_string())), Mod::Add(name, one(after.to_string()))]
        }
        Switch::Attribute(by) => {
            let value = if enabled { &by.on } else { &by.off };
            let (wanted, known) = (value.as_deref(), entry.values(&by.attribute));
            let is_so = match (wanted, known) {
                (None, []) => true,
                (Some(wanted), [known]) => known.eq_ignore_ascii_case(wanted.as_bytes()),
                _ => false,
            };
            if is_so {
                return Vec::new();
            }
            vec![Mod::Replace(name, value.iter().map(|value| value.clone().into_bytes()).collect())]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::entry;
    use super::*;
    use crate::connector::config::EnabledBy;

    #[test]
    fn an_account_is_switched_without_touching_its_other_bits() {
        let values = |value: &str| HashSet::from([value.as_bytes().to_vec()]);
        let control = CONTROL.as_bytes().to_vec();
        let read = entry("cn=a", &[(CONTROL, &["66048"])]);
        assert_eq!(
            switched(&Switch::Control, false, &read),
            [Mod::Delete(control.clone(), values("66048")), Mod::Add(control.clone(), values("66050"))]
        );
        assert_eq!(switched(&Switch::Control, true, &read), []);
        let by = EnabledBy { attribute: "x".to_owned(), on: None, off: Some("y".to_owned()) };
        let switch = Switch::Attribute(by);
        let (off, until) = (entry("cn=a", &[("x", &["Y"])]), entry("cn=a", &[("x", &["until tomorrow"])]));
        assert_eq!((switched(&switch, true, &read), switched(&switch, false, &off)), (Vec::new(), Vec::new()));
        for read in [&off, &until] {
            assert_eq!(switched(&switch, true, read), [Mod::Replace(b"x".to_vec(), HashSet::new())]);
        }
        for read in [&read, &until] {
            assert_eq!(switched(&switch, false, read), [Mod::Replace(b"x".to_vec(), values("y"))]);
        }
    }
}
