//! Connections: who may ask, what a scripted fault does to a request, how an answer is sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request as HttpRequest, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures::stream;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::database::Database;
use super::fault_engine::{self, Delivery, Engine, Instead};
use super::faults::{Action, Faults};
use super::line::{Line, LineListener};
use super::protocol::{Answer, Request, Service};
use super::request_log::RequestLog;
use super::{BASE_PATH, SandboxError, SandboxOptions, seed};
use crate::scim::MEDIA_TYPE;
use crate::scim::error::{ScimError, ScimType};

/// Largest request body, in bytes.
const BODY_LIMIT: usize = 16 << 20;
/// How long requests under way may take when the server ends.
const GRACE: Duration = Duration::from_secs(2);

/// A server that runs.
pub struct RunningSandbox {
    /// The base address: `http://127.0.0.1:PORT/scim/v2`.
    pub url: String,
    /// Where it listens.
    pub addr: SocketAddr,
    app: Arc<App>,
    task: Option<JoinHandle<()>>,
}

struct App {
    service: Service,
    engine: Engine,
    token: Option<[u8; 32]>,
    admin: bool,
    log: Option<RequestLog>,
    closing: watch::Sender<bool>,
}

impl RunningSandbox {
    /// Misbehaves like this from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.app.engine.set(faults);
    }

    /// By rule of the faults, how many requests it acted on.
    pub fn fired(&self) -> Vec<u64> {
        self.app.engine.fired()
    }

    /// Ends the server: requests under way have two seconds, then the port is free and the file closed.
    pub async fn shutdown(mut self) {
        self.app.closing.send_replace(true);
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(GRACE, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl Drop for RunningSandbox {
    fn drop(&mut self) {
        self.app.closing.send_replace(true);
    }
}

/// Starts a server.
pub(super) async fn start(options: SandboxOptions) -> Result<RunningSandbox, SandboxError> {
    if !options.listen.ip().is_loopback() {
        return Err(SandboxError::NotLoopback(options.listen));
    }
    let database = Database::open(&options.database)?;
    seed::fill(&database, options.seed, (options.clock)())
        .map_err(|cause| SandboxError::Open { path: options.database.clone(), cause: Box::new(cause) })?;
    let log = options.log.map(|path| RequestLog::create(&path).map_err(|cause| SandboxError::Log { path, cause }));
    let log = log.transpose()?;
    let failed = |cause| SandboxError::Listen { address: options.listen, cause };
    let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let url = format!("http://{addr}{BASE_PATH}");
    let (closing, mut closed) = watch::channel(false);
    let app = Arc::new(App {
        service: Service {
            database,
            base: url.clone(),
            clock: options.clock,
            max_results: options
                .dialect
                .max_results
                .map_or(options.max_results, |most| options.max_results.min(most))
                .max(1),
            cursor_timeout: options.cursor_timeout,
            seats: options.seats,
            me: options.me,
            dialect: options.dialect,
            privileged_access: options.privileged_access || options.dialect.privileged_access,
            refusals: AtomicU64::new(0),
        },
        engine: Engine::new(options.faults),
        token: options.token.map(|token| Sha256::digest(token).into()),
        admin: options.admin,
        log,
        closing,
    });
    let router = Router::new().fallback(handle).with_state(Arc::clone(&app));
    let service = router.into_make_service_with_connect_info::<Line>();
    let task = tokio::spawn(async move {
        let end = async move {
            // An error means that the handle is gone, which is the same.
            let _ = closed.wait_for(|closed| *closed).await;
        };
        // A listener that fails to accept waits and goes on, so serving has no error of its own.
        let _ = axum::serve(LineListener(listener), service).with_graceful_shutdown(end).await;
    });
    Ok(RunningSandbox { url, addr, app, task: Some(task) })
}

async fn handle(State(app): State<Arc<App>>, ConnectInfo(line): ConnectInfo<Line>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    let method = parts.method.as_str().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let whole_path = parts.uri.path().to_owned();
    // The body is read whatever comes of it, so that the connection can be used again.
    let body = match to_bytes(body, BODY_LIMIT).await {
        Ok(body) => body,
        Err(_) => return whole(Answer::error(&ScimError::new(413, "the body is larger than 16 MiB"))),
    };
    if app.admin && whole_path == "/_faults" && app.unauthorized(&parts.headers).is_none() {
        return whole(app.administer(&method, &body));
    }
    let asked = (method.clone(), whole_path.strip_prefix(BASE_PATH).unwrap_or(&whole_path).to_owned(), query.clone());
    let answer = respond_to(&app, &line, &parts, (method, whole_path, query), body.clone()).await;
    if let Some(log) = &app.log {
        let is_cut = answer.extensions().get::<Unanswered>().is_some();
        let status = (!is_cut).then(|| answer.status().as_u16());
        log.note(&asked.0, &asked.1, &asked.2, &body, status);
    }
    answer
}

/// Marks what stands for no answer at all.
#[derive(Clone)]
struct Unanswered;

async fn respond_to(
    app: &Arc<App>,
    line: &Line,
    parts: &Parts,
    (method, whole_path, query): (String, String, String),
    body: Bytes,
) -> Response {
    if let Some(refused) = app.unauthorized(&parts.headers) {
        return whole(refused);
    }
    let Some(path) = whole_path.strip_prefix(BASE_PATH).filter(|path| path.is_empty() || path.starts_with('/')) else {
        return whole(Answer::error(&ScimError::new(404, format!("nothing is at this address; see {BASE_PATH}"))));
    };
    let actions = app.engine.decide(&method, path, &query);
    let (before, after) = fault_engine::delays(&actions);
    if !before.is_zero() {
        tokio::time::sleep(before).await;
    }
    match fault_engine::instead(&actions, &method) {
        Some(Instead::Answer(answer)) => {
            app.service.count(answer.status);
            return whole(app.service.dialect.in_its_words(answer, path));
        }
        Some(Instead::Endless) => return endless(app),
        Some(Instead::Cut) => return cut(line),
        None => {}
    }
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let request = Request {
        path: path.trim_end_matches('/').to_owned(),
        query,
        content_type: text(header::CONTENT_TYPE),
        if_match: text(header::IF_MATCH),
        if_none_match: text(header::IF_NONE_MATCH),
        method,
        body,
        tweaks: fault_engine::tweaks(&actions),
    };
    let answered = {
        let app = Arc::clone(app);
        let again = actions.contains(&Action::Twice);
        let answer = move || {
            if again {
                // Nobody hears the first answer.
                drop(app.service.answer(&request));
            }
            app.service.answer(&request)
        };
        tokio::task::spawn_blocking(answer).await
    };
    let answer = answered.unwrap_or_else(|_| Answer::error(&ScimError::new(500, "the request failed inside")));
    if !after.is_zero() {
        tokio::time::sleep(after).await;
    }
    let (answer, delivery) = fault_engine::after(&actions, answer);
    match delivery {
        Delivery::Whole => whole(answer),
        Delivery::Half => {
            let mut bytes = answer.bytes();
            bytes.truncate(bytes.len() / 2);
            respond(answer, Body::from(bytes))
        }
        Delivery::Broken => broken(answer, line.clone()),
        Delivery::Cut => cut(line),
    }
}

impl App {
    /// The 401 where the token is wrong (RFC 6750 §3). Digests are compared, so the time says nothing.
    fn unauthorized(&self, headers: &HeaderMap) -> Option<Answer> {
        let wanted = self.token.as_ref()?;
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let given = sent.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (detail, challenge) = match given {
            Some((_, token)) if <[u8; 32]>::from(Sha256::digest(token.trim())) == *wanted => return None,
            Some(_) => ("the bearer token is wrong", "Bearer realm=\"sandbox\", error=\"invalid_token\""),
            None => ("a bearer token is needed", "Bearer realm=\"sandbox\""),
        };
        Some(Answer::error(&ScimError::new(401, detail)).header("www-authenticate", challenge))
    }

    /// `/_faults`: GET shows the rules and what they did, POST or PUT puts others in place, DELETE ends them.
    fn administer(&self, method: &str, body: &Bytes) -> Answer {
        let faults = match method {
            "GET" => return Answer::json(200, self.engine.describe()),
            "DELETE" => Faults::default(),
            "POST" | "PUT" => {
                let text = String::from_utf8_lossy(body);
                match Faults::parse(&text, std::path::Path::new("the request")) {
                    Ok(faults) => faults,
                    Err(error) => {
                        return Answer::error(&ScimError::bad(ScimType::InvalidSyntax, error.to_string()));
                    }
                }
            }
            _ => {
                return Answer::error(&ScimError::new(405, "GET, POST, PUT or DELETE"))
                    .header("allow", "GET, POST, PUT, DELETE");
            }
        };
        self.engine.set(faults);
        Answer::json(200, self.engine.describe())
    }
}

fn whole(answer: Answer) -> Response {
    let body = Body::from(answer.bytes());
    respond(answer, body)
}

fn respond(answer: Answer, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Half of the body under the length of all of it, then nothing more.
fn broken(answer: Answer, line: Line) -> Response {
    let mut half = answer.bytes();
    let length = half.len();
    half.truncate(length / 2);
    let half = Bytes::from(half);
    let answer = answer.header("content-length", length.to_string());
    let body = stream::unfold(Some(half), move |half| {
        let line = line.clone();
        async move {
            let Some(half) = half else {
                // The first half is on its way by now.
                tokio::time::sleep(Duration::from_millis(20)).await;
                line.cut();
                return Some((Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted)), None));
            };
            Some((Ok(half), None))
        }
    });
    respond(answer, Body::from_stream(body))
}

fn cut(line: &Line) -> Response {
    line.cut();
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Unanswered);
    response
}

/// The beginning of a list, then blanks until the client leaves or the server ends.
fn endless(app: &App) -> Response {
    let closed = app.closing.subscribe();
    let body = stream::unfold((0u64, closed), |(count, closed)| async move {
        if *closed.borrow() {
            return None;
        }
        let part = if count == 0 {
            Bytes::from_static(b"{\"totalResults\":1,\"Resources\":[")
        } else {
            Bytes::from(vec![b' '; 4096])
        };
        if count > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Some((Ok::<_, std::convert::Infallible>(part), (count + 1, closed)))
    });
    let answer = Answer::raw(200, MEDIA_TYPE, String::new());
    respond(answer, Body::from_stream(body))
}
