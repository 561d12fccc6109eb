//! The built program against a fake DynamoDB table.

use std::{
    collections::HashMap,
    error::Error,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};

type Outcome = Result<(), Box<dyn Error>>;

/// A table in memory. Each response takes `delay`.
#[derive(Clone, Default)]
struct Table {
    items: Arc<Mutex<HashMap<String, Value>>>,
    delay: Duration,
}

async fn answer(State(table): State<Table>, headers: HeaderMap, body: String) -> String {
    sleep(table.delay).await;
    let request: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(request["TableName"], "items");
    let mut items = table.items.lock().unwrap();
    let key = |holder: &str| request[holder]["key"]["S"].as_str().unwrap().to_owned();
    let answer = match headers["x-amz-target"].to_str().unwrap() {
        "DynamoDB_20120810.PutItem" => {
            items.insert(key("Item"), request["Item"].clone());
            json!({})
        }
        "DynamoDB_20120810.GetItem" => match items.get(&key("Key")) {
            Some(item) => json!({ "Item": item }),
            None => json!({}),
        },
        other => panic!("{other} is not among the rights of the task role"),
    };
    answer.to_string()
}

async fn start_table(delay: Duration) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let table = Table {
        delay,
        ..Table::default()
    };
    let router = Router::new().route("/", post(answer)).with_state(table);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}"))
}

/// A running shop, stopped when dropped.
struct Shop {
    child: Child,
    address: String,
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shop {
    fn start(endpoint: &str, extra: &[(&str, &str)]) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_shop"))
            .env_clear()
            .envs([
                ("SHOP_TABLE", "items"),
                ("SHOP_LISTEN", "127.0.0.1:0"),
                ("SHOP_DRAIN_SECONDS", "0"),
                ("SLUICEGATE_COMMIT", "c0ffee"),
                ("AWS_ENDPOINT_URL", endpoint),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
            ])
            .envs(extra.iter().copied())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().ok_or("no output")?).read_line(&mut line)?;
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .ok_or(line.clone())?
            .to_owned();
        Ok(Self { child, address })
    }

    /// Sends one request and returns the status code and the body.
    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let (status, _, body) = exchange(&self.address, method, path, body).await.unwrap();
        (status, body)
    }

    fn terminate(&self) -> Outcome {
        let killed = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()?;
        assert!(killed.success());
        Ok(())
    }

    async fn exit_code(&mut self) -> Result<Option<i32>, Box<dyn Error>> {
        for _ in 0..500 {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Err("still running after 5 seconds".into())
    }
}

async fn exchange(
    address: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<(u16, String, String), Box<dyn Error>> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\
         content-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no end of the head")?;
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    Ok((status, head.to_ascii_lowercase(), body.to_owned()))
}

#[tokio::test]
async fn items_are_stored_and_read_back() -> Outcome {
    let shop = Shop::start(&start_table(Duration::ZERO).await?, &[])?;
    assert_eq!(shop.send("GET", "/items/shoe", "").await.0, 404);
    assert_eq!(
        shop.send("PUT", "/items/shoe", "blue, size 42").await,
        (204, String::new())
    );
    assert_eq!(
        shop.send("GET", "/items/shoe", "").await,
        (200, "blue, size 42".to_owned())
    );
    assert_eq!(shop.send("PUT", "/items/a%20b", "x").await.0, 400);
    assert_eq!(
        shop.send("PUT", "/items/large", &"x".repeat(70_000))
            .await
            .0,
        413
    );
    Ok(())
}

#[tokio::test]
async fn the_version_is_the_commit() -> Outcome {
    let shop = Shop::start("http://127.0.0.1:1", &[])?;
    assert_eq!(
        shop.send("GET", "/version", "").await,
        (200, "c0ffee".to_owned())
    );
    Ok(())
}

#[tokio::test]
async fn it_is_unhealthy_without_its_table_or_when_told_to_be() -> Outcome {
    let alone = Shop::start("http://127.0.0.1:1", &[])?;
    assert_eq!(alone.send("GET", "/health", "").await.0, 503);
    let broken = Shop::start(
        &start_table(Duration::ZERO).await?,
        &[("SHOP_HEALTH", "broken")],
    )?;
    assert_eq!(broken.send("GET", "/health", "").await.0, 503);
    assert_eq!(broken.send("GET", "/items/shoe", "").await.0, 404);
    Ok(())
}

#[tokio::test]
async fn health_does_not_blame_a_table_that_answers() -> Outcome {
    let shop = Shop::start(&start_table(Duration::ZERO).await?, &[])?;
    assert_ne!(
        shop.send("GET", "/health", "").await.1,
        "the table does not answer\n"
    );
    Ok(())
}

#[tokio::test]
async fn sigterm_loses_no_request() -> Outcome {
    let endpoint = start_table(Duration::from_millis(500)).await?;
    let mut shop = Shop::start(&endpoint, &[("SHOP_DRAIN_SECONDS", "1")])?;
    let address = shop.address.clone();
    let under_way =
        tokio::spawn(async move { exchange(&address, "PUT", "/items/a", "x").await.unwrap().0 });
    sleep(Duration::from_millis(200)).await;
    shop.terminate()?;
    sleep(Duration::from_millis(100)).await;

    // Sent after the signal: still answered, and the response closes the connection.
    let (status, head, _) = exchange(&shop.address, "GET", "/version", "").await?;
    assert_eq!(status, 200);
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(under_way.await?, 204);
    assert_eq!(shop.exit_code().await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn it_does_not_start_without_a_table() -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_shop"))
        .env_clear()
        .output()?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout)?.starts_with("SHOP_TABLE is not set"));
    Ok(())
}
