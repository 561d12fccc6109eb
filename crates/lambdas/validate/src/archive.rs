//! The sealed archive of a commit: a deterministic zip.

use crate::Error;
use engine::{FileKind, Snapshot};
use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Packs the files of a commit, without those that are left out. A submodule becomes an empty directory, as in a clone without submodules.
///
/// # Errors
/// Fails with `Internal` if a file that belongs into the archive was not read.
pub(crate) fn pack(snapshot: &Snapshot, left_out: &BTreeSet<String>) -> Result<Vec<u8>, Error> {
    let mut unread = snapshot.unread.iter();
    if let Some(file) = unread.find(|file| !left_out.contains(&file.path)) {
        return Err(Error::FileNotRead {
            commit: snapshot.commit.clone(),
            path: file.path.clone(),
        });
    }
    write(snapshot, left_out).map_err(|error| Error::ArchiveNotWritten {
        commit: snapshot.commit.clone(),
        why: error.to_string(),
    })
}

fn write(snapshot: &Snapshot, left_out: &BTreeSet<String>) -> ZipResult<Vec<u8>> {
    let files = snapshot.files.iter();
    let mut files: Vec<_> = files
        .filter(|file| !left_out.contains(&file.path))
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // The earliest time that a zip can hold, 1980-01-01: git stores no file times.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::DEFAULT);
    for file in files {
        let path = file.path.as_str();
        match file.kind {
            FileKind::File => zip.start_file(path, options.unix_permissions(0o644))?,
            FileKind::Executable => zip.start_file(path, options.unix_permissions(0o755))?,
            FileKind::Symlink => {
                let target = String::from_utf8_lossy(&file.bytes);
                zip.add_symlink(path, target, options.unix_permissions(0o777))?;
                continue;
            }
            FileKind::Submodule => {
                zip.add_directory(path, options.unix_permissions(0o755))?;
                continue;
            }
        }
        zip.write_all(&file.bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}
