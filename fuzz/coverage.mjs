// What the library has run so far, block by block, by V8's precise coverage. It tells an input that reached something new
// from one that did not, so that a corpus can grow from coverage.
//
// Counting blocks slows some targets down by a fifth and others a hundred times (promises and addresses), and a look at the
// counts takes 2 to 9 ms: so only some batches are counted, one look is for a batch of inputs, and only a batch that reached
// something new is run again, in halves.
import { Session } from "node:inspector";

/** The coverage of this thread. Nothing is counted before `count`. */
export function openCoverage() {
  const session = new Session();
  session.connect();
  // In its own thread a session answers before `post` returns.
  const post = (method, parameters) => {
    let answer;
    session.post(method, parameters, (error, result) => {
      if (error) throw error;
      answer = result;
    });
    return answer;
  };
  post("Profiler.enable");
  const seen = new Set();

  /** The blocks of the library that ran since the last look. */
  function ran() {
    const blocks = [];
    for (const { scriptId, url, functions } of post("Profiler.takePreciseCoverage").result) {
      if (!url.includes("/dist/")) continue;
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges)
          if (count > 0) blocks.push(`${scriptId}:${startOffset}-${endOffset}`);
    }
    return blocks;
  }

  return {
    /** Counts from now on, or no longer. */
    count: (on) =>
      on
        ? post("Profiler.startPreciseCoverage", { callCount: true, detailed: true })
        : post("Profiler.stopPreciseCoverage"),
    /** The blocks that ran since the last look for the first time. They stay new until `learn`. */
    look: () => ran().filter((block) => !seen.has(block)),
    learn(blocks) {
      for (const block of blocks) seen.add(block);
    },
    get blocks() {
      return seen.size;
    },
  };
}
