//! What a schema says of one attribute (RFC 7643 §2 and §7), read leniently.

use serde_json::Value;

use super::path::member;

/// Type of an attribute's value (RFC 7643 §2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    #[default]
    String,
    /// True or false.
    Boolean,
    /// A number with a fraction.
    Decimal,
    /// A whole number.
    Integer,
    /// A moment, RFC 3339.
    DateTime,
    /// Bytes in base64.
    Binary,
    /// An address or a URN.
    Reference,
    /// Several sub-attributes.
    Complex,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::String => "a text",
            Self::Boolean => "true or false",
            Self::Decimal => "a number",
            Self::Integer => "a whole number",
            Self::DateTime => "a time (RFC 3339)",
            Self::Binary => "bytes in base64",
            Self::Reference => "an address",
            Self::Complex => "made of several parts",
        })
    }
}

/// Whether an attribute can be changed (RFC 7643 §7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutability {
    /// Never by a client.
    ReadOnly,
    /// At any time.
    #[default]
    ReadWrite,
    /// Only while it has no value.
    Immutable,
    /// Written but never returned.
    WriteOnly,
}

/// When an attribute is part of an answer (RFC 7643 §7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Returned {
    /// In every answer, whatever is asked for.
    Always,
    /// Never.
    Never,
    /// Unless something else is asked for.
    #[default]
    Default,
    /// Only if it is asked for.
    Request,
}

/// Among what a value must be unique (RFC 7643 §7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uniqueness {
    /// Not at all.
    #[default]
    None,
    /// Among the resources of this kind at this server.
    Server,
    /// Everywhere.
    Global,
}

/// One attribute or sub-attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribute {
    /// Its name as the schema spells it.
    pub name: String,
    /// Type of its value.
    pub kind: Kind,
    /// Whether it holds a list.
    pub multi_valued: bool,
    /// Whether a resource must have it.
    pub required: bool,
    /// Whether case matters when texts are compared.
    pub case_exact: bool,
    /// Whether it can be changed.
    pub mutability: Mutability,
    /// When it is part of an answer.
    pub returned: Returned,
    /// Among what it must be unique.
    pub uniqueness: Uniqueness,
    /// Values that the server suggests (`canonicalValues`).
    pub suggested: Vec<String>,
    /// The most characters that it takes; no part of the standard, and published by some.
    pub max_length: Option<usize>,
    /// The parts of a complex attribute.
    pub sub_attributes: Vec<Attribute>,
}

impl Attribute {
    /// A sub-attribute, by its name without regard to case.
    pub fn sub(&self, name: &str) -> Option<&Attribute> {
        named(&self.sub_attributes, name)
    }

    /// The attribute whose values are compared and shown: of a complex attribute its `value`.
    pub fn leaf(&self) -> &Attribute {
        self.sub("value").unwrap_or(self)
    }

    fn parse(value: &Value) -> Option<Self> {
        let word = |name: &str| member(value, name).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        let flag = |name: &str| match member(value, name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        };
        let sub_attributes = attributes_of(value, "subAttributes");
        Some(Self {
            name: member(value, "name")?.as_str().filter(|name| !name.is_empty())?.to_owned(),
            kind: match word("type").as_str() {
                "boolean" => Kind::Boolean,
                "decimal" => Kind::Decimal,
                "integer" => Kind::Integer,
                "datetime" => Kind::DateTime,
                "binary" => Kind::Binary,
                "reference" => Kind::Reference,
                "complex" => Kind::Complex,
                // A few servers leave the type of complex attributes out.
                _ if !sub_attributes.is_empty() => Kind::Complex,
                _ => Kind::String,
            },
            multi_valued: flag("multiValued"),
            required: flag("required"),
            case_exact: flag("caseExact"),
            mutability: match word("mutability").as_str() {
                "readonly" => Mutability::ReadOnly,
                "immutable" => Mutability::Immutable,
                "writeonly" => Mutability::WriteOnly,
                _ => Mutability::ReadWrite,
            },
            returned: match word("returned").as_str() {
                "always" => Returned::Always,
                "never" => Returned::Never,
                "request" => Returned::Request,
                _ => Returned::Default,
            },
            uniqueness: match word("uniqueness").as_str() {
                "server" => Uniqueness::Server,
                "global" => Uniqueness::Global,
                _ => Uniqueness::None,
            },
            suggested: member(value, "canonicalValues")
                .and_then(Value::as_array)
                .map(|values| values.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default(),
            max_length: member(value, "maxLength").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok()),
            sub_attributes,
        })
    }
}

/// The attributes listed under a name of a document.
pub(super) fn attributes_of(document: &Value, name: &str) -> Vec<Attribute> {
    let attributes = member(document, name).and_then(Value::as_array);
    attributes.into_iter().flatten().filter_map(Attribute::parse).collect()
}

/// The attribute of this name, whatever its case.
pub(super) fn named<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}
