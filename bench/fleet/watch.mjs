// What an operator sees: the alerts and the dashboard of deploy/ in a real Prometheus, which watches a fleet and a server of adapters
// while both work. Some jobs and some requests fail, and the server has too little memory, so that every panel has something to
// show. Each query of the dashboard must find numbers with the labels that its legend names; each alert must fire when it should
// (deploy/alerts.test.yaml), and Prometheus must be able to evaluate it.
//
//   npm run build && LQA_PROMETHEUS=/usr/bin/prometheus node bench/fleet/watch.mjs [--seconds 40] [--series FILE] [--counts FILE]
//
// promtool is taken from the same folder. --series writes what the panels found, as JSON.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeAdapter } from "./generate.mjs";
import { end, freePort, launch, redis, s3 } from "./servers.mjs";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "40" },
    series: { type: "string" },
    counts: { type: "string" },
  },
});
const prometheus = process.env.LQA_PROMETHEUS ?? "prometheus";
if (spawnSync(prometheus, ["--version"]).status !== 0) {
  console.log("skipped: prometheus is absent; set LQA_PROMETHEUS to its path");
  process.exit(0);
}
const promtool = join(dirname(prometheus), "promtool");
const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const DEPLOY = fileURLToPath(new URL("../../deploy/", import.meta.url));
const ADAPTERS = 200;
/** Adapters that the server has. */
const SERVED = 8;
const SHAPE = { rank: 8, width: 256, layers: 8 };

const counts = { passed: 0, failed: 0 };
const check = (name, problem) => {
  counts[problem ? "failed" : "passed"]++;
  console.log(`${problem ? `not ok ${name}: ${problem}` : `ok ${name}`}`);
};
for (const words of [
  ["check", "rules", "alerts.yaml"],
  ["test", "rules", "alerts.test.yaml"],
]) {
  const { status, stdout, stderr } = spawnSync(promtool, words, { cwd: DEPLOY, encoding: "utf8" });
  check(`promtool ${words.join(" ")}`, status !== 0 && `${stdout}${stderr}`);
}

const base = mkdtempSync(join(tmpdir(), "lqa-watch-"));
const source = join(base, "s3/source/adapters");
for (let i = 0; i < ADAPTERS; i++) writeAdapter(join(source, `adapter-${i}`), i, SHAPE);
const served = join(base, "served");
const some = Array.from({ length: SERVED }, (_, i) => join(source, `adapter-${i}`));
execFileSync(process.execPath, [MAIN, "encode", "--out-dir", served, ...some], { stdio: "ignore" });
writeFileSync(join(served, "damaged.lqa"), "no such file format");
// Files that end too early: their jobs fail.
for (let i = 0; i < ADAPTERS; i += 10) {
  const file = join(source, `adapter-${i}/adapter_model.safetensors`);
  writeFileSync(file, readFileSync(file).subarray(0, 1000));
}
const ports = { fleet: await freePort(), serve: await freePort(), prometheus: await freePort() };
const local = (name) => `127.0.0.1:${ports[name]}`;
writeFileSync(
  join(base, "prometheus.yaml"),
  JSON.stringify({
    global: { scrape_interval: "1s", evaluation_interval: "1s" },
    rule_files: [join(DEPLOY, "alerts.yaml")],
    scrape_configs: ["fleet", "serve"].map((name) => ({
      job_name: name,
      static_configs: [{ targets: [local(name)] }],
    })),
  }),
);

const [queue, storage] = [await redis(join(base, "redis")), await s3(join(base, "s3"), ["source", "target"])];
const env = {
  ...storage.env,
  LQA_FLEET_QUEUE: queue.url,
  LQA_FLEET_ALLOW_SOURCE: "s3://source/adapters",
  LQA_FLEET_ALLOW_TARGET: "s3://target",
};
const children = [];
const start = async (name, program, ...words) =>
  children.push(await launch(program, words, ports[name], env));
