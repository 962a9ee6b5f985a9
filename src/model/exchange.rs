//! One request to a system and what came back, and what many of them come to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One request, told once its answer was read to the end or given up.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The system's name in the job file.
    pub system: String,
    /// Method and path: `GET /scim/v2/Users?count=200&filter=…`. Of a query only whole numbers are told, for its texts
    /// may be about people. Of LDAP: what is asked, and below which entry.
    pub request: String,
    /// The status of the answer, or its result code (LDAP); `None` where none came.
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub sent: u64,
    /// Bytes of the answer's body.
    pub received: u64,
    /// From the request to the last byte of its answer.
    pub took: Duration,
    /// The server's own id of the request, where it sent one.
    pub request_id: Option<String>,
    /// What the server says of a refusal, or why there is no answer; its credentials are taken out.
    pub failure: Option<String>,
}

/// What the requests to one system come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests.
    pub requests: u64,
    /// Those that were refused as too many (429, of LDAP 51) or for now (503).
    pub throttled: u64,
    /// Those that failed otherwise: another status than success, 404 or 501 (of LDAP: 32), or no answer.
    pub failed: u64,
    /// Bytes of the requests' bodies.
    pub sent: u64,
    /// Bytes of the answers' bodies.
    pub received: u64,
    /// Waiting for answers, in seconds; of requests that were under way at once, each counts.
    pub waited: f64,
    /// The longest wait for one answer, in seconds.
    pub longest: f64,
}

impl Traffic {
    /// One more request.
    pub fn add(&mut self, status: Option<u16>, sent: u64, received: u64, took: Duration) {
        self.requests += 1;
        match status {
            // Results of LDAP (RFC 4511 appendix A) are below 200, statuses of HTTP are not.
            Some(51 | 429 | 503) => self.throttled += 1,
            // That something is not there or not offered is an answer, too.
            Some(0 | 32 | 200..300 | 404 | 501) => {}
            _ => self.failed += 1,
        }
        self.sent += sent;
        self.received += received;
        self.waited += took.as_secs_f64();
        self.longest = self.longest.max(took.as_secs_f64());
    }
}
