use crate::{Clients, Ecs};
use async_trait::async_trait;
use domain::ids::{RoleArn, RunId};
use engine::{Result, TargetRoles, Targets};
use std::sync::Arc;

/// The deploy roles of environments.
#[derive(Debug, Clone)]
pub struct DeployRoles {
    clients: Clients,
}

impl DeployRoles {
    /// Returns the roles that these clients may assume.
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        Self {
            clients: clients.clone(),
        }
    }
}

#[async_trait]
impl TargetRoles for DeployRoles {
    async fn assume(&self, role: &RoleArn, run: &RunId) -> Result<Targets> {
        let clients = self.clients.with_role(role, run.as_str()).await;
        Ok(Targets {
            services: Arc::new(Ecs::new(&clients)),
        })
    }
}
