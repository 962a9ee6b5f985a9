//! OpenSSH signatures (PROTOCOL.sshsig): which key signed some bytes.
//!
//! What `ssh-keygen -Y sign` writes is read by `ssh-key`; the arithmetic is ring's, which speaks TLS here already.

use std::fmt;

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use sha2::{Digest as _, Sha256};
use ssh_key::public::{EcdsaPublicKey, KeyData, RsaPublicKey};
use ssh_key::{Algorithm, HashAlg, Signature, SshSig};

/// What approvals are signed for (`ssh-keygen -n`), so that no signature made for something else passes for one.
pub const NAMESPACE: &str = "muster";

/// In the flags of a hardware key's signature: somebody touched it (PROTOCOL.u2f).
const TOUCHED: u8 = 1;

/// Flags and counter, which a hardware key signs along.
const TRAILER: usize = 5;

/// A public key; told by its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey(pub(super) KeyData);

impl fmt::Display for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.fingerprint(HashAlg::Sha256))
    }
}

/// Why a signature proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// Not what `ssh-keygen -Y sign` writes.
    #[error("it is no OpenSSH signature ({0})")]
    Unreadable(String),
    /// Made for something else.
    #[error("it was made for `{0}`, and approvals are signed with `-n {NAMESPACE}`")]
    Namespace(String),
    /// A kind of key that is not verified here.
    #[error(
        "{0} keys are not taken: sign with an Ed25519, ECDSA P-256 or P-384, RSA (from 2048 bits) or hardware (sk) key"
    )]
    Unsupported(String),
    /// A hardware key that nobody touched.
    #[error("nobody touched the hardware key: make it without `no-touch-required`")]
    Untouched,
    /// The bytes or the signature were changed.
    #[error("it does not fit what is signed: one of the two was changed")]
    Wrong,
}

/// The key that signed these bytes under [`NAMESPACE`].
///
/// # Errors
/// Where it is no signature of these bytes.
pub fn signer(bytes: &[u8], signature: &[u8]) -> Result<SigningKey, SignatureFault> {
    let unreadable = |error: ssh_key::Error| SignatureFault::Unreadable(error.to_string());
    let signature = SshSig::from_pem(signature).map_err(unreadable)?;
    if signature.namespace() != NAMESPACE {
        return Err(SignatureFault::Namespace(signature.namespace().to_owned()));
    }
    let signed = SshSig::signed_data(NAMESPACE, signature.hash_alg(), bytes).map_err(unreadable)?;
    fits(signature.public_key(), &signed, signature.signature())?;
    Ok(SigningKey(signature.public_key().clone()))
}

/// Whether a key made a signature of these bytes.
fn fits(key: &KeyData, signed: &[u8], signature: &Signature) -> Result<(), SignatureFault> {
    let made = signature.as_bytes();
    let algorithm = signature.algorithm();
    match (key, &algorithm) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) => verified(&ED25519, &key.0, signed, made),
        (KeyData::Ecdsa(key), Algorithm::Ecdsa { curve }) if key.curve() == *curve => ecdsa(key, signed, made),
        (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => rsa(key, *hash, signed, made),
        (KeyData::SkEd25519(key), Algorithm::SkEd25519) => {
            let (made, signed) = touched(key.application(), signed, made)?;
            verified(&ED25519, &key.public_key().0, &signed, made)
        }
        (KeyData::SkEcdsaSha2NistP256(key), Algorithm::SkEcdsaSha2NistP256) => {
            let (made, signed) = touched(key.application(), signed, made)?;
            ecdsa(&EcdsaPublicKey::NistP256(*key.ec_point()), &signed, made)
        }
        (KeyData::Ed25519(_) | KeyData::Ecdsa(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_), _) => {
            Err(SignatureFault::Wrong)
        }
        _ => Err(SignatureFault::Unsupported(algorithm.as_str().to_owned())),
    }
}

fn verified(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    signed: &[u8],
    made: &[u8],
) -> Result<(), SignatureFault> {
    UnparsedPublicKey::new(algorithm, key).verify(signed, made).map_err(|_| SignatureFault::Wrong)
}

/// A signature of two numbers (RFC 5656, section 3.1.2), each as long as the curve's field for ring.
fn ecdsa(key: &EcdsaPublicKey, signed: &[u8], made: &[u8]) -> Result<(), SignatureFault> {
    let (algorithm, length): (&'static dyn VerificationAlgorithm, usize) = match key {
        EcdsaPublicKey::NistP256(_) => (&ECDSA_P256_SHA256_FIXED, 32),
        EcdsaPublicKey::NistP384(_) => (&ECDSA_P384_SHA384_FIXED, 48),
        EcdsaPublicKey::NistP521(_) => return Err(SignatureFault::Unsupported(key.algorithm().as_str().to_owned())),
    };
    let mut fixed = Vec::with_capacity(2 * length);
    let mut rest = made;
    for _ in 0..2 {
        let number;
        (number, rest) = prefixed(rest).ok_or(SignatureFault::Wrong)?;
        let digits: &[u8] = &number[number.iter().take_while(|byte| **byte == 0).count()..];
        let padding = length.checked_sub(digits.len()).ok_or(SignatureFault::Wrong)?;
        fixed.extend(std::iter::repeat_n(0, padding));
        fixed.extend_from_slice(digits);
    }
    verified(algorithm, key.as_sec1_bytes(), signed, &fixed)
}

