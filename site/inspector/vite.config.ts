// Builds the page into site/dist/inspector/: static files for any server and any path, with nothing inline, so that a strict
// content-security policy holds. `npm run site:inspector`
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import MarkdownIt from "markdown-it";
import type { BuildEnvironmentOptions, Plugin, UserConfig } from "vite";
import { readAdapter } from "../../src/adapters/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { STYLE } from "../../src/report/page/style.ts";
import { zstdWithoutEval } from "./zstd-without-eval.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Modules that are made, by name: what it is and its text. */
export function made(name: string, text: () => string): Plugin {
  return {
    name: `lqa:${name}`,
    resolveId: (id) => (id === name ? `\0${name}` : undefined),
    load: (id) => (id === `\0${name}` ? text() : undefined),
  };
}

/** Clauses of the specification by number, as markup. */
function clauses(): string {
  const text = readFileSync(here("../../spec/lqa-v1.md"), "utf8").replace(/<!--[\s\S]*?-->\n?/g, "");
  const markdown = new MarkdownIt();
  const parts = text.split(/^(?=#{2,4} )/m).flatMap((part) => {
    const heading = /^#{2,4} (\d[\d.]*) (.*)\n/.exec(part);
    if (heading === null) return [];
    const [line, number, title] = heading as unknown as [string, string, string];
    // Links lead to files of the repository; code for heading levels is that of the page.
    const body = markdown.render(part.slice(line.length)).replace(/<\/?a\b[^>]*>/g, "");
    const wide = body.replace(
      /<table>[\s\S]*?<\/table>/g,
      '<div class="scroll" tabindex="0" role="region" aria-label="Table">$&</div>',
    );
    return [[number, `<h3>${number} ${markdown.renderInline(title)}</h3>\n${wide}`]];
  });
  return `export const CLAUSES = ${JSON.stringify(Object.fromEntries(parts))};`;
}

const plugins = (): Plugin[] => [
  zstdWithoutEval(),
  made("virtual:clauses", clauses),
  made("virtual:report.css", () => STYLE),
];

/** The example of the page: a trained adapter (examples/number-words) and the file that `encode` makes of it. */
const example: Plugin = {
  name: "lqa:example",
  async generateBundle() {
    const names = ["adapter_config.json", "adapter_model.safetensors"];
    const files = new Map(
      names.map((name) => [name, readFileSync(here(`../../examples/number-words/adapter/${name}`))]),
    );
    const { bytes } = await encodeAdapter(readAdapter(files));
    for (const [name, source] of [...files, ["number-words.lqa", bytes] as const])
      this.emitFile({ type: "asset", fileName: `example/${name}`, source });
  },
};

/** How a page is built: static files for any server and any path. */
export const buildTo = (outDir: string): BuildEnvironmentOptions => ({
  outDir,
  emptyOutDir: true,
  target: "es2022",
  // Small files as data: addresses would ask for more of the policy.
  assetsInlineLimit: 0,
  modulePreload: false,
  chunkSizeWarningLimit: 1024,
  // The time that its own plug-ins take does not concern the developer.
  rolldownOptions: { checks: { pluginTimings: false } },
});

const config: UserConfig = {
  root: here("."),
  base: "./",
  plugins: [...plugins(), example],
  worker: { format: "es", plugins },
  build: buildTo(here("../dist/inspector")),
};

export default config;
