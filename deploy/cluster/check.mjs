// Applies the files for Kubernetes to a real control plane: etcd, kube-apiserver, kube-controller-manager and kubectl, built from the
// Go module proxy (main.go; needs Go 1.24, a quarter of an hour on two cores). No kubelet runs: this program says of each pod what a kubelet
// would say, so it shows what the controllers do with our files, and not that an image starts. KEDA's types are installed, KEDA is not.
//
//   node deploy/cluster/check.mjs [--program FILE] [--counts FILE] [--write]
//     --program   built before: go build -o FILE, in this folder
//     --write     write the result to deploy/cluster/result.md
import { execFile, execFileSync, spawn } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs, promisify } from "node:util";
import { freePort } from "../../bench/fleet/servers.mjs";

const KEDA = "github.com/kedacore/keda/v2@v2.21.0";
const { values: options } = parseArgs({
  options: {
    program: { type: "string" },
    counts: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
const NODE = "node-1";
const here = import.meta.dirname;
const deploy = (name) => join(here, "..", name);
const base = mkdtempSync(join(tmpdir(), "lqa-cluster-"));
const program = options.program ?? join(base, "cluster");
const go = { ...process.env, GOFLAGS: "-mod=mod", CGO_ENABLED: "0" };
if (options.program === undefined) {
  console.log("building the control plane");
  // A program that is not built by Kubernetes' own script does not know its version.
  const [, version, major, minor] = /k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\d+)/.exec(
    readFileSync(join(here, "go.mod"), "utf8"),
  );
  const own = { gitVersion: version, gitMajor: major, gitMinor: minor };
  const sets = Object.entries(own).map(([name, text]) => `-X k8s.io/component-base/version.${name}=${text}`);
  const flags = ["-trimpath", "-ldflags", `-s -w ${sets.join(" ")}`];
  execFileSync("go", ["build", ...flags, "-o", program, "."], { cwd: here, env: go });
}
const keda = JSON.parse(execFileSync("go", ["mod", "download", "-json", KEDA], { cwd: base, env: go })).Dir;

const running = [];
const start = (name, ...args) => {
  const log = openSync(join(base, `${name}.log`), "w");
  const child = spawn(program, [name, ...args], { cwd: base, stdio: ["ignore", log, log] });
  running.push({ child, ended: once(child, "exit") });
};

const token = randomBytes(16).toString("hex");
const config = join(base, "kubeconfig");
/** kubectl, in the namespace of the checks. @returns what it printed */
const kubectl = async (...words) => {
  const all = ["kubectl", "--kubeconfig", config, "--namespace", "lqa", ...words];
  return (
    await promisify(execFile)(program, all, { maxBuffer: 2 ** 26, env: { ...process.env, HOME: base } })
  ).stdout;
};
const get = async (...words) => JSON.parse(await kubectl("get", ...words, "-o", "json"));
/** Pods that are not ending. Those that are end at once, as if their containers did. */
async function podsOf(selector) {
  const { items } = await get("pods", "--selector", selector);
  const isEnding = ({ metadata }) => metadata.deletionTimestamp !== undefined;
  for (const { metadata } of items.filter(isEnding))
    await kubectl("delete", "pod", metadata.name, "--grace-period=0", "--force", "--ignore-not-found");
  return items.filter((pod) => !isEnding(pod));
}

const post = (path, object) => {
  const file = join(base, "object.json");
  writeFileSync(file, JSON.stringify(object));
  return kubectl("create", "--raw", `/api/v1/namespaces/lqa/${path}`, "-f", file);
};

/** Asks again until there is an answer. @throws Error after a minute */
async function until(what, question) {
  let last;
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(250)) {
    try {
      const answer = await question();
      if (answer) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`${what}: not within a minute; ${last?.stderr ?? last}`);
}

/** Says of a pod what its kubelet would. */
async function report(pod, status) {
  const patch = ["--subresource=status", "--type=merge", "-p", JSON.stringify({ status })];
  await kubectl("patch", "pod", pod.metadata.name, ...patch);
}
let addresses = 0;
/** As the scheduler and the kubelet of a node do. */
const ready = async (pod) => {
  const { name } = pod.metadata;
  const target = { apiVersion: "v1", kind: "Node", name: NODE };
  await post(`pods/${name}/binding`, { apiVersion: "v1", kind: "Binding", metadata: { name }, target });
  const podIP = `10.1.0.${++addresses}`;
  const now = new Date().toISOString().replace(/\.\d+/, "");
  const conditions = ["Ready", "ContainersReady"].map((type) => ({
    type,
    status: "True",
    lastTransitionTime: now,
  }));
  await report(pod, { phase: "Running", podIP, podIPs: [{ ip: podIP }], conditions });
};
const ended = (pod, exitCode) => {
  const [{ name, image }] = pod.spec.containers;
  const now = new Date().toISOString().replace(/\.\d+/, "");
  const terminated = { exitCode, startedAt: now, finishedAt: now };
  return report(pod, {
    phase: exitCode === 0 ? "Succeeded" : "Failed",
    containerStatuses: [{ name, image, imageID: "", ready: false, restartCount: 0, state: { terminated } }],
  });
};

const checks = { passed: 0, failed: 0 };
const lines = [];
/** Makes a check, whose result is a text, and tells how it went. */
async function check(name, test) {
  try {
    const text = await test();
    checks.passed++;
    lines.push(`| ${name} | ${text ?? "yes"} |`);
    console.log(`ok ${name}${text === undefined ? "" : `: ${text}`}`);
  } catch (error) {
    checks.failed++;
    lines.push(`| ${name} | **no** |`);
    console.log(`not ok ${name}: ${String(error.stderr || error.message).trim()}`);
  }
}
const must = (condition, text) => {
  if (!condition) throw new Error(text);
};
const refused = async (call, pattern) => {
  const failure = await call.then(
    () => undefined,
    (error) => error.stderr,
  );
  must(failure !== undefined, "was taken");
  must(pattern.test(failure), failure);
};

/** What a file says and the server has not stored: `undefined` if nothing. */
function missing(wanted, stored, path) {
  if (wanted === null || typeof wanted !== "object") return wanted === stored ? undefined : path;
  for (const [key, value] of Object.entries(wanted)) {
    // Quantities have several spellings.
    const found = /^(cpu|memory)$/.test(key) ? undefined : missing(value, stored?.[key], `${path}.${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function begin() {
  const ports = {
    etcd: await freePort(),
    peer: await freePort(),
    api: await freePort(),
    controllers: await freePort(),
  };
  const [client, peer] = [`http://127.0.0.1:${ports.etcd}`, `http://127.0.0.1:${ports.peer}`];
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync(join(base, "accounts.pem"), privateKey.export({ type: "pkcs1", format: "pem" }));
  writeFileSync(join(base, "tokens.csv"), `${token},admin,admin,system:masters\n`);
  const url = `https://127.0.0.1:${ports.api}`;
  const cluster = { server: url, "certificate-authority": join(base, "certificates/apiserver.crt") };
  writeFileSync(
    config,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "lqa", cluster }],
      users: [{ name: "admin", user: { token } }],
      contexts: [{ name: "lqa", context: { cluster: "lqa", user: "admin" } }],
      "current-context": "lqa",
    }),
  );
  start(
    "etcd",
    `--data-dir=${join(base, "etcd")}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    "--unsafe-no-fsync",
  );
  start(
    "kube-apiserver",
    `--etcd-servers=${client}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${ports.api}`,
    `--cert-dir=${join(base, "certificates")}`,
    `--token-auth-file=${join(base, "tokens.csv")}`,
    "--authorization-mode=RBAC",
    "--service-cluster-ip-range=10.0.0.0/24",
    "--service-account-issuer=https://lqa.test",
    `--service-account-key-file=${join(base, "accounts.pem")}`,
    `--service-account-signing-key-file=${join(base, "accounts.pem")}`,
  );
  await until("an API server that is ready", () => kubectl("get", "--raw", "/readyz"));
  start(
    "kube-controller-manager",
    `--kubeconfig=${config}`,
    `--authentication-kubeconfig=${config}`,
    `--authorization-kubeconfig=${config}`,
    `--service-account-private-key-file=${join(base, "accounts.pem")}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${ports.controllers}`,
    `--cert-dir=${join(base, "controllers")}`,
    "--leader-elect=false",
    // The node here sends no signs of life.
    "--controllers=*,-node-lifecycle-controller",
  );
  await kubectl("apply", "--server-side", "-f", join(keda, "config/crd/bases/keda.sh_scaledobjects.yaml"));
  writeFileSync(
    join(base, "node.json"),
    JSON.stringify({ apiVersion: "v1", kind: "Node", metadata: { name: NODE } }),
  );
  await kubectl("create", "-f", join(base, "node.json"));
  await kubectl("create", "namespace", "lqa");
  // The strictest of Kubernetes' own rules for pods: https://kubernetes.io/docs/concepts/security/pod-security-standards
  await kubectl("label", "namespace", "lqa", "pod-security.kubernetes.io/enforce=restricted");
  await until("an account for pods", () => kubectl("get", "serviceaccount", "default"));
  for (const name of ["lqa-fleet", "lqa-serve"])
    await kubectl("create", "secret", "generic", name, "--from-literal=AWS_ACCESS_KEY_ID=none");
}

/** Each of a file's objects, as a client sends it. */
const objectsOf = async (file) =>
  (await kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", deploy(file)))
    .split(/^(?=\{)/m)
    .map((text) => JSON.parse(text));

async function accepted(file) {
  await check(`\`${file}\` is accepted, and nothing of it is dropped`, async () => {
    await kubectl("apply", "--validate=strict", "-f", deploy(file));
    const objects = await objectsOf(file);
    for (const { kind, metadata, spec, data } of objects) {
      const stored = await get(kind, metadata.name);
      const lost = missing({ spec, data }, stored, `${kind} ${metadata.name}`);
      must(lost === undefined, `${lost} is not as in the file`);
    }
    const versions = () =>
      Promise.all(
        objects.map(async ({ kind, metadata }) => (await get(kind, metadata.name)).metadata.generation),
      );
    const before = await versions();
    await kubectl("apply", "--validate=strict", "-f", deploy(file));
    must(`${await versions()}` === `${before}`, "applied again, it is another version");
    return `${objects.length} ${objects.length === 1 ? "object" : "objects"}`;
  });
}