/// Bytes behind their length of four bytes (RFC 4251, section 5), and what follows.
fn prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// RFC 8332.
fn rsa(key: &RsaPublicKey, hash: HashAlg, signed: &[u8], made: &[u8]) -> Result<(), SignatureFault> {
    let parameters = match hash {
        HashAlg::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        HashAlg::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        _ => return Err(SignatureFault::Unsupported("ssh-rsa".to_owned())),
    };
    let (Some(n), Some(e)) = (key.n.as_positive_bytes(), key.e.as_positive_bytes()) else {
        return Err(SignatureFault::Wrong);
    };
    if n.len() < 256 {
        return Err(SignatureFault::Unsupported(format!("RSA {}-bit", n.len() * 8)));
    }
    RsaPublicKeyComponents { n, e }.verify(parameters, signed, made).map_err(|_| SignatureFault::Wrong)
}

/// What a hardware key signs: digests of its application and of the bytes, with flags and counter between them
/// (PROTOCOL.u2f). Gives the signature alone, and these.
fn touched<'a>(application: &str, signed: &[u8], made: &'a [u8]) -> Result<(&'a [u8], Vec<u8>), SignatureFault> {
    let (made, trailer) =
        made.len().checked_sub(TRAILER).and_then(|at| made.split_at_checked(at)).ok_or(SignatureFault::Wrong)?;
    if trailer.first().is_none_or(|flags| flags & TOUCHED == 0) {
        return Err(SignatureFault::Untouched);
    }
    let mut bytes = Sha256::digest(application.as_bytes()).to_vec();
    bytes.extend_from_slice(trailer);
    bytes.extend_from_slice(&Sha256::digest(signed));
    Ok((made, bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    use ssh_key::public::{Ed25519PublicKey, SkEcdsaSha2NistP256, SkEd25519};

    use super::*;

    /// Signs as a hardware key does: with flags and a counter.
    fn hardware(signed: &[u8], flags: u8, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let trailer = [flags, 0, 0, 0, 7];
        let mut bytes = Sha256::digest(b"ssh:").to_vec();
        bytes.extend_from_slice(&trailer);
        bytes.extend_from_slice(&Sha256::digest(signed));
        [sign(&bytes), trailer.to_vec()].concat()
    }

    fn mpint(number: &[u8]) -> Vec<u8> {
        let digits = &number[number.iter().take_while(|byte| **byte == 0).count()..];
        let sign: &[u8] = if digits[0] >= 0x80 { &[0] } else { &[] };
        [&u32::try_from(sign.len() + digits.len()).unwrap().to_be_bytes()[..], sign, digits].concat()
    }

    #[test]
    fn a_hardware_key_signs_only_what_it_was_touched_for() {
        let random = SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let public = Ed25519PublicKey(pair.public_key().as_ref().try_into().unwrap());
        let key = KeyData::SkEd25519(SkEd25519::new(public, "ssh:"));
        let sign = |bytes: &[u8]| pair.sign(bytes).as_ref().to_vec();
        let made = |flags| Signature::new(Algorithm::SkEd25519, hardware(b"seal", flags, sign)).unwrap();
        assert_eq!(fits(&key, b"seal", &made(1)), Ok(()));
        assert_eq!(fits(&key, b"Seal", &made(1)), Err(SignatureFault::Wrong));
        assert_eq!(fits(&key, b"seal", &made(0)), Err(SignatureFault::Untouched));

        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let EcdsaPublicKey::NistP256(point) = EcdsaPublicKey::from_sec1_bytes(pair.public_key().as_ref()).unwrap()
        else {
            panic!("a P-256 key is one");
        };
        let key = KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(point, "ssh:"));
        let sign = |bytes: &[u8]| {
            let fixed = pair.sign(&random, bytes).unwrap();
            [mpint(&fixed.as_ref()[..32]), mpint(&fixed.as_ref()[32..])].concat()
        };
        let made = |flags| Signature::new(Algorithm::SkEcdsaSha2NistP256, hardware(b"seal", flags, sign)).unwrap();
        assert_eq!(fits(&key, b"seal", &made(5)), Ok(()));
        assert_eq!(fits(&key, b"Seal", &made(5)), Err(SignatureFault::Wrong));
        assert_eq!(fits(&key, b"seal", &made(4)), Err(SignatureFault::Untouched));
    }
}
