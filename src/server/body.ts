/**
 * Reads the bodies of requests. Memory grows with the bytes that arrive, not with the length that the client promises, and
 * the client must keep sending.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { ServerLimits } from "./options.ts";
import { Refused } from "./refused.ts";

/** Bytes of all bodies whose requests hold no place yet. */
export interface Arriving {
  bytes: number;
}

/** A complete body. */
export interface Body {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Removes the body from the count of {@link Arriving}; a second call does nothing. */
  placed(): void;
}

/**
 * Reads the body of a request. The array begins at byte 0 of its buffer, so that a caller can view it as floats.
 *
 * @throws Refused TOO_LARGE, TOO_SLOW, BUSY (all bodies together take too much), BAD_REQUEST (the connection broke off)
 */
export async function bodyOf(
  request: IncomingMessage,
  arriving: Arriving,
  limits: ServerLimits,
): Promise<Body> {
  const { bodyBytes, arrivingBytes, leastBodyBytes, bodyWindowMs } = limits;
  const tooLarge = (): Refused => new Refused("TOO_LARGE", `the body has more than ${bodyBytes} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > bodyBytes) throw tooLarge();
  const pieces: Uint8Array[] = [];
  let length = 0;
  let before = 0;
  let slow: NodeJS.Timeout | undefined;
  let counted = true;
  const placed = (): void => {
    if (counted) arriving.bytes -= length;
    counted = false;
  };
  try {
    // Not `for await`: leaving such a loop destroys the socket, which the refusal still needs.
    await new Promise<void>((resolve, reject) => {
      slow = setInterval(() => {
        if (length - before < leastBodyBytes)
          reject(new Refused("TOO_SLOW", `less than ${leastBodyBytes} bytes arrived in ${bodyWindowMs} ms`));
        before = length;
      }, bodyWindowMs);
      request.on("data", (piece: Uint8Array) => {
        length += piece.length;
        arriving.bytes += piece.length;
        if (length > bodyBytes) reject(tooLarge());
        else if (arriving.bytes > arrivingBytes) reject(new Refused("BUSY", "too many bodies are arriving"));
        else pieces.push(piece);
      });
      request.on("end", resolve).on("error", reject);
      request.on("close", () => reject(new Refused("BAD_REQUEST", "the body broke off")));
    });
  } catch (error) {
    placed();
    throw error;
  } finally {
    clearInterval(slow);
    request.pause();
    request.removeAllListeners("data");
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return { bytes, placed };
}
