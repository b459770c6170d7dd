// Which code says why something ended? The twin of sockproxy/codes.py.
//
// Import as `import * as Code`: every use then reads as in Python (`Code.DENIED`) and
// the bundler writes the bare number. A test compares this file with codes.py.

// How a stream ended.
export const CLEAN = 0x00;
export const ABORTED = 0x01;
export const DENIED = 0x02;
export const BAD_TARGET = 0x03;
export const NAME_NOT_FOUND = 0x04;
export const REFUSED = 0x05;
export const CONNECT_TIMEOUT = 0x06;
export const UNREACHABLE = 0x07;
export const BACKEND_RESET = 0x08;
export const IDLE = 0x09;
export const QUOTA = 0x0a;
export const KILLED = 0x0b;
export const LOST = 0x0c;
export const BACKEND_TLS = 0x0d;
export const INTERNAL = 0x0e;
export const STREAM_PROTOCOL = 0x0f;

// How a link or a session ended, or why it was refused.
export const VERSION = 0x20;
export const TICKET_REQUIRED = 0x21;
export const TICKET_REFUSED = 0x22;
export const ORIGIN = 0x23;
export const SESSION_UNKNOWN = 0x24;
export const SECRET_REUSE = 0x25;
export const SUPERSEDED = 0x26;
export const STALE_LINK = 0x27;
export const BUSY = 0x28;
export const RESTART = 0x29;
export const LINGER_EXPIRED = 0x2a;
export const FLOW = 0x2b;
export const TOO_BIG = 0x2c;
export const PROTOCOL = 0x2d;
export const TIMEOUT = 0x2e;
export const POLL_ADVISED = 0x2f;

// How the server answers a DOWN, in HELLO's MODE field.
export const STREAM = 1;
export const POLL = 2;
export const BRIEF = 3;

// Optional fields of HELLO, WELCOME and OPEN, as far as this client uses them.
export const HELLO_TICKET = 1;
export const HELLO_MODE = 5;
export const WELCOME_STREAM_WINDOW = 2;
export const WELCOME_SESSION_WINDOW_UP = 3;
export const WELCOME_MAX_POST = 5;
export const WELCOME_PING_MS = 6;
export const WELCOME_LINGER_S = 7;
export const OPEN_NO_DELAY = 1;
export const OPEN_KEEP_ALIVE_MS = 2;
