//! A server's schema, as its subschema entry tells it (RFC 4512 section 4).

use std::collections::{BTreeSet, HashMap};

/// An attribute type (RFC 4512 section 4.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AttributeType {
    /// Its first name, as the server writes it.
    pub(super) name: String,
    pub(super) equality: Option<String>,
    /// The OID of its syntax.
    pub(super) syntax: String,
    pub(super) single: bool,
    /// Only the server writes it.
    pub(super) read_only: bool,
    pub(super) operational: bool,
    superior: Option<String>,
}

/// An object class (RFC 4512 section 4.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ObjectClass {
    superiors: Vec<String>,
    must: Vec<String>,
}

/// What a server's entries consist of. Empty where the server does not tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Schema {
    attributes: Vec<AttributeType>,
    /// Every name and OID in lower case → position.
    names: HashMap<String, usize>,
    classes: HashMap<String, ObjectClass>,
}

impl Schema {
    /// Reads the descriptions; what cannot be read is left out.
    pub(super) fn read<'a>(
        attributes: impl IntoIterator<Item = &'a str>,
        classes: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut schema = Self::default();
        for text in attributes {
            let Some(described) = Description::read(text) else { continue };
            let attribute = AttributeType {
                name: described.names.first().unwrap_or(&described.oid).clone(),
                equality: described.one("EQUALITY"),
                // `…15{256}` states a length that is a minimum, not a limit.
                syntax: described
                    .one("SYNTAX")
                    .map(|syntax| syntax.split('{').next().unwrap_or("").to_owned())
                    .unwrap_or_default(),
                single: described.has("SINGLE-VALUE"),
                read_only: described.has("NO-USER-MODIFICATION"),
                operational: described
                    .one("USAGE")
                    .is_some_and(|usage| !usage.eq_ignore_ascii_case("userApplications")),
                superior: described.one("SUP"),
            };
            for name in described.names.iter().chain([&described.oid]) {
                schema.names.insert(name.to_ascii_lowercase(), schema.attributes.len());
            }
            schema.attributes.push(attribute);
        }
        schema.inherit();
        for text in classes {
            let Some(described) = Description::read(text) else { continue };
            let class = ObjectClass { superiors: described.all("SUP"), must: described.all("MUST") };
            for name in described.names.iter().chain([&described.oid]) {
                schema.classes.insert(name.to_ascii_lowercase(), class.clone());
            }
        }
        schema
    }

    /// Syntax and matching rule come from the superior where an attribute does not state its own.
    fn inherit(&mut self) {
        for at in 0..self.attributes.len() {
            let mut next = self.attributes[at].superior.clone();
            // Nobody keeps a server from a circle.
            for _ in 0..16 {
                let Some(above) = next.as_deref().and_then(|name| self.attribute(name)).cloned() else { break };
                let attribute = &mut self.attributes[at];
                if attribute.syntax.is_empty() {
                    attribute.syntax = above.syntax;
                }
                if attribute.equality.is_none() {
                    attribute.equality = above.equality;
                }
                next = above.superior;
            }
        }
    }

    /// Whether the server told anything.
    pub(super) fn is_known(&self) -> bool {
        !self.attributes.is_empty()
    }

    /// An attribute type by any of its names, with or without options.
    pub(super) fn attribute(&self, description: &str) -> Option<&AttributeType> {
        let name = description.split(';').next().unwrap_or(description);
        self.names.get(&name.to_ascii_lowercase()).and_then(|at| self.attributes.get(*at))
    }

    /// All attribute types.
    pub(super) fn attributes(&self) -> impl Iterator<Item = &AttributeType> {
        self.attributes.iter()
    }

    /// What entries of these classes cannot be without, in lower case.
    pub(super) fn required(&self, classes: &[String]) -> BTreeSet<String> {
        let mut required = BTreeSet::new();
        let mut waiting: Vec<String> = classes.iter().map(|class| class.to_ascii_lowercase()).collect();
        let mut seen = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            let Some(class) = self.classes.get(&name) else { continue };
            if !seen.insert(name) {
                continue;
            }
            required.extend(class.must.iter().map(|attribute| attribute.to_ascii_lowercase()));
            waiting.extend(class.superiors.iter().map(|above| above.to_ascii_lowercase()));
        }
        required
    }
}

/// A description: an OID, names, and words with what follows them.
struct Description {
    oid: String,
    names: Vec<String>,
    /// Each keyword with what stands behind it.
    words: Vec<(String, Vec<String>)>,
}

