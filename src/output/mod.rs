//! Everything that leaves the process: text on standard output and standard error, and files.
//!
//! - [`print()`], [`say`] and [`warn`] never fail: a reader that has left, or a full disk behind a stream, ends no measurement.
//! - A [`NewFile`] replaces a regular file only when it is complete. Anything else that has a name (a device, a pipe, a
//!   descriptor) is written into and never replaced, and symbolic links are followed.
//! - [`open_stream`] and [`open_log`] open files that grow, such as a recording.

mod compress;
mod file;
mod stream;
mod target;

/// Has a file that reaches the limit of `ulimit -f` be an error of the write, as a full disk is, and no signal that ends the process
/// in the middle of a measurement.
pub fn survive_file_limits() {
    // SAFETY: the call changes what one signal does, before there is another thread.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

pub use compress::{Compressed, Compression};
pub use file::{NewFile, sync, write};
pub use stream::{StandardError, StandardOutput, be_quiet, failure, is_quiet, print, say, warn};
pub use target::{STANDARD_OUTPUT, is_regular, is_standard_output, open_log, open_stream};
