//! What an operator does by hand: fill a secret, list executions, look at a table's items.

use crate::errors::named;
use crate::{Clients, ExecutionState};
use engine::Result;

/// Puts a value into a secret that Terraform created empty.
///
/// # Errors
/// Those of AWS.
pub async fn put_secret(clients: &Clients, arn: &str, value: &str) -> Result<()> {
    let call = clients
        .secretsmanager()
        .put_secret_value()
        .secret_id(arn)
        .secret_string(value);
    match call.send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(named(&format!("PutSecretValue {arn}"), &error)),
    }
}

/// An execution in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its ARN.
    pub arn: String,
    /// How far it is.
    pub state: ExecutionState,
}

/// A state machine's executions, the newest first.
///
/// # Errors
/// Those of AWS.
pub async fn executions(clients: &Clients, state_machine: &str) -> Result<Vec<Listed>> {
    let client = clients.sfn();
    let mut listed = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let call = client.list_executions().state_machine_arn(state_machine);
        let page = call
            .set_next_token(next)
            .send()
            .await
            .map_err(|error| named(&format!("ListExecutions {state_machine}"), &error))?;
        listed.extend(page.executions.into_iter().map(|execution| Listed {
            arn: execution.execution_arn,
            state: (&execution.status).into(),
        }));
        next = page.next_token;
        if next.is_none() {
            return Ok(listed);
        }
    }
}
