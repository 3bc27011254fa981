// The trial of fleets: generated adapters through a real Redis and a real S3 server; on the way two workers are killed and
// Redis is restarted. Then every output must be there once, valid, and equal, byte for byte, to that of a single process.
// With --scaling also: how much faster two worker processes are than one; with --scaling-only nothing but that, --rounds
// times. With --large one adapter more, of so many MB.
//
// npm run fleet:trial -- [--adapters 1000] [--rank 4] [--width 64] [--large 2048] [--workers 2]
//   [--scaling | --scaling-only] [--rounds 1] [--json file] [--counts file]
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openQueue } from "../../dist/fleet/index.js";
import { encodeMany } from "../../dist/node/index.js";
import { writeAdapter } from "./generate.mjs";
import { measureScaling } from "./scaling.mjs";
import { redis, s3 } from "./servers.mjs";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const QUALITY = ["--quality", "high"];
const { values } = parseArgs({
  options: {
    adapters: { type: "string", default: "1000" },
    rank: { type: "string", default: "4" },
    width: { type: "string", default: "64" },
    large: { type: "string" },
    workers: { type: "string", default: "2" },
    scaling: { type: "boolean", default: false },
    "scaling-only": { type: "boolean", default: false },
    rounds: { type: "string", default: "1" },
    json: { type: "string" },
    counts: { type: "string" },
  },
});
const workers = Number(values.workers);
const [rank, width, small] = [values.rank, values.width, values.adapters].map(Number);
const adapters = small + (values.large === undefined ? 0 : 1);
const base = mkdtempSync(join(tmpdir(), "lqa-trial-"));
const buckets = join(base, "s3");
const [queueServer, storage] = [await redis(join(base, "redis")), await s3(buckets, ["source", "target"])];
const env = {
  ...process.env,
  ...storage.env,
  LQA_FLEET_QUEUE: queueServer.url,
  LQA_FLEET_ALLOW_SOURCE: "s3://source/adapters",
  LQA_FLEET_ALLOW_TARGET: "s3://target",
};
const seconds = (since) => (performance.now() - since) / 1000;
const checks = { passed: 0, failed: 0 };
const check = (name, good) => {
  checks[good ? "passed" : "failed"]++;
  console.log(`${good ? "ok" : "not ok"} ${name}`);
};
const lqa = (...words) => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [MAIN, ...words, "--json"], {
    env,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  if (stdout === "") throw new Error(stderr);
  return { status, ...JSON.parse(stdout) };
};
const worker = (...words) =>
  spawn(process.execPath, [MAIN, "fleet", "work", "--concurrency", "1", "--lease", "5", ...words], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
const ended = (child) => once(child, "exit");

const loadBefore = loadavg().map((value) => value.toFixed(1));
const source = join(buckets, "source", "adapters");
for (let i = 0; i < small; i++)
  writeAdapter(join(source, `group-${i % 10}`, `adapter-${String(i).padStart(6, "0")}`), i, { rank, width });
if (values.large !== undefined) {
  const [rank, width] = [64, 8192];
  const layers = Math.ceil((Number(values.large) * 1e6) / (4 * 4 * rank * width));
  writeAdapter(join(source, "group-0", "large"), adapters, { rank, width, layers });
}

const trialled = values["scaling-only"] ? {} : await trial();
const scaling =
  values.scaling || values["scaling-only"]
    ? await measureScaling({
        main: MAIN,
        env,
        servers: [queueServer, storage],
        source: "s3://source/adapters",
        target: "s3://target",
        made: (name) => digests(join(buckets, "target", name)).size,
        quality: QUALITY,
        adapters,
        rounds: Number(values.rounds),
        check,
      })
    : undefined;

const report = {
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus()[0].model.trim()}, ${cpus().length} virtual cores`,
  node: process.version,
  loadBefore,
  loadAfter: loadavg().map((value) => value.toFixed(1)),
  adapters,
  weights: 4 * rank * width,
  largeMegabytes: values.large && Number(values.large),
  ...trialled,
  scaling,
  checks,
};
console.log(JSON.stringify(report, null, 2));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify(checks));
await queueServer.stop();
await storage.stop();
rmSync(base, { recursive: true, force: true });
process.exitCode = checks.failed > 0 ? 1 : 0;

/** The trial; what it found wrong is among the checks. */
async function trial() {
  let begin = performance.now();
  const submitted = lqa("fleet", "submit", "s3://source/adapters", "--to", "s3://target/all", ...QUALITY);
  const submitSeconds = seconds(begin);
  check(`${adapters} adapters are submitted`, submitted.queued === adapters);

  // Workers, two of which are killed, each when a third and two thirds of the work are done; Redis is, in between.
  begin = performance.now();
  const queue = await openQueue(queueServer.url);
  const done = async () => (await queue.counts()).done;
  const until = async (count) => {
    while ((await done()) < count) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  const running = Array.from({ length: workers }, () => worker());
  let kills = 0;
  for (const share of [0.3, 0.5, 0.7]) {
    await until(share * adapters);
    if (share === 0.5) {
      await queueServer.restart();
      console.log(`Redis restarted after ${await done()} jobs`);
      continue;
    }
    const victim = running.shift();
    victim.kill("SIGKILL");
    await ended(victim);
    kills++;
    console.log(`a worker killed after ${await done()} jobs`);
    running.push(worker());
  }
  const rest = Array.from({ length: workers }, () => worker("--until-empty"));
  await Promise.all(rest.map(ended));
  for (const child of running) child.kill("SIGTERM");
  await Promise.all(running.map(ended));
  const workSeconds = seconds(begin);
  const status = lqa("fleet", "status");
  check(`${kills} workers were killed and Redis restarted`, kills === 2);
  check(
    "nothing waits, is in work or failed",
    status.waiting + status.active + status.delayed + status.failed === 0,
  );

  const verification = lqa("fleet", "verify", "s3://target/all");
  check(
    "every output is valid and has its record",
    verification.valid === adapters && verification.unrecorded === 0 && verification.findings.length === 0,
  );

  begin = performance.now();
  await encodeMany([source], join(base, "alone"), { quality: "high", workers: 1 });
  const aloneSeconds = seconds(begin);
  const [fleet, alone] = [digests(join(buckets, "target", "all")), digests(join(base, "alone"))];
  check(
    "none is missing or doubled",
    fleet.size === adapters && [...alone.keys()].every((name) => fleet.has(name)),
  );
  check(
    "every output is, byte for byte, that of a single process",
    [...alone].every(([name, digest]) => fleet.get(name) === digest),
  );
  const again = lqa("fleet", "submit", "s3://source/adapters", "--to", "s3://target/all", ...QUALITY);
  check("submitted again, nothing is left to do", again.queued === 0 && again.kept === adapters);
  await queue.close();
  return { workers, submitSeconds, workSeconds, aloneSeconds };
}

/** SHA-256 of each `.lqa` file below a directory; the fleet's own files are left out. */
function digests(folder) {
  const found = new Map();
  for (const name of readdirSync(folder, { recursive: true }).map(String))
    if (!name.startsWith(".") && statSync(join(folder, name)).isFile())
      found.set(
        name,
        createHash("sha256")
          .update(readFileSync(join(folder, name)))
          .digest("hex"),
      );
  return found;
}
