//! The line that a provider prints when it is ready.

use domain::text;
use std::path::{Path, PathBuf};

use serde_json::json;

/// The versions of the plugin protocol that Terraform can use for a provider that it did not start.
const PROTOCOLS: [u64; 2] = [5, 6];

/// Where a provider listens: `1|5|unix|/tmp/plugin123|grpc|`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handshake {
    protocol: u64,
    socket: PathBuf,
}

/// The first line of a provider is not the expected handshake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its handshake has {what}: {line:?}")]
pub struct HandshakeError {
    what: &'static str,
    line: String,
}

impl Handshake {
    /// Parses the line. The socket must be directly in `temp`, because nothing else is known to belong
    /// to the job.
    ///
    /// # Errors
    /// [`HandshakeError`] for everything that is not exactly expected.
    pub(crate) fn parse(line: &str, temp: &Path) -> Result<Self, HandshakeError> {
        let wrong = |what| HandshakeError {
            what,
            line: text::line(line, 200),
        };
        let parts: Vec<&str> = line.split('|').collect();
        let &[core, protocol, network, socket, kind, certificate] = parts.as_slice() else {
            return Err(wrong("not six parts"));
        };
        if core != "1" {
            return Err(wrong("an unknown version"));
        }
        let protocol = PROTOCOLS
            .into_iter()
            .find(|known| known.to_string() == protocol)
            .ok_or_else(|| wrong("an unknown protocol version"))?;
        if network != "unix" {
            return Err(wrong("no Unix socket"));
        }
        let path = Path::new(socket);
        if path.parent() != Some(temp) || path.file_name().is_none() {
            return Err(wrong("a socket outside the job's directory"));
        }
        if kind != "grpc" {
            return Err(wrong("a protocol other than gRPC"));
        }
        // Terraform has no key for a provider that it did not start.
        if !certificate.is_empty() {
            return Err(wrong("a certificate"));
        }
        Ok(Self {
            protocol,
            socket: path.to_owned(),
        })
    }

    /// Returns the value of `TF_REATTACH_PROVIDERS` for the provider `source`. `Test` means that
    /// Terraform does not end the provider.
    pub(crate) fn reattach(&self, source: &str, pid: u32) -> String {
        json!({source: {
            "Protocol": "grpc",
            "ProtocolVersion": self.protocol,
            "Pid": pid,
            "Test": true,
            "Addr": {"Network": "unix", "String": self.socket},
        }})
        .to_string()
    }
}

/// Returns a value of `TF_REATTACH_PROVIDERS` for `init`, which only reads that the provider `source` is
/// not to be installed. No command can connect to it.
pub(crate) fn not_installed(source: &str) -> String {
    let nowhere = Handshake {
        protocol: 5,
        socket: "/nonexistent".into(),
    };
    nowhere.reattach(source, 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may stop at once")]
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Handshake, String> {
        Handshake::parse(line, Path::new("/t")).map_err(|error| error.what.to_owned())
    }

    #[test]
    fn only_grpc_on_a_socket_of_the_job_is_accepted() {
        let good = parse("1|5|unix|/t/plugin1|grpc|").unwrap();
        assert_eq!(
            good.reattach("registry.terraform.io/hashicorp/aws", 7),
            r#"{"registry.terraform.io/hashicorp/aws":{"Addr":{"Network":"unix","String":"/t/plugin1"},"Pid":7,"Protocol":"grpc","ProtocolVersion":5,"Test":true}}"#
        );
        parse("1|6|unix|/t/plugin1|grpc|").unwrap();
        for (line, expected) in [
            ("", "not six parts"),
            ("1|5|unix|/t/plugin1|grpc", "not six parts"),
            ("1|5|unix|/t/plugin1|grpc||true", "not six parts"),
            ("2|5|unix|/t/plugin1|grpc|", "an unknown version"),
            ("1|4|unix|/t/plugin1|grpc|", "an unknown protocol version"),
            ("1|05|unix|/t/plugin1|grpc|", "an unknown protocol version"),
            ("1|5|tcp|127.0.0.1:10000|grpc|", "no Unix socket"),
            (
                "1|5|unix|/u/plugin1|grpc|",
                "a socket outside the job's directory",
            ),
            (
                "1|5|unix|/t/a/plugin1|grpc|",
                "a socket outside the job's directory",
            ),
            (
                "1|5|unix|/t/..|grpc|",
                "a socket outside the job's directory",
            ),
            ("1|5|unix|/t|grpc|", "a socket outside the job's directory"),
            (
                "1|5|unix|plugin1|grpc|",
                "a socket outside the job's directory",
            ),
            ("1|5|unix|/t/plugin1|netrpc|", "a protocol other than gRPC"),
            ("1|5|unix|/t/plugin1|grpc|MIIB", "a certificate"),
        ] {
            assert_eq!(parse(line).unwrap_err(), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_other_line_is_accepted(line in "[0-9a-z|/.]{0,40}") {
            if let Ok(found) = parse(&line) {
                let socket = found.socket.to_str().unwrap();
                prop_assert_eq!(line.clone(), format!("1|{}|unix|{socket}|grpc|", found.protocol));
                prop_assert!(socket.starts_with("/t/"));
            }
        }
    }
}
