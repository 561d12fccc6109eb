use async_trait::async_trait;
use engine::{HttpReply, Probe};
use std::io::Read as _;
use std::time::Duration;

/// The most bytes that are read of a body.
const BODY_LIMIT: u64 = 2 * 1024;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Sends HTTP GET requests. Follows no redirect and uses no proxy, so the address itself replies.
#[derive(Debug, Clone)]
pub struct HttpProbe {
    agent: ureq::Agent,
}

impl Default for HttpProbe {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .user_agent("sluicegate")
            .build();
        Self {
            agent: config.into(),
        }
    }
}

impl HttpProbe {
    fn ask(&self, url: &str, timeout: Duration) -> Result<HttpReply, String> {
        let call = self
            .agent
            .get(url)
            .config()
            .timeout_global(Some(timeout))
            .build();
        let mut answer = call.call().map_err(|error| format!("GET {url}: {error}"))?;
        let mut body = Vec::new();
        // A body that ends early still has a status: keeps what was read.
        let read = answer
            .body_mut()
            .as_reader()
            .take(BODY_LIMIT)
            .read_to_end(&mut body);
        if let Err(error) = read {
            tracing::debug!(url, %error, "the body broke off");
        }
        Ok(HttpReply {
            status: answer.status().as_u16(),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

#[async_trait]
impl Probe for HttpProbe {
    async fn get(&self, url: &str, timeout: Duration) -> Result<HttpReply, String> {
        let (probe, asked) = (self.clone(), url.to_owned());
        tokio::task::spawn_blocking(move || probe.ask(&asked, timeout))
            .await
            .unwrap_or_else(|error| Err(format!("GET {url}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use std::io::Write as _;
    use std::net::TcpListener;

    /// Answers one request with these bytes.
    fn answering(bytes: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _read = stream.read(&mut request);
            let _written = stream.write_all(&bytes);
        });
        url
    }

    async fn ask(url: &str) -> Result<HttpReply, String> {
        HttpProbe::default()
            .get(url, Duration::from_millis(500))
            .await
    }

    #[tokio::test]
    async fn any_status_is_an_answer() {
        let url = answering(b"HTTP/1.1 503 x\r\ncontent-length: 4\r\n\r\nbusy".to_vec());
        let answer = ask(&url).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "busy"));
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer() {
        let url = answering(
            b"HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
                .to_vec(),
        );
        assert_eq!(ask(&url).await.unwrap().status, 302);
    }

    #[tokio::test]
    async fn a_long_body_is_cut() {
        let mut bytes = b"HTTP/1.1 200 x\r\ncontent-length: 100000\r\n\r\n".to_vec();
        bytes.resize(bytes.len() + 100_000, b'a');
        assert_eq!(ask(&answering(bytes)).await.unwrap().body.len(), 2048);
    }

    #[tokio::test]
    async fn silence_and_refusal_are_reported() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let error = ask(&url).await.unwrap_err();
        assert!(error.contains("timeout"), "{error}");
        drop(listener);
        let error = ask(&url).await.unwrap_err();
        assert!(error.contains("refused"), "{error}");
    }
}
