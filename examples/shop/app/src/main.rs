//! A shop's items over HTTP, stored in DynamoDB. See the README of the repository.

mod http;
mod items;
mod settings;

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::sleep,
};

/// Time limit for open requests after the socket is closed. ECS kills a task 30 seconds after it
/// requests the stop.
const FINISH: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            log(&message);
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), String> {
    let table = env::var("SHOP_TABLE")
        .map_err(|_| "SHOP_TABLE is not set: set it to the name of the items' table")?;
    let address = setting("SHOP_LISTEN", "0.0.0.0:8080");
    let drain = setting("SHOP_DRAIN_SECONDS", "3");
    let drain = drain.parse().map(Duration::from_secs).map_err(|_| {
        format!("SHOP_DRAIN_SECONDS is {drain:?}: expected a whole number of seconds")
    })?;

    // Both before any slow step: from here on, no request is refused and no stop is missed.
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("cannot listen on SHOP_LISTEN={address}: {error}"))?;
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| format!("cannot wait for SIGTERM: {error}"))?;

    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (stopping, seen) = watch::channel(false);
    let (closing, mut closed) = watch::channel(false);
    let router = http::router(http::Shop {
        items: items::Items::connect(table).await?,
        commit: setting("SLUICEGATE_COMMIT", ""),
        greeting: setting("SHOP_GREETING", "welcome"),
        broken: setting("SHOP_HEALTH", "") == "broken",
        stopping: seen,
    });
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        // An error means that the sender is gone, which is also a reason to stop.
        let _ = closed.changed().await;
    });
    log(&format!("listening on {address}"));

    // A load balancer sends requests for a moment after the task's stop. The service accepts them during
    // that time, then closes the socket and completes open requests.
    let stop = async move {
        terminate.recv().await;
        log("stopping: asked to by SIGTERM");
        stopping.send_replace(true);
        sleep(drain).await;
        closing.send_replace(true);
        sleep(FINISH).await;
    };
    tokio::select! {
        ended = server => ended.map_err(|error| format!("cannot serve: {error}"))?,
        () = stop => return Err(format!("stopped with requests under way after {FINISH:?}")),
    }
    log("stopped: every request was answered");
    Ok(())
}

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Writes one line to standard output, from which ECS collects the log. Ignores a closed pipe.
fn log(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
