/** What surrounds the commands: completion, the manual page, standard streams, how much is said. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { COMMANDS, lqaIn, optionsOf } from "../helpers/cli.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
writePeftDirectory(join(folder, "adapter"));
const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const lqa = (...words: string[]): ReturnType<typeof lqaIn> => lqaIn({ cwd: folder }, ...words);

/** Whether a program is here; says so if it is not. */
function here(program: string, ...words: string[]): boolean {
  if (spawnSync(program, words).error === undefined) return true;
  console.log(`skipped: ${program} is absent`);
  return false;
}

describe("completion", () => {
  const SHELLS = ["bash", "zsh", "fish"];

  it("knows every command and every option in every shell", () => {
    for (const script of SHELLS.map((shell) => lqa("completion", shell).out))
      for (const name of COMMANDS) {
        expect(script).toContain(name);
        const { out } = lqa(name, "--help");
        for (const [, option] of out.matchAll(/^ {2}(?:-., | {4})--([a-z0-9-]+)/gm))
          expect(script).toContain(option);
      }
  });

  it.skipIf(!here("bash", "--version"))("completes words in bash", () => {
    writeFileSync(join(folder, "lqa.bash"), lqa("completion", "bash").out);
    const completed = (...words: string[]): string =>
      execFileSync(
        "bash",
        [
          "-c",
          `source ./lqa.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lqa 2>/dev/null; echo "\${COMPREPLY[*]}"`,
          "-",
          ...words,
        ],
        { cwd: folder, encoding: "utf8" },
      ).trim();
    expect(completed("lqa", "en")).toBe("encode");
    expect(completed("lqa", "encode", "--prof")).toBe("--profile");
    expect(completed("lqa", "encode", "x", "--profile", "r")).toBe("rd rtn raw");
    expect(completed("lqa", "help", "val")).toBe("validate");
    expect(completed("lqa", "completion", "")).toBe("bash zsh fish");
    expect(completed("lqa", "encode", "x", "--bits", "")).toBe("");
  });

  it.each(SHELLS.slice(1))("is a script that %s can read", (shell) => {
    // Where the shell is absent there is nothing to be checked but quotes.
    const script = lqa("completion", shell).out;
    expect(script.replace(/'\\''|\\'/g, "").split("'").length % 2).toBe(1);
    if (!here(shell, "--version")) return;
    writeFileSync(join(folder, `lqa.${shell}`), script);
    expect(execFileSync(shell, ["-n", join(folder, `lqa.${shell}`)], { encoding: "utf8" })).toBe("");
  });

  it("asks for a shell it knows", () => {
    const { code, err } = lqa("completion", "fishh");
    expect(code).toBe(2);
    expect(err).toMatch(/one of bash, zsh, fish[\s\S]*Did you mean fish\?/);
  });
});

