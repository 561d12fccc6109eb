use crate::wiring::Wiring;
use crate::{config, invoke, log, url};
use aws::Clients;
use domain::error::{ErrorName, StepError};
use engine::{Result, Step, UrlStep};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use std::io::Write as _;
use std::process::ExitCode;

/// Serves a step of the state machine until AWS ends the process. Builds the step once and calls it
/// for each event.
pub fn serve<S: Step>(build: impl FnOnce(&Wiring) -> S) -> ExitCode {
    run(async {
        let step = ready(build).await;
        lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
            invoke::invoke(&step, event)
        }))
        .await
    })
}

/// Serves a function behind a URL until AWS ends the process.
pub fn serve_url<S: UrlStep>(build: impl FnOnce(&Wiring) -> S) -> ExitCode {
    run(async {
        let step = ready(build).await;
        if let Ok(step) = &step {
            step.warm().await;
        }
        lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
            url::answer(&step, event)
        }))
        .await
    })
}

fn run(serving: impl Future<Output = std::result::Result<(), lambda_runtime::Error>>) -> ExitCode {
    if !config::is_function() {
        return refuse("this program is an AWS Lambda function; AWS Lambda starts it");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime.map(|runtime| runtime.block_on(serving)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => refuse(&format!("the Lambda runtime ended: {error}")),
        Err(error) => refuse(&format!("no asynchronous runtime: {error}")),
    }
}

fn refuse(why: &str) -> ExitCode {
    // Ignores a closed standard error: there is no other place to write to.
    let _ignored = writeln!(std::io::stderr(), "{why}");
    ExitCode::FAILURE
}

/// Builds the step. A function with wrong settings starts all the same: an error at the start would
/// reach the state machine without a name.
async fn ready<S>(build: impl FnOnce(&Wiring) -> S) -> Result<S> {
    let settings = config::settings();
    log::start(settings.level());
    let built = match Clients::from_env().await {
        Ok(clients) => {
            let wiring = Wiring::new(settings, clients);
            let step = build(&wiring);
            wiring.check().map(|()| step)
        }
        Err(error) => match settings.check() {
            Ok(()) => Err(error),
            Err(more) => Err(StepError::new(
                ErrorName::SettingsInvalid,
                format!("{}; {}", error.message, more.message),
            )),
        },
    };
    if let Err(error) = &built {
        tracing::error!(error = error.name.as_str(), "{}", error.message);
    }
    built
}
