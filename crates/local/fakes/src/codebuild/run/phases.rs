//! The environment in which a build's commands run: directories, variables, and a shell per phase.
//!
//! CodeBuild runs all commands in one shell, one after the other, and stops at the first failure.
//! Here each phase has its own shell, which inherits the directory and the exported variables of the
//! previous phase.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::buildspec::{Env, Shell};
use super::left;
use crate::aws_json::text;
use crate::codebuild::state::build::Spec;
use crate::codebuild::{Config, Timing};
use crate::process::{self, Cause, Command, Limits, Scratch, Stop};

/// How a list of commands ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) code: i32,
    pub(super) cause: Cause,
    /// The index of the last started command.
    pub(super) command: usize,
}

/// A build's directories and environment.
#[derive(Debug)]
pub(super) struct Environment {
    scratch: Scratch,
    env: BTreeMap<String, String>,
    shell: Shell,
    exported: Vec<String>,
    timing: Timing,
    log: Option<mpsc::Sender<String>>,
}

impl Environment {
    pub(super) fn new(
        config: &Config,
        spec: &Spec,
        log: Option<mpsc::Sender<String>>,
    ) -> io::Result<Self> {
        let scratch = Scratch::below(&config.host.scratch, "build-")?;
        let root = scratch.path();
        for dir in [
            "home",
            "tmp",
            "docker",
            "src",
            "control",
            "control/exported",
        ] {
            fs::create_dir(root.join(dir))?;
        }
        let at = |dir: &str| root.join(dir).display().to_string();
        fs::write(root.join("control/cwd"), at("src"))?;
        let mut env = config.host.environment(&root.join("home"));
        let name = text(&spec.environment, "image");
        let mut images = config.images.iter();
        let image = images.find(|image| Some(image.name.as_str()) == name);
        let tools = config.tools.as_ref().map(|tools| tools.display());
        let mut path = tools.map_or_else(|| config.host.path.clone(), |tools| tools.to_string());
        if let Some(image) = image {
            path = format!("{path}:{}", image.programs.display());
        }
        env.insert("PATH".to_owned(), path);
        env.insert("TMPDIR".to_owned(), at("tmp"));
        env.insert("DOCKER_CONFIG".to_owned(), at("docker"));
        env.insert("REGISTRY_AUTH_FILE".to_owned(), at("docker/config.json"));
        env.extend(config.env.clone());
        env.extend(image.map(|image| image.env.clone()).unwrap_or_default());
        let uuid = spec.id.rsplit(':').next().unwrap_or_default();
        for (name, value) in [
            ("CODEBUILD_BUILD_ARN", spec.arn.clone()),
            ("CODEBUILD_BUILD_ID", spec.id.clone()),
            ("CODEBUILD_BUILD_NUMBER", spec.number.to_string()),
            ("CODEBUILD_CI", "true".to_owned()),
            ("CODEBUILD_INITIATOR", spec.initiator.clone()),
            ("CODEBUILD_LOG_PATH", uuid.to_owned()),
            ("CODEBUILD_SRC_DIR", at("src")),
            ("CODEBUILD_START_TIME", spec.created_at.to_string()),
        ] {
            env.insert(name.to_owned(), value);
        }
        if let Some(version) = &spec.source_version {
            env.insert("CODEBUILD_SOURCE_VERSION".to_owned(), version.clone());
            env.insert(
                "CODEBUILD_RESOLVED_SOURCE_VERSION".to_owned(),
                version.clone(),
            );
        }
        let timing = config.timing;
        Ok(Self {
            scratch,
            env,
            shell: Shell::default(),
            exported: Vec::new(),
            timing,
            log,
        })
    }

    /// Applies the buildspec's settings. Those of the project and the caller override them.
    pub(super) fn configure(&mut self, env: &Env, spec: &Spec) {
        self.env.extend(env.variables.clone());
        self.env.extend(spec.variables.clone());
        self.shell = env.shell.unwrap_or_default();
        self.exported.clone_from(&env.exported_variables);
    }

