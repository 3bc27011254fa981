// The catalogue of a fleet as `lqa fleet report --html --parquet` makes it, from the records of a store that is made up: what a
// record costs, and what memory it takes as their number grows. One record in a hundred has the content of another adapter, one in
// a thousand is of a failure.
//
// node bench/fleet/catalogue.mjs [--records 10000000] [--json file]
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { drawFleetReport, readCatalogue, summing, writeCatalogue } from "../../dist/fleet/index.js";
import { nameOf } from "./generate.mjs";

const { values } = parseArgs({
  options: { records: { type: "string", default: "10000000" }, json: { type: "string" } },
});
const records = Number(values.records);
const failures = Math.floor(records / 1000);
const id = (text) => createHash("sha256").update(text).digest("hex");
const [DONE, FAILED] = [".lqa-fleet/records/", ".lqa-fleet/failures/"];

function recordAt(key) {
  const done = key.startsWith(DONE);
  const name = key.slice(done ? DONE.length : FAILED.length, -".json".length);
  const i = Number(name.slice(-9));
  const job = { name, job: id(`job ${i}`).slice(0, 32), source: "s3://stub/in" };
  if (!done)
    return { state: "failed", ...job, code: "LQA-X001", kind: "IO", message: "no such object", advice: "" };
  return {
    state: "done",
    ...job,
    dialect: "peft",
    inputBytes: 3_700_000 + (i % 1000),
    outputBytes: 57_584 + (i % 977),
    parameters: 921_600,
    modules: 60,
    averageBits: 1,
    bitsPerParameter: 1 + (i % 97) / 1000,
    relativeError: 0.05 + (i % 89) / 1000,
    contentId: id(`content ${i % 100 === 99 ? i - 99 : i}`),
    fileId: id(`file ${i}`),
    sha256: id(`bytes ${i}`),
    seconds: 1.25,
  };
}

const store = {
  location: "s3://stub/out",
  async *list({ prefix }) {
    const [from, to] = prefix === DONE ? [0, records - failures] : [records - failures, records];
    for (let i = from; i < to; i++) yield { key: `${prefix}${nameOf(i)}.json`, size: 900, version: '"1"' };
  },
  read: async (key) => new TextEncoder().encode(JSON.stringify(recordAt(key))),
};

const folder = mkdtempSync(join(tmpdir(), "lqa-catalogue-"));
const path = join(folder, "catalogue.parquet");
const sum = summing();
const rows = [];
let read = 0;
const begin = performance.now();
async function* counted() {
  for await (const record of readCatalogue(store)) {
    sum.add(record);
    yield record;
    if (++read % (records / 10) > 0) continue;
    const { rss, heapUsed } = process.memoryUsage();
    const row = {
      read,
      seconds: (performance.now() - begin) / 1000,
      rss: rss / 2 ** 20,
      heap: heapUsed / 2 ** 20,
    };
    rows.push(row);
    console.log(
      `${read} records  ${row.seconds.toFixed(0)} s  ${row.rss.toFixed(0)} MiB, of which ${row.heap.toFixed(0)} of JavaScript`,
    );
  }
}
await writeCatalogue(path, "parquet", counted());
const summary = sum.end();
const page = drawFleetReport(summary, store.location);
const report = {
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus()[0].model.trim()}, ${cpus().length} virtual cores`,
  node: process.version,
  records,
  seconds: (performance.now() - begin) / 1000,
  cpuMicrosecondsPerRecord: (process.cpuUsage().user + process.cpuUsage().system) / records,
  parquetBytes: statSync(path).size,
  htmlBytes: page.length,
  summary: { results: summary.results, failures: summary.failures, duplicated: summary.duplicated },
  rows,
};
console.log(JSON.stringify({ ...report, rows: undefined }, null, 2));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
rmSync(folder, { recursive: true, force: true });
const { results, failures: failed, duplicated } = summary;
if (results + failed !== records || duplicated !== Math.floor((records - failures) / 100))
  process.exitCode = 1;
