//! The part of git's smart HTTP protocol that a pipeline needs: the tip of a branch, a commit by
//! its id (version 2), a push of one branch (version 0).

use super::pkt::{Pkt, PktReader, delimiter, flush, line};
use crate::http::{Answer, broken, check, no_answer};
use domain::error::{ErrorName, StepError};
use domain::text;
use engine::Result;
use git2::{Oid, Repository};
use std::io::{self, Read, Write};
use ureq::Agent;

/// The largest pack that is fetched, in bytes.
const PACK_LIMIT: u64 = 512 * 1024 * 1024;

/// The longest list of refs that is read, in bytes.
const REFS_LIMIT: u64 = 64 * 1024 * 1024;

/// The longest answer to a push, in bytes.
const REPORT_LIMIT: u64 = 1024 * 1024;

const AGENT: &str = concat!("agent=sluicegate/", env!("CARGO_PKG_VERSION"));

/// A repository at its forge.
pub(crate) struct Remote<'a> {
    pub(crate) agent: &'a Agent,
    /// The clone address, without a trailing slash.
    pub(crate) url: String,
    /// The value of the `Authorization` header; `None` for a public repository.
    pub(crate) authorization: Option<String>,
}

/// How much of a commit is fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The commit with all its files.
    Files,
    /// The commit with its directories only, if the forge supports filters.
    Directories,
}

/// The result of a push.
pub(crate) enum Pushed {
    /// The branch moved.
    Yes,
    /// The forge refused; holds the forge's reason.
    No(String),
}

struct Capabilities {
    filter: bool,
}

