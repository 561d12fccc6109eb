//! Wires the runner to AWS.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use domain::error::{ErrorName, StepError};
use domain::job::RESULT_SECONDS;
use engine::SystemClock;
use runner::cli::Cli;
use runner::duplicate_job::Patience;
use runner::job::{self, Ended, JobContext};
use runner::log::Log;
use runner::redact::Redactor;
use runner::settings::Settings;
use terraform_cli::CancelHandle;
use tokio::signal::unix::{SignalKind, signal};

/// Batch stops a container 30 s after SIGTERM. The rest is for `errored.tfstate`, the log and the
/// result.
const GRACE: Duration = Duration::from_secs(25);

/// The interval at which a start looks for the result of another one.
const LOOK: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(ended @ Ended::StartedBefore) => fail(
            ended.exit_code(),
            "the job was started before and left no result; it is not started again, because the effects of the first start are unknown",
        ),
        Ok(ended) => ExitCode::from(ended.exit_code()),
        Err(error) if error.name == ErrorName::SettingsInvalid => fail(2, &error.to_string()),
        Err(error) => fail(1, &error.to_string()),
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    // If standard error is closed, nothing can report the failure.
    let _ignored = writeln!(std::io::stderr(), "runner: {message}");
    ExitCode::from(code)
}

async fn run(cli: Cli) -> Result<Ended, StepError> {
    let settings = Settings::read(Settings::of_process(), std::env::temp_dir())?;
    tracing_subscriber::fmt()
        .json()
        .with_max_level(settings.level())
        .with_writer(std::io::stderr)
        .init();
    let (handle, cancel) = CancelHandle::new();
    let listening = |error: std::io::Error| {
        StepError::new(
            ErrorName::Internal,
            format!("cannot listen to signals: {error}"),
        )
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(listening)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(listening)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        handle.cancel();
        // Keep the handle: a dropped handle cannot request a stop.
        std::future::pending::<()>().await;
    });
    let clients = aws::Clients::from_env().await?;
    let variables = settings
        .variables
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    let redactor = Redactor::of_environment(variables);
    let clock = Arc::new(SystemClock);
    let context = JobContext {
        objects: Arc::new(aws::Bucket::new(&clients, &settings.bucket)),
        clock: clock.clone(),
        log: Log::new(Box::new(std::io::stdout()), redactor, clock),
        cancel,
        grace: GRACE,
        patience: Patience {
            every: LOOK,
            beyond: Duration::from_secs(RESULT_SECONDS.into()),
        },
        nonce: uuid::Uuid::new_v4().to_string(),
        settings,
    };
    let request = cli.request(&context.settings);
    job::run(&request, &context).await
}
