//! Search filters (RFC 4515), put together so that every value is data.

use std::fmt::Write as _;

use crate::connector::config::is_description;

/// Every byte that is no letter or digit is escaped: the grammar is then not asked which ones matter.
fn escape(value: &[u8]) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(*byte));
        } else {
            let _ = write!(escaped, "\\{byte:02x}");
        }
    }
    escaped
}

/// An attribute's value equals this one.
pub(super) fn equals(attribute: &str, value: &[u8]) -> String {
    format!("({attribute}={})", escape(value))
}

/// A value matches by a rule of the server's (RFC 4515 section 3, extensible).
pub(super) fn matches(attribute: &str, rule: &str, value: &str) -> String {
    format!("({attribute}:{rule}:={})", escape(value.as_bytes()))
}

/// An attribute's value is this one or comes after it.
pub(super) fn at_least(attribute: &str, value: &str) -> String {
    format!("({attribute}>={})", escape(value.as_bytes()))
}

/// An attribute has a value.
pub(super) fn present(attribute: &str) -> String {
    format!("({attribute}=*)")
}

/// All of these.
pub(super) fn all(filters: &[&str]) -> String {
    format!("(&{})", filters.concat())
}

/// Any of these.
pub(super) fn any(filters: impl IntoIterator<Item = String>) -> String {
    format!("(|{})", filters.into_iter().collect::<String>())
}

/// The attributes that a filter asks for; more than those, where it is hard to read.
pub(super) fn attributes(filter: &str) -> Vec<String> {
    let ends = |c: char| matches!(c, '=' | '~' | '<' | '>' | ':');
    let names = filter.split('(').filter_map(|part| part.split_once(ends));
    names.map(|(name, _)| name.trim().to_owned()).filter(|name| is_description(name)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ldap3::asn1::{ASNTag, PL, StructureTag};
    use proptest::prelude::*;

    use super::*;

    fn children(tag: StructureTag) -> Vec<StructureTag> {
        match tag.payload {
            PL::C(children) => children,
            PL::P(_) => panic!("not constructed"),
        }
    }

    proptest! {
        /// The reader of filters finds one assertion with exactly the value that went in.
        #[test]
        fn any_value_is_data_in_a_filter(value in prop::collection::vec(proptest::arbitrary::any::<u8>(), 0..40), text in "[()*\\\\\u{0}a|&!=]{0,12}") {
            for value in [value, text.into_bytes()] {
                let written = all(&[&equals("cn", &value), &present("uid")]);
                let read = ldap3::parse_filter(&written).unwrap().into_structure();
                let mut parts = children(read);
                prop_assert_eq!(parts.len(), 2);
                let assertion = children(parts.remove(0));
                // equalityMatch has the context tag 3 (RFC 4511 section 4.5.1).
                let PL::P(found) = &assertion[1].payload else { panic!("no value") };
                prop_assert_eq!(found, &value);
            }
        }
    }
}
