//! Values as directories keep them, and as snapshots write them.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::schema::AttributeType;
use super::times;
use crate::connector::config::Flavour;
use crate::model::capabilities::{AttributeType as Compared, Form};

/// How the values of an attribute are written (RFC 4517 section 3.3, MS-ADTS section 3.1.1.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// Text.
    Text {
        /// Whether the server compares it without regard to letter case.
        caseless: bool,
    },
    /// `TRUE` and `FALSE`.
    Boolean,
    /// A whole number.
    Whole,
    /// A generalized time.
    Time {
        /// Whether the server wants a fraction of the second.
        fraction: bool,
    },
    /// Steps of 100 ns since 1601, as Active Directory counts.
    FileTime,
    /// Sixteen bytes, written as a UUID (MS-DTYP section 2.3.4).
    Guid,
    /// A security identifier, written `S-1-5-…` (MS-DTYP section 2.4.2).
    Sid,
    /// Bytes, written in base64.
    Binary,
}

/// Attributes that hold file times: the schema calls them whole numbers.
const FILE_TIMES: &[&str] = &[
    "accountexpires",
    "badpasswordtime",
    "lastlogoff",
    "lastlogon",
    "lastlogontimestamp",
    "lockouttime",
    "pwdlastset",
    "ms-mcs-admpwdexpirationtime",
    "mslaps-passwordexpirationtime",
    "msds-userpasswordexpirytimecomputed",
];
/// Attributes that hold GUIDs: the schema calls them octet strings.
const GUIDS: &[&str] = &["objectguid", "ms-ds-consistencyguid", "schemaidguid", "invocationid", "msexchmailboxguid"];
const SIDS: &[&str] = &["objectsid", "sidhistory", "securityidentifier", "tokengroups"];

/// The syntax of an attribute, by what the schema says of it, and by its name where that says more.
pub(super) fn of(name: &str, described: Option<&AttributeType>, flavour: Flavour) -> Syntax {
    let lower = name.to_ascii_lowercase();
    let is_ad = flavour == Flavour::Ad;
    if is_ad && FILE_TIMES.contains(&lower.as_str()) {
        return Syntax::FileTime;
    }
    if is_ad && GUIDS.contains(&lower.as_str()) {
        return Syntax::Guid;
    }
    if is_ad && SIDS.contains(&lower.as_str()) {
        return Syntax::Sid;
    }
    // RFC 4522: values that are asked for as bytes.
    if lower.split(';').skip(1).any(|option| option == "binary") {
        return Syntax::Binary;
    }
    let Some(described) = described else { return Syntax::Text { caseless: is_ad } };
    let last = described.syntax.strip_prefix("1.3.6.1.4.1.1466.115.121.1.").unwrap_or("");
    match last {
        "7" => Syntax::Boolean,
        "27" => Syntax::Whole,
        "24" => Syntax::Time { fraction: is_ad },
        "4" | "5" | "6" | "8" | "9" | "10" | "23" | "28" | "49" => Syntax::Binary,
        // A password is kept as octets and is text all the same.
        "40" if lower != "userpassword" => Syntax::Binary,
        "12" | "34" => Syntax::Text { caseless: true },
        _ => {
            let rule = described.equality.as_deref().unwrap_or("").to_ascii_lowercase();
            Syntax::Text { caseless: is_ad || rule.contains("caseignore") || rule.contains("telephone") }
        }
    }
}

