//! The hash of an unpacked provider package, as in the dependency lock file.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use base64::Engine as _;
use ring::digest::{Context, SHA256};

/// The number of bytes that are read at once.
const CHUNK: usize = 1024 * 1024;

/// Returns the `h1:` hash of an unpacked provider package, as `.terraform.lock.hcl` lists it. This is
/// the hash that Terraform checks before it starts a provider, and does not check for one that
/// [`crate::Provider`] starts.
///
/// # Errors
/// The errors of the file system. Everything but regular files and directories is an error.
pub fn package_hash(package: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    let mut buffer = vec![0; CHUNK];
    walk(package, "", &mut buffer, &mut files)?;
    Ok(hash1(files))
}

fn walk(
    dir: &Path,
    prefix: &str,
    buffer: &mut [u8],
    files: &mut Vec<(String, String)>,
) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let unfit = |what: &str| {
            let path = entry.path();
            io::Error::other(format!("{} {what}", path.display()))
        };
        let name = entry.file_name();
        let name = name
            .to_str()
            .filter(|name| !name.contains('\n'))
            .ok_or_else(|| unfit("has a name that a hash cannot contain"))?;
        let kind = entry.file_type()?;
        let path = format!("{prefix}{name}");
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), buffer, files)?;
        } else if kind.is_file() {
            files.push((path, digest(&entry.path(), buffer)?));
        } else {
            return Err(unfit("is neither a file nor a directory"));
        }
    }
    Ok(())
}

/// Returns the SHA-256 of a file in hexadecimal digits.
fn digest(path: &Path, buffer: &mut [u8]) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    loop {
        let read = file.read(buffer)?;
        match buffer.get(..read) {
            None | Some([]) => return Ok(hex::encode(context.finish())),
            Some(bytes) => context.update(bytes),
        }
    }
}

/// Returns the hash of a list of paths and digests: the SHA-256 of one line for each file, sorted by
/// path, as Go's `dirhash.Hash1` computes it.
fn hash1(mut files: Vec<(String, String)>) -> String {
    files.sort();
    let mut context = Context::new(&SHA256);
    for (path, digest) in files {
        context.update(format!("{digest}  {path}\n").as_bytes());
    }
    let sum = base64::engine::general_purpose::STANDARD.encode(context.finish());
    format!("h1:{sum}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    /// The expected value was computed by another program, as Go's `dirhash.Hash1` is specified.
    #[test]
    fn a_package_has_the_hash_that_go_computes() {
        let package = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(package.path().join(name), text);
        std::fs::create_dir(package.path().join("b")).unwrap();
        file("terraform-provider-x", "binary").unwrap();
        file("LICENSE.txt", "").unwrap();
        file("b/c", "text").unwrap();
        let hash = package_hash(package.path()).unwrap();
        assert_eq!(hash, "h1:7NfzZUIW0efgztzlZ0Pt6NCwgsN+TK7nZENJyQrmvbc=");

        file("b/c", "texT").unwrap();
        assert_ne!(package_hash(package.path()).unwrap(), hash);
        std::os::unix::fs::symlink("b/c", package.path().join("link")).unwrap();
        let error = package_hash(package.path()).unwrap_err().to_string();
        assert!(error.contains("link is neither a file"), "{error}");
    }
}
