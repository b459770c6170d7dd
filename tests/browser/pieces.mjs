// What do several scenarios run inside a page?

/**
 * Give the page `echoed(proxy, length, seed, pieces)`: it sends bytes through the backend `echo`
 * and compares each that comes back; it returns how many that were.
 */
export function echoed([source]) {
  const fillBytes = new Function(`return ${source}`)();
  window.echoed = async (proxy, length, seed, pieces = 50_000) => {
    const { readable, writable } = await proxy.open('echo').opened;
    const data = fillBytes(length, seed);
    const up = async () => {
      const writer = writable.getWriter();
      for (let at = 0; at < length; at += pieces) await writer.write(data.slice(at, at + pieces));
      await writer.close();
    };
    const sent = up();
    let at = 0;
    for (const reader = readable.getReader(); ; ) {
      const { value, done } = await reader.read();
      if (done) break;
      for (const byte of value) if (byte !== data[at++]) throw new Error(`byte ${at - 1} differs`);
    }
    await sent;
    return at;
  };
  /** Note the states of a proxy, each with the time and the link it came with. */
  window.watched = (proxy) => {
    const states = [];
    const startedMs = performance.now();
    proxy.addEventListener('state', ({ detail }) => {
      states.push({ ...detail, ms: Math.round(performance.now() - startedMs) });
    });
    return states;
  };
}
