// docs/attacks.md from the results of run.mjs.

const MIB = 2 ** 20;

function bytesText(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} KB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** The cells that say which attack it is. */
function keyOf({ name, tries, words, limit }) {
  const stops = limit === undefined ? "" : ` (\`${limit}\`)`;
  return `| ${name} | ${tries}${stops} | \`${words.join(" ")}\` |`;
}

/** The row of an attack that was measured, or the one that the page before has of it. */
function row(attack, before) {
  const { size, index, memory, seconds, actual } = attack;
  if (actual === undefined) {
    const found = before.split("\n").find((line) => line.startsWith(keyOf(attack)));
    if (found === undefined)
      throw new Error(`docs/attacks.md has no row of "${attack.name}": measure it, too`);
    return found;
  }
  const outcome = actual.first === "valid" ? "–" : `\`${actual.first}\``;
  return `${keyOf(attack)} ${bytesText(size)} | ${(memory / MIB).toFixed(0)} MiB | ${index === 0 ? "" : `${(index / MIB).toFixed(0)} MiB`} | ${seconds.toFixed(2)} s | ${actual.code} | ${outcome} |`;
}

/** Attacks that need a server, another program or another language, with the test that holds the limit of each. */
export const ELSEWHERE = [
  [
    "a server that answers ranges from another file of the same length",
    "no module of a second file is handed out; with a `fileId`, none of another file",
    "test/read/pin.test.ts",
  ],
  [
    "a hub that sends another file than it lists",
    "a file that comes whole is refused (`HTTP_RESPONSE`); one read by ranges says `vouchedBy: server`",
    "test/hub/read.test.ts",
  ],
  [
    "a file whose name is Python, shell, Markdown and HTML, for `push`",
    "each language of the card reads one string, one word, or text",
    "test/hub/push.test.ts",
  ],
  [
    "`/dev/full` as standard output of every command",
    "exit code 2, and one error",
    "test/cli/full-output.test.ts",
  ],
  ["`/dev/full` as standard output of `push`", "the same", "test/hub/push.test.ts"],
  [
    "a file among the parents of a pool that states the content id of another",
    "it is passed over; children of the right parent load",
    "test/parent/serve.test.ts",
  ],
  [
    "a child whose sums are infinite, in a pool",
    "`NONFINITE_VALUE`, and nothing is handed out",
    "test/parent/serve.test.ts",
  ],
  [
    "fields of PEFT's configuration that import, allocate or search",
    "nothing is imported; 128 MiB of memory; PEFT 0.18.0 and the newest",
    "integrations/python/tests/test_hostile.py",
  ],
];

/** The page. @param results all attacks, in order; those that were not measured keep their rows of the page `before` */
export function page(results, { small, idle, machine, before }) {
  const groups = new Map();
  for (const result of results) groups.set(result.group, [...(groups.get(result.group) ?? []), result]);
  const exceptions = results.flatMap(({ name, words, above }) =>
    above === undefined ? [] : [`- _${name}_ with \`${words[0]}\`: ${above}.`],
  );
  const tables = [...groups].map(
    ([group, members]) => `## ${group}

| file | what it tries | command | bytes | memory | of it index | CPU time | exit code | error |
|---|---|---|--:|--:|--:|--:|--:|---|
${members.map((one) => row(one, before)).join("\n")}
`,
  );
  return `# Attacks

Files made to cost a reader more than they cost their author, and what the program spends on each. Memory is the peak of the
whole process above that for a file of ${small} bytes (${(idle.rss / MIB).toFixed(0)} MiB, most of it Node), index is what level \`structure\` takes of the
same file, which reads the index and nothing else; time is CPU time above that for the small file (${idle.cpu.toFixed(2)} s).
Names with slashes are cases of the [conformance suite](../conformance/README.md); the others are made by
[\`fuzz/attacks/list.mjs\`](../fuzz/attacks/list.mjs), where a name in capitals is the [limit](../src/limits.ts) that stops them. Measured by
\`node fuzz/attacks/run.mjs\` (${machine}); a test compares codes and errors with this page, and CI
CPU time and memory with the limits of the list.

Files of a gigabyte, too, take at most 64 MiB above their index. That is promised for all of these${
    exceptions.length === 0 ? "." : `, except for:\n\n${[...new Set(exceptions)].join("\n")}`
  }

Exit code 0 means that the file breaks no rule: it is large, or declares much, and was checked in bounded memory. What it costs to
*decode* is bounded by budgets ([SECURITY.md](../SECURITY.md)).

${tables.join("\n")}
## Held by other tests

| attack | limit | test |
|---|---|---|
${ELSEWHERE.map(([attack, limit, test]) => `| ${attack} | ${limit} | \`${test}\` |`).join("\n")}
`;
}
