// How do these pages build elements and write numbers? Text is always text, never markup.

const UNITS = ['B', 'KiB', 'MiB', 'GiB'];

/**
 * Make an element: properties starting with `on` are listeners, `class` and `data-`/`aria-`
 * names are attributes, the rest are properties. Strings among the children become text.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (/^(class|role|data-|aria-)/.test(name)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** Find the element with this id. */
export const byId = (id) => document.getElementById(id);

/** Write an amount of bytes: `512 B`, `1.5 KiB`, `12 MiB`. */
export function amount(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 || Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** Write a duration: `850 ms`, `3.2 s`. */
export const duration = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** Write the time of day, with tenths of a second if asked. */
export function clock(date = new Date(), tenths = false) {
  const text = date.toTimeString().slice(0, tenths ? 8 : 5);
  return tenths ? `${text}.${Math.floor(date.getMilliseconds() / 100)}` : text;
}

/** Whether the reader looks at the end of a scrolled box, so that new lines should follow. */
export const atEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 48;

/** Scroll a box to its end. */
export const toEnd = (box) => box.scrollTo({ top: box.scrollHeight });
