//! Wires the Lambda to AWS.

fn main() -> std::process::ExitCode {
    runtime::serve(|wiring| start::Start {
        executions: wiring.executions(),
    })
}
