//! Every port against an emulator, whose address is in `SLUICEGATE_TEST_EMULATOR`:
//! `scripts/with-emulator.sh` starts one. Without it they fail, since a test that looks at nothing
//! shows nothing. Each makes what it needs, under a name of its own, so that they run at once and
//! more than once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and reads where its emulator is"
)]

mod bucket;
mod executions;
mod logs;
mod messages;
mod registry;
mod services;
mod table;

use aws::Clients;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

const REGION: &str = "eu-central-1";

/// The clients under test, and a plain configuration to set the stage with.
struct Stage {
    clients: Clients,
    config: SdkConfig,
    /// A name that no other test and no earlier run has.
    name: String,
}

async fn stage(test: &str) -> Stage {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let endpoint = std::env::var("SLUICEGATE_TEST_EMULATOR").expect(
        "SLUICEGATE_TEST_EMULATOR is not set; put scripts/with-emulator.sh before the command",
    );
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(&endpoint)
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(http)
        .load()
        .await;
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    Stage {
        clients: Clients::of_emulator(&endpoint, REGION).await,
        config,
        name: format!("{test}-{:x}-{next}", since.as_micros()),
    }
}

/// Asks until there is an answer, for five seconds.
async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..50 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing came in five seconds");
}

async fn make_queue(stage: &Stage) -> String {
    let answer = aws_sdk_sqs::Client::new(&stage.config)
        .create_queue()
        .queue_name(format!("{}.fifo", stage.name))
        .attributes(aws_sdk_sqs::types::QueueAttributeName::FifoQueue, "true")
        .send()
        .await
        .unwrap();
    answer.queue_url.unwrap()
}