impl Syntax {
    /// A value as snapshots write it; bytes that are not what they should be are written in base64. `None` for what
    /// means that there is no value.
    pub(super) fn read(self, value: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(value).ok();
        let read = match (self, text) {
            (Self::Guid, _) => guid(value),
            (Self::Sid, _) => sid(value),
            (Self::Binary, _) | (_, None) => None,
            (Self::Boolean, Some(text)) if text.eq_ignore_ascii_case("true") => Some("true".to_owned()),
            (Self::Boolean, Some(text)) if text.eq_ignore_ascii_case("false") => Some("false".to_owned()),
            (Self::Time { .. }, Some(text)) => {
                Some(times::from_generalized(text).map_or_else(|| text.to_owned(), times::rfc3339))
            }
            // Nought and the largest number mean "never".
            (Self::FileTime, Some("0" | "9223372036854775807" | "-9223372036854775808")) => return None,
            (Self::FileTime, Some(text)) => {
                Some(times::from_file_time(text).map_or_else(|| text.to_owned(), times::rfc3339))
            }
            (_, Some(text)) => Some(text.to_owned()),
        };
        Some(read.unwrap_or_else(|| base64(value)))
    }

    /// A value as the directory keeps it.
    ///
    /// # Errors
    /// What is wrong with it, in half a sentence.
    pub(super) fn write(self, text: &str) -> Result<Vec<u8>, &'static str> {
        match self {
            Self::Boolean if text.eq_ignore_ascii_case("true") => Ok(b"TRUE".to_vec()),
            Self::Boolean if text.eq_ignore_ascii_case("false") => Ok(b"FALSE".to_vec()),
            Self::Boolean => Err("it is neither true nor false"),
            Self::Whole => {
                text.trim().parse::<i64>().map(|n| n.to_string().into_bytes()).map_err(|_| "it is no whole number")
            }
            Self::Time { fraction } => {
                let time = times::from_rfc3339(text).or_else(|| times::from_generalized(text));
                time.map(|time| times::to_generalized(time, fraction).into_bytes()).ok_or("it is no time")
            }
            Self::FileTime => match times::from_rfc3339(text) {
                Some(time) => Ok(times::to_file_time(time).into_bytes()),
                None if text.parse::<i64>().is_ok() => Ok(text.as_bytes().to_vec()),
                None => Err("it is no time"),
            },
            Self::Guid => from_guid(text).ok_or("it is no UUID"),
            Self::Binary => from_base64(text).ok_or("it is no base64"),
            Self::Sid => Err("only the directory itself makes security identifiers"),
            Self::Text { .. } => Ok(text.as_bytes().to_vec()),
        }
    }

    /// Whether two values, as snapshots write them, are the same to the server.
    pub(super) fn same(self, one: &str, other: &str) -> bool {
        match self {
            Self::Text { caseless: true } => folded(one) == folded(other),
            Self::Guid => one.eq_ignore_ascii_case(other),
            Self::Time { .. } | Self::FileTime => {
                one == other || times::from_rfc3339(one).is_some_and(|time| Some(time) == times::from_rfc3339(other))
            }
            _ => one == other,
        }
    }

    /// How muster compares values.
    pub(super) fn compared(self) -> Compared {
        match self {
            Self::Text { caseless: true } | Self::Guid => Compared::CaselessText,
            Self::Text { caseless: false } | Self::Binary | Self::Sid => Compared::Text,
            Self::Boolean => Compared::Boolean,
            Self::Whole => Compared::Number,
            Self::Time { .. } | Self::FileTime => Compared::Time,
        }
    }

    /// How values are written.
    pub(super) fn form(self) -> Form {
        match self {
            Self::Boolean => Form::Boolean,
            Self::Whole => Form::Whole,
            Self::Time { .. } => Form::Time,
            // A file time is also given as the number that the directory keeps.
            _ => Form::Text,
        }
    }
}

