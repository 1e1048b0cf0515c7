//! The data folder: what the laptop keeps there is for its owner alone.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::error::StartError;

/// The embedded database, and with more after it the files that `SQLite` keeps next to it, with the rights of this one.
const DATABASE: &str = "dynamodb.sqlite";

/// The number of seconds that the clock is ahead.
pub(crate) const CLOCK: &str = "clock";

const FOLDER_RIGHTS: u32 = 0o700;
const FILE_RIGHTS: u32 = 0o600;

fn is_ours(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    matches!(&*name, "apps.json" | "push.json" | "keyring.json" | "signing-keys.json" | "jwks.json" | CLOCK)
        || name.starts_with(DATABASE)
        || name.ends_with(".part")
}

/// Makes the folder, or closes one that others may read, and what the laptop has in it. A folder that also holds what is not
/// the laptop's stays as it is: it may be `/tmp`.
pub(crate) fn open(folder: &Path) -> Result<(), StartError> {
    close(folder).map_err(|cause| StartError::Data { path: folder.to_owned(), cause })
}

fn close(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_RIGHTS).create(folder)?;
    let mut is_shared = false;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_ours(&entry.file_name()) && entry.file_type()?.is_file() {
            fs::set_permissions(entry.path(), Permissions::from_mode(FILE_RIGHTS))?;
        } else {
            is_shared = true;
        }
    }
    if is_shared { Ok(()) } else { fs::set_permissions(folder, Permissions::from_mode(FOLDER_RIGHTS)) }
}

/// The path of the database, whose file is there: `SQLite` would make one that others may read.
pub(crate) fn database(folder: &Path) -> Result<PathBuf, StartError> {
    let path = folder.join(DATABASE);
    match OpenOptions::new().append(true).create(true).mode(FILE_RIGHTS).open(&path) {
        Ok(_) => Ok(path),
        Err(cause) => Err(StartError::Data { path, cause }),
    }
}

/// Deletes the table and how far the clock is ahead, which belong together. The keys stay.
pub(crate) fn start_over(folder: &Path) -> Result<(), StartError> {
    let delete = || -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == CLOCK || name.to_string_lossy().starts_with(DATABASE) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    delete().map_err(|cause| StartError::Data { path: folder.to_owned(), cause })
}

/// Writes a file, which is complete as soon as it has its name.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let half_written = path.with_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_RIGHTS).open(&half_written)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&half_written, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_over_deletes_table_and_clock_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("wxauth-start-over-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in ["dynamodb.sqlite", "dynamodb.sqlite-wal", "clock", "keyring.json", "notes.txt"] {
            fs::write(folder.join(name), "").unwrap();
        }

        start_over(&folder).unwrap();

        let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["keyring.json", "notes.txt"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
