//! Addresses of the form `ws://host:port/path` and `wss://host:port/path`.

use tokio_tungstenite::tungstenite::http::Uri;

use crate::transport::TransportError;

/// Where to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The whole address, for the HTTP request.
    pub(super) uri: Uri,
    /// Name or number of the host, without brackets.
    pub(super) host: String,
    /// Its port; the scheme's own if the address names none.
    pub(super) port: u16,
    /// Whether the address asks for TLS.
    pub(super) secure: bool,
}

/// Whether `address` has one of the schemes of this transport.
pub(super) fn has_scheme(address: &str) -> bool {
    address.starts_with("ws://") || address.starts_with("wss://")
}

impl Target {
    /// Reads an address to dial.
    ///
    /// # Errors
    /// [`TransportError::InvalidAddress`] says what is wrong with it.
    pub(super) fn parse(address: &str) -> Result<Self, TransportError> {
        let invalid = |problem| TransportError::InvalidAddress {
            address: without_credentials(address),
            problem,
        };
        let uri: Uri = address
            .parse()
            .map_err(|_problem| invalid("it must be ws://host:port or wss://host:port"))?;
        let secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            Some(_) | None => return Err(invalid("it must begin with ws:// or wss://")),
        };
        let authority = uri.authority().ok_or_else(|| invalid("it names no host"))?;
        if authority.as_str().contains('@') {
            // It would end up in logs, and nothing of ours reads it.
            return Err(invalid("it must not hold a user name or password"));
        }
        let bracketed = authority.host();
        let host = bracketed.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(invalid("it names no host"));
        }
        // The library's own reader of ports takes a port that is none for no port.
        let port = match authority.as_str().strip_prefix(bracketed) {
            None | Some("") if secure => 443,
            None | Some("") => 80,
            Some(port) => match port.trim_start_matches(':').parse() {
                Ok(0) | Err(_) => return Err(invalid("its port must be 1 to 65535")),
                Ok(port) => port,
            },
        };
        let host = host.to_owned();
        Ok(Self {
            uri,
            host,
            port,
            secure,
        })
    }
}

/// What follows the scheme of an address to listen on, which may be left out: `host:port`.
///
/// # Errors
/// [`TransportError::InvalidAddress`] for another scheme, a path, or no port.
pub(super) fn listen_on(address: &str, secure: bool) -> Result<&str, TransportError> {
    let invalid = |problem| TransportError::InvalidAddress {
        address: without_credentials(address),
        problem,
    };
    let (scheme, problem) = if secure {
        ("wss", "with TLS it must be wss://host:port")
    } else {
        ("ws", "without TLS it must be ws://host:port")
    };
    let rest = match address.split_once("://") {
        Some((found, rest)) if found == scheme => rest,
        Some(_) => return Err(invalid(problem)),
        None => address,
    };
    let place = rest.strip_suffix('/').unwrap_or(rest);
    if place.contains('/') {
        return Err(invalid(
            "a listener takes clients on every path, leave it out",
        ));
    }
    match place.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(place),
        Some(_) | None => Err(invalid("it must be host:port, port 0 for any free one")),
    }
}

fn without_credentials(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((_, place)) => format!("…@{place}"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_security_come_from_the_address() {
        for (address, host, port, secure) in [
            ("ws://127.0.0.1:4100", "127.0.0.1", 4100, false),
            ("ws://hub.example/sync", "hub.example", 80, false),
            ("wss://hub.example", "hub.example", 443, true),
            ("wss://[::1]:9/a/b?c=d", "::1", 9, true),
        ] {
            let target = Target::parse(address).unwrap();
            assert_eq!(
                (target.host.as_str(), target.port, target.secure),
                (host, port, secure),
                "{address}"
            );
        }
    }

    #[test]
    fn an_address_that_cannot_be_dialled_says_why() {
        for (address, word) in [
            ("", "must be"),
            ("hub.example:80", "must begin"),
            ("http://hub.example", "must begin"),
            ("ws://", "must be"),
            ("ws:///path", "must be"),
            ("ws://:80", "no host"),
            ("ws://host:0", "port"),
            ("ws://host:", "port"),
            ("ws://host:65536", "port"),
            ("ws://host:port", "port"),
            ("ws://[::1]:99999", "port"),
            ("ws://ho st:80", "must be"),
        ] {
            let text = Target::parse(address).unwrap_err().to_string();
            assert!(text.contains(word), "{address:?}: {text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let error = Target::parse("ws://ann:secret@hub.example").unwrap_err();
        assert!(error.is_permanent());
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn a_listener_takes_host_and_port_with_or_without_its_scheme() {
        assert_eq!(listen_on("127.0.0.1:0", false).unwrap(), "127.0.0.1:0");
        assert_eq!(listen_on("ws://[::1]:80/", false).unwrap(), "[::1]:80");
        assert_eq!(listen_on("wss://a:1", true).unwrap(), "a:1");
        for (address, secure) in [
            ("wss://a:1", false),
            ("ws://a:1", true),
            ("ws://a:1/path", false),
            ("ws://a", false),
            (":80", false),
            ("a:port", false),
            ("memory:a", false),
        ] {
            assert!(listen_on(address, secure).is_err(), "{address}");
        }
    }
}
