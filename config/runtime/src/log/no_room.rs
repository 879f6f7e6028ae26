//! Which failures of a disk are waited out, and which are a mistake that somebody has to mend first.
use std::io;

/// `EIO` on every system that this is built for; the standard library has no name for it.
const INPUT_OUTPUT_ERROR: i32 = 5;

/// The disk, the quota or the size that a file may have is used up: what is there can be read, and room comes back. A
/// start goes on without it, for pages are worth more than their record.
#[must_use]
pub fn is_want_of_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// The disk takes nothing any more: kernels make a disk with faults read-only. Where a log was written before, that is
/// waited out as a want of room is. At a first start it is a wrong path, such as one in a container's image.
#[must_use]
pub fn is_broken_disk(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ReadOnlyFilesystem
        || error.raw_os_error() == Some(INPUT_OUTPUT_ERROR)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{is_broken_disk, is_want_of_room};

    #[test]
    fn errors_of_the_system_by_their_numbers() {
        for (number, name, room, broken) in [
            (28, "ENOSPC", true, false),
            (122, "EDQUOT", true, false),
            (27, "EFBIG", true, false),
            (30, "EROFS", false, true),
            (5, "EIO", false, true),
            (13, "EACCES", false, false),
            (1, "EPERM", false, false),
            (2, "ENOENT", false, false),
            (20, "ENOTDIR", false, false),
        ] {
            let error = io::Error::from_raw_os_error(number);
            let found = (is_want_of_room(&error), is_broken_disk(&error));
            assert_eq!(found, (room, broken), "{name}");
        }
    }
}
