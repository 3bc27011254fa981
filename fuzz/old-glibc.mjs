// Jazzer.js 4.0.0 ships its native part compiled against glibc 2.38; Debian 12 has 2.36. Only three symbols ask for the newer
// one: strtol and strtoul under their C23 names, and a marker of libstdc++ that nothing calls. This lets the library in
// node_modules load where the system is older: the two names become their older ones (same functions except for binary
// literals), the marker becomes weak, and so do the two version requirements. Nothing happens where it loads as it is.
//
// Usage: node fuzz/old-glibc.mjs (prints what it did; exit code 1 if the library cannot be loaded afterwards)
import { execFileSync } from "node:child_process";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const OLD_NAMES = new Map([
  ["__isoc23_strtol", "strtol"],
  ["__isoc23_strtoul", "strtoul"],
]);
const MARKER = "_ZSt21ios_base_library_initv";
const TOO_NEW = new Set(["GLIBC_2.38", "GLIBCXX_3.4.32"]);

/** Why the native part does not load; undefined if it does. In a process of its own: a failed load stays in this one. */
function problem() {
  try {
    execFileSync(process.execPath, ["-e", 'require("@jazzer.js/fuzzer")'], {
      cwd: import.meta.dirname,
      stdio: "pipe",
    });
    return undefined;
  } catch (error) {
    return /Error: (.*)/.exec(String(error.stderr))?.[1] ?? String(error);
  }
}

const before = problem();
if (before === undefined) {
  console.log("jazzer.js loads as it is");
  process.exit(0);
}
if (process.platform !== "linux" || !/GLIBC/.test(before)) {
  console.log(`jazzer.js does not load: ${before}`);
  process.exit(1);
}
const library = join(
  dirname(require.resolve("@jazzer.js/fuzzer/package.json")),
  "prebuilds",
  `fuzzer-linux-${process.arch}.node`,
);
const bytes = readFileSync(library);
relax(bytes);
writeFileSync(`${library}.new`, bytes);
renameSync(`${library}.new`, library);
const after = problem();
console.log(
  after === undefined ? "jazzer.js made to load with this glibc" : `jazzer.js does not load: ${after}`,
);
process.exit(after === undefined ? 0 : 1);

/** Changes the dynamic symbol table of an ELF64 library (System V ABI; versions as in the Linux Standard Base). */
function relax(elf) {
  const sections = Array.from({ length: elf.readUInt16LE(60) }, (_, i) => {
    const at = Number(elf.readBigUInt64LE(40)) + i * elf.readUInt16LE(58);
    return {
      type: elf.readUInt32LE(at + 4),
      offset: Number(elf.readBigUInt64LE(at + 24)),
      size: Number(elf.readBigUInt64LE(at + 32)),
      link: elf.readUInt32LE(at + 40),
    };
  });
  const [DYNSYM, VERNEED, VERSYM] = [11, 0x6ffffffe, 0x6fffffff];
  const symbols = sections.find(({ type }) => type === DYNSYM);
  const strings = sections[symbols.link].offset;
  const versions = sections.find(({ type }) => type === VERSYM);
  const needs = sections.find(({ type }) => type === VERNEED);
  const text = (at) => elf.toString("latin1", strings + at, elf.indexOf(0, strings + at));

  let oldest;
  for (let at = needs.offset, more = true; more; ) {
    const count = elf.readUInt16LE(at + 2);
    for (let i = 0, aux = at + elf.readUInt32LE(at + 8); i < count; i++) {
      const name = text(elf.readUInt32LE(aux + 8));
      if (TOO_NEW.has(name)) elf.writeUInt16LE(elf.readUInt16LE(aux + 4) | 2, aux + 4); // VER_FLG_WEAK
      if (/^GLIBC_2\.(2\.5|17)$/.test(name)) oldest ??= elf.readUInt16LE(aux + 6);
      aux += elf.readUInt32LE(aux + 12);
    }
    more = elf.readUInt32LE(at + 12) !== 0;
    at += elf.readUInt32LE(at + 12);
  }
  for (let i = 0; i < symbols.size / 24; i++) {
    const at = symbols.offset + 24 * i;
    const name = text(elf.readUInt32LE(at));
    const older = OLD_NAMES.get(name);
    if (older !== undefined) {
      // The old name is the end of the new one, so it is in the string table already.
      elf.writeUInt32LE(elf.readUInt32LE(at) + name.length - older.length, at);
      elf.writeUInt16LE(oldest, versions.offset + 2 * i);
    } else if (name === MARKER) {
      elf[at + 4] = (2 << 4) | (elf[at + 4] & 15); // STB_WEAK
      elf.writeUInt16LE(1, versions.offset + 2 * i); // unversioned
    }
  }
}