    pub(super) fn source_dir(&self) -> PathBuf {
        self.scratch.path().join("src")
    }

    fn control(&self) -> PathBuf {
        self.scratch.path().join("control")
    }

    /// Runs commands until one fails. `name` identifies the list; `succeeding` is the value of
    /// `CODEBUILD_BUILD_SUCCEEDING`.
    pub(super) async fn run(
        &self,
        name: &str,
        commands: &[String],
        succeeding: bool,
        stop: &Stop,
        deadline: Instant,
    ) -> Result<Outcome, String> {
        if commands.is_empty() {
            return Ok(Outcome {
                code: 0,
                cause: Cause::Itself,
                command: 0,
            });
        }
        let file = self.write_script(name, commands, succeeding);
        let file = file.map_err(|error| format!("cannot write the phase's script: {error}"))?;
        let command = Command {
            program: match self.shell {
                Shell::Sh => "/bin/sh".to_owned(),
                Shell::Bash => "bash".to_owned(),
            },
            args: vec![file.display().to_string()],
            env: self.env.clone(),
            dir: self.source_dir(),
        };
        let limits = Limits {
            duration: Some(left(deadline)),
            grace: self.timing.grace,
        };
        // Without a log, the lines are discarded.
        let lines = self.log.clone().unwrap_or_else(|| mpsc::channel(1).0);
        let end = process::run(&command, limits, stop.clone(), lines).await;
        let end = end.map_err(|error| error.to_string())?;
        let at = fs::read_to_string(self.control().join("at")).unwrap_or_default();
        Ok(Outcome {
            code: end.code,
            cause: end.cause,
            command: at.trim().parse().unwrap_or(0),
        })
    }

    fn write_script(
        &self,
        name: &str,
        commands: &[String],
        succeeding: bool,
    ) -> io::Result<PathBuf> {
        let control = self.control();
        let quoted = quote(&control);
        let succeeding = u8::from(succeeding);
        let mut script = format!(
            "__sg={quoted}\n\
             if [ -f \"$__sg/env\" ]; then . \"$__sg/env\"; fi\n\
             cd \"$(cat \"$__sg/cwd\")\" || exit 1\n\
             CODEBUILD_BUILD_SUCCEEDING={succeeding}\n\
             export CODEBUILD_BUILD_SUCCEEDING\n\
             __sg_end() {{\n\
             __sg_code=$?\n\
             trap - EXIT\n\
             export -p > \"$__sg/env\"\n\
             pwd > \"$__sg/cwd\"\n"
        );
        for variable in &self.exported {
            // An invalid name would be executed as code.
            if variable
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_')
            {
                writeln!(
                    script,
                    "printf %s \"${{{variable}-}}\" > \"$__sg/exported/{variable}\""
                )
                .map_err(io::Error::other)?;
            }
        }
        script.push_str("exit \"$__sg_code\"\n}\ntrap __sg_end EXIT\n");
        for (number, command) in commands.iter().enumerate() {
            let file = control.join(format!("{name}-{number}"));
            fs::write(&file, command)?;
            let file = quote(&file);
            write!(
                script,
                "echo {number} > \"$__sg/at\"\n\
                 printf '[Container] %s Running command ' \
                 \"$(date -u '+%Y/%m/%d %H:%M:%S.%6N')\"\n\
                 cat {file}; echo\n\
                 eval \"$(cat {file})\"\n\
                 __sg_code=$?; [ \"$__sg_code\" -eq 0 ] || exit \"$__sg_code\"\n"
            )
            .map_err(io::Error::other)?;
        }
        let file = control.join(format!("{name}.sh"));
        fs::write(&file, script)?;
        Ok(file)
    }

    /// Returns the values of exported variables at the end of the last phase.
    pub(super) fn exported(&self, names: &[String]) -> BTreeMap<String, String> {
        let dir = self.control().join("exported");
        let value = |name: &String| Some((name.clone(), fs::read_to_string(dir.join(name)).ok()?));
        names.iter().filter_map(value).collect()
    }
}

fn quote(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