impl Description {
    fn read(text: &str) -> Option<Self> {
        let tokens = tokens(text);
        let mut tokens = tokens.iter();
        (tokens.next()? == "(").then_some(())?;
        let oid = tokens.next()?.clone();
        let mut words: Vec<(String, Vec<String>)> = Vec::new();
        let mut depth = 1;
        for token in tokens {
            match token.as_str() {
                "(" => depth += 1,
                ")" => depth -= 1,
                "$" => {}
                // Keywords are in capitals, quoted texts and names inside parentheses are none.
                word if depth == 1 && is_keyword(word) => words.push((word.to_owned(), Vec::new())),
                value => {
                    if let Some((_, values)) = words.last_mut() {
                        values.push(value.trim_start_matches('\'').trim_end_matches('\'').to_owned());
                    }
                }
            }
        }
        let mut description = Self { oid, names: Vec::new(), words };
        description.names = description.all("NAME");
        Some(description)
    }

    fn all(&self, keyword: &str) -> Vec<String> {
        let found = self.words.iter().find(|(word, _)| word == keyword);
        found.map(|(_, values)| values.clone()).unwrap_or_default()
    }

    fn one(&self, keyword: &str) -> Option<String> {
        self.all(keyword).into_iter().next()
    }

    fn has(&self, keyword: &str) -> bool {
        self.words.iter().any(|(word, _)| word == keyword)
    }
}

fn is_keyword(word: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "NAME",
        "DESC",
        "OBSOLETE",
        "SUP",
        "EQUALITY",
        "ORDERING",
        "SUBSTR",
        "SYNTAX",
        "SINGLE-VALUE",
        "COLLECTIVE",
        "NO-USER-MODIFICATION",
        "USAGE",
        "ABSTRACT",
        "STRUCTURAL",
        "AUXILIARY",
        "MUST",
        "MAY",
    ];
    KEYWORDS.contains(&word) || word.starts_with("X-")
}

/// Parentheses, dollars, quoted texts with their quotes, and words.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | '$' => 1,
            '\'' => rest.get(1..).and_then(|rest| rest.find('\'')).map_or(rest.len(), |end| end + 2),
            _ => rest.find([' ', '\t', '\n', '(', ')', '$', '\'']).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length.max(1).min(rest.len()));
        tokens.push(token.to_owned());
        rest = after.trim_start();
    }
    tokens
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A few types and classes, in the spellings of OpenLDAP and of Active Directory.
    pub(crate) fn schema() -> Schema {
        Schema::read(
            [
                "( 2.5.4.41 NAME 'name' DESC 'RFC4519: common supertype' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32768} )",
                "( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'it (is) $ a name' SUP name )",
                "( 2.5.4.4 NAME ( 'sn' 'surname' ) SUP name )",
                "( 2.5.4.12 NAME 'title' SUP name )",
                "( 2.5.4.20 NAME 'telephoneNumber' EQUALITY telephoneNumberMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.50 )",
                "( 2.5.4.35 NAME 'userPassword' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )",
                "( 2.5.4.31 NAME 'member' EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )",
                "( 2.5.18.2 NAME 'modifyTimestamp' EQUALITY generalizedTimeMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.24 SINGLE-VALUE NO-USER-MODIFICATION USAGE directoryOperation )",
                "( 1.3.6.1.1.16.4 NAME 'entryUUID' EQUALITY UUIDMatch SYNTAX 1.3.6.1.1.16.1 SINGLE-VALUE NO-USER-MODIFICATION USAGE directoryOperation )",
                "( 1.2.840.113556.1.4.8 NAME 'userAccountControl' SYNTAX '1.3.6.1.4.1.1466.115.121.1.27' SINGLE-VALUE )",
                "( 1.2.3 NAME 'loop' SUP pool )",
                "( 1.2.4 NAME 'pool' SUP loop )",
                "nonsense",
            ],
            [
                "( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )",
                "( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( userPassword $ telephoneNumber ) )",
                "( 2.5.6.9 NAME 'groupOfNames' SUP top STRUCTURAL MUST ( member $ cn ) MAY ( description $ o ) )",
            ],
        )
    }

    #[test]
    fn types_and_classes_are_read_with_what_they_inherit() {
        let schema = schema();
        let cn = schema.attribute("commonName;lang-de").unwrap();
        assert_eq!((cn.name.as_str(), cn.syntax.as_str()), ("cn", "1.3.6.1.4.1.1466.115.121.1.15"));
        assert_eq!((cn.equality.as_deref(), cn.single), (Some("caseIgnoreMatch"), false));
        let changed = schema.attribute("MODIFYTIMESTAMP").unwrap();
        assert!(changed.single && changed.read_only && changed.operational);
        assert_eq!(schema.attribute("userAccountControl").unwrap().syntax, "1.3.6.1.4.1.1466.115.121.1.27");
        assert!(schema.attribute("nothing").is_none() && schema.attribute("loop").is_some());
        let required = schema.required(&["person".to_owned(), "nothing".to_owned()]);
        assert_eq!(required.iter().map(String::as_str).collect::<Vec<_>>(), ["cn", "objectclass", "sn"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_falling(text in "[()$' A-Za-z0-9.-]{0,60}|\\PC{0,30}") {
            let _ = Schema::read([text.as_str()], [text.as_str()]);
        }
    }
}
