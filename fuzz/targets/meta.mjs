// MessagePack sections: what is accepted comes back byte for byte when it is encoded again, so it had one form.
import { decodeMeta } from "../../dist/core/container/meta.js";
import { encodeMeta } from "../../dist/core/container/meta-write.js";
import { expect, outcome, target } from "../contract.mjs";

export const fuzz = target((input) => {
  const { value } = outcome(() => decodeMeta(input, 0, "META"));
  if (value === undefined) return;
  expect(Object.getPrototypeOf(value) === Object.prototype, "a map with another prototype");
  expect(Buffer.compare(encodeMeta(value, "META"), input) === 0, "accepted, but not canonical");
});