describe("the manual page", () => {
  const page = lqa("man").out;

  it("is what the command prints, and what the package installs", () => {
    expect(readFileSync(new URL("../../dist/cli/lqa.1", import.meta.url), "utf8")).toBe(page);
  });

  it("explains every option, in requests and ASCII alone", () => {
    for (const name of COMMANDS) {
      expect(page).toContain(`.SS lqa ${name}`);
      for (const option of optionsOf(name)) expect(page).toContain(`\\-\\-${option.replaceAll("-", "\\-")}`);
      const [, examples = ""] = /^Examples\n((?: .*\n)+)/m.exec(lqa(name, "--help").out) ?? [];
      for (const [example] of examples.matchAll(/lqa .*/g))
        expect(page).toContain(example.replaceAll("\\", "\\e").replaceAll("-", "\\-"));
    }
    for (const line of page.split("\n"))
      expect(line).toMatch(/^(\.(TH|SH|SS|TP|PP|RS|RE|nf|fi)\b|[^.'])[ -~]*$|^$/);
  });

  it.skipIf(!here("groff", "--version"))("is read by groff without a warning", () => {
    const { stdout, stderr } = spawnSync("groff", ["-man", "-Tutf8", "-ww"], {
      input: page,
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(stdout).toContain("ΔW = multiplier · B");
  });
});

describe("a dash", () => {
  it("is standard output, which gets the file alone", () => {
    const piped = spawnSync(process.execPath, [MAIN, "encode", "adapter", "-o", "-"], { cwd: folder });
    expect(lqa("encode", "adapter", "-o", "a.lqa").code).toBe(0);
    expect(piped.status).toBe(0);
    expect(piped.stdout.equals(readFileSync(join(folder, "a.lqa")))).toBe(true);
    expect(piped.stderr.toString()).toMatch(/^standard output written from adapter\n {2}size/);
  });

  it("is one for each command that writes a file, and for a file that exists", () => {
    writeFileSync(join(folder, "taken.html"), "old");
    execFileSync(
      "sh",
      ["-c", `"${process.execPath}" "${MAIN}" inspect a.lqa --html - > taken.html 2> told`],
      { cwd: folder },
    );
    expect(readFileSync(join(folder, "taken.html"), "utf8")).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
    expect(readFileSync(join(folder, "told"), "utf8")).toContain("The report is in standard output.");
    const onnx = [MAIN, "decode", "a.lqa", "--to", "onnx", "-o"];
    const piped = spawnSync(process.execPath, [...onnx, "-"], { cwd: folder });
    expect(spawnSync(process.execPath, [...onnx, "a.onnx_adapter"], { cwd: folder }).status).toBe(0);
    expect(piped.stdout.equals(readFileSync(join(folder, "a.onnx_adapter")))).toBe(true);
  });

  it("gets nothing where the command fails, or writes a directory", () => {
    const before = listing(folder);
    for (const words of [
      ["encode", "nothing", "-o", "-"],
      ["decode", "a.lqa", "-o", "-"],
    ]) {
      const { code, out, err } = lqa(...words);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toMatch(/^lqa: .*\(LQA-X/);
      expect(err).not.toContain("stdout.");
    }
    expect(listing(folder)).toEqual(before);
  });
});

describe("a dash for an adapter", () => {
  const temporary = temporaryDirectory();
  const env = { ...process.env, TMPDIR: temporary };
  const piped = (input: Buffer, ...words: string[]) =>
    spawnSync(process.execPath, [MAIN, ...words], { cwd: folder, input, env });
  /** A dialect of one file, written by the program itself. The name of a file is kept in ORIG, so it is that of standard input. */
  const flat = (): Buffer => {
    expect(lqa("convert", "adapter", "stdin.safetensors", "--to", "loralib", "--force").code).toBe(0);
    return readFileSync(join(folder, "stdin.safetensors"));
  };

  it("is standard input, for every command that reads one, and out again", () => {
    const input = flat();
    expect(lqa("encode", "stdin.safetensors", "-o", "stdin.lqa", "--alpha", "8").code).toBe(0);
    const encoded = piped(input, "encode", "-", "-o", "-", "--alpha", "8");
    expect(encoded.stdout.equals(readFileSync(join(folder, "stdin.lqa")))).toBe(true);
    expect(encoded.stderr.toString()).toMatch(/^standard output written from standard input\n/);
    const same = piped(input, "convert", "-", "-", "--to", "loralib", "--alpha", "8", "--quiet");
    expect(same.stdout.equals(input)).toBe(true);
    expect(same.stderr.toString()).toBe("");
    expect(piped(input, "compare", "-", "--alpha", "8", "--bits", "6").stdout.toString()).toMatch(
      /^standard input: /,
    );
    expect(listing(temporary)).toEqual([]);
  });

  it("is one only, and errors are about standard input", () => {
    const twice = piped(Buffer.alloc(0), "encode", "-", "-", "--out-dir", "out");
    expect({ code: twice.status, told: twice.stderr.toString() }).toMatchObject({
      code: 2,
      told: expect.stringContaining("- is given twice"),
    });
    const broken = piped(Buffer.from("{}"), "encode", "-", "-o", "never.lqa");
    expect(broken.status).toBe(3);
    expect(broken.stderr.toString()).not.toContain(temporary);
    expect(listing(folder)).not.toContain("never.lqa");
  });
});

describe("how much is said", () => {
  it("is nothing with --quiet, but errors and JSON", () => {
    expect(lqa("inspect", "a.lqa", "--quiet")).toMatchObject({ code: 0, out: "", err: "" });
    expect(lqa("validate", "a.lqa", "-q", "--json").json<{ valid: boolean }>().valid).toBe(true);
    expect(lqa("inspect", "absent.lqa", "-q").err).toContain("NOT_FOUND");
  });

  it("is every step with --verbose, and where an error came from", () => {
    const { code, err } = lqa("encode", "adapter", "-o", "b.lqa", "-v");
    expect(code).toBe(0);
    expect(err === "" || /^ +\d+\.\d s {2}\d+\/\d+/.test(err)).toBe(true);
    expect(lqa("inspect", "absent.lqa", "--verbose").err).toMatch(/\n {4}at /);
    expect(lqa("inspect", "absent.lqa").err).not.toMatch(/\n {4}at /);
  });

  it("is no colour where NO_COLOR is set", () => {
    const colored = (env: Readonly<Record<string, string>>): boolean =>
      lqaIn({ cwd: folder, env }, "inspect", "a.lqa").out.includes("\u001b[");
    expect(colored({ FORCE_COLOR: "1" })).toBe(true);
    expect(colored({ FORCE_COLOR: "1", NO_COLOR: "1" })).toBe(false);
    expect(colored({})).toBe(false);
  });
});