impl Remote<'_> {
    fn call(&self, what: &str) -> String {
        format!("git {what} {}", self.url)
    }

    fn get_refs(&self, service: &str, version2: bool) -> Result<Answer> {
        let call = self.call(service);
        let url = format!("{}/info/refs?service=git-{service}", self.url);
        let mut request = self.agent.get(url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if version2 {
            request = request.header("git-protocol", "version=2");
        }
        let answer = request.call().map_err(|error| no_answer(&call, &error))?;
        let answer = check(&call, answer)?;
        let expected = format!("application/x-git-{service}-advertisement");
        if answer.body().mime_type() == Some(expected.as_str()) {
            return Ok(answer);
        }
        let found = answer.body().mime_type().unwrap_or("nothing");
        Err(StepError::new(
            ErrorName::ForgeUnavailable,
            format!("{call}: expected {expected}, found {found}"),
        ))
    }

    fn post(&self, service: &str, version2: bool, body: &[u8]) -> Result<Answer> {
        let call = self.call(service);
        let mut request = self
            .agent
            .post(format!("{}/git-{service}", self.url))
            .header(
                "content-type",
                format!("application/x-git-{service}-request"),
            )
            .header("accept", format!("application/x-git-{service}-result"));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if version2 {
            request = request.header("git-protocol", "version=2");
        }
        let answer = request
            .send(body)
            .map_err(|error| no_answer(&call, &error))?;
        check(&call, answer)
    }

    fn capabilities(&self) -> Result<Capabilities> {
        let call = self.call("upload-pack");
        let mut answer = self.get_refs("upload-pack", true)?;
        let mut packets = PktReader::new(answer.body_mut().as_reader(), REFS_LIMIT);
        let mut version2 = false;
        let mut filter = false;
        while let Some(packet) = packets.next(false).map_err(|error| broken(&call, &error))? {
            let Pkt::Line(text) = packet else {
                continue;
            };
            version2 |= text == b"version 2";
            if let Some(features) = text.strip_prefix(b"fetch=") {
                filter = features.split(|b| *b == b' ').any(|word| word == b"filter");
            }
        }
        if version2 {
            return Ok(Capabilities { filter });
        }
        Err(StepError::new(
            ErrorName::ForgeUnavailable,
            format!("{call}: the server does not speak version 2 of git's protocol"),
        ))
    }

    /// Returns the commit that a branch points to; `None` if the branch does not exist.
    pub(crate) fn tip(&self, branch: &str) -> Result<Option<Oid>> {
        Ok(self.tips(&[branch])?.pop().flatten())
    }

    /// Returns the commits that branches point to, in the order of the branches.
    pub(crate) fn tips(&self, branches: &[&str]) -> Result<Vec<Option<Oid>>> {
        self.capabilities()?;
        let call = self.call("ls-refs");
        let mut body = Vec::new();
        line(&mut body, "command=ls-refs\n");
        line(&mut body, &format!("{AGENT}\n"));
        delimiter(&mut body);
        for branch in branches {
            line(&mut body, &format!("ref-prefix {branch}\n"));
        }
        flush(&mut body);
        let mut answer = self.post("upload-pack", true, &body)?;
        let mut packets = PktReader::new(answer.body_mut().as_reader(), REFS_LIMIT);
        let mut tips = vec![None; branches.len()];
        loop {
            match packets.next(false).map_err(|error| broken(&call, &error))? {
                Some(Pkt::Line(text)) => {
                    for (branch, tip) in branches.iter().zip(&mut tips) {
                        *tip = tip.or_else(|| ref_line(&text, branch));
                    }
                }
                Some(Pkt::Flush) => return Ok(tips),
                Some(Pkt::Delimiter) => {}
                // A branch that was cut off would look as if it did not exist.
                None => {
                    let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Err(broken(&call, &error));
                }
            }
        }
    }

    /// Fetches a commit without its history into `repository`.
    pub(crate) fn fetch(&self, commit: Oid, depth: Depth, into: &Repository) -> Result<()> {
        let capabilities = self.capabilities()?;
        let mut body = Vec::new();
        line(&mut body, "command=fetch\n");
        line(&mut body, &format!("{AGENT}\n"));
        delimiter(&mut body);
        line(&mut body, "no-progress\n");
        line(&mut body, "ofs-delta\n");
        line(&mut body, "deepen 1\n");
        if depth == Depth::Directories && capabilities.filter {
            line(&mut body, "filter blob:none\n");
        }
        line(&mut body, &format!("want {commit}\n"));
        line(&mut body, "done\n");
        flush(&mut body);
        let mut answer = self.post("upload-pack", true, &body)?;
        let packets = PktReader::new(answer.body_mut().as_reader(), PACK_LIMIT);
        self.receive(commit, packets, into)
    }

    fn receive(
        &self,
        commit: Oid,
        mut packets: PktReader<impl Read>,
        into: &Repository,
    ) -> Result<()> {
        let call = self.call("fetch");
        let odb = into.odb().map_err(|error| local(&call, &error))?;
        let mut pack = odb.packwriter().map_err(|error| local(&call, &error))?;
        let mut in_pack = false;
        loop {
            let packet = packets.next(in_pack);
            if packets.is_exhausted() {
                let limit = packets.limit() / 1024 / 1024;
                return Err(StepError::new(
                    ErrorName::SourceRefused,
                    format!("{call}: commit {commit} is larger than {limit} MiB as a pack"),
                ));
            }
            match packet.map_err(|error| broken(&call, &error))? {
                Some(Pkt::Line(text)) if !in_pack => {
                    if let Some(reason) = text.strip_prefix(b"ERR ") {
                        return Err(self.refused(commit, &String::from_utf8_lossy(reason)));
                    }
                    in_pack = text == b"packfile";
                }
                Some(Pkt::Line(text)) => match text.split_first() {
                    Some((1, bytes)) => pack
                        .write_all(bytes)
                        .map_err(|error| broken(&call, &error))?,
                    Some((3, reason)) => {
                        return Err(self.refused(commit, &String::from_utf8_lossy(reason)));
                    }
                    _ => {}
                },
                Some(Pkt::Flush) if in_pack => break,
                Some(Pkt::Flush | Pkt::Delimiter) => {}
                None => {
                    let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Err(broken(&call, &error));
                }
            }
        }
        pack.commit().map_err(|error| {
            StepError::new(
                ErrorName::ForgeUnavailable,
                format!("{call}: the pack is damaged: {}", error.message()),
            )
        })?;
        Ok(())
    }

    /// Names the error that the server sent instead of a pack.
    fn refused(&self, commit: Oid, reason: &str) -> StepError {
        let reason = text::line(reason, 200);
        let unknown = ["not our ref", "bad object", "missing", "not a valid object"];
        let name = if unknown.iter().any(|word| reason.contains(word)) {
            ErrorName::CommitNotFound
        } else {
            ErrorName::ForgeUnavailable
        };
        let call = self.call("fetch");
        StepError::new(name, format!("{call}: commit {commit}: {reason}"))
    }

    /// Returns the commit that a branch points to, read by the push protocol.
    pub(crate) fn push_tip(&self, branch: &str) -> Result<Option<Oid>> {
        let call = self.call("receive-pack");
        let mut answer = self.get_refs("receive-pack", false)?;
        let mut packets = PktReader::new(answer.body_mut().as_reader(), REFS_LIMIT);
        let mut tip = None;
        while let Some(packet) = packets.next(false).map_err(|error| broken(&call, &error))? {
            let Pkt::Line(text) = packet else {
                continue;
            };
            tip = tip.or_else(|| ref_line(&text, branch));
        }
        if packets.is_exhausted() {
            return Err(StepError::new(
                ErrorName::ForgeDenied,
                format!("{call}: the repository has more refs than {REFS_LIMIT} bytes hold"),
            ));
        }
        Ok(tip)
    }

    /// Moves a branch from `old` to `new`. The forge refuses if the branch is no longer at `old`.
    pub(crate) fn push(
        &self,
        branch: &str,
        old: Option<Oid>,
        new: Oid,
        pack: &[u8],
    ) -> Result<Pushed> {
        let call = self.call("push");
        let old = old.unwrap_or(Oid::ZERO_SHA1);
        let mut body = Vec::new();
        let command = format!("{old} {new} {branch}\0 report-status {AGENT}");
        line(&mut body, &command);
        flush(&mut body);
        body.extend_from_slice(pack);
        let mut answer = self.post("receive-pack", false, &body)?;
        let mut packets = PktReader::new(answer.body_mut().as_reader(), REPORT_LIMIT);
        let mut unpacked = false;
        while let Some(packet) = packets.next(false).map_err(|error| broken(&call, &error))? {
            let Pkt::Line(text) = packet else {
                continue;
            };
            let text = String::from_utf8_lossy(&text);
            if let Some(result) = text.strip_prefix("unpack ") {
                unpacked = result == "ok";
                if !unpacked {
                    return Ok(Pushed::No(format!("unpack {result}")));
                }
            } else if let Some(refused) = text.strip_prefix("ng ") {
                return Ok(Pushed::No(text::line(refused, 200)));
            } else if unpacked && text.strip_prefix("ok ") == Some(branch) {
                return Ok(Pushed::Yes);
            }
        }
        let error = io::Error::from(io::ErrorKind::UnexpectedEof);
        Err(broken(&call, &error))
    }
}

/// Returns the id in a ref line that names this branch.
fn ref_line(text: &[u8], branch: &str) -> Option<Oid> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.split('\0').next()?;
    let (id, rest) = text.split_once(' ')?;
    let name = rest.split(' ').next()?;
    (name == branch).then(|| Oid::from_str(id).ok()).flatten()
}

/// Names an error of the local scratch repository.
pub(crate) fn local(call: &str, error: &git2::Error) -> StepError {
    StepError::new(
        ErrorName::Internal,
        format!("{call}: local repository: {}", error.message()),
    )
}
