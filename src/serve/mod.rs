//! The review page: what a run wants to do, in a browser on the same machine; decisions go through the same seal as those
//! that are typed.
//!
//! [`start`] listens on 127.0.0.1 and gives an address that works once ([`access`]). A run is a [`sheet`]: its plan, an
//! [`index`] of its orders, where they stand ([`live`]) and what is decided and not sealed ([`draft`]). What only the door
//! knows, it is asked by [`desk::Desk`]. The page itself is plain HTML, CSS and JavaScript in `page/`, which sets every
//! text as text.

mod access;
mod app;
mod assets;
mod deciding;
pub mod desk;
mod draft;
mod filter;
mod index;
mod live;
mod orders;
mod overview;
mod sheet;
mod workers;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query as UrlQuery, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use access::{Access, Refused, guard};
use app::{App, Page, Refusal, Which};
use assets::{CLOSED, CSS, HTML, ICON, JS, OPEN, OPEN_JS};
use desk::Desk;
use filter::Query;

use crate::model::record::RunRecord;
use crate::store::database::Store;

/// Largest request body, in bytes.
const BODY_LIMIT: usize = 1 << 20;

/// How often is looked whether somebody else changed something.
const LOOK: Duration = Duration::from_millis(1_500);

/// How long requests under way may take when the page ends.
const GRACE: Duration = Duration::from_secs(2);

/// Why the page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no port.
    #[error("cannot listen on 127.0.0.1: {0}; see what the machine's limits are")]
    Listen(std::io::Error),
    /// What it is about cannot be read; a sentence.
    #[error("{0}")]
    Runs(String),
}

/// A page that is shown.
pub struct Served {
    /// The address that works once: `http://127.0.0.1:PORT/open/TOKEN`. The only place where the token stands.
    pub url: String,
    site: Arc<Site>,
    task: JoinHandle<()>,
    ended: watch::Receiver<bool>,
}

/// The page with those who may see it.
struct Site {
    app: App,
    access: Access,
    idle: Duration,
    end: watch::Sender<bool>,
}

/// Shows the page that a door opens on some runs, until it is told to end or nobody used it for as long as `idle`.
///
/// # Errors
/// [`ServeError`].
pub async fn start(
    desk: Box<dyn Desk>,
    store: Store,
    runs: Vec<RunRecord>,
    idle: Duration,
) -> Result<Served, ServeError> {
    let seed = uuid::Uuid::new_v4().as_u64_pair().1;
    let app = tokio::task::spawn_blocking(move || App::open(desk, store, runs, seed)).await;
    let app = app.map_err(|why| ServeError::Runs(why.to_string()))?.map_err(ServeError::Runs)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(ServeError::Listen)?;
    let port = listener.local_addr().map_err(ServeError::Listen)?.port();
    let token = access::secret();
    let url = format!("http://127.0.0.1:{port}/open/{token}");
    let (end, ended) = watch::channel(false);
    let site = Arc::new(Site { app, access: Access::new(port, &token), idle, end });

    let loading = Arc::clone(&site);
    tokio::task::spawn_blocking(move || loading.app.load());
    let watching = Arc::clone(&site);
    tokio::spawn(async move { watch_over(watching).await });
    let router = Router::new().fallback(handle).with_state(Arc::clone(&site));
    let mut closed = ended.clone();
    let task = tokio::spawn(async move {
        let end = async move {
            // An error means that the page is gone, which is the same.
            let _ = closed.wait_for(|ended| *ended).await;
        };
        // A listener that fails to accept waits and goes on, so serving has no error of its own.
        let _ = axum::serve(listener, router).with_graceful_shutdown(end).await;
    });
    Ok(Served { url, site, task, ended })
}

impl Served {
    /// Waits until the page ended by itself: nobody used it, or somebody closed it there.
    pub async fn ended(&mut self) {
        // An error means that it is gone.
        let _ = self.ended.wait_for(|ended| *ended).await;
    }

    /// Ends the page; how many decisions were not sealed.
    pub async fn close(self) -> u64 {
        let _ = self.site.end.send(true);
        // A browser may keep its connections.
        let _ = tokio::time::timeout(GRACE, self.task).await;
        self.site.app.unsealed()
    }
}

/// Looks whether somebody else changed something, and whether anybody still uses the page.
async fn watch_over(site: Arc<Site>) {
    let mut ended = site.end.subscribe();
    let mut pause = LOOK;
    loop {
        tokio::select! {
            _ = ended.wait_for(|ended| *ended) => return,
            () = tokio::time::sleep(pause) => {}
        }
        if site.app.idle() >= site.idle {
            let _ = site.end.send(true);
            return;
        }
        let began = Instant::now();
        let looking = Arc::clone(&site);
        let _ = tokio::task::spawn_blocking(move || looking.app.follow()).await;
        // Where a look takes long, as with a million orders, the machine has other things to do as well.
        pause = LOOK.max(began.elapsed() * 5);
    }
}

/// An answer.
struct Answer {
    status: u16,
    kind: &'static str,
    body: Bytes,
    cookie: Option<HeaderValue>,
}

impl Answer {
    fn page(status: u16, text: &'static str) -> Self {
        Self::text(status, "text/html; charset=utf-8", text.as_bytes().into())
    }

