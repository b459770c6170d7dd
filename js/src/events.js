// What does a session tell its owner? The client's part of core/events.py.

/** @typedef {{type: 'welcomed', link: number, resumed: boolean}} Welcomed */
/** @typedef {{type: 'refused', code: number, retryMs: number, text: string}} Refused */
/** @typedef {{type: 'linkEnded', code: number, text: string}} LinkEnded */
/** @typedef {{type: 'sessionEnded', code: number, text: string}} SessionEnded */
/** @typedef {{type: 'authResult', code: number, expiresS: number}} AuthResult */
/** @typedef {{type: 'goingAway', code: number, deadlineMs: number}} GoingAway */
/** @typedef {[host: string, port: number]} Address */
/** @typedef {{type: 'opened', stream: number, remote: Address, local: Address}} StreamOpened */
/** @typedef {{type: 'data', stream: number, bytes: Uint8Array}} DataReceived */
/** @typedef {{type: 'eof', stream: number}} EofReceived */
/** @typedef {{type: 'closed', stream: number, code: number, text: string, acked: number}} StreamClosed */

/**
 * @typedef {Welcomed | Refused | LinkEnded | SessionEnded | AuthResult | GoingAway
 *   | StreamOpened | DataReceived | EofReceived | StreamClosed} Event
 */

export {};
