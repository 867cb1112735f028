//! The files that settings name.

use std::io;

/// Reads the file of that name. A function of its own, so that settings can be checked without a disk.
pub type Files = fn(&str) -> io::Result<NamedFile>;

/// A file that a setting names.
pub struct NamedFile {
    /// What it holds. It may be a secret.
    pub text: String,
    /// Who can use it: Unix's nine bits, where there are any.
    pub mode: Option<u32>,
}

/// Reads from the disk.
pub(super) fn on_disk(path: &str) -> io::Result<NamedFile> {
    #[cfg(unix)]
    let mode = Some(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path)?.permissions()) & 0o777);
    #[cfg(not(unix))]
    let mode = None;
    Ok(NamedFile { text: std::fs::read_to_string(path)?, mode })
}
