/**
 * Metrics of `lqa encode --out-dir` as a text file for the textfile collector of Prometheus' node exporter.
 *
 * They are gauges, because a rerun begins again. The file is replaced as a whole, so the collector never reads half of it.
 *
 * @module
 */
import type { EncodedItem } from "../node/encode-many.ts";
import { assertWritable, writeFileAtomic } from "../node/files/write-file.ts";

/** Least time between two writes, ms: collectors come every 15 seconds or less often. */
const PAUSE = 5000;

/** The metrics of one run. */
export interface EncodeMetrics {
  /** @throws LqaError IO if the file cannot be written */
  begin(): Promise<void>;
  /** Counts an adapter, and writes the file from time to time. */
  add(item: EncodedItem): void;
  /** Writes the file a last time. @throws LqaError IO */
  end(): Promise<void>;
}

/**
 * The metrics in a file; undefined without a path.
 *
 * @param shard label of the series, so that several shares can have files in one directory
 */
export function metricsFile(path: string | undefined, shard: string | undefined): EncodeMetrics | undefined {
  if (path === undefined) return undefined;
  const counts = { encoded: 0, kept: 0, failed: 0 };
  const failures = new Map<string, number>();
  const [started, sums] = [performance.now(), { input: 0, output: 0 }];
  let [written, writing]: [number, Promise<void>] = [started, Promise.resolve()];
  const text = (): string => {
    const series = (name: string, help: string, values: readonly (readonly [labels: string, number])[]) =>
      [
        `# HELP lqa_encode_${name} ${help}`,
        `# TYPE lqa_encode_${name} gauge`,
        ...values.map(([labels, value]) => {
          const all = [shard === undefined ? "" : `shard="${shard}"`, labels].filter((one) => one !== "");
          return `lqa_encode_${name}${all.length > 0 ? `{${all.join(",")}}` : ""} ${value}`;
        }),
      ].join("\n");
    return `${[
      series(
        "adapters",
        "Adapters of this run, by outcome.",
        Object.entries(counts).map(([state, value]) => [`state="${state}"`, value]),
      ),
      series(
        "failures",
        "Adapters of this run that failed, by code.",
        [...failures].map(([code, value]) => [`code="${code}"`, value]),
      ),
      series("input_bytes", "Bytes of the adapters that were encoded.", [["", sums.input]]),
      series("output_bytes", "Bytes of the .lqa files that were written.", [["", sums.output]]),
      series("seconds", "Duration of this run.", [["", (performance.now() - started) / 1000]]),
      series("written_timestamp_seconds", "When this file was written.", [["", Date.now() / 1000]]),
    ].join("\n")}\n`;
  };
  const write = (): Promise<void> => writeFileAtomic(path, new TextEncoder().encode(text()), { force: true });
  return {
    begin: () => assertWritable(path, { force: true }),
    add(item) {
      if (item.state === "left") return;
      counts[item.state]++;
      if (item.state === "failed") failures.set(item.error.code, (failures.get(item.error.code) ?? 0) + 1);
      if (item.state === "encoded") {
        sums.input += item.result.inputBytes;
        sums.output += item.result.outputBytes;
      }
      if (performance.now() - written < PAUSE) return;
      written = performance.now();
      // One write at a time; the last one reports errors.
      writing = writing.then(write).catch(() => {});
    },
    async end() {
      await writing;
      await write();
    },
  };
}