/// Letter case and the number of blanks do not matter (RFC 4518 section 2.6.1).
fn folded(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The UUID of sixteen bytes, of which the first three fields are little-endian.
fn guid(value: &[u8]) -> Option<String> {
    let bytes: [u8; 16] = value.try_into().ok()?;
    Some(uuid::Uuid::from_bytes_le(bytes).to_string())
}

fn from_guid(text: &str) -> Option<Vec<u8>> {
    uuid::Uuid::try_parse(text).ok().map(|id| id.to_bytes_le().to_vec())
}

fn sid(value: &[u8]) -> Option<String> {
    let [revision, count, authority @ ..] = value else { return None };
    let (authority, parts) = authority.split_at_checked(6)?;
    if parts.len() != usize::from(*count) * 4 {
        return None;
    }
    let authority = authority.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let mut text = format!("S-{revision}-{authority}");
    for part in parts.chunks(4) {
        let number = u32::from_le_bytes(part.try_into().ok()?);
        let _ = write!(text, "-{number}");
    }
    Some(text)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648 section 4.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (number >> (18 - 6 * place)) & 63;
            text.push(if place <= chunk.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    text
}

/// The same, read; `None` for what is no base64.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.chunks(4) {
        let (digits, padding) = chunk.split_at(chunk.iter().position(|byte| *byte == b'=').unwrap_or(chunk.len()));
        if chunk.len() != 4 || digits.len() < 2 || padding.iter().any(|byte| *byte != b'=') {
            return None;
        }
        let mut number = 0_u32;
        for digit in digits {
            number = number << 6 | u32::try_from(ALPHABET.iter().position(|known| known == digit)?).ok()?;
        }
        number <<= 6 * (4 - digits.len());
        bytes.extend(number.to_be_bytes().get(1..digits.len())?);
    }
    Some(bytes)
}

/// A password as Active Directory takes it: in quotes, UTF-16LE (MS-ADTS section 3.1.1.3.1.5.1).
pub(super) fn unicode_password(password: &str) -> Vec<u8> {
    format!("\"{password}\"").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::schema::tests::schema;
    use super::*;

    proptest! {
        #[test]
        fn bytes_survive(bytes in prop::collection::vec(any::<u8>(), 0..50), text in "\\PC{0,20}") {
            prop_assert_eq!(from_base64(&base64(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(Syntax::Binary.write(&Syntax::Binary.read(&bytes).unwrap()).unwrap(), bytes);
            let _ = from_base64(&text);
        }
    }

    #[test]
    fn values_are_written_as_snapshots_have_them() {
        let schema = schema();
        let of = |name: &str, flavour| of(name, schema.attribute(name), flavour);
        let caseless = Syntax::Text { caseless: true };
        assert_eq!(of("cn", Flavour::OpenLdap), caseless);
        assert_eq!(of("userAccountControl", Flavour::Ad), Syntax::Whole);
        assert_eq!(of("userCertificate;binary", Flavour::OpenLdap), Syntax::Binary);
        assert_eq!(of("objectGUID", Flavour::Ad), Syntax::Guid);
        assert_eq!(of("pwdLastSet", Flavour::Ad), Syntax::FileTime);
        assert_eq!(of("modifyTimestamp", Flavour::OpenLdap), Syntax::Time { fraction: false });
        assert_eq!(caseless.read(b"\xff\x00").unwrap(), "/wA=");
        assert_eq!(Syntax::Boolean.read(b"TRUE").unwrap(), "true");
        assert!(caseless.same("Jane  DOE", " jane doe ") && !Syntax::Text { caseless: false }.same("a", "A"));
        let id = [0x78, 0x56, 0x34, 0x12, 0x34, 0x12, 0x78, 0x56, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(Syntax::Guid.read(&id).unwrap(), "12345678-1234-5678-0102-030405060708");
        assert_eq!(Syntax::Guid.write("12345678-1234-5678-0102-030405060708").unwrap(), id);
        let administrator = [1, 2, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 0xf4, 1, 0, 0];
        assert_eq!(Syntax::Sid.read(&administrator).unwrap(), "S-1-5-21-500");
        assert_eq!(Syntax::FileTime.read(b"0"), None);
        assert_eq!(Syntax::Whole.write("1.5"), Err("it is no whole number"));
        assert_eq!(unicode_password("Aé"), [0x22, 0, 0x41, 0, 0xe9, 0, 0x22, 0]);
    }
}
