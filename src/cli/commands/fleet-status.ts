/**
 * `lqa fleet status`: show the progress of the fleet.
 *
 * @module
 */

import type { FleetFailure } from "../../fleet/failure.ts";
import type { QueueCounts, WorkQueue } from "../../fleet/queue.ts";
import { pause } from "../../node/objects/concurrent.ts";
import type { Arguments } from "../command.ts";
import { endSignal } from "../end-signal.ts";
import { failureTable } from "../failure-table.ts";
import { queueOf } from "../fleet-options.ts";
import { count, jsonText, printable, remaining } from "../format.ts";
import { title } from "../layout.ts";
import type { Terminal } from "../terminal.ts";

/** Pause between two polls, in ms. */
const PACE = 2000;

interface Status extends QueueCounts {
  readonly queue: string;
  readonly secondsLeft: number | undefined;
  readonly failures: readonly {
    code: string;
    kind: string;
    count: number;
    example: string;
    advice: string;
  }[];
}

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const queue = await queueOf(args);
  const json = args.values.has("json");
  const watch = args.values.has("watch");
  const { signal, end } = endSignal(() => {});
  try {
    for (;;) {
      const status = await look(queue);
      // Print one line for each poll, or one JSON document.
      if (json) terminal.out(jsonText(statusJson(status), undefined, watch ? 0 : 2));
      else terminal.out(`${lines(status, terminal).join("\n")}\n`);
      const left = status.waiting + status.delayed + status.active;
      if (!watch || left === 0) return status.failed > 0 ? 1 : 0;
      await pause(PACE, signal);
      if (signal.aborted) return 0;
    }
  } finally {
    end();
    await queue.close();
  }
}

async function look(queue: WorkQueue): Promise<Status> {
  const counts = await queue.counts();
  const groups = new Map<string, { failure: FleetFailure; count: number; example: string }>();
  if (counts.failed > 0)
    for await (const { name, failure } of queue.failures()) {
      const group = groups.get(failure.code) ?? { failure, count: 0, example: name };
      group.count++;
      groups.set(failure.code, group);
    }
  const { perMinute } = counts;
  const left = counts.waiting + counts.delayed + counts.active;
  return {
    ...counts,
    queue: queue.location,
    secondsLeft: perMinute === undefined || perMinute === 0 ? undefined : Math.ceil((60 * left) / perMinute),
    failures: [...groups.values()]
      .sort((x, y) => y.count - x.count)
      .map(({ failure: { code, kind, advice }, ...group }) => ({ code, kind, advice, ...group })),
  };
}

function statusJson({
  queue,
  waiting,
  delayed,
  active,
  failed,
  done,
  perMinute,
  secondsLeft,
  failures,
}: Status): object {
  return {
    queue,
    waiting,
    delayed,
    active,
    failed,
    done,
    perMinute: perMinute === undefined ? null : Number(perMinute.toFixed(2)),
    secondsLeft: secondsLeft ?? null,
    failures,
  };
}

function lines(status: Status, terminal: Terminal): string[] {
  const { waiting, delayed, active, failed, done, perMinute, secondsLeft, failures } = status;
  const rate =
    perMinute === undefined ? "no rate yet" : `${perMinute.toFixed(perMinute < 10 ? 1 : 0)} a minute`;
  const left = secondsLeft ? `, ${remaining(secondsLeft)} left` : "";
  return [
    ...title(
      `${printable(status.queue)}:`,
      `${count(done)} done, ${count(waiting)} waiting, ${count(active)} in progress, ${count(delayed)} to retry, ${count(failed)} failed; ${rate}${left}`,
      terminal,
    ),
    ...failureTable(failures, terminal),
  ];
}
