/* sockproxy 0.1.0, MIT */
export type LinkKind = 'websocket' | 'stream' | 'poll';
export type Environment = {
    WebSocket: typeof WebSocket;
    fetch: typeof fetch;
    /**
     * send even while the page ends
     */
    sendBeacon: (url: string, bytes: Uint8Array) => void;
    /**
     * to the other tabs
     */
    BroadcastChannel: typeof BroadcastChannel | undefined;
    setTimeout: (act: () => void, delayMs: number) => any;
    clearTimeout: (timer: any) => void;
    /**
     * call when what runs now has finished
     */
    nextTurn: (act: () => void) => void;
    /**
     * milliseconds that never jump
     */
    now: () => number;
    /**
     * milliseconds of the wall clock, the same in all tabs
     */
    epoch: () => number;
    /**
     * in [0, 1)
     */
    random: () => number;
    /**
     * fit for secrets
     */
    randomBytes: (count: number) => Uint8Array;
    /**
     * whether a user sees the page
     */
    isVisible: () => boolean;
    /**
     * where the browser tells about page and network
     */
    page: EventTarget | undefined;
};
export type TCPSocketOptions = {
    /**
     * have the server send small writes at once
     */
    noDelay?: boolean;
    /**
     * milliseconds, at least 1000
     */
    keepAliveDelay?: number;
    /**
     * checked, and left to the session's windows
     */
    sendBufferSize?: number;
    /**
     * checked, and left to the session's windows
     */
    receiveBufferSize?: number;
    /**
     * checked, and left to the server, which resolves
     */
    dnsQueryType?: 'ipv4' | 'ipv6';
};
export type Addresses = {
    remoteAddress: string;
    remotePort: number;
    localAddress: string;
    localPort: number;
};
export type TCPSocketOpenInfo = Addresses & {
    readable: ReadableStream<Uint8Array>;
    writable: WritableStream<BufferSource>;
};
export type StreamEvents = {
    onOpened: (addresses: Addresses) => void;
    onData: (bytes: Uint8Array) => void;
    onEof: () => void;
    onClosed: (code: number, text: string, acked: number) => void;
};
export type StreamVerbs = {
    /**
     * `done` when more may come
     */
    write: (bytes: Uint8Array, done: () => void) => void;
    /**
     * no byte follows those written
     */
    end: () => void;
    /**
     * the page has read `count` bytes
     */
    consume: (count: number) => void;
    /**
     * abort both directions
     */
    reset: (code: number) => void;
    /**
     * the page reads no more
     */
    stop: () => void;
};
export type Dial = (host: string, port: number, options: TCPSocketOptions, events: StreamEvents) => StreamVerbs;
export declare class TCPSocket {
    #private;
    /**
     * @param {string} remoteAddress host name or address literal; with port 0 a backend's name
     * @param {number} remotePort wraps at 65536
     * @param {TCPSocketOptions} [options]
     * @param {Dial} [dial] the way to a session; pages leave it out
     */
    constructor(remoteAddress: string, remotePort: number, options?: TCPSocketOptions, dial?: Dial);
    /** Settles when the connection is there, or with why it cannot be. */
    get opened(): Promise<TCPSocketOpenInfo>;
    /** Settles when both streams are finished and the server has confirmed the end. */
    get closed(): Promise<void>;
    /**
     * Cancel the readable and abort the writable, neither of which may be locked.
     *
     * @returns {Promise<void>} the same as `closed`
     */
    close(): Promise<void>;
}
export type SockProxyState = 'idle' | 'connecting' | 'up' | 'reconnecting' | 'lost' | 'closed';
export type TicketSource = string | (() => TicketAnswer | PromiseLike<TicketAnswer>) | null | undefined;
export type TicketAnswer = string | null | undefined;
export type SockProxyExtras = {
    /**
     * what shows the server who this page is; `ticket` of the
     * proxy sets it later
     */
    ticket?: TicketSource;
    /**
     * seconds to go on trying when the server is away; by default as
     * long as the server keeps the session, and a minute
     */
    linger?: number;
    /**
     * which kinds of link may be used; by default a WebSocket, where
     * that is blocked an HTTP stream, and where that is held back HTTP polls
     */
    links?: LinkKind[];
    /**
     * tell the console what happens
     */
    debug?: boolean;
};
export type SockProxyOptions = SockProxyExtras & Partial<Environment>;
export declare class SockProxy extends EventTarget {
    #private;
    /**
     * @param {string | URL} url the server: its address, or that of its script
     * @param {SockProxyOptions} [options]
     */
    constructor(url: string | URL, options?: SockProxyOptions);
    /** What `state` events tell: connecting, up, reconnecting, lost, closed; idle before all. */
    get state(): SockProxyState;
    /** The first 8 hex digits of the session's id, as the server's log names it. */
    get id(): string;
    /**
     * Show the server this ticket from now on, on a session that runs too. It can be set only: a
     * ticket is never told.
     *
     * @param {TicketSource} source
     */
    set ticket(source: TicketSource);
    /** Figures of this moment; bytes and resumes count from the beginning. */
    get stats(): {
        bytesIn: number;
        bytesOut: number;
        resumes: number;
        switches: number;
        link: "poll" | "stream" | "websocket" | undefined;
        rttMs: number;
        unackedBytes: number;
        streams: {
            id: number;
            host: string;
            port: number;
            sendWindow: number;
            receiveWindow: number;
            queuedBytes: number;
            heldBytes: number;
            ackedBytes: number;
        }[];
    };
    /**
     * Use only these kinds of link from now on; the session moves to one of them as it runs.
     *
     * @param {LinkKind[]} kinds
     */
    useLinks(kinds: LinkKind[]): void;
    /**
     * Open a socket to a backend by the name that the server's file gives it.
     *
     * @param {string} name
     * @param {TCPSocketOptions} [options]
     */
    open(name: string, options?: TCPSocketOptions): TCPSocket;
    /** End the session and all its sockets. */
    close(): void;
}
declare const proxy: SockProxy;
export default proxy;