async function serving() {
  const pods = () => podsOf("app=lqa-serve");
  const isReady = ({ status }) =>
    status.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
  await accepted("serve.yaml");
  await check("the server gets its pods, under the profile *restricted* of Pod Security", async () => {
    await until("two pods", async () => (await pods()).length === 2);
    return "2 pods";
  });
  await check("only pods that are ready have requests", async () => {
    const ends = async () =>
      (await get("endpointslices", "--selector", "kubernetes.io/service-name=lqa-serve")).items
        .flatMap(({ endpoints }) => endpoints ?? [])
        .filter(({ conditions }) => conditions.ready).length;
    must((await ends()) === 0, "pods that are not ready have requests");
    const [first, second] = await pods();
    await ready(first);
    await until("one endpoint", async () => (await ends()) === 1);
    await ready(second);
    await until("two endpoints", async () => (await ends()) === 2);
  });
  await check("draining nodes leaves one server: the second eviction is refused", async () => {
    await until("a budget", async () => (await get("pdb", "lqa-serve")).status.disruptionsAllowed === 1);
    const names = (await pods()).map(({ metadata }) => metadata.name);
    const metadata = (name) => ({ name, namespace: "lqa" });
    const evict = (name) =>
      post(`pods/${name}/eviction`, { apiVersion: "policy/v1", kind: "Eviction", metadata: metadata(name) });
    await evict(names[0]);
    await refused(evict(names[1]), /disruption budget/);
  });
  await check("an upgrade ends no server before a new one is ready", async () => {
    const replacement = await until("a replacement", async () => (await pods()).find((pod) => !isReady(pod)));
    await ready(replacement);
    await until("two ready", async () => (await get("deployment", "lqa-serve")).status.readyReplicas === 2);
    await kubectl("set", "image", "deployment/lqa-serve", "serve=lqa-fleet:next");
    let least = 2;
    for (let i = 0; i < 2; i++) {
      const fresh = await until("a new pod", async () => (await pods()).find((pod) => !isReady(pod)));
      await sleep(1000);
      least = Math.min(least, (await pods()).filter(isReady).length);
      await ready(fresh);
    }
    await until("the end", async () => {
      const { status, spec } = await get("deployment", "lqa-serve");
      return status.updatedReplicas === 2 && status.replicas === 2 && status.readyReplicas === spec.replicas;
    });
    must(least === 2, `${least} servers were ready`);
    return "never fewer than 2";
  });
}

