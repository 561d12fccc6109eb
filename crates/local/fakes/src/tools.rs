//! The programs of builds: those that AWS's build image has, so that a build that needs others fails as on
//! AWS. Of them, `aws` asks the emulator's registry, and `docker` uses buildah where no engine answers.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// The program that builds images.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Builder {
    /// A running Docker engine.
    Docker,
    /// buildah with chroot isolation, without an engine or containers.
    Buildah,
}

/// The directories of this machine's system. Toolchains in a home directory are not among them.
const SYSTEM: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// Programs of `al/x86_64/standard/5.0` in `aws/aws-codebuild-docker-images` that builds may expect, by
/// package. Rust is not among them.
const PROGRAMS: [&str; 14] = [
    // coreutils
    "arch b2sum base32 base64 basename basenc cat chgrp chmod chown chroot cksum comm cp csplit cut date dd \
     df dir dircolors dirname du echo env expand expr factor false fmt fold groups head hostid id install \
     join link ln logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste \
     pathchk pinky pr printenv printf ptx pwd readlink realpath rm rmdir seq sha1sum sha224sum sha256sum \
     sha384sum sha512sum shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test timeout \
     touch tr true truncate tsort tty uname unexpand uniq unlink users vdir wc who whoami yes",
    // bash, util-linux, procps-ng, which
    "bash sh flock getopt more setsid column rev free kill pgrep pkill ps top hostname which",
    // findutils, grep, sed, gawk, diffutils, patch, file
    "find xargs grep egrep fgrep sed awk gawk cmp diff diff3 sdiff patch file",
    // tar, compression
    "tar gzip gunzip zcat bzip2 bunzip2 xz unxz zip unzip lz4 brotli pigz",
    // network
    "curl wget openssl ssh ssh-keygen ssh-keyscan scp rsync telnet",
    // git, mercurial, subversion
    "git git-lfs hg svn",
    // development tools
    "cc gcc c++ g++ cpp ar as ld nm objcopy objdump ranlib readelf size strings strip make automake \
     autoconf libtool m4 bison flex pkg-config patchelf swig",
    // perl, python
    "perl python python3 pip pip3 pipenv",
    // java
    "java javac jar keytool ant mvn gradle sbt",
    // node
    "node npm npx yarn",
    // ruby, php
    "ruby gem bundle rake php composer",
    // go, .NET
    "go gofmt dotnet",
    // data
    "jq sqlite3 envsubst vim time parallel expect",
    // packages
    "rpm yum dnf gpg",
];

/// Makes `dir` the `PATH` of builds: links to this machine's programs of the same names, and the tools.
/// `docker`, `buildah` and the AWS CLI are taken from `path`. The options are added to each
/// `docker build`, and must not contain line breaks.
///
/// # Errors
/// When `dir` cannot be written to.
pub fn install(dir: &Path, builder: Builder, options: &[String], path: &str) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let names = PROGRAMS.iter().flat_map(|line| line.split_whitespace());
    for name in names {
        let mut places = SYSTEM.iter().map(|place| Path::new(place).join(name));
        if let Some(program) = places.find(|program| program.is_file()) {
            link(&program, &dir.join(name))?;
        }
    }
    write(&dir.join("aws"), include_str!("aws-shim.sh"))?;
    if let Some(program) = find(path, "aws") {
        write(&dir.join("aws-cli"), &cli(&program))?;
    }
    let lines: String = options.iter().map(|option| format!("{option}\n")).collect();
    fs::write(dir.join("docker-build-options"), lines)?;
    let (shim, program) = match builder {
        Builder::Docker => (include_str!("docker-engine-shim.sh"), "docker"),
        Builder::Buildah => (include_str!("docker-shim.sh"), "buildah"),
    };
    write(&dir.join("docker"), shim)?;
    if let Some(found) = find(path, program) {
        link(&found, &dir.join(format!("{program}-cli")))?;
    }
    Ok(())
}

/// Returns a script that starts the AWS CLI. Python's console scripts are started by the `python` beside them: a
/// shebang line cannot contain a path with a space.
fn cli(program: &Path) -> String {
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    let python = program.with_file_name("python");
    if python.is_file() {
        format!(
            "#!/bin/sh\nexec {} {} \"$@\"\n",
            quoted(&python),
            quoted(program)
        )
    } else {
        format!("#!/bin/sh\nexec {} \"$@\"\n", quoted(program))
    }
}

fn find(path: &str, name: &str) -> Option<PathBuf> {
    let mut places = std::env::split_paths(path).map(|place| place.join(name));
    places.find(|program| program.is_file())
}

fn link(program: &Path, place: &Path) -> io::Result<()> {
    match symlink(program, place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn write(path: &Path, script: &str) -> io::Result<()> {
    fs::write(path, script)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
