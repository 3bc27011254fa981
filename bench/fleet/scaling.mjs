// How much more two workers do than one, in two ways: a second worker process where all processes may use all cores; and a second
// worker with a core of its own, where each worker keeps to its core.
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
    { name: "one worker", workers: [all], rest: all },
    { name: "two workers", workers: [all, all], rest: all },
  ];
  if (all === undefined || all.length < 2)
    console.log("skipped: a core for each worker: there is no taskset, or only one core");
  else {
    // The last ones: the first has the interrupts of many machines.
    const [other, last] = all.slice(-2).map((core) => [core]);
    const rest = all.length > 2 ? all.slice(0, -2) : undefined;
    ways.push(
      { name: "one worker on its core, servers on others", workers: [last], rest: rest ?? other },
      // With two cores the servers have no other.
      { name: "two workers, each on its core", workers: [last, other], rest: rest ?? all },
    );
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
  const [one, two, oneBound, twoBound] = fastest;
  return {
    rounds,
    efficiencyOfWorkers: efficiency(one, two, "worker process"),
    ...(oneBound && { efficiencyOfCores: efficiency(oneBound, twoBound, "worker on a core of its own") }),
    fastest,
    runs,
  };
}

/** One way, once: first with nothing to do, then with all adapters. */
async function measure({ workers, rest, name }, target, options) {
  const { main, env, servers, source, quality, adapters, made, check } = options;
  if (rest !== undefined) for (const { pid } of servers) bind(pid(), rest);
  const work = async () => {
    const words = [process.execPath, main, "fleet", "work", "--concurrency", "1", "--until-empty"];
    const [begin, from] = [performance.now(), spent(servers)];
    const children = workers.map((cores) => {
      const [program, ...own] = cores === undefined ? words : ["taskset", "-c", cores.join(), ...words];
      return spawn(program, own, { env, stdio: "ignore" });
    });
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
  const usable = workers[0] === undefined ? cpus().length : new Set([...workers, rest].flat()).size;
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