async function shares() {
  await accepted("encode.yaml");
  const job = () => get("job", "lqa-encode");
  const pods = () => podsOf("batch.kubernetes.io/job-name=lqa-encode");
  const indexOf = ({ metadata }) => Number(metadata.annotations["batch.kubernetes.io/job-completion-index"]);
  const active = async () => (await pods()).filter(({ status }) => status.phase === "Pending");
  await check("the Indexed Job has as many pods at once as it says, each with its share", async () => {
    const first = await until("four pods", async () =>
      (await active()).length === 4 ? active() : undefined,
    );
    must(first.map(indexOf).sort().join() === "0,1,2,3", first.map(indexOf).join());
    const [{ env }] = first[0].spec.containers;
    must(
      env.some(({ name }) => name === "JOB_COMPLETION_INDEX"),
      "no JOB_COMPLETION_INDEX",
    );
    return "4 of 16";
  });
  await check("a share that exits with 1, 3 or 4 is not started again; one that was killed is", async () => {
    const own = await active();
    const find = (index) => own.find((pod) => indexOf(pod) === index);
    for (const [index, code] of [1, 3, 4].entries()) await ended(find(index), code);
    await ended(find(3), 137);
    await until("three failed shares", async () => (await job()).status.failedIndexes === "0-2");
    await until("share 3 again", async () => (await active()).find((pod) => indexOf(pod) === 3));
    must(!(await active()).some((pod) => indexOf(pod) < 3), "a failed share was started again");
  });
  await check("the job goes on, and says which shares failed", async () => {
    await until("the end", async () => {
      for (const pod of await active()) await ended(pod, 0);
      return (await job()).status.conditions?.some(({ type }) => type === "Failed");
    });
    const { completedIndexes, failedIndexes, succeeded } = (await job()).status;
    must(completedIndexes === "3-15" && failedIndexes === "0-2", `${completedIndexes}; ${failedIndexes}`);
    return `${succeeded} done, 0 to 2 failed`;
  });
}

