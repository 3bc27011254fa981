// How much more two workers do than one, in two ways: a second worker process on the same machine, whose cores the servers
// have, too; and two cores instead of one, everything on them: a worker for each core, and the servers.
//
// Of the rounds, which alternate between the ways, the fastest run of each counts: a machine that others use, too, only makes
// runs slower. A run with nothing to do shows what of the times is no work.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/**
 * @param options.servers what `servers.mjs` has started
 * @param options.made how many results are below a target
 * @returns what each way took, and the efficiencies: time of one worker / (2 × time of two)
 */
export async function measureScaling(options) {
  const { rounds, servers } = options;
  const all = usableCores();
  const ways = [
    { name: "one worker", workers: 1, cores: all },
    { name: "two workers", workers: 2, cores: all },
  ];
  if (all === undefined || all.length < 2)
    console.log("skipped: a worker for each core: there is no taskset, or only one core");
  else {
    // The last: the first has the interrupts of many machines.
    ways.push({ name: "one worker, all on one core", workers: 1, cores: all.slice(-1) });
    // With two cores it is what was measured already.
    if (all.length > 2)
      ways.push({ name: "two workers, all on two cores", workers: 2, cores: all.slice(-2) });
  }
  const runs = ways.map(() => []);
  for (let round = 0; round < rounds; round++)
    for (const [i, way] of ways.entries()) {
      const run = await measure(way, `scaling-${i}-${round}`, options);
      runs[i].push(run);
      console.log(`${way.name}: ${line(run)}`);
    }
  if (all !== undefined) for (const { pid } of servers) bind(pid(), all);
  const fastest = ways.map((way, i) => ({
    ...way,
    ...runs[i].reduce((a, b) => (b.seconds < a.seconds ? b : a)),
  }));
  for (const each of fastest) console.log(`fastest of ${rounds}: ${each.name}: ${line(each)}`);
  const efficiency = (of, than, what) => {
    const value = of.seconds / (2 * than.seconds);
    console.log(`efficiency of a second ${what}: ${value.toFixed(3)}`);
    return value;
  };
  const [one, two, oneCore, twoCores = two] = fastest;
  return {
    rounds,
    efficiencyOfWorkers: efficiency(one, two, "worker process"),
    ...(oneCore && { efficiencyOfCores: efficiency(oneCore, twoCores, "core with its worker") }),
    fastest,
    runs,
  };
}

/** One way, once: first with nothing to do, then with all adapters. */
async function measure({ workers, cores, name }, target, options) {
  const { main, env, servers, source, quality, adapters, made, check } = options;
  if (cores !== undefined) for (const { pid } of servers) bind(pid(), cores);
  const work = async () => {
    const words = [process.execPath, main, "fleet", "work", "--concurrency", "1", "--until-empty"];
    const [program, ...rest] = cores === undefined ? words : ["taskset", "-c", cores.join(), ...words];
    const [begin, from] = [performance.now(), spent(servers)];
    const children = Array.from({ length: workers }, () => spawn(program, rest, { env, stdio: "ignore" }));
    const codes = await Promise.all(children.map(async (child) => (await once(child, "exit"))[0]));
    const to = spent(servers);
    return {
      good: codes.every((code) => code === 0),
      seconds: (performance.now() - begin) / 1000,
      cpuSeconds: to.machine - from.machine,
      workerCpuSeconds: to.children - from.children,
      serverCpuSeconds: to.servers - from.servers,
    };
  };
  const nothing = await work();
  const words = ["fleet", "submit", source, "--to", `${options.target}/${target}`, ...quality];
  const { status, stderr } = spawnSync(process.execPath, [main, ...words], { env, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  const { good, ...run } = await work();
  check(`${name}: every adapter is encoded`, nothing.good && good && made(target) === adapters);
  const usable = cores?.length ?? cpus().length;
  return {
    ...run,
    secondsWithNothingToDo: nothing.seconds,
    busy: (run.workerCpuSeconds + run.serverCpuSeconds) / (run.seconds * usable),
  };
}

function line({ seconds, secondsWithNothingToDo, busy, ...cpu }) {
  const [all, workers, servers] = [cpu.cpuSeconds, cpu.workerCpuSeconds, cpu.serverCpuSeconds].map((value) =>
    value.toFixed(1),
  );
  return `${seconds.toFixed(2)} s (nothing to do: ${secondsWithNothingToDo.toFixed(2)} s), CPU ${workers} s of workers, ${servers} s of servers, ${all} s of the machine; they kept their cores ${(100 * busy).toFixed(0)} % busy`;
}

/** CPU seconds so far: of the whole machine, of children of this process that have ended, of the servers. */
function spent(servers) {
  const machine = cpus().reduce(
    (sum, { times: { user, nice, sys, irq } }) => sum + user + nice + sys + irq,
    0,
  );
  return {
    machine: machine / 1000,
    children: ticks("self", 13, 14),
    servers: servers.reduce((sum, { pid }) => sum + ticks(pid(), 11, 12), 0),
  };
}

/** Sum of times in /proc/PID/stat, counted behind the name of the program, in seconds; not a number elsewhere. */
function ticks(pid, ...fields) {
  try {
    const values = readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /s, "")
      .split(" ");
    return fields.reduce((sum, field) => sum + Number(values[field]), 0) / 100;
  } catch {
    return Number.NaN;
  }
}

/** Cores that this process may use; undefined where nothing can be bound to them. */
function usableCores() {
  const { status, stdout } = spawnSync("taskset", ["-c", "-p", `${process.pid}`], { encoding: "utf8" });
  if (status !== 0) return undefined;
  return /: (.*)$/m
    .exec(stdout)[1]
    .split(",")
    .flatMap((range) => {
      const [from, to = from] = range.split("-").map(Number);
      return Array.from({ length: to - from + 1 }, (_, i) => from + i);
    });
}

/** Binds all threads of a process. */
function bind(pid, cores) {
  const { status, stderr } = spawnSync("taskset", ["-a", "-c", "-p", cores.join(), `${pid}`]);
  if (status !== 0) throw new Error(String(stderr));
}
