//! A message as mail (RFC 5322): the same as text and as HTML.

use chrono::{DateTime, Utc};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

/// What a mail says.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The sender's address.
    pub from: &'a str,
    /// Who gets it.
    pub to: &'a [String],
    /// The same at each try.
    pub id: &'a str,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// Its subject.
    pub subject: &'a str,
    /// As plain text.
    pub text: &'a str,
    /// As HTML.
    pub html: &'a str,
}

/// The bytes that a server takes, all of them ASCII.
///
/// # Errors
/// Which address is none, in lower case.
pub fn bytes(letter: &Letter<'_>) -> Result<Vec<u8>, String> {
    let from = address(letter.from)?;
    // It is a name of this mail alone, whoever reads it: the sender's domain says whose.
    let id = format!("<{}@{}>", letter.id, from.domain());
    let mut message = Message::builder()
        .from(Mailbox::new(Some("muster".to_owned()), from))
        .subject(letter.subject)
        .date(letter.at.into())
        .message_id(Some(id))
        .raw_header(header("Auto-Submitted", "auto-generated"));
    for to in letter.to {
        message = message.to(Mailbox::new(None, address(to)?));
    }
    let part = |kind: ContentType, text: &str| {
        let body = Body::new_with_encoding(text.to_owned(), ContentTransferEncoding::QuotedPrintable);
        body.map(|body| SinglePart::builder().header(kind).body(body)).map_err(|_| "a text is no text".to_owned())
    };
    let parts = MultiPart::alternative()
        .singlepart(part(ContentType::TEXT_PLAIN, letter.text)?)
        .singlepart(part(ContentType::TEXT_HTML, letter.html)?);
    let message = message.multipart(parts).map_err(|error| format!("the mail cannot be written: {error}"))?;
    Ok(message.formatted())
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    // Answered by no machine (RFC 3834 section 5).
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// An address as servers know it: a domain in other letters by its name in ASCII.
///
/// # Errors
/// That it is none.
pub(super) fn address(text: &str) -> Result<Address, String> {
    let (local, domain) = text.rsplit_once('@').ok_or_else(|| format!("`{text}` is no mail address"))?;
    let domain = url::Host::parse(domain).map_err(|_| format!("`{text}` is no mail address"))?;
    Address::new(local, domain.to_string()).map_err(|_| format!("`{text}` is no mail address"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_ascii_and_nothing_in_it_becomes_a_header() {
        let letter = Letter {
            from: "muster@vault01",
            to: &["iam@müller.example".to_owned()],
            id: "20261122T150405Z-7f3a-held",
            at: "2026-11-22T15:04:05Z".parse().unwrap(),
            subject: "muster: Ünal\r\nBcc: everybody@example.com",
            text: "Ünal\n.\nBcc: x\n",
            html: "<p>Ünal</p>",
        };
        let text = String::from_utf8(bytes(&letter).unwrap()).unwrap();
        assert!(text.is_ascii());
        assert!(text.contains("To: iam@xn--mller-kva.example\r\n"), "{text}");
        assert!(text.contains("Message-ID: <20261122T150405Z-7f3a-held@vault01>\r\n"), "{text}");
        assert!(text.contains("Date: Sun, 22 Nov 2026 15:04:05 "), "{text}");
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert_eq!(text.matches("multipart/alternative").count(), 1);
        assert!(address("iam").is_err() && address("a b@x").is_err());
    }
}
