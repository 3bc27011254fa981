// Checks the phrases of words.yml in the comments and texts of TypeScript and JavaScript. A comment is one text even if it is
// wrapped, so a phrase may cross lines.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const here = createRequire(import.meta.url);
const { fromYAMLFilePath } = here("prh");
const ts = createRequire(join(import.meta.dirname, "../../package.json"))("typescript");
const engine = fromYAMLFilePath(join(import.meta.dirname, "words.yml"));

/** Ranges of comments and of texts with at least two words. Comments on consecutive lines are one range. */
function ranges(source, text) {
  const comments = new Map();
  const found = [];
  const visit = (node) => {
    for (const list of [
      ts.getLeadingCommentRanges(text, node.getFullStart()),
      ts.getTrailingCommentRanges(text, node.getEnd()),
    ])
      for (const { pos, end } of list ?? []) comments.set(pos, end);
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node))
      if (node.text.includes(" ")) found.push([node.getStart(source), node.getEnd()]);
    for (const child of node.getChildren(source)) visit(child);
  };
  visit(source);
  for (const [pos, end] of [...comments].sort(([a], [b]) => a - b)) {
    const last = found.at(-1);
    if (last?.comment && /^\s*$/.test(text.slice(last[1], pos)) && text.startsWith("//", pos)) last[1] = end;
    else found.push(Object.assign([pos, end], { comment: true }));
  }
  return found;
}

/** The text of a range in one line, with the position of each of its characters in the file. */
function unwrapped(text, [begin, end]) {
  const positions = [];
  let line = "";
  for (let at = begin; at < end; ) {
    const gap = /^\s*\n\s*(?:\*(?!\/)|\/\/)? ?/.exec(text.slice(at, end))?.[0] ?? "";
    positions.push(at);
    line += gap === "" ? text[at] : " ";
    at += gap.length || 1;
  }
  return { line, positions };
}

/** Prints what it finds in the files, and returns how much that is. */
export function checkSources(root, names) {
  let count = 0;
  for (const name of names) {
    const text = readFileSync(join(root, name), "utf8");
    const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
    for (const range of ranges(source, text)) {
      const { line, positions } = unwrapped(text, range);
      for (const { index, matches, expected } of engine.makeChangeSet(name, line).diffs) {
        const place = source.getLineAndCharacterOfPosition(positions[index]);
        console.log(`${name}:${place.line + 1}:${place.character + 1}  ${matches[0].trim()} => ${expected}`);
        count++;
      }
    }
  }
  return count;
}