async function fleet() {
  await accepted("kubernetes.yaml");
  await check("the job that submits is done when its pod has succeeded", async () => {
    const pods = () => podsOf("batch.kubernetes.io/job-name=lqa-fleet-submit");
    const [pod] = await until("a pod", async () => ((await pods()).length > 0 ? pods() : undefined));
    await ended(pod, 0);
    await until("success", async () => (await get("job", "lqa-fleet-submit")).status.succeeded === 1);
  });
  await check("workers scale by the means that KEDA has", async () => {
    const workers = () => podsOf("app=lqa-fleet-worker");
    for (const count of [3, 0]) {
      await kubectl("scale", "deployment/lqa-fleet-worker", `--replicas=${count}`);
      await until(`${count} workers`, async () => (await workers()).length === count);
    }
    return "to 3, and to 0";
  });
  await check("a ScaledObject with another type of a field is refused", async () => {
    const object = (await objectsOf("kubernetes.yaml")).find(({ kind }) => kind === "ScaledObject");
    object.spec.maxReplicaCount = "many";
    const path = join(base, "wrong.json");
    writeFileSync(path, JSON.stringify(object));
    await refused(kubectl("apply", "-f", path), /maxReplicaCount/);
  });
}

async function strict() {
  await check("a misspelt field is refused", async () => {
    const [object] = await objectsOf("serve.yaml");
    object.spec.template.spec.containers[0].imag = "x";
    const path = join(base, "misspelt.json");
    writeFileSync(path, JSON.stringify(object));
    await refused(kubectl("apply", "--validate=strict", "-f", path), /unknown field .*imag/);
  });
  await check("everything is deleted by its file", async () => {
    for (const file of ["serve.yaml", "encode.yaml", "kubernetes.yaml"])
      await kubectl("delete", "--timeout=60s", "-f", deploy(file));
    await until("no pods", async () => (await podsOf("")).length === 0);
  });
}

try {
  await begin();
  await serving();
  await shares();
  await fleet();
  await strict();
} catch (error) {
  checks.failed++;
  console.log(`not ok ${error.stderr || error.stack}`);
} finally {
  const { serverVersion } = await kubectl("version", "-o", "json").then(JSON.parse, () => ({}));
  for (const { child } of running.reverse()) child.kill("SIGTERM");
  await Promise.race([Promise.all(running.map(({ ended }) => ended)), sleep(20_000)]);
  for (const { child } of running) child.kill("SIGKILL");
  if (options.write)
    writeFileSync(
      join(here, "result.md"),
      `${[
        "# Our files on a control plane of Kubernetes",
        "",
        `Kubernetes ${serverVersion?.gitVersion ?? "?"}, KEDA's types ${KEDA.split("@")[1]}; ${checks.passed} passed, ${checks.failed} failed. \`node deploy/cluster/check.mjs --write\`, ${new Date().toISOString().slice(0, 10)}.`,
        "",
        "| check | result |",
        "|---|---|",
        ...lines,
      ].join("\n")}\n`,
    );
  if (options.counts) writeFileSync(options.counts, JSON.stringify(checks));
  if (checks.failed > 0 && existsSync(base)) console.log(`logs: ${base}`);
  else rmSync(base, { recursive: true, force: true });
}
console.log(`${checks.passed} passed, ${checks.failed} failed`);
process.exitCode = checks.failed === 0 ? 0 : 1;
