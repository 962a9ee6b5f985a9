//! What an access token says of itself, where it is a JSON Web Token (RFC 7519). Nothing is proved by it: the server
//! judges its own token, muster only reads what it was given.

use serde_json::Value as Json;

/// The claims of a token in the compact form of RFC 7515 section 3.1; `None` where it is something else.
pub(super) fn claims(token: &str) -> Option<Json> {
    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    serde_json::from_slice(&base64url(payload)?).ok()
}

/// Base64 with the alphabet for addresses, without padding (RFC 4648 section 5).
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut known) = (0_u32, 0_u32);
    for letter in text.bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        known += 6;
        if known >= 8 {
            known -= 8;
            bytes.push((bits >> known) as u8);
            bits &= (1 << known) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::claims;

    #[test]
    fn claims_are_read_and_other_tokens_are_none() {
        // {"sub":"Jürgen?>"}
        let read = claims("e30.eyJzdWIiOiJKw7xyZ2VuPz4ifQ.c2ln");
        assert_eq!(read, Some(serde_json::json!({"sub": "Jürgen?>"})));
        for other in ["", "opaque", "a.b", "a.b.c.d", "e30.!!.x", "e30.e30.x.y"] {
            assert_eq!(claims(other), None, "{other}");
        }
    }
}
