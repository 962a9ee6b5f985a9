//! The review page, opened as a browser does: its address, its cookie, its word.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and a test may panic"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::World;

/// A page that is served; ended when dropped.
pub struct Page {
    child: Child,
    /// The address that works once.
    pub url: String,
    /// `http://127.0.0.1:PORT`.
    pub origin: String,
    cookie: String,
    word: String,
    /// The run that it is about.
    pub run: String,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.body))
    }
}

/// Sends a request as it is; no header is added.
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut request = super::http_client().request(method.parse().unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.text().await.unwrap() }
    })
}

impl Page {
    /// Starts it, and opens its address.
    pub fn open(world: &World, about: &str, further: &[&str]) -> Self {
        let mut page = Self::start(world, about, further);
        let opened = send("GET", &page.url, &[], None);
        assert_eq!(opened.status, 200, "{opened:?}");
        let cookie = opened.headers["set-cookie"].to_str().unwrap();
        page.cookie = cookie.split(';').next().unwrap().to_owned();
        let after = opened.body.split("name=\"muster-word\" content=\"").nth(1).unwrap();
        page.word = after.split('"').next().unwrap().to_owned();
        page.run = page.get("pulse")["runs"][0]["run"].as_str().unwrap().to_owned();
        page
    }

    /// Starts it, and leaves its address alone.
    pub fn start(world: &World, about: &str, further: &[&str]) -> Self {
        let mut args = vec!["review", about, "--serve"];
        args.extend(further);
        let mut command = world.command(&args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let url = url.trim().to_owned();
        let Some((origin, _)) = url.split_once("/open/") else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("no address but `{url}`: {said}");
        };
        let origin = origin.to_owned();
        Self { child, url, origin, cookie: String::new(), word: String::new(), run: String::new() }
    }

    /// Asks as the page does.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string);
        let mut headers = vec![("cookie", self.cookie.as_str()), ("x-muster-page", self.word.as_str())];
        if body.is_some() {
            headers.extend([("origin", self.origin.as_str()), ("content-type", "application/json")]);
        }
        send(method, &format!("{}/api/{path}", self.origin), &headers, body.as_deref())
    }

    /// Asks as the page does, with the headers of somebody else.
    pub fn ask_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string);
        send(method, &format!("{}{path}", self.origin), headers, body.as_deref())
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    pub fn word(&self) -> &str {
        &self.word
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.ask("POST", path, Some(&body));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// The error of a request that is refused.
    #[track_caller]
    pub fn refused(&self, path: &str, body: Value) -> String {
        let answer = self.ask("POST", path, Some(&body));
        assert!(answer.status >= 400, "{path}: {}", answer.body);
        answer.json()["error"].as_str().unwrap().to_owned()
    }

    /// Everything about the run, once its orders are read.
    pub fn overview(&self) -> Value {
        for _ in 0..400 {
            let over = self.get(&format!("overview?run={}", self.run));
            if over["reading"].is_null() {
                return over;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("the orders are never read");
    }

    /// The first orders that are meant, as the list shows them.
    pub fn rows(&self, query: &str) -> Value {
        self.overview();
        self.get(&format!("orders?run={}&limit=500&{query}", self.run))
    }

    /// Decides on all orders that are meant.
    pub fn sweep(&self, query: Value, decision: &str, count: u64) -> Value {
        let over = self.overview();
        self.post(
            "decide",
            json!({ "run": self.run, "plan": over["plan"], "decision": decision, "query": query, "count": count }),
        )
    }

    /// Seals what is decided.
    pub fn seal(&self, comment: &str) -> Answer {
        let sum = self.get(&format!("summary?run={}", self.run));
        let body = json!({ "run": self.run, "revision": sum["revision"], "comment": comment });
        self.ask("POST", "seal", Some(&body))
    }

    /// Waits until something is true of the page.
    #[track_caller]
    pub fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..400 {
            let over = self.overview();
            if holds(&over) {
                return over;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("never {what}");
    }

    /// Ends it with a signal; gives its exit status and what it said on standard error.
    pub fn end(mut self) -> (i32, String) {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").arg(&id).status().unwrap().success());
        let status = self.child.wait().unwrap().code().unwrap_or(-1);
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }

    /// Whether it has ended by itself, within ten seconds.
    pub fn ends(&mut self) -> bool {
        for _ in 0..400 {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        false
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
