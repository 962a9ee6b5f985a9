//! A world to drive the program in, as an operator would: a scratch folder, a job, systems, the real binary.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and a test may panic"
)]

pub mod company;
pub mod dice;
pub mod gateway;
pub mod nobody;
pub mod orders;
pub mod page;
pub mod postbox;
pub mod safes;
pub mod undo;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A scratch folder with a state folder of its own.
pub struct World {
    folder: tempfile::TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Fails unless the command ended with this status.
    #[track_caller]
    pub fn ended(self, status: i32) -> Self {
        assert_eq!(self.status, status, "exit status\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Fails unless standard output or error holds all of these texts.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.out.contains(text) || self.err.contains(text),
                "`{text}` was not said\n--- stdout\n{}\n--- stderr\n{}",
                self.out,
                self.err
            );
        }
        self
    }

    /// Fails if standard output or error holds one of these texts.
    #[track_caller]
    pub fn never_says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                !self.out.contains(text) && !self.err.contains(text),
                "`{text}` was said\n--- stdout\n{}\n--- stderr\n{}",
                self.out,
                self.err
            );
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{e}\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Said {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl World {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The scratch folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Writes a file, relative to the scratch folder.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The binary, in the scratch folder, with this world's state folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        command
            .current_dir(self.path())
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path())
            .env("USER", "tester")
            .env("VAULT_TOKEN", TOKEN)
            .env("STATE_DIRECTORY", self.state())
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub fn muster(&self, args: &[&str]) -> Said {
        self.command(args).output().unwrap().into()
    }

    /// Runs muster where no file may have more than so many blocks of 512 bytes, as on a disk that is full.
    pub fn cramped(&self, blocks: u32, args: &[&str]) -> Said {
        let muster = self.command(args);
        let mut shell = Command::new("sh");
        let limited = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        shell.args(["-c", &limited]).arg(muster.get_program()).args(muster.get_args());
        shell.envs(muster.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.current_dir(self.path()).output().unwrap().into()
    }

    /// Runs a job, approves everything and applies, until both sides agree.
    #[track_caller]
    pub fn settle(&self, job: &str) {
        self.muster(&["run", job]).ended(3);
        self.muster(&["approve", job, "--all", "--comment", "settling"]).ended(0);
        self.muster(&["apply", job]).ended(0);
        self.muster(&["run", job]).ended(0);
    }

    /// The newest run of a job, by its folder's name.
    pub fn newest_run(&self, job: &str) -> String {
        self.runs(job).pop().unwrap_or_else(|| panic!("job {job} has no run"))
    }

    /// All runs of a job, oldest first.
    pub fn runs(&self, job: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.state().join("runs").join(job)) else { return Vec::new() };
        let mut runs: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        runs.sort();
        runs
    }

    /// A file of a run's folder.
    pub fn run_file(&self, job: &str, run: &str, file: &str) -> PathBuf {
        self.state().join("runs").join(job).join(run).join(file)
    }

    /// The orders of a run, as planned.
    pub fn orders(&self, job: &str, run: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.run_file(job, run, "orders.ndjson")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Starts the built-in server on a database in the scratch folder.
    pub fn server(&self) -> Server {
        self.server_with(&[])
    }

    /// The same, with further arguments.
    pub fn server_with(&self, args: &[&str]) -> Server {
        self.server_on("vault.db", args)
    }

    /// The same, on a database of another name: for a second server.
    pub fn server_on(&self, database: &str, args: &[&str]) -> Server {
        self.listening("127.0.0.1:0", database, args).expect("the server starts")
    }

    /// The first database's server again, at the address that it had.
    pub fn server_again(&self, address: &str) -> Server {
        // Somebody else's connection may hold the port for a moment.
        for _ in 0..40 {
            if let Some(server) = self.listening(address, "vault.db", &[]) {
                return server;
            }
            std::thread::sleep(std::time::Duration::from_millis(250));
        }
        panic!("{address} is taken for good");
    }

    fn listening(&self, address: &str, database: &str, args: &[&str]) -> Option<Server> {
        let mut all =
            vec!["sandbox", "--listen", address, "--database", database, "--token-from", "env:VAULT_TOKEN", "--admin"];
        all.extend(args);
        let mut child = self.command(&all).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let server = Server { child, url: url.trim().to_owned() };
        server.url.starts_with("http://127.0.0.1:").then_some(server)
    }
}

/// The bearer token of every test server.
pub const TOKEN: &str = "correct-horse-battery-staple";

/// A running built-in server; ended when dropped.
pub struct Server {
    child: Child,
    /// Its base address.
    pub url: String,
}

impl Server {
    /// host:port.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://").split('/').next().unwrap()
    }

    /// Sends a request with the token; gives status and body.
    pub fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        send(method, &format!("{}{path}", self.url), Some(TOKEN), body)
    }

    /// All resources of an endpoint.
    pub fn all(&self, endpoint: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        loop {
            let (status, page) =
                self.send("GET", &format!("/{endpoint}?startIndex={}&count=200", rows.len() + 1), None);
            assert_eq!(status, 200, "{page}");
            let more = page["Resources"].as_array().cloned().unwrap_or_default();
            if more.is_empty() {
                return rows;
            }
            rows.extend(more);
        }
    }

    /// The user with a login.
    pub fn user(&self, login: &str) -> Option<Value> {
        self.all("Users").into_iter().find(|u| u["userName"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(login)))
    }

    /// Adds a user by hand; gives its id.
    pub fn add_user(&self, login: &str) -> String {
        let user = serde_json::json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": login, "active": true});
        let (status, body) = self.send("POST", "/Users", Some(user));
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Replaces the faults of the server.
    pub fn faults(&self, faults: Value) {
        let root = self.url.trim_end_matches("/scim/v2");
        let (status, body) = send("POST", &format!("{root}/_faults"), Some(TOKEN), Some(faults));
        assert!(status < 300, "{status} {body}");
    }

    /// Ends the server as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One HTTP request.
pub fn send(method: &str, url: &str, token: Option<&str>, body: Option<Value>) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut request = http_client().request(method.parse().unwrap(), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/scim+json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    })
}

fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}