const lqa = (name, ...words) => start(name, process.execPath, MAIN, ...words);
try {
  const settings = [
    `--config.file=${join(base, "prometheus.yaml")}`,
    `--storage.tsdb.path=${join(base, "tsdb")}`,
  ];
  await start("prometheus", prometheus, ...settings, `--web.listen-address=${local("prometheus")}`);
  // Room for half of the adapters, and for half of the requests.
  await lqa("serve", "serve", served, "--port", `${ports.serve}`, "--budget", "100KiB", "--concurrency", "4");
  const words = [MAIN, "fleet", "submit", "s3://source/adapters", "--to", "s3://target/all", "--bits", "2"];
  execFileSync(process.execPath, words, { env: { ...process.env, ...env }, stdio: "ignore" });
  await lqa("fleet", "fleet", "work", "--metrics", local("fleet"), "--concurrency", "1");
  const until = performance.now() + 1000 * Number(values.seconds);
  await Promise.all(Array.from({ length: 8 }, (_, i) => requests(i, until)));
  const series = await panels();
  if (values.series !== undefined) writeFileSync(values.series, JSON.stringify(series));
  await alerts();
} finally {
  for (const child of children) await end(child);
  await queue.stop();
  await storage.stop();
  rmSync(base, { recursive: true, force: true });
}
if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify(counts));
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;

/** A client of the server, `until` then: of ten requests, one is for a damaged file and one for an adapter that is not there. */
async function requests(seed, until) {
  const module = "model.layers.0.self_attn.q_proj";
  for (let i = seed; performance.now() < until; i++) {
    const name = i % 10 === 3 ? "damaged" : i % 10 === 7 ? "absent" : `adapter-${(i * 7) % SERVED}`;
    const address = `http://${local("serve")}`;
    const { body } =
      i % 3 === 0
        ? await fetch(`${address}/adapters/${name}/factors?module=${module}`)
        : await fetch(`${address}/apply?module=${module}&adapters=${name}`, {
            method: "POST",
            body: new Float32Array(SHAPE.width).fill(0.5),
          });
    for await (const _ of body);
  }
}

async function ask(path, parameters = {}) {
  const url = `http://${local("prometheus")}/api/v1/${path}?${new URLSearchParams(parameters)}`;
  const { status, data, error } = await (await fetch(url)).json();
  if (status !== "success") throw new Error(`${url}: ${error}`);
  return data;
}

/** Asks for every panel of the dashboard what Grafana would ask for. */
async function panels() {
  const dashboard = JSON.parse(readFileSync(join(DEPLOY, "dashboard.json"), "utf8"));
  const { query } = dashboard.templating.list.find(({ name }) => name === "instance");
  const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(query.query);
  const instances = await ask(`label/${label}/values`, { "match[]": metric });
  check("servers to choose from", instances.join() !== local("serve") && `found ${instances}`);
  const now = Date.now() / 1000;
  const found = [];
  for (const { title, targets = [] } of dashboard.panels)
    for (const { expr, legendFormat } of targets) {
      const query = expr.replaceAll("$__rate_interval", "5s").replaceAll("$instance", instances.join("|"));
      const range = { query, start: now - Number(values.seconds), end: now, step: 1 };
      const { result } = await ask("query_range", range);
      const numbers = result.flatMap((one) => one.values.map(([, value]) => Number(value)));
      const labels = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name);
      const lacking = labels.filter((name) => result.some((one) => !(name in one.metric)));
      check(
        `${title}: ${legendFormat}`,
        (!numbers.some((number) => number > 0) && `nothing above 0 for ${query}`) ||
          (lacking.length > 0 && `no label ${lacking}`),
      );
      found.push({ title, legendFormat, result });
    }
  return found;
}

async function alerts() {
  const { groups } = await ask("rules", { type: "alert" });
  for (const { name, health, lastError } of groups.flatMap(({ rules }) => rules))
    check(`alert ${name} is evaluated`, health !== "ok" && `${health}: ${lastError}`);
}
