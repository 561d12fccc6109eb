//! The part of S3 and STS that Terraform's S3 backend needs, in memory.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use domain::job::Backend;

const STATE: &str = "/states/app.tfstate";

const IDENTITY: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
    <GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/a</Arn><UserId>a</UserId>\
    <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

const NO_KEYS: &str = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>";

/// Returns the backend of a stack whose state is in this S3.
pub fn backend() -> Backend {
    Backend::S3 {
        bucket: "states".into(),
        key: "app.tfstate".into(),
        region: "eu-west-1".into(),
    }
}

#[derive(Default)]
struct Stored {
    objects: BTreeMap<String, Vec<u8>>,
    refused: u32,
}

/// A server on this machine. It ends with the process of the test.
pub struct FakeS3 {
    url: String,
    stored: Arc<Mutex<Stored>>,
}

impl FakeS3 {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stored = Arc::<Mutex<Stored>>::default();
        let own = stored.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let stored = own.clone();
                std::thread::spawn(move || serve(&stream, &stored));
            }
        });
        Self { url, stored }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the stack's state.
    pub fn state(&self) -> Option<Vec<u8>> {
        self.stored.lock().unwrap().objects.get(STATE).cloned()
    }

    /// Refuses to write the state, this many times.
    pub fn refuse(&self, times: u32) {
        self.stored.lock().unwrap().refused = times;
    }

    /// Removes the lock that a killed process left.
    pub fn unlock(&self) {
        let lock = format!("{STATE}.tflock");
        self.stored.lock().unwrap().objects.remove(&lock);
    }
}

/// Serves one connection, which has several requests.
fn serve(stream: &TcpStream, stored: &Mutex<Stored>) {
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = request(&mut reader) {
        let (code, body) = answer(&head, body, &mut stored.lock().unwrap());
        let is_head = head.starts_with("HEAD ");
        let length = body.len();
        let start = format!("HTTP/1.1 {code} X\r\nContent-Length: {length}\r\n\r\n");
        let mut out = stream;
        let sent = out.write_all(start.as_bytes());
        if sent.is_err() || !is_head && out.write_all(&body).is_err() {
            return;
        }
    }
}

/// Reads a request: its head in one text, and its body.
fn request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn answer(head: &str, body: Vec<u8>, stored: &mut Stored) -> (u16, Vec<u8>) {
    let error = |status, code: &str| {
        let text = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
        (status, text.into_bytes())
    };
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match method {
        "POST" => (200, IDENTITY.into()),
        "GET" if query.contains("list-type") => (200, NO_KEYS.into()),
        "GET" | "HEAD" => match stored.objects.get(path) {
            Some(object) => (200, object.clone()),
            None => error(404, "NoSuchKey"),
        },
        "PUT" if path == STATE && stored.refused > 0 => {
            stored.refused -= 1;
            error(403, "AccessDenied")
        }
        "PUT"
            if head.to_ascii_lowercase().contains("if-none-match")
                && stored.objects.contains_key(path) =>
        {
            error(412, "PreconditionFailed")
        }
        "PUT" => {
            stored.objects.insert(path.to_owned(), body);
            (200, Vec::new())
        }
        "DELETE" => {
            stored.objects.remove(path);
            (204, Vec::new())
        }
        _ => error(501, "NotImplemented"),
    }
}
