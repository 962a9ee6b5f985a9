//! Entries as they come (RFC 4511 section 4.5.2), read without trust.

use ldap3::asn1::StructureTag;

/// An entry of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// Values of which only a range came (MS-ADTS section 3.1.1.3.1.3.3).
pub(super) struct Range<'a> {
    pub(super) values: &'a [Vec<u8>],
    /// Where the next range begins; `None` where this is the last.
    pub(super) next: Option<u64>,
}

impl Entry {
    /// `None` for what is no entry.
    pub(super) fn read(tag: StructureTag) -> Option<Self> {
        let mut parts = tag.expect_constructed()?.into_iter();
        let dn = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
        let attributes = parts
            .next()?
            .expect_constructed()?
            .into_iter()
            .map(|attribute| {
                let mut parts = attribute.expect_constructed()?.into_iter();
                let name = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
                let values = parts.next()?.expect_constructed()?.into_iter();
                Some((name, values.map(StructureTag::expect_primitive).collect::<Option<Vec<_>>>()?))
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Self { dn, attributes })
    }

    /// All that came, by its description.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&str, &[Vec<u8>])> {
        self.attributes.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// The values of an attribute; options count (RFC 4512 section 2.5.2), letter case does not.
    pub(super) fn values(&self, name: &str) -> &[Vec<u8>] {
        let found = self.attributes.iter().find(|(known, _)| is_same_description(known, name));
        found.map_or(&[], |(_, values)| values)
    }

    /// The first value as text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values(name).first().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All values that are text.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        self.values(name).iter().filter_map(|value| std::str::from_utf8(value).ok()).collect()
    }

    /// What came of an attribute, as a whole or as a range.
    pub(super) fn range(&self, name: &str) -> Range<'_> {
        for (known, values) in &self.attributes {
            let Some((attribute, option)) = known.split_once(';') else { continue };
            let option = option.to_ascii_lowercase();
            if attribute.eq_ignore_ascii_case(name)
                && let Some((_, end)) = option.strip_prefix("range=").and_then(|range| range.split_once('-'))
            {
                return Range { values, next: end.parse::<u64>().ok().and_then(|end| end.checked_add(1)) };
            }
        }
        Range { values: self.values(name), next: None }
    }
}

/// Whether two attribute descriptions mean the same: options have no order.
pub(super) fn is_same_description(one: &str, other: &str) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    if !one.contains(';') || one.len() != other.len() {
        return false;
    }
    let sorted = |text: &str| {
        let mut parts: Vec<String> = text.to_ascii_lowercase().split(';').map(str::to_owned).collect();
        if let Some(options) = parts.get_mut(1..) {
            options.sort();
        }
        parts
    };
    sorted(one) == sorted(other)
}

#[cfg(test)]
pub(super) mod tests {
    use ldap3::asn1::{ASNTag, OctetString, Sequence, Set, Tag};

    use super::*;

    fn text(text: &str) -> Tag {
        Tag::OctetString(OctetString { inner: text.as_bytes().to_vec(), ..Default::default() })
    }

    /// An entry as a server would send it.
    pub(crate) fn entry(dn: &str, attributes: &[(&str, &[&str])]) -> Entry {
        let attributes = attributes.iter().map(|(name, values)| {
            let values = Set { inner: values.iter().map(|value| text(value)).collect(), ..Default::default() };
            Tag::Sequence(Sequence { inner: vec![text(name), Tag::Set(values)], ..Default::default() })
        });
        let attributes = Tag::Sequence(Sequence { inner: attributes.collect(), ..Default::default() });
        let tag = Tag::Sequence(Sequence { inner: vec![text(dn), attributes], ..Default::default() });
        Entry::read(tag.into_structure()).unwrap_or_default()
    }

    #[test]
    fn attributes_are_found_by_their_options_and_ranges_tell_what_is_left() {
        let read = entry(
            "cn=a,dc=x",
            &[("CN", &["a"]), ("cn;lang-de;x-b", &["ä"]), ("member;range=0-1", &["one", "two"]), ("member", &[])],
        );
        assert_eq!(
            (read.dn.as_str(), read.text("cn"), read.text("cn;X-B;LANG-DE")),
            ("cn=a,dc=x", Some("a"), Some("ä"))
        );
        assert_eq!(read.text("cn;lang-fr"), None);
        let range = read.range("member");
        assert_eq!((range.values.len(), range.next), (2, Some(2)));
        assert_eq!(entry("", &[("member;range=2-*", &["x"])]).range("member").next, None);
        assert_eq!(Entry::read(text("no entry").into_structure()), None);
    }
}
