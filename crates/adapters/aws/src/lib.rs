#![doc = include_str!("../README.md")]

mod batch;
mod bucket;
mod clients;
mod config;
mod errors;
mod executions;
mod logs;
mod messages;
mod probe;
#[cfg(feature = "emulator")]
mod queue_reader;
mod registry;
mod secrets;
mod services;
mod table;
mod target_roles;

pub use batch::Batch;
pub use bucket::{Bucket, ObjectVersion};
pub use clients::Clients;
pub use domain::reconcile::ExecutionState;
pub use executions::{Execution, Executions};
pub use logs::{BuildLogGroups, LogLine, LogQuery, Logs};
pub use messages::{Bus, SqsStatusQueue, TaskTokens};
pub use probe::HttpProbe;
#[cfg(feature = "emulator")]
pub use queue_reader::{QueueReader, ReceivedMessage};
pub use registry::Ecr;
pub use secrets::SecretStore;
pub use services::Ecs;
pub use table::DynamoTable;
pub use target_roles::DeployRoles;
