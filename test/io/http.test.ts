/**
 * Ranges from a web server: a good one, and every way in which a bad one can answer. Whatever it does, the outcome is
 * the right bytes or one typed error, in bounded time and memory.
 */

import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { type HttpOptions, httpSource, isLqaError, type LqaError } from "../../src/core/index.ts";
import { answerRange, good, type Handler, serve } from "../helpers/server.ts";

const bytes = new Uint8Array(randomBytes(300_000));
/** Quick, so that tests of retries are. */
const quick: HttpOptions = { pauseMs: 2, longestPauseMs: 5000, silenceMs: 20_000, attempts: 3 };

async function failure(handler: Handler, options: HttpOptions = {}): Promise<LqaError> {
  const { url } = await serve(handler);
  const source = httpSource(url, { ...quick, ...options });
  const error = await source.read(0, 1000).catch((e: unknown) => e);
  if (!isLqaError(error)) throw error;
  expect(error.where).toBe(url);
  return error;
}

describe("a good server", () => {
  test("gets requests for exactly the ranges that are read, and is pinned", async () => {
    const { url, requests } = await serve(good(bytes));
    const source = httpSource(`${url}?signature=secret#part`, { headers: { authorization: "Bearer x" } });
    expect(source.size).toBeUndefined();
    expect(requests).toHaveLength(0);
    expect(await source.read(100, 50)).toEqual(bytes.slice(100, 150));
    expect(source.size).toBe(bytes.length);
    expect(await source.read(299_000, 5000)).toEqual(bytes.slice(299_000));
    expect(await source.read(400_000, 5000)).toEqual(new Uint8Array(0));
    expect(await source.read(10, 0)).toEqual(new Uint8Array(0));
    expect(requests.map(({ headers }) => headers.range)).toEqual(["bytes=100-149", "bytes=299000-299999"]);
    expect(requests.map(({ headers }) => headers["if-range"])).toEqual([undefined, '"v1"']);
    expect(requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer x", "Bearer x"]);
    expect(requests.map(({ headers }) => headers["accept-encoding"])).toEqual(["identity", "identity"]);
    expect(source.requests).toBe(2);
    expect(source.address).toBe(url);
  });

  test("may have only a weak tag, or a date, or nothing at all", async () => {
    const date = "Wed, 25 Nov 2026 00:00:00 GMT";
    const kinds: [Record<string, string>, string | undefined][] = [
      [{ etag: 'W/"v1"' }, undefined],
      [{ "last-modified": date }, date],
      [{}, undefined],
    ];
    for (const [headers, sent] of kinds) {
      const { url, requests } = await serve((_request, response, { range }) => {
        const [first, last] = range!;
        response.writeHead(206, { "content-range": `bytes ${first}-${last}/${bytes.length}`, ...headers });
        response.end(bytes.subarray(first, last + 1));
      });
      const source = httpSource(url, quick);
      await source.read(0, 10);
      expect(await source.read(10, 10)).toEqual(bytes.slice(10, 20));
      expect(requests[1]!.headers["if-range"]).toBe(sent);
    }
  });

  test("gets no more concurrent requests than allowed", async () => {
    const { url, most, requests } = await serve(async (_request, response, asked) => {
      await new Promise((resolve) => setTimeout(resolve, 15));
      answerRange(bytes, response, asked);
    });
    const source = httpSource(url, { concurrency: 3 });
    const reads = Array.from({ length: 12 }, (_, i) => source.read(i * 1000, 1000));
    expect(await Promise.all(reads)).toEqual(reads.map((_, i) => bytes.slice(i * 1000, (i + 1) * 1000)));
    expect(requests).toHaveLength(12);
    expect(most()).toBe(3);
  });

  test("may have an empty file, or one shorter than asked", async () => {
    for (const length of [0, 10]) {
      const { url } = await serve(good(bytes.slice(0, length)));
      const source = httpSource(url, quick);
      expect(await source.read(0, 64)).toEqual(bytes.slice(0, length));
      expect(source.size).toBe(length);
      expect(await source.read(0, 64)).toEqual(bytes.slice(0, length));
    }
    const { url } = await serve(good(bytes.slice(0, 10)));
    expect(await httpSource(url, quick).read(20, 5)).toEqual(new Uint8Array(0));
  });
});

describe("a server without ranges", () => {
  test("sends the file once, and is not asked again", async () => {
    for (const headers of [{}, { "content-length": bytes.length }]) {
      const { url, requests } = await serve((_request, response) => {
        response.writeHead(200, headers);
        response.end(bytes);
      });
      const source = httpSource(url, quick);
      const reads = [source.read(7, 70), source.read(299_999, 5), source.read(400_000, 5)];
      expect(await Promise.all(reads)).toEqual([bytes.slice(7, 77), bytes.slice(299_999), new Uint8Array(0)]);
      expect(source.size).toBe(bytes.length);
      expect(requests).toHaveLength(1);
    }
  });

  test("may compress the whole of it", async () => {
    const { url } = await serve((_request, response) => {
      const body = gzipSync(bytes);
      response.writeHead(200, { "content-encoding": "gzip", "content-length": body.length });
      response.end(body);
    });
    expect(await httpSource(url, quick).read(7, 70)).toEqual(bytes.slice(7, 77));
  });

  test("is refused above the budget, at once if it says how long the file is", async () => {
    let sent = 0;
    const endless: Handler = (_request, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(bytes)) sent += bytes.length;
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    };
    const error = await failure(endless, { wholeBytes: 1_000_000 });
    expect(error.kind).toBe("BUDGET");
    // What was on its way in the buffers of both sides comes on top.
    expect(sent).toBeLessThan(50_000_000);
    const declared = await failure(
      (_request, response) => {
        response.writeHead(200, { "content-length": 1_000_001 });
        response.write("x");
      },
      { wholeBytes: 1_000_000 },
    );
    expect(declared.kind).toBe("BUDGET");
  });

  test("that sends less than it said is tried again", async () => {
    const { url } = await serve((_request, response, { number }) => {
      response.writeHead(200, { "content-length": bytes.length });
      if (number > 0) return response.end(bytes);
      return response.write(bytes.subarray(0, 1000), () => response.destroy());
    });
    expect(await httpSource(url, quick).read(7, 70)).toEqual(bytes.slice(7, 77));
  });
});

