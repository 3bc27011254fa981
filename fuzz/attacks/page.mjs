// docs/attacks.md from the results of run.mjs.

const MIB = 2 ** 20;

function bytesText(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} KB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

function row({ name, tries, words, size, index, memory, seconds, actual, limit }) {
  const stops = limit === undefined ? "" : ` (\`${limit}\`)`;
  const outcome = actual.first === "valid" ? "–" : `\`${actual.first}\``;
  return `| ${name} | ${tries}${stops} | \`${words.join(" ")}\` | ${bytesText(size)} | ${(memory / MIB).toFixed(0)} MiB | ${index === 0 ? "" : `${(index / MIB).toFixed(0)} MiB`} | ${seconds.toFixed(2)} s | ${actual.code} | ${outcome} |`;
}

/** The page. */
export function page(results, { small, idle, machine }) {
  const groups = new Map();
  for (const result of results) groups.set(result.group, [...(groups.get(result.group) ?? []), result]);
  const large = results.filter(({ size, above }) => size > 8e8 && above === undefined);
  const worst = Math.max(...large.map(({ memory, index }) => memory - index));
  const exceptions = results.flatMap(({ name, words, above }) =>
    above === undefined ? [] : [`- _${name}_ with \`${words[0]}\`: ${above}.`],
  );
  const tables = [...groups].map(
    ([group, members]) => `## ${group}

| file | what it tries | command | bytes | memory | of it index | CPU time | exit code | error |
|---|---|---|--:|--:|--:|--:|--:|---|
${members.map(row).join("\n")}
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

Of the files of a gigabyte the worst takes **${(worst / MIB).toFixed(0)} MiB** above its index; 64 MiB are promised${
    exceptions.length === 0 ? "." : `, except for:\n\n${[...new Set(exceptions)].join("\n")}`
  }

Exit code 0 means that the file breaks no rule: it is large, or declares much, and was checked in bounded memory. What it costs to
*decode* is bounded by budgets ([SECURITY.md](../SECURITY.md)).

${tables.join("\n")}`;
}
