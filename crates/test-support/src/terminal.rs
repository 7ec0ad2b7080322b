//! Programs at a terminal.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// What `command` writes to a new terminal of `rows` and `columns`, which is its standard input, output and
/// error, and how it ends. It is the controlling terminal of programs that `setsid --ctty` executes.
pub fn at_terminal(mut command: Command, rows: u16, columns: u16) -> (String, ExitStatus) {
    let master =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a new terminal");
    grantpt(&master).expect("a new terminal");
    unlockpt(&master).expect("a new terminal");
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).expect("a new terminal");
    let name = ptsname(&master, Vec::new()).expect("a new terminal");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).expect("a new terminal");
    let copy = |slave: &OwnedFd| slave.try_clone().expect("a new terminal");
    command.stdin(copy(&slave)).stdout(copy(&slave)).stderr(slave);
    let mut child = command.spawn().expect("a program at a terminal");
    // With it goes this process's hold on the terminal, whose end could not be seen otherwise.
    drop(command);
    let mut written = Vec::new();
    // EIO is how the master of a terminal without users ends.
    let _ = std::fs::File::from(master).read_to_end(&mut written);
    (String::from_utf8_lossy(&written).replace('\r', ""), child.wait().expect("a program at a terminal"))
}