describe("a bad answer", () => {
  test.each<[string, Record<string, string | number>, RegExp]>([
    ["another start", { "content-range": "bytes 1-1000/300000" }, /bytes 0-999\/300000.*bytes 1-1000/],
    ["another end", { "content-range": "bytes 0-1999/300000" }, /found bytes 0-1999/],
    ["less than there is", { "content-range": "bytes 0-499/300000" }, /found bytes 0-499/],
    ["an end beyond the file", { "content-range": "bytes 0-999/500" }, /bytes 0-499\/500/],
    ["no total", { "content-range": "bytes 0-999/*" }, /found bytes 0-999\/\*/],
    ["nonsense", { "content-range": "lines 1-2" }, /found lines 1-2/],
    ["numbers too large", { "content-range": "bytes 0-999/99999999999999999999" }, /9999/],
    ["a compressed range", { "content-encoding": "gzip" }, /Content-Encoding: gzip/],
    ["a length that lies", { "content-length": 2000 }, /expected Content-Length: 1000, found 2000/],
  ])("with %s is an error, not tried again", async (_, headers, message) => {
    let requests = 0;
    const error = await failure((_request, response, asked) => {
      requests++;
      const body = headers["content-encoding"] ? gzipSync(bytes.subarray(0, 1000)) : undefined;
      if (body === undefined) return answerRange(bytes, response, asked, headers);
      response.writeHead(206, { "content-range": "bytes 0-999/300000", ...headers });
      return response.end(body);
    });
    expect(error.kind).toBe("HTTP_RESPONSE");
    expect(error.message).toMatch(message);
    expect(requests).toBe(1);
  });

  test("without Content-Range says what a server must expose", async () => {
    const error = await failure((_request, response) => {
      response.writeHead(206);
      response.end(bytes.subarray(0, 1000));
    });
    expect(error.message).toMatch(/HTTP_RESPONSE.*expose this header/);
  });

  test("with a body that goes on is cut off", async () => {
    let sent = 0;
    const error = await failure((_request, response) => {
      response.writeHead(206, { "content-range": `bytes 0-999/${bytes.length}` });
      const more = (): void => {
        while (!response.destroyed && response.write(bytes)) sent += bytes.length;
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    });
    expect(error.kind).toBe("HTTP_RESPONSE");
    expect(error.message).toMatch(/expected a body of 1000 bytes, found more/);
    expect(sent).toBeLessThan(50_000_000);
  });

  test("by status", async () => {
    for (const [status, kind] of [
      [404, "NOT_FOUND"],
      [410, "NOT_FOUND"],
      [401, "ACCESS_DENIED"],
      [403, "ACCESS_DENIED"],
      [204, "HTTP_RESPONSE"],
      [304, "HTTP_RESPONSE"],
    ] as const) {
      const error = await failure((_request, response) => {
        response.writeHead(status);
        response.end();
      });
      expect(error.kind).toBe(kind);
      expect(error.message).toContain(`status ${status}`);
    }
    const unsatisfied = await failure((_request, response) => {
      response.writeHead(416, { "content-range": "bytes */5000" });
      response.end();
    });
    expect(unsatisfied.kind).toBe("HTTP_RESPONSE");
  });
});

describe("a file that changes between two requests", () => {
  const first = good(bytes);
  test.each<[string, Handler]>([
    ["by its tag", good(bytes, { etag: '"v2"' })],
    ["by its length", good(bytes.subarray(0, 200_000))],
    [
      "by its tag, from a server that honours If-Range",
      (_request, response) => {
        response.writeHead(200, { etag: '"v2"', "content-length": bytes.length });
        response.end(bytes);
      },
    ],
    [
      "by becoming too short",
      (_request, response) => {
        response.writeHead(416, { "content-range": "bytes */50" });
        response.end();
      },
    ],
  ])("%s is REMOTE_CHANGED", async (_, second) => {
    const { url, requests } = await serve((request, response, asked) =>
      (asked.number === 0 ? first : second)(request, response, asked),
    );
    const source = httpSource(url, quick);
    await source.read(0, 100);
    await expect(source.read(150_000, 100)).rejects.toThrow(/REMOTE_CHANGED/);
    expect(requests).toHaveLength(2);
  });

  test("by its date", async () => {
    const { url } = await serve((_request, response, { number, range }) => {
      const [from, last] = range!;
      response.writeHead(206, {
        "content-range": `bytes ${from}-${last}/${bytes.length}`,
        "last-modified": `Wed, 25 Nov 2026 00:00:0${number} GMT`,
      });
      response.end(bytes.subarray(from, last + 1));
    });
    const source = httpSource(url, quick);
    await source.read(0, 100);
    await expect(source.read(100, 100)).rejects.toThrow(/REMOTE_CHANGED/);
  });

  test("a server that forgets how to answer ranges is a bad one", async () => {
    const { url } = await serve((request, response, asked) => {
      if (asked.number === 0) return first(request, response, asked);
      response.writeHead(200, { etag: '"v1"' });
      return response.end(bytes);
    });
    const source = httpSource(url, quick);
    await source.read(0, 100);
    await expect(source.read(100, 100)).rejects.toThrow(/HTTP_RESPONSE/);
  });
});

describe("a server in trouble is asked again", () => {
  const trouble: [string, Handler][] = [
    ...[408, 425, 429, 500, 502, 503, 504].map((status): [string, Handler] => [
      `status ${status}`,
      (_request, response) => {
        response.writeHead(status);
        response.end();
      },
    ]),
    ["a connection that is reset", (request) => request.socket.resetAndDestroy()],
    [
      "a body that breaks off",
      (_request, response) => {
        response.writeHead(206, {
          "content-range": "bytes 0-999/300000",
          "content-length": 1000,
          etag: '"v1"',
        });
        response.write(bytes.subarray(0, 500), () => response.destroy());
      },
    ],
    [
      "a body that ends early",
      (_request, response) => {
        response.writeHead(206, { "content-range": "bytes 0-999/300000", etag: '"v1"' });
        response.end(bytes.subarray(0, 500));
      },
    ],
  ];
  test.each(trouble)("for %s: retries if it is transient, NETWORK if it lasts", async (_, bad) => {
    const { url, requests } = await serve((request, response, asked) =>
      (asked.number < 2 ? bad : good(bytes))(request, response, asked),
    );
    expect(await httpSource(url, quick).read(0, 1000)).toEqual(bytes.slice(0, 1000));
    expect(requests).toHaveLength(3);
    const error = await failure(bad);
    expect(error.kind).toBe("NETWORK");
    expect(error.exitCode).toBe(2);
  });

  test("with pauses that grow, up to a longest one", async () => {
    const times: number[] = [];
    const error = await failure(
      (_request, response) => {
        times.push(performance.now());
        response.writeHead(503);
        response.end();
      },
      { attempts: 5, pauseMs: 40, longestPauseMs: 100 },
    );
    expect(error.kind).toBe("NETWORK");
    const pauses = times.slice(1).map((time, i) => time - times[i]!);
    // Half of each is chance: 20 to 40, 40 to 80, 50 to 100 twice. A timer may be a millisecond early.
    expect(pauses).toHaveLength(4);
    [20, 40, 50, 50].forEach((least, i) => {
      expect(pauses[i]).toBeGreaterThanOrEqual(least - 2);
    });
  });

  test("for silence, before the answer and in it", async () => {
    const silent: Handler[] = [
      () => {},
      (_request, response) => {
        response.writeHead(206, { "content-range": "bytes 0-999/300000", etag: '"v1"' });
        response.write(bytes.subarray(0, 500));
      },
    ];
    for (const handler of silent) {
      const error = await failure(handler, { silenceMs: 40, attempts: 2 });
      expect(error.kind).toBe("NETWORK");
      expect(error.message).toMatch(/silence for 40 ms/);
    }
  });

  test("for a body below the least rate, even if it is never silent", async () => {
    const slow: Handler = (_request, response) => {
      response.writeHead(206, { "content-range": `bytes 0-999/${bytes.length}`, etag: '"v1"' });
      let left = 1000;
      const drip = setInterval(() => {
        response.write("0123456789");
        if ((left -= 10) === 0) response.end();
      }, 15);
      response.on("close", () => clearInterval(drip));
    };
    const begun = performance.now();
    const error = await failure(slow, { silenceMs: 300, attempts: 2, leastRate: 2000 });
    expect(error.kind).toBe("NETWORK");
    expect(error.message).toMatch(/\d+ bytes in 300 ms, below the least rate of 2000 bytes a second/);
    expect(performance.now() - begun).toBeLessThan(5000);
    // A rate that is high enough is no error.
    const { url } = await serve(slow);
    const read = await httpSource(url, { ...quick, silenceMs: 300, leastRate: 5 }).read(0, 1000);
    expect(read.length).toBe(1000);
  }, 60_000);

  test("for as long as the deadline of the source allows", async () => {
    const silent = await serve(() => {});
    const busy = await serve((_request, response) => {
      response.writeHead(429, { "retry-after": "4" });
      response.end();
    });
    for (const { url } of [silent, busy]) {
      const source = httpSource(url, { ...quick, deadlineMs: 200, concurrency: 1 });
      const begun = performance.now();
      // The second one waits for the first.
      const errors = await Promise.all(
        [source.read(0, 10), source.read(10, 10)].map((read) => read.catch((e: unknown) => e)),
      );
      for (const error of errors) {
        expect(isLqaError(error, "NETWORK")).toBe(true);
        expect(String(error)).toMatch(/expected an end within 200 ms/);
      }
      expect(performance.now() - begun).toBeLessThan(3000);
    }
    // The clock counts from the first read, whether it succeeded or not.
    const { url } = await serve(good(bytes));
    const source = httpSource(url, { ...quick, deadlineMs: 150 });
    expect(await source.read(0, 10)).toEqual(bytes.slice(0, 10));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await expect(source.read(20, 10)).rejects.toThrow(/NETWORK.*within 150 ms/);
  });

  test("when there is nobody", async () => {
    const error = await httpSource("http://127.0.0.1:9/x", quick)
      .read(0, 10)
      .catch((e: unknown) => e);
    expect(isLqaError(error, "NETWORK")).toBe(true);
  });

  test("when it says so, but not after hours", async () => {
    let before = 0;
    const { url } = await serve((_request, response, asked) => {
      if (asked.number > 0) return answerRange(bytes, response, asked);
      before = performance.now();
      response.writeHead(429, { "retry-after": "1" });
      return response.end();
    });
    expect(await httpSource(url, quick).read(0, 10)).toEqual(bytes.slice(0, 10));
    expect(performance.now() - before).toBeGreaterThan(950);
    let requests = 0;
    const error = await failure((_request, response) => {
      requests++;
      response.writeHead(503, { "retry-after": new Date(Date.now() + 3_600_000).toUTCString() });
      response.end();
    });
    expect(error.kind).toBe("NETWORK");
    expect(requests).toBe(1);
  });

  test("and the next read starts over if the first one failed", async () => {
    const { url } = await serve((_request, response, asked) => {
      if (asked.number > 0) return answerRange(bytes, response, asked);
      response.writeHead(404);
      return response.end();
    });
    const source = httpSource(url, quick);
    const reads = [source.read(0, 10), source.read(10, 10)];
    expect((await Promise.allSettled(reads)).map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
  });
});

describe("an abort", () => {
  const moments: [string, Handler][] = [
    ["before the answer", () => {}],
    [
      "in the body",
      (_request, response) => {
        response.writeHead(206, { "content-range": "bytes 0-999/300000" });
        response.write(bytes.subarray(0, 10));
      },
    ],
    [
      "in a pause",
      (_request, response) => {
        response.writeHead(429, { "retry-after": "4" });
        response.end();
      },
    ],
  ];
  test.each(moments)(
    "%s ends the read at once, by the signal of the call or of the source",
    async (_, bad) => {
      for (const which of ["call", "source"]) {
        const { url } = await serve(bad);
        const control = new AbortController();
        const source = httpSource(url, { ...quick, ...(which === "source" && { signal: control.signal }) });
        const reading = source.read(0, 1000, which === "call" ? control.signal : undefined);
        setTimeout(() => control.abort(new Error("enough")), 60);
        const begun = performance.now();
        const error = await reading.catch((e: unknown) => e);
        expect(isLqaError(error, "ABORTED")).toBe(true);
        expect((error as Error).cause).toMatchObject({ message: "enough" });
        expect(performance.now() - begun).toBeLessThan(3000);
      }
    },
  );

  test("does not wait for a place, nor for the first answer", async () => {
    const { url } = await serve((_request, response, asked) => {
      if (asked.number === 0) answerRange(bytes, response, asked);
    });
    const silent = await serve(() => {});
    const pinned = httpSource(url, { ...quick, concurrency: 1 });
    await pinned.read(0, 10);
    for (const source of [pinned, httpSource(silent.url, quick)]) {
      const ending = new AbortController();
      const hanging = source.read(10, 10, ending.signal).catch((e: unknown) => e);
      const control = new AbortController();
      const waiting = source.read(20, 10, control.signal).catch((e: unknown) => e);
      setTimeout(() => control.abort(), 20);
      expect(isLqaError(await waiting, "ABORTED")).toBe(true);
      ending.abort();
      expect(isLqaError(await hanging, "ABORTED")).toBe(true);
    }
  });

  test("that came before is seen before anything is requested", async () => {
    const { url, requests } = await serve(good(bytes));
    await expect(httpSource(url).read(0, 10, AbortSignal.abort())).rejects.toThrow(/ABORTED/);
    expect(requests).toHaveLength(0);
  });

  test("of one read leaves the others", async () => {
    const { url } = await serve(async (_request, response, asked) => {
      await new Promise((resolve) => setTimeout(resolve, 40));
      answerRange(bytes, response, asked);
    });
    const source = httpSource(url, { ...quick, concurrency: 1 });
    const control = new AbortController();
    const reads = [source.read(0, 10), source.read(10, 10, control.signal), source.read(20, 10)];
    setTimeout(() => control.abort(), 10);
    const [first, second, third] = await Promise.allSettled(reads);
    expect(first).toMatchObject({ status: "fulfilled" });
    expect(second!.status).toBe("rejected");
    expect(third).toMatchObject({ status: "fulfilled", value: bytes.slice(20, 30) });
  });
});

describe("an address", () => {
  test.each(["ftp://example.org/x", "file:///etc/passwd", "not a url", "http://user:secret@example.org/x"])(
    "%s is refused",
    (url) => {
      let error: unknown;
      try {
        httpSource(url);
      } catch (e) {
        error = e;
      }
      expect(isLqaError(error, "USAGE")).toBe(true);
      expect(String(error)).not.toContain("secret");
    },
  );

  test("with a signature is not shown", async () => {
    const { url } = await serve((_request, response) => {
      response.writeHead(403);
      response.end();
    });
    const error = await httpSource(`${url}?signature=secret`)
      .read(0, 1)
      .catch((e: unknown) => e);
    expect(String(error)).toContain(url);
    expect(String(error)).not.toContain("secret");
  });

  test("of another origin than the page is asked without If-Range, which would need a preflight", async () => {
    const { url, requests } = await serve(good(bytes));
    const page = globalThis as { location?: { origin: string; href: string } };
    try {
      for (const origin of ["https://page.example", new URL(url).origin]) {
        page.location = { origin, href: `${origin}/` };
        const source = httpSource(url, quick);
        await source.read(0, 10);
        expect(await source.read(10, 10)).toEqual(bytes.slice(10, 20));
      }
    } finally {
      delete page.location;
    }
    const sent = requests.map(({ headers }) => headers["if-range"]);
    expect(sent).toEqual([undefined, undefined, undefined, '"v1"']);
  });
});
