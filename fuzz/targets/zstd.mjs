// The walker over zstd frames, and inflating what it lets through: never more bytes than were declared, and the same bytes
// or the same error where the payload arrives in pieces.
import { decompress, walkFrames } from "../../dist/core/container/decompress.js";
import { inflater } from "../../dist/core/read/inflate.js";
import { expect, outcome, target } from "../contract.mjs";
import { zstd } from "../file.mjs";

const COMPRESSIONS = ["zstd", "shuffled-zstd", "text-zstd"];

export const fuzz = target((input, variant) => {
  // What a file can declare for so few bytes: nothing, a little, or a frame or more of zeros.
  const raw = [0, 1, input[5] ?? 0, 64, 1000, 6400, 2 ** 20, 2 ** 20 + 1][variant & 7];
  const { value: lengths } = outcome(() => walkFrames(input, raw, 0, "fuzz"));
  if (lengths !== undefined)
    expect(lengths.reduce((x, y) => x + y, 0) === input.length, "frames do not add up to the payload");
  const options = { zstd, elementSize: 4, base: 0, where: "fuzz" };
  const compression = COMPRESSIONS[(variant >> 3) % 3];
  // Shuffling needs whole elements.
  if (compression === "shuffled-zstd" && raw % 4 !== 0) return;
  const { value, error } = outcome(() => decompress(input, compression, raw, options));
  if (value !== undefined) expect(value.length === raw, "inflated to another length than declared");
  // No record of a file has these.
  if (raw === 0 || input.length === 0) return;
  const received = [];
  const record = { compression, payload: raw, chunk: { offset: 0, length: input.length + 4 } };
  const how = { ...options, most: input.length, receive: (piece) => void received.push(Buffer.from(piece)) };
  const arrived = outcome(() => {
    const inflating = inflater(record, how);
    const step = 1 + (variant % 29);
    for (let at = 0; at < input.length; at += step) inflating.push(input.subarray(at, at + step));
    inflating.finish();
    return Buffer.concat(received);
  });
  expect(
    arrived.error?.message === error?.message,
    `${arrived.error?.message} in pieces, ${error?.message} whole`,
  );
  if (value !== undefined) expect(arrived.value.equals(value), "other bytes in pieces");
});
