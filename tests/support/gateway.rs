//! A gateway in front of a server, as providers have them: it lets so many requests through at once and refuses the
//! others with 429.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

struct Inner {
    server: String,
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

    fn start(server: &str, most: usize, takes: Duration, meanwhile: Meanwhile, drops: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let inner = Arc::new(Inner {
            server: server.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
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
    let url = format!("http://{}{}", inner.server, parts.uri);
    let mut headers = parts.headers;
    headers.remove("host");
    inner.drops.map(|header| headers.remove(header));
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let answer = inner.client.request(parts.method, url).headers(headers).body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for name in ["content-type", "location", "etag"] {
        if let Some(value) = answer.headers().get(name) {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}