    fn text(status: u16, kind: &'static str, body: Bytes) -> Self {
        Self { status, kind, body, cookie: None }
    }

    fn json(answer: Result<Json, Refusal>) -> Self {
        let (status, json) = match answer {
            Ok(json) => (200, json),
            Err((status, why)) => (status, json!({ "error": why })),
        };
        Self::text(status, "application/json", json.to_string().into_bytes().into())
    }

    fn refused(why: Refused, is_for_people: bool) -> Self {
        let status = if why == Refused::Host { 421 } else { 403 };
        if is_for_people {
            let page = CLOSED.replace("{why}", why.sentence());
            return Self::text(status, "text/html; charset=utf-8", page.into_bytes().into());
        }
        Self::json(Err((status, why.sentence().to_owned())))
    }
}

async fn handle(State(site): State<Arc<Site>>, request: Request) -> Response {
    let answer = answer(site, request).await;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.kind));
    if let Some(cookie) = answer.cookie {
        headers.insert(header::SET_COOKIE, cookie);
    }
    guard(headers);
    response
}

async fn answer(site: Arc<Site>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if let Err(why) = site.access.by_name(&parts.headers) {
        return Answer::refused(why, false);
    }
    if parts.method != Method::GET && parts.method != Method::POST {
        return Answer::json(Err((405, "GET or POST".to_owned())));
    }
    if let Some(token) = path.strip_prefix("/open/") {
        return open(&site, token, &parts.headers);
    }
    let api = path.strip_prefix("/api/");
    if let Err(why) = site.access.known(&parts.headers) {
        return Answer::refused(why, api.is_none());
    }
    let Some(api) = api else {
        return match path.as_str() {
            _ if parts.method != Method::GET => Answer::json(Err((405, "GET".to_owned()))),
            "/" => Answer::page(200, HTML),
            "/page.css" => Answer::text(200, "text/css; charset=utf-8", CSS.as_bytes().into()),
            "/page.js" => Answer::text(200, "text/javascript; charset=utf-8", JS.as_bytes().into()),
            "/open.js" => Answer::text(200, "text/javascript; charset=utf-8", OPEN_JS.as_bytes().into()),
            "/icon.svg" => Answer::text(200, "image/svg+xml", ICON.as_bytes().into()),
            _ => Answer::json(Err((404, "nothing is at this address".to_owned()))),
        };
    };
    if let Err(why) = site.access.is_the_page(&parts.method, &parts.headers) {
        return Answer::refused(why, false);
    }
    let is_json = parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if parts.method == Method::POST && !is_json {
        return Answer::json(Err((415, "application/json".to_owned())));
    }
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return Answer::json(Err((413, "this is more than the page sends at once".to_owned())));
    };
    let (api, method, uri) = (api.to_owned(), parts.method, parts.uri);
    if api != "pulse" {
        site.app.touch();
    }
    let asked = tokio::task::spawn_blocking(move || ask(&site, &method, &api, &uri, &body)).await;
    Answer::json(asked.unwrap_or_else(|_| {
        Err((500, "a fault in muster itself; what was sealed stands, and nothing unapproved was sent".to_owned()))
    }))
}

/// Exchanges the token of the printed address; whoever is known already goes on.
fn open(site: &Site, token: &str, headers: &axum::http::HeaderMap) -> Answer {
    let page = || {
        Answer::text(200, "text/html; charset=utf-8", OPEN.replace("{word}", site.access.word()).into_bytes().into())
    };
    match site.access.exchange(token) {
        Ok(cookie) => {
            site.app.touch();
            Answer { cookie: Some(cookie), ..page() }
        }
        Err(why) => match site.access.known(headers) {
            Ok(()) => Answer::page(200, OPEN),
            Err(_) => Answer::refused(why, true),
        },
    }
}

/// One question of the page.
fn ask(site: &Site, method: &Method, api: &str, uri: &Uri, body: &[u8]) -> Result<Json, Refusal> {
    let app = &site.app;
    match (method.as_str(), api) {
        ("GET", "pulse") => Ok(app.pulse(site.idle)),
        ("GET", "overview") => app.overview(&url::<Which>(uri)?),
        ("GET", "past") => app.past(&url::<Which>(uri)?),
        ("GET", "orders") => app.rows(&url::<Page>(uri)?, &url::<Query>(uri)?),
        ("GET", "order") => app.order(&url::<Which>(uri)?),
        ("GET", "why") => app.why(&url::<Which>(uri)?),
        ("GET", "summary") => app.summary(&url::<Which>(uri)?),
        ("POST", "decide") => app.decide(body),
        ("POST", "accept") => app.accept(body),
        ("POST", "seal") => app.seal(body, false),
        ("POST", "prepare") => app.seal(body, true),
        ("POST", "end") => {
            let unsealed = app.unsealed();
            let _ = site.end.send(true);
            Ok(json!({ "unsealed": unsealed }))
        }
        _ => Err((404, "nothing is at this address".to_owned())),
    }
}

/// What stands in an address behind the question mark.
fn url<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    let read = UrlQuery::<T>::try_from_uri(uri).map_err(|why| (400, why.to_string()))?;
    Ok(read.0)
}
