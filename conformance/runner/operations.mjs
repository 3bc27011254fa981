// What the answers of the operations `stream` and `range` must say (PROTOCOL.md).

/**
 * `events` of a case: [kind, name, end], everything a reader may hand out, with the position behind its CRC-32. It may hand
 * out less, but only in this order and never before `end` bytes have been pushed.
 */
export const checkEvents = (allowed) => (document) => {
  const { events } = document;
  if (!Array.isArray(events)) return "the document has no events";
  let next = 0;
  for (const [kind, name, pushed] of events) {
    const at = allowed.findIndex((event, i) => i >= next && event[0] === kind && event[1] === name);
    if (at < 0) return `${kind} ${name} was handed out, but should not have been, or not then`;
    if (pushed < allowed[at][2])
      return `${kind} ${name} was handed out after ${pushed} bytes; its chunk ends at ${allowed[at][2]}`;
    next = at + 1;
  }
  if (document.valid) {
    const missing = allowed.find(
      ([kind, name]) => kind !== "section" && !events.some((e) => e[0] === kind && e[1] === name),
    );
    if (missing) return `${missing[0]} ${missing[1]} was never handed out`;
  }
  return undefined;
};

const covers = (ranges, [start, end]) => {
  let at = start;
  for (const [from, to] of [...ranges].sort((x, y) => x[0] - y[0])) if (from <= at && to > at) at = to;
  return at >= end;
};

/** `need`: ranges that must be read; `may`: other ranges that may be read; nothing else. */
export const checkRanges =
  ({ need, may, bytes }) =>
  (document) => {
    const { ranges } = document;
    if (!Array.isArray(ranges)) return "the document has no ranges";
    const inFile = ranges.map(([start, end]) => [start, Math.min(end, Math.max(bytes, start))]);
    const missing = need.find((range) => !covers(inFile, range));
    if (missing && document.valid) return `bytes ${missing} were not read`;
    const extra = inFile.find((range) => range[1] > range[0] && !covers([...need, ...may], range));
    return extra && `bytes ${extra} were read, but are not part of the request`;
  };
