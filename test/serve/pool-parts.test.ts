/** What a pool is made of, whose public face it is: what it lets go of, how many loads go on, and memory that it uses again. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Slots } from "../../src/common/slots.ts";
import { isLqaError } from "../../src/core/index.ts";
import { Budget, type Holding } from "../../src/serve/budget.ts";
import { SpareBuffers } from "../../src/serve/spare-buffers.ts";

const pause = () => new Promise((resolve) => setTimeout(resolve, 0));

interface Thing extends Holding {
  held: boolean;
  gone: boolean;
}

function thing(bytes: number): Thing {
  const made: Thing = {
    bytes,
    held: false,
    gone: false,
    isFree: () => !made.held,
    drop: () => {
      made.gone = true;
    },
  };
  return made;
}

function put(budget: Budget, bytes: number, kind: "cheap" | "dear" = "dear"): Thing {
  budget.take(bytes, "a test");
  const made = thing(bytes);
  budget.add(made, kind);
  return made;
}

describe("a budget", () => {
  it("keeps what is used again while others come once", () => {
    const budget = new Budget(10);
    const often = put(budget, 1);
    for (let i = 0; i < 100; i++) {
      budget.touch(often);
      put(budget, 1);
    }
    expect(often.gone).toBe(false);
    expect(budget.used).toBe(10);
  });

  it("lets go of what was used often, and is no longer", () => {
    const budget = new Budget(10);
    const once = put(budget, 1);
    for (let i = 0; i < 50; i++) budget.touch(once);
    for (let i = 0; i < 100; i++) budget.touch(put(budget, 1));
    expect(once.gone).toBe(true);
  });

  it("lets go of what is cheap first, and of nothing that is held", () => {
    const budget = new Budget(4);
    const [dear, held, cheap, other] = [
      put(budget, 1),
      put(budget, 1),
      put(budget, 1, "cheap"),
      put(budget, 1, "cheap"),
    ];
    held.held = true;
    budget.touch(cheap);
    budget.touch(other);
    put(budget, 2);
    expect([dear.gone, held.gone, cheap.gone, other.gone]).toEqual([false, false, true, true]);
  });

  it("counts right, drops no more than it needs, and nothing where that would not do", () => {
    const step = fc.record({
      what: fc.constantFrom("put", "put", "touch", "hold", "free", "remove"),
      bytes: fc.integer({ min: 1, max: 40 }),
      which: fc.nat(),
      kind: fc.constantFrom("cheap" as const, "dear" as const),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const budget = new Budget(100);
        const all: Thing[] = [];
        for (const { what, bytes, which, kind } of steps) {
          const there = all.filter(({ gone }) => !gone);
          const sum = (list: Thing[]) => list.reduce((total, one) => total + one.bytes, 0);
          const one = there[which % Math.max(1, there.length)];
          if (what === "put") {
            const free = sum(there.filter(({ held }) => !held));
            const before = budget.used;
            const fits = before - free + bytes <= 100;
            try {
              all.push(put(budget, bytes, kind));
              expect(fits).toBe(true);
            } catch (error) {
              expect(isLqaError(error, "BUDGET") && !fits).toBe(true);
              expect(there.every(({ gone }) => !gone)).toBe(true);
            }
            const dropped = there.filter(({ gone }) => gone);
            if (dropped.length > 0) {
              const left = before - sum(dropped) + bytes;
              expect(left).toBeLessThanOrEqual(100);
              // Without the last of them there would not have been room.
              expect(left + Math.max(...dropped.map((x) => x.bytes))).toBeGreaterThan(100);
            }
          } else if (one === undefined) continue;
          else if (what === "touch") budget.touch(one);
          else if (what === "hold") one.held = true;
          else if (what === "free") one.held = false;
          else {
            budget.remove(one);
            one.gone = true;
          }
          expect(budget.used).toBe(sum(all.filter(({ gone }) => !gone)));
          expect(budget.used).toBeLessThanOrEqual(100);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("slots", () => {
  it("are given in the order of asking, and given back once", async () => {
    const slots = new Slots(2);
    const first = await slots.take();
    await slots.take();
    const order: number[] = [];
    const waiting = [1, 2, 3].map((n) => slots.take().then(() => order.push(n)));
    first();
    first();
    await waiting[0];
    await pause();
    expect(order).toEqual([1]);
  });

  it("are not lost with those who give up, before their turn or at it", async () => {
    const slots = new Slots(1);
    const give = await slots.take();
    const [early, late] = [new AbortController(), new AbortController()];
    const waiting = [slots.take(early.signal), slots.take(late.signal), slots.take()] as const;
    early.abort();
    await expect(waiting[0]).rejects.toThrow("ABORTED");
    give();
    late.abort();
    const outcome = await waiting[1].catch((error) => error);
    // Either way the third one has its turn.
    if (!isLqaError(outcome)) outcome();
    (await waiting[2])();
    await slots.take();
  });
});

describe("spare buffers", () => {
  it("serve for what fills eight ninths of them, and are new memory otherwise", () => {
    const spare = new SpareBuffers(2 ** 30);
    const buffer = spare.take(900_000);
    spare.give(buffer);
    expect(spare.take(900_001)).not.toBe(buffer);
    expect(spare.take(799_999)).not.toBe(buffer);
    expect(spare.take(800_000)).toBe(buffer);
    expect(spare.bytes).toBe(0);
  });

  it("take a sixteenth of the budget, and 64 MiB at most; the oldest go", () => {
    const spare = new SpareBuffers(16 * 1_000_000);
    const [one, two, three] = [400_000, 500_000, 450_000].map((bytes) => spare.take(bytes));
    for (const buffer of [one!, two!, three!]) spare.give(buffer);
    expect(spare.bytes).toBe(950_000);
    expect(spare.take(400_000)).not.toBe(one);
    spare.give(spare.take(1_000_001));
    expect(spare.bytes).toBe(0);
    spare.give(new ArrayBuffer(400_000));
    expect(spare.bytes).toBe(0);
    const large = new SpareBuffers(2 ** 40);
    for (const buffer of [0, 1, 2].map(() => large.take(2 ** 25))) large.give(buffer);
    expect(large.bytes).toBe(2 ** 26);
    spare.give(spare.take(65_536));
    expect(spare.bytes).toBe(0);
  });
});
