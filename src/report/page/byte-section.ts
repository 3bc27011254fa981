/**
 * The section about bytes: the file as a map, and the totals as a table.
 *
 * @module
 */
import { BYTE_KINDS, type ByteKind, type ByteMap } from "../byte-map.ts";
import { count, percent, size } from "../format.ts";
import { type Html, html, section, tableElement } from "./html.ts";

const COLUMNS = 100;
const CELL = { width: 10, height: 12 };

/** The section about bytes. */
export function byteSection({ totals, cells, cellBytes }: ByteMap, fileLength: number): Html {
  const kinds = BYTE_KINDS.filter((kind) => totals[kind] > 0).sort((x, y) => totals[y] - totals[x]);
  const most = totals[kinds[0]!];
  return section(
    "bytes",
    "Where the bytes went",
    html`<p>The file from its first byte to its last, line by line, in ${count(cells.length)} cells of ${cellSize(cellBytes)}. The colour of a cell shows the purpose of most of its bytes.</p>
${map(cells, cellBytes)}
`,
    html`<div class="totals">${tableElement({
      caption: "Bytes by purpose",
      head: ["What", "Bytes", "Share", "Compared"],
      numeric: [1, 2],
      rows: kinds.map((kind) => [
        html`<span class="swatch ${kindClass(kind)}"></span>${kind}`,
        count(totals[kind]),
        percent(totals[kind] / fileLength),
        html`<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><rect class="${kindClass(kind)}" width="${((100 * totals[kind]) / most).toFixed(1)}" height="1"/></svg>`,
      ]),
    })}</div>`,
  );
}

/** The CSS class with the colour of a kind of bytes. */
function kindClass(kind: ByteKind): string {
  return `k${BYTE_KINDS.indexOf(kind)}`;
}

function cellSize(bytes: number): string {
  return bytes < 10 && !Number.isInteger(bytes) ? `${bytes.toFixed(1)} bytes` : size(Math.round(bytes));
}

function map(cells: readonly ByteKind[], cellBytes: number): Html {
  const rows = Math.ceil(cells.length / COLUMNS);
  const parts: Html[] = [];
  for (let begin = 0; begin < cells.length; ) {
    const kind = cells[begin]!;
    const row = Math.floor(begin / COLUMNS);
    let end = begin + 1;
    while (end < cells.length && end < (row + 1) * COLUMNS && cells[end] === kind) end++;
    const [x, width] = [(begin % COLUMNS) * CELL.width, (end - begin) * CELL.width];
    const from = Math.floor(begin * cellBytes);
    parts.push(
      html`<rect x="${x}" y="${row * CELL.height}" width="${width}" height="${CELL.height - 1}" class="${kindClass(kind)}" data-byte="${from}"><title>${kind}, from byte ${count(from)} on</title></rect>
`,
    );
    begin = end;
  }
  return html`<svg viewBox="0 0 ${COLUMNS * CELL.width} ${rows * CELL.height}" width="1000" role="img" aria-label="Map of the bytes of the file; the table below has the totals">
${parts}</svg>`;
}
