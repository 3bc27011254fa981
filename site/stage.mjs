// Copies the Markdown of the repository into `site/generator/.pages/`, as the generator takes it: links between pages follow them, other
// files that are linked come along, clauses of the specification and codes of errors become places that can be linked to.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, extname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { CONTENTS, pageOf } from "./contents.mjs";
import { errorPages } from "./errors.mjs";

const root = fileURLToPath(new URL("../", import.meta.url));
const SPECIFICATION = "spec/lqa-v1.md";
/** The line below the head of a table of six columns or more, which needs the room of the outline next to the page. */
const WIDE_TABLE = /^\|(?: *:?-+:? *\|){6,}$/m;
/** The picture of the front page. */
const PICTURE = "docs/images/answers.svg";
/** Code, which is left alone, or the target of a link. */
const LINKS = /```[\s\S]*?```|`[^`\n]*`|\]\(([^)\s]+)\)/g;

/** Writes all pages into `folder` and returns the endings of the files that were copied with them. */
export async function stage(folder) {
  rmSync(folder, { recursive: true, force: true });
  const write = (page, text) => {
    mkdirSync(dirname(join(folder, page)), { recursive: true });
    writeFileSync(join(folder, `${page}.md`), text);
  };
  const copied = new Set();
  const copy = (file, to) => {
    mkdirSync(dirname(join(folder, to)), { recursive: true });
    copyFileSync(join(root, file), join(folder, to));
    copied.add(extname(file).slice(1));
  };

  const queue = ["README.md", ...CONTENTS.flatMap(({ pages }) => pages.map(([file]) => file))];
  const seen = new Set();
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (file.startsWith("/") || seen.has(file)) continue;
    seen.add(file);
    const source = existsSync(join(root, file))
      ? readFileSync(join(root, file), "utf8")
      : listing(dirname(file));
    if (file === "README.md") copy(PICTURE, `public/${PICTURE}`);
    const text = shaped(file, source).replace(LINKS, (whole, target) => {
      if (target === undefined || /^([a-z]+:|\/)/i.test(target)) return whole;
      const [path, anchor] = target.split("#");
      const to = path === "" ? file : posix.normalize(posix.join(dirname(file), path)).replace(/\/$/, "");
      if (!existsSync(join(root, to))) throw new Error(`${file} links to ${target}, which is not there`);
      if (/\.(png|svg)$/.test(to)) {
        copy(to, to);
        return `](${path.startsWith(".") ? path : `./${path}`})`;
      }
      const found =
        existsSync(join(root, to)) && statSync(join(root, to)).isDirectory() ? `${to}/README.md` : to;
      if (!found.endsWith(".md")) {
        // The generator would take a file without an ending for a page.
        const name = extname(found) === "" ? `${found}.txt` : found;
        copy(found, `public/${name}`);
        return `](/${name})`;
      }
      queue.push(found);
      return `](/${pageOf(found)}${anchor === undefined ? "" : `#${anchor}`})`;
    });
    write(
      pageOf(file),
      WIDE_TABLE.test(text) && file !== "README.md" ? `---\naside: false\n---\n\n${text}` : text,
    );
  }
  for (const [page, text] of await errorPages((file) => copy(file, `public/${file}`))) write(page, text);
  return [...copied].sort();
}

/** Changes that the site makes to a page in addition to its links. */
function shaped(file, source) {
  const text = source
    .replace(/<!--[\s\S]*?-->\n?/g, "")
    // Pictures with a width, which Markdown of GitHub has no words for.
    .replace(/<img src="([^"]+)" width="(\d+)" alt="([^"]+)">/g, "![$3]($1){width=$2}")
    // Bytes and results, which no highlighter knows.
    .replace(/^```(hex|values)$/gm, "```txt");
  if (file === "README.md") return home(text);
  if (file === "docs/errors.md") return text.replace(/^## ((LQA-\w+) .*)$/gm, "## [$1](/errors/$2)");
  return file === SPECIFICATION ? specification(text) : text;
}

/** The front page: the README, whose title, first sentences, picture and first command are the headline. */
function home(readme) {
  const [whole, name, text, tagline, alt] =
    /^# (\w+): (.*)\n\n(.*)\n\n!\[([^\]]*)\]\(docs\/images\/answers\.svg\)\n/.exec(readme);
  const [, install] = /```sh\n(.*?) *(?:#.*)?\n/.exec(readme);
  return `---
layout: home
hero:
  name: ${name}
  text: ${JSON.stringify(text)}
  tagline: ${JSON.stringify(tagline.replaceAll("`", ""))}
  image: { src: /${PICTURE}, alt: ${JSON.stringify(alt)} }
  actions:
    - { theme: brand, text: Start, link: /docs/guide/first-adapter }
    - { theme: alt, text: How it works, link: /docs/how-it-works }
install: ${install}
---

${readme.slice(whole.length)}`;
}

/** Headings get the anchors that clauses of errors link to, and mentions of clauses link there. */
function specification(text) {
  const clauses = new Set([...text.matchAll(/^#+ (\d+(?:\.\d+)*) /gm)].map(([, clause]) => clause));
  return text
    .replace(/^(#+) (\d+(?:\.\d+)*) (.*)$/gm, "$1 $2 $3 {#clause-$2}")
    .replace(/```[\s\S]*?```|`[^`\n]*`|^#.*$|\b(clauses? )(\d+(?:\.\d+)*)/gm, (whole, word, clause) =>
      clauses.has(clause) ? `${word}[${clause}](#clause-${clause})` : whole,
    );
}

/** A page for a folder that has none of its own. */
function listing(folder) {
  const names = readdirSync(join(root, folder)).filter((name) => statSync(join(root, folder, name)).isFile());
  return `# ${folder}\n\n${names.map((name) => `- [${name}](${name})`).join("\n")}\n`;
}
