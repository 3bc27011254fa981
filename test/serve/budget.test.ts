/** What a pool lets go of: the class `Budget`, whose public face is the pool. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLqaError } from "../../src/core/index.ts";
import { Budget, type Holding } from "../../src/serve/budget.ts";

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
