//! Addresses for gdb: TCP on this machine only, or a Unix socket. A connection can read and write the guest's memory, so
//! other machines must not reach the address.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf, is_separator},
    str::FromStr,
};

use super::line::Line;
use guestlab_process::sockets::{self, UnixListener, UnixStream};

/// An address for gdb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A port on the loopback interface; 0 is any free port.
    Tcp(SocketAddr),
    /// A Unix socket. It is created, and removed at the end.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(is_separator) {
            return Ok(Self::Unix(text.into()));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = port.parse().map_err(|_| {
            "gdb's address is a PORT or HOST:PORT of this machine, as in localhost:1234, or the path of a Unix socket, with a /"
        })?;
        let host = match host.trim_start_matches('[').trim_end_matches(']') {
            "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => host.parse().map_err(|_| format!("{host:?} is no IP address; say localhost"))?,
        };
        if !host.is_loopback() {
            return Err(format!(
                "{host} can be reached from other machines, and whoever reaches gdb's port controls the guest; say localhost, and come from elsewhere by ssh -L"
            ));
        }
        Ok(Self::Tcp(SocketAddr::new(host, port)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A socket that waits for gdb.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
    /// gdb is connected already.
    Connected(UnixStream),
}

/// A Unix socket's file. Dropping this removes it.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The file may be gone already; then there is nothing to do.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Binds to an address. A Unix socket's file must not exist.
    pub(super) fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => TcpListener::bind(address).map(Self::Tcp),
            Address::Unix(path) => {
                UnixListener::bind(path).map(|listener| Self::Unix(listener, SocketFile(path.clone())))
            }
        }
    }

    /// Returns the address, with the port that the system chose for 0.
    pub(super) fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix(_, SocketFile(path)) => Ok(Address::Unix(Path::new(path).into())),
            Self::Connected(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// Waits for one connection, or for an interruption of the process.
    pub(super) fn accept(&self) -> io::Result<Line> {
        match self {
            Self::Tcp(listener) => {
                sockets::wait(listener)?;
                let (stream, _) = listener.accept()?;
                // Packets are small, and each waits for an answer: do not collect them.
                stream.set_nodelay(true)?;
                Ok(Line::new(stream))
            }
            Self::Unix(listener, _) => {
                sockets::wait(listener)?;
                Ok(Line::new(listener.accept()?.0))
            }
            Self::Connected(stream) => Ok(Line::new(stream.try_clone()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_taken() {
        for (text, shown) in [
            ("1234", "127.0.0.1:1234"),
            (":1234", "127.0.0.1:1234"),
            ("localhost:1", "127.0.0.1:1"),
            ("127.0.0.2:0", "127.0.0.2:0"),
            ("[::1]:7", "[::1]:7"),
            ("./gdb.sock", "./gdb.sock"),
        ] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), shown);
        }
    }

    #[test]
    fn other_addresses_are_refused_with_a_reason() {
        for (text, reason) in [
            ("0.0.0.0:1234", "from other machines"),
            ("192.168.0.1:1234", "from other machines"),
            ("[::]:1234", "from other machines"),
            ("example:1234", "no IP address"),
            ("localhost:70000", "a PORT"),
            ("", "a PORT"),
        ] {
            let error = text.parse::<Address>().expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
