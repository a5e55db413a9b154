//! The numbers that errors, goodbyes and refusals travel as. Numbers and names are for ever.

use std::fmt;

/// Declares an open list of codes: an enum with a number and a stable name for each variant, and
/// a variant for numbers that a later version has added.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $text:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A number that this version does not know. Only `from_code` makes it.
            Other(u16),
        }

        impl $name {
            /// All that this version knows, in the order of the specification.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The number on the wire.
            pub const fn code(self) -> u16 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// What the number means.
            pub const fn from_code(code: u16) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    code => Self::Other(code),
                }
            }

            /// A short name, stable across versions, for logs, metrics and status.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(_) => "other",
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Other(code) => write!(f, "other_{code:04x}"),
                    known => f.write_str(known.name()),
                }
            }
        }
    };
}

codes! {
    /// Why a link ends with an `Error`: refusals of the handshake, violations of the protocol,
    /// failures of the sender.
    ErrorCode {
        /// The version ranges of the two sides have nothing in common.
        UnsupportedVersion = 0x8001, "unsupported_version";
        /// One side requires a feature that the other does not have.
        MissingFeature = 0x8002, "missing_feature";
        /// The replica is not the one that was expected at this address.
        WrongKey = 0x8003, "wrong_key";
        /// The signature does not prove the replica's identity.
        BadSignature = 0x8004, "bad_signature";
        /// The replica is not admitted here.
        NotAllowed = 0x8005, "not_allowed";
        /// Both ends are one store: a node dialled itself, or a store's file was copied.
        SameStore = 0x8006, "same_store";
        /// No more links are accepted at the moment.
        TooManyLinks = 0x0007, "too_many_links";
        /// The identity was not proved in time.
        HandshakeTimeout = 0x0008, "handshake_timeout";
        /// A frame's bytes are not a message.
        Malformed = 0x0101, "malformed";
        /// A message type that must be understood and is not.
        UnknownMessage = 0x8102, "unknown_message";
        /// A message that has no place in the conversation at this point.
        OutOfOrder = 0x0103, "out_of_order";
        /// More bytes than were granted.
        OverCredit = 0x0104, "over_credit";
        /// A size or count over its limit.
        OverLimit = 0x0105, "over_limit";
        /// A message about a space that is not open on this link.
        WrongSpace = 0x0106, "wrong_space";
        /// A walk that does not end.
        WalkTooLong = 0x0107, "walk_too_long";
        /// An acknowledgement of what was never sent.
        FalseAck = 0x0108, "false_ack";
        /// The peer's changes have filled the quarantine.
        QuarantineFull = 0x0109, "quarantine_full";
        /// Something was asked for and nothing came for too long.
        Stalled = 0x010a, "stalled";
        /// A presence that its author has not signed, or that names another author than it has.
        Forged = 0x010b, "forged";
        /// A part of an attachment that was not asked for, or is not what it is said to be.
        FalseBlob = 0x010c, "false_blob";
        /// The sender's store can't be written.
        StoreFailed = 0x0201, "store_failed";
    }
}

impl ErrorCode {
    /// Set in the numbers of errors that come back however often the peer is dialled.
    const PERMANENT_BIT: u16 = 0x8000;

    /// Whether the peer broke a rule of the protocol, as opposed to a refusal or a fault of ours.
    pub const fn is_violation(self) -> bool {
        self.code() & 0x7f00 == 0x0100
    }

    /// Whether dialling again would end the same way until somebody changes something on one side.
    /// Such a peer is not dialled in a loop. Other errors are, with a growing delay.
    ///
    /// It is a bit of the number, so that it is known of codes that a later version adds.
    pub const fn is_permanent(self) -> bool {
        self.code() & Self::PERMANENT_BIT != 0
    }
}

codes! {
    /// Why a link ends without anybody's fault.
    ByeReason {
        /// The node is shutting down.
        Shutdown = 1, "shutdown";
        /// A newer link between the same two stores takes over.
        Superseded = 2, "superseded";
        /// Nothing was heard for too long.
        Idle = 3, "idle";
        /// Both sides have what they wanted; for links made for one exchange.
        Done = 4, "done";
        /// The peer was removed from the configuration.
        Removed = 5, "removed";
    }
}

codes! {
    /// Why a space is not opened. The link and its other spaces go on.
    RefusedCode {
        /// The space is not known here, or this replica shall not know that it is.
        UnknownSpace = 1, "unknown_space";
        /// The replica may not have it.
        Forbidden = 2, "forbidden";
        /// The link has as many spaces open as it may.
        TooMany = 3, "too_many";
        /// The space can't be served at the moment.
        Unavailable = 4, "unavailable";
    }
}
