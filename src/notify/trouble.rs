//! What went wrong on the way to whoever takes messages: whose side it is, and what to do next.

use std::error::Error as StdError;

use crate::model::causes;
use crate::model::failure::{Class, Failure, Recourse, Stage};

/// A failure at a stage.
pub(super) fn failure(
    way: &str,
    stage: Stage,
    class: Class,
    cause: impl Into<String>,
    remedy: impl Into<String>,
) -> Failure {
    Failure { stage: Some(stage), ..Failure::new(class, Recourse::Retry, way, cause, remedy) }
}

/// What failed before anything was answered: the name service, the connection, TLS. `where_to` is host and port.
pub(super) fn unreached(way: &str, stage: Stage, where_to: &str, error: &(dyn StdError + 'static)) -> Failure {
    if let Some(tls) = causes::of_tls(error) {
        let remedy = match tls {
            rustls::Error::InvalidCertificate(problem) => certificate_remedy(problem),
            _ => "see whether this port speaks TLS, and in which version",
        };
        let cause = format!("no trusted TLS session with {where_to}: {tls}");
        return failure(way, Stage::Tls, Class::Connection, cause, remedy);
    }
    let cause = format!("no connection to {where_to}: {}", innermost(error));
    let remedy = "see whether it is up and its port right, and whether a firewall stands between this machine and it";
    failure(way, stage, Class::Connection, cause, remedy)
}

fn certificate_remedy(problem: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Certificate;
    match problem {
        Certificate::Expired | Certificate::ExpiredContext { .. } => {
            "have its certificate renewed, and see whether the clock of this machine is right"
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "name it in the job file as its certificate does"
        }
        Certificate::UnknownIssuer => {
            "where its certificate comes from an authority of your own, set ca_file to its certificate (PEM)"
        }
        _ => "see whether its certificate is valid for this name; for an own certificate authority set ca_file",
    }
}

/// The cause of all causes, in its own words.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
