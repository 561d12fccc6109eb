//! Checks the unpacked source with the rules that `validate` and `sluicegate config check` use too.

use std::io::Result;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use domain::source_rules::{FILE_LIMIT, FileKind, SourceFile};

/// Describes every file below `root`. The archive holds a submodule as an empty directory; git has no other empty directories.
///
/// # Errors
/// The errors of the file system.
pub fn read(root: &Path) -> Result<Vec<SourceFile<'static>>> {
    let mut files = Vec::new();
    let mut open = vec![(root.to_owned(), String::new())];
    while let Some((directory, path)) = open.pop() {
        let mut is_empty = true;
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            is_empty = false;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let path = if path.is_empty() {
                name.into_owned()
            } else {
                format!("{path}/{name}")
            };
            if entry.file_type()?.is_dir() {
                open.push((entry.path(), path));
            } else {
                files.push(describe(&entry.path(), path)?);
            }
        }
        if is_empty && !path.is_empty() {
            files.push(SourceFile::new(path, FileKind::Submodule, b""));
        }
    }
    Ok(files)
}

fn describe(on_disk: &Path, path: String) -> Result<SourceFile<'static>> {
    let found = std::fs::symlink_metadata(on_disk)?;
    if found.is_symlink() {
        let target = std::fs::read_link(on_disk)?;
        let target = target.into_os_string().into_vec();
        return Ok(SourceFile::new(path, FileKind::Symlink, target));
    }
    let kind = if found.permissions().mode() & 0o111 == 0 {
        FileKind::File
    } else {
        FileKind::Executable
    };
    if found.len() > FILE_LIMIT {
        return Ok(SourceFile::unread(path, kind, found.len()));
    }
    Ok(SourceFile::new(path, kind, std::fs::read(on_disk)?))
}
