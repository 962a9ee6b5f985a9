//! A gateway in front of a server, as providers have them: it lets so many requests through at once and refuses the
//! others with 429, or loses answers of chosen requests.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use tokio::sync::Semaphore;

/// A running gateway; it ends with the test's process.
pub struct Gateway {
    /// Its address, in the place of the server's.
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

/// Called with each request, as `GET /Users?startIndex=1`, before it goes on to the server.
type Meanwhile = Box<dyn Fn(&str) + Send + Sync>;

/// What goes wrong with which requests.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub method: &'static str,
    /// A text in the path.
    pub path: &'static str,
    /// Only once a request of this method and path was let through since the faults were set.
    pub once: Option<(&'static str, &'static str)>,
    /// With how many of them.
    pub times: usize,
    pub does: Does,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    /// 500, and the server hears nothing of it.
    Fails,
    /// 500, though the server did it.
    FailsAfter,
    /// The server does it, and the connection ends in the middle of its answer.
    CutsAfter,
    /// The answer comes without a header.
    Hides(&'static str),
}

struct Inner {
    server: String,
    /// The faults, each with how often it was played.
    faults: Mutex<Vec<(Fault, usize)>>,
    /// Method and path of what was let through since the faults were set.
    heard: Mutex<Vec<String>>,
    client: reqwest::Client,
    room: Semaphore,
    takes: Duration,
    meanwhile: Meanwhile,
    /// A header that it takes no notice of.
    drops: Option<&'static str>,
    passed: AtomicUsize,
    refused: AtomicUsize,
}

impl Gateway {
    /// Lets `most` requests at once through to a server, each of which takes a while.
    pub fn before(server: &str, most: usize, takes: Duration) -> Self {
        Self::start(server, most, takes, Box::new(|_| {}), None)
    }

    /// Lets everything through, and sees to it that something happens at the server before a request arrives there.
    pub fn with(server: &str, meanwhile: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self::start(server, 64, Duration::ZERO, Box::new(meanwhile), None)
    }

    /// Lets everything through but a header.
    pub fn deaf_to(server: &str, header: &'static str) -> Self {
        Self::start(server, 64, Duration::ZERO, Box::new(|_| {}), Some(header))
    }

    /// Lets everything through until faults are set.
    pub fn unreliable(server: &str) -> Self {
        Self::start(server, 64, Duration::ZERO, Box::new(|_| {}), None)
    }

    /// What goes wrong from now on.
    pub fn set(&self, faults: &[Fault]) {
        *self.inner.faults.lock().unwrap() = faults.iter().map(|fault| (*fault, 0)).collect();
        self.inner.heard.lock().unwrap().clear();
    }

    /// How often a request of this kind was let through since the faults were set; the path has to end so.
    pub fn heard(&self, method: &str, path: &str) -> usize {
        let heard = self.inner.heard.lock().unwrap();
        heard.iter().filter(|one| one.starts_with(&format!("{method} ")) && one.ends_with(path)).count()
    }

    /// The same for a path that holds this text.
    pub fn heard_with(&self, method: &str, text: &str) -> usize {
        let heard = self.inner.heard.lock().unwrap();
        heard.iter().filter(|one| one.starts_with(&format!("{method} ")) && one.contains(text)).count()
    }

    /// How often a fault was played.
    pub fn played(&self) -> usize {
        self.inner.faults.lock().unwrap().iter().map(|(_, times)| times).sum()
    }

    fn start(server: &str, most: usize, takes: Duration, meanwhile: Meanwhile, drops: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let inner = Arc::new(Inner {
            server: server.to_owned(),
            faults: Mutex::default(),
            heard: Mutex::default(),
            client: reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap(),
            room: Semaphore::new(most),
            takes,
            meanwhile,
            drops,
            passed: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let router = Router::new().fallback(forward).with_state(inner.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
            });
        });
        Self { address, inner }
    }

    /// Requests that were let through, and those that were refused.
    pub fn counts(&self) -> (usize, usize) {
        (self.inner.passed.load(Ordering::SeqCst), self.inner.refused.load(Ordering::SeqCst))
    }
}

impl Inner {
    /// What goes wrong with a request.
    fn fault(&self, method: &str, path: &str) -> Option<Does> {
        let heard = self.heard.lock().unwrap();
        let is = |one: &str, (method, path): (&str, &str)| one.starts_with(&format!("{method} ")) && one.contains(path);
        let mut faults = self.faults.lock().unwrap();
        let (fault, times) = faults.iter_mut().find(|(fault, times)| {
            let is_due = fault.once.is_none_or(|before| heard.iter().any(|one| is(one, before)));
            fault.method == method && path.contains(fault.path) && *times < fault.times && is_due
        })?;
        *times += 1;
        Some(fault.does)
    }
}

async fn forward(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let Ok(_room) = inner.room.try_acquire() else {
        inner.refused.fetch_add(1, Ordering::SeqCst);
        return Response::builder().status(429).body(Body::empty()).unwrap();
    };
    inner.passed.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(inner.takes).await;
    let (parts, body) = request.into_parts();
    let (what, at) = (format!("{} {}", parts.method, parts.uri), inner.clone());
    tokio::task::spawn_blocking(move || (at.meanwhile)(&what)).await.unwrap();
    let fault = inner.fault(parts.method.as_str(), parts.uri.path());
    if matches!(fault, Some(Does::Fails)) {
        return Response::builder().status(500).body(Body::from("{}")).unwrap();
    }
    inner.heard.lock().unwrap().push(format!("{} {}", parts.method, parts.uri.path()));
    let url = format!("http://{}{}", inner.server, parts.uri);
    let mut headers = parts.headers;
    headers.remove("host");
    inner.drops.map(|header| headers.remove(header));
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let answer = inner.client.request(parts.method, url).headers(headers).body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    match fault {
        Some(Does::FailsAfter) => return Response::builder().status(500).body(Body::from("{}")).unwrap(),
        Some(Does::CutsAfter) => {
            let cut = futures::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("the line is cut")) });
            return response.header("content-length", "100").body(Body::from_stream(cut)).unwrap();
        }
        _ => {}
    }
    for name in ["content-type", "location", "etag"] {
        if matches!(fault, Some(Does::Hides(hidden)) if hidden == name) {
            continue;
        }
        if let Some(value) = answer.headers().get(name) {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}
