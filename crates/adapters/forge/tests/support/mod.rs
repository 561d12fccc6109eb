//! A git server and GitHub's statuses on this machine: `git http-backend` behind a small server.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// A request that the server got.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What the server does instead of serving.
pub enum Fault {
    /// Answers this, head and body.
    Answer(&'static str),
    /// Serves, but sends only so many bytes of the answer.
    Cut(usize),
    /// Serves, then closes the connection without a reply.
    Lose,
    /// Does something first, then serves.
    First(Box<dyn FnOnce() + Send>),
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    faults: Vec<(&'static str, Fault)>,
}

pub struct Server {
    pub root: PathBuf,
    pub url: String,
    state: Arc<Mutex<State>>,
    _directory: tempfile::TempDir,
}

impl Server {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let root = directory.path().to_owned();
        let (thread_state, thread_root) = (Arc::clone(&state), root.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, root) = (Arc::clone(&thread_state), thread_root.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &state, &root));
            }
        });
        Self {
            root,
            url,
            state,
            _directory: directory,
        }
    }

    /// Makes a bare repository `acme/shop.git`.
    pub fn repository(&self) -> PathBuf {
        let path = self.root.join("acme/shop.git");
        std::fs::create_dir_all(&path).unwrap();
        git(&path, &["init", "--quiet", "--bare", "-b", "main"]);
        git(&path, &["config", "http.receivepack", "true"]);
        git(&path, &["config", "uploadpack.allowFilter", "true"]);
        path
    }

    /// Meets the next request whose path contains a text with a fault.
    pub fn fault(&self, path: &'static str, fault: Fault) {
        self.state.lock().unwrap().faults.push((path, fault));
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }
}

/// Runs git and gives what it wrote.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Mona Lisa")
        .env("GIT_AUTHOR_EMAIL", "mona@example.com")
        .env("GIT_COMMITTER_NAME", "Mona Lisa")
        .env("GIT_COMMITTER_EMAIL", "mona@example.com")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

fn serve(stream: TcpStream, state: &Mutex<State>, root: &Path) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let mut words = first.split(' ');
    let method = words.next().unwrap().to_owned();
    let path = words.next().unwrap().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let seen = Seen {
        method,
        path,
        headers,
        body,
    };
    let fault = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        let hit = state
            .faults
            .iter()
            .position(|(path, _)| seen.path.contains(path));
        hit.map(|i| state.faults.remove(i).1)
    };
    let mut cut = usize::MAX;
    match fault {
        Some(Fault::Answer(answer)) => {
            stream.write_all(answer.as_bytes()).unwrap();
            return;
        }
        Some(Fault::Cut(bytes)) => cut = bytes,
        Some(Fault::Lose) => cut = 0,
        Some(Fault::First(act)) => act(),
        None => {}
    }
    let answer = if seen.path.starts_with("/repos/") {
        b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}".to_vec()
    } else {
        backend(&seen, root)
    };
    let answer = &answer[..answer.len().min(cut)];
    // A client that had enough is fine.
    stream.write_all(answer).ok();
}

fn backend(seen: &Seen, root: &Path) -> Vec<u8> {
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let header = |name: &str| seen.headers.get(name).cloned().unwrap_or_default();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &seen.method)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", seen.body.len().to_string())
        .env("HTTP_GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", "test")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = seen.body.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&body));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().ok();
    let output = output.stdout;
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(output[..end].to_vec()).unwrap();
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let rest = &output[end + 4..];
    let mut answer = format!(
        "HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        rest.len()
    )
    .into_bytes();
    answer.extend_from_slice(rest);
    answer
}
