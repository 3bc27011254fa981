// A plain file server at a sub-path, with the header that docs/inspector.md asks for.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

/** The policy of the inspector's header. The page has the same in its head, except for `frame-ancestors`, which counts in headers only. */
export const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' https:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types lqa; frame-ancestors 'none'";
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};
const PATH = "/some/where/";

/**
 * Serves a folder, and single files at paths of their own. `asked` has the paths, `sent` the bytes of each, `refused` what the
 * browser told of what the policy did not allow.
 */
export async function serve(folder, files = {}, policy = POLICY) {
  const asked = [];
  const refused = [];
  const sent = new Map();
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const name = normalize(pathname.slice(PATH.length)) || "index.html";
    const path = files[name] ?? join(folder, name === "." ? "index.html" : name);
    if (pathname === `${PATH}refused`) {
      let text = "";
      request.on("data", (piece) => {
        text += piece;
      });
      request.on("end", () => {
        refused.push(text);
        response.writeHead(204).end();
      });
      return;
    }
    asked.push(name === "." ? "index.html" : name);
    if (
      !pathname.startsWith(PATH) ||
      name.startsWith("..") ||
      !existsSync(path) ||
      statSync(path).isDirectory()
    ) {
      response.writeHead(404).end();
      return;
    }
    const { size } = statSync(path);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const [begin, end] =
      range === null ? [0, size - 1] : [Number(range[1]), Math.min(Number(range[2]), size - 1)];
    sent.set(name, (sent.get(name) ?? 0) + end - begin + 1);
    response.writeHead(range === null ? 200 : 206, {
      "content-type": TYPES[extname(path)] ?? "application/octet-stream",
      "content-length": end - begin + 1,
      // The browser reports violations of the policy to this server.
      "content-security-policy": `${policy}; report-uri ${PATH}refused`,
      "accept-ranges": "bytes",
      etag: '"1"',
      ...(range !== null && { "content-range": `bytes ${begin}-${end}/${size}` }),
    });
    createReadStream(path, { start: begin, end }).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `http://127.0.0.1:${server.address().port}${PATH}`,
    asked,
    refused,
    sent,
    close: () => server.close(),
  };
}
