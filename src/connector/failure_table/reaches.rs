//! What fails on the way to a system, before it answers anything.

use crate::model::failure::Stage;

/// One thing that can fail on the way.
#[derive(Debug)]
pub(crate) struct Reach {
    /// The stage that fails.
    pub(crate) stage: Stage,
    /// What to do next.
    pub(crate) remedy: &'static str,
}

macro_rules! reaches {
    ($($(#[$doc:meta])* $constant:ident = $stage:ident, $remedy:literal;)*) => {
        $($(#[$doc])* pub(crate) const $constant: Reach = Reach { stage: Stage::$stage, remedy: $remedy };)*
        /// All of them.
        #[cfg(test)]
        pub(crate) const ALL: &[&Reach] = &[$(&$constant),*];
    };
}

reaches! {
    /// The name service knows no such host.
    NO_SUCH_HOST = Resolve,
        "see whether the name in url is right and the name service of this machine knows it";
    /// Nobody takes the connection.
    NO_CONNECTION = Connect,
        "see whether the system is up, and whether a firewall or proxy stands between this machine and it";
    /// The proxy gives no way.
    NO_WAY = Proxy,
        "see whether the proxy runs and lets this host pass; or name the host in no_proxy";
    /// The connection ended before the answer did.
    CUT = Http,
        "see whether the system, or a firewall or proxy before it, cuts connections";
    /// The same without TLS, which a port that expects TLS may do too.
    CUT_PLAIN = Http,
        "see whether the system, or a firewall or proxy before it, cuts connections; where the port is one for TLS, write https:// in url";
    /// What answers is no HTTP, as of a port that expects TLS.
    NO_HTTP = Http,
        "what answers there speaks no plain HTTP: where the port is one for TLS, write https:// in url";
    /// The certificate's time is over.
    EXPIRED = Tls,
        "have the certificate renewed by whoever runs the system, and see whether the clock of this machine is right";
    /// The certificate's time has not come.
    NOT_YET = Tls,
        "see whether the clock of this machine is right; if it is, the certificate was made for later";
    /// The certificate is somebody else's.
    OTHER_NAME = Tls,
        "write in url the name that the certificate is for, or have one made for the name in url; a proxy that opens TLS shows here too";
    /// The certificate comes from nobody who is trusted.
    UNKNOWN_AUTHORITY = Tls,
        "where the certificate comes from an authority of your own, set ca_file to its certificate (PEM), with those between; a proxy that opens TLS shows here too";
    /// The certificate was taken back.
    REVOKED = Tls,
        "the certificate was revoked by its authority: have another one put in place by whoever runs the system";
    /// What answers is no TLS.
    NO_TLS = Tls,
        "what answers there speaks no TLS: where the port is one for plain HTTP, correct the port, or have TLS switched on; plain http:// sends the credential for all to read";
    /// Anything else about TLS.
    TLS = Tls,
        "see whether the certificate is valid for this name; for an own certificate authority set ca_file";
}

/// What a TLS error means.
pub(crate) fn of_tls(error: &rustls::Error) -> &'static Reach {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            Certificate::Expired | Certificate::ExpiredContext { .. } => &EXPIRED,
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => &NOT_YET,
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => &OTHER_NAME,
            Certificate::UnknownIssuer => &UNKNOWN_AUTHORITY,
            Certificate::Revoked => &REVOKED,
            _ => &TLS,
        },
        rustls::Error::InvalidMessage(_) => &NO_TLS,
        _ => &TLS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{CertificateError, Error};

    #[test]
    fn each_row_has_a_remedy_of_its_own() {
        for (at, row) in ALL.iter().enumerate() {
            assert!(!row.remedy.is_empty());
            assert!(ALL[..at].iter().all(|other| other.remedy != row.remedy), "{}", row.remedy);
        }
        for (error, remedy) in [
            (Error::InvalidCertificate(CertificateError::Revoked), "was revoked"),
            (Error::InvalidCertificate(CertificateError::NotValidYet), "was made for later"),
            (Error::HandshakeNotComplete, "is valid for this name"),
        ] {
            assert!(of_tls(&error).remedy.contains(remedy), "{error}");
        }
    }
}
