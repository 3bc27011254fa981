// valid/role, rule, plan: what a module can be.
import { affine, BF16, F32, raw, sign, TABLES, trellis, zero } from "./codecs.mjs";
import { band, module, twoBands } from "./compose.mjs";
import { GROUPS, SCALES } from "./valid-codecs.mjs";

const only = (over) => ({ modules: [module(over)] });

function roles(suite) {
  const add = (name, over, features = []) =>
    suite.valid(`valid/role/${name}`, only({ bands: twoBands(), ...over }), {
      features: [over.role ?? "linear", ...features],
      clauses: ["6.6", "9.2"],
    });
  add("linear-out-in", {});
  add("linear-in-out", { baseLayout: 1 });
  add("linear-square", { out: 16, in: 16 });
  add("linear-1-by-1", { out: 1, in: 1, bands: [band(affine(8))] });
  add("embedding", { role: "embedding", out: 4, in: 50 });
  add("conv1d", { role: "conv1d", kernel: [3] });
  add("conv2d", { role: "conv2d", kernel: [3, 2] });
  add("conv2d-1x1", { role: "conv2d", kernel: [1, 1] });
  add("conv3d", { role: "conv3d", kernel: [2, 3, 5], out: 2, in: 2 });
  add("conv3d-of-one-channel", { role: "conv3d", kernel: [1, 2, 3], out: 6, in: 1 });
  add("conv2d-kernel-65535", {
    role: "conv2d",
    kernel: [65535, 1],
    out: 1,
    in: 1,
    bands: [band(zero(), sign({ group: 0 }))],
  });
  const experts = (name, over) => add(`experts-${name}`, over, ["experts"]);
  experts("2", { experts: 2 });
  experts("3-padding-between", { experts: 3, out: 3, in: 3, bands: [band(sign({ group: 0 }))] });
  experts("2-raw-f16-padding", { experts: 2, out: 1, in: 2, bands: [band(raw(2))] });
  experts("4-trellis", { experts: 4, out: 9, in: 9, bands: [band(trellis(2))] });
  experts("2-conv1d", { experts: 2, role: "conv1d", kernel: [3] });
  experts("2-of-codec-zero", { experts: 2, bands: [band(zero())] });
  experts("rank-equals-experts", { experts: 3, out: 4, in: 4, bands: twoBands(1, 2) });
}

function rules(suite) {
  const add = (name, over) =>
    suite.valid(`valid/rule/${name}`, only({ bands: [band(sign(), sign(), over.rank ?? 1)], ...over }), {
      clauses: ["9.1"],
    });
  add("none", { rule: "none", alpha: 0, multiplier: 1 });
  add("alpha-over-r", { rank: 3, rule: "alpha/r", alpha: 1 });
  add("alpha-over-r-two-thirds", { rank: 3, rule: "alpha/r", alpha: 2 });
  add("alpha-over-sqrt-r", { rank: 7, rule: "alpha/sqrt(r)", alpha: 16 });
  add("alpha-over-sqrt-r-rounds", { rank: 12, rule: "alpha/sqrt(r)", alpha: 32 });
  add("alpha-over-r-and-not-times-1-over-r", { rank: 3, rule: "alpha/r", alpha: 5 });
  add("alpha-over-sqrt-r-in-binary64", { rank: 5, rule: "alpha/sqrt(r)", alpha: 3 });
  add("alpha-0-multiplier-0", { rule: "alpha/r", alpha: 0, multiplier: 0 });
  add("alpha-over-r-rounds-to-minus-0", { rank: 4, rule: "alpha/r", alpha: -(2 ** -149), multiplier: 0 });
  add("alpha-negative", { rule: "alpha/r", alpha: -8, rank: 4 });
  add("explicit", { rule: "explicit", multiplier: 0.1 });
  add("explicit-with-alpha", { rule: "explicit", multiplier: 0.7, alpha: 16 });
  add("explicit-0", { rule: "explicit", multiplier: 0 });
  add("explicit-negative", { rule: "explicit", multiplier: -1.5 });
  add("explicit-smallest", { rule: "explicit", multiplier: 2 ** -149 });
  add("explicit-largest", { rule: "explicit", multiplier: 3.4028234663852886e38 });
}

function plans(suite) {
  const add = (name, adapter) =>
    suite.valid(`valid/plan/${name}`, adapter, { clauses: ["6.3", "6.5", "7.2", "7.3"] });
  const a2 = affine(2);
  add("two-bands", only({ bands: twoBands(2, 3) }));
  add("b-and-a-differ", only({ bands: [band(affine(4), sign())] }));
  add("bands-differ-in-a-only", only({ bands: [band(a2, a2), band(a2, sign())] }));
  add("bands-differ-in-b-only", only({ bands: [band(a2, a2), band(sign(), a2)] }));
  add("encoding-comes-back", only({ bands: [band(a2), band(sign()), band(a2)] }));
  add("eight-bands", only({ bands: [1, 2, 3, 4, 5, 6, 7, 8].map((bits) => band(affine(bits))) }));
  add(
    "every-codec",
    only({
      out: 65,
      in: 66,
      bands: [band(raw()), band(trellis(6)), band(affine(3)), band(sign()), band(zero())],
    }),
  );
  add(
    "scales-after-odd-codes",
    only({ out: 9, in: 9, bands: [band(sign({ group: 0 }), affine(3, { scale: BF16, group: 0 }))] }),
  );
  add("raw-f32-after-odd-codes", only({ out: 9, in: 2, bands: [band(sign({ group: 0 }), raw(F32))] }));
  add("raw-after-zero", only({ bands: [band(zero(), raw(BF16))] }));
  add(
    "zero-between",
    only({ out: 9, bands: [band(sign()), band(zero()), band(affine(2, { scale: BF16 }))] }),
  );
  const q = (name, over) => module({ name, ...over });
  add("shared-by-modules", { modules: [q("a"), q("b"), q("c")] });
  add("two-plans-one-type", {
    modules: [q("a", { rule: "explicit" }), q("b", { rule: "explicit", bands: twoBands() })],
  });
  add("two-types-one-plan", { modules: [q("a"), q("b", { out: 4 }), q("c")] });
  add("plans-that-share-encodings", {
    modules: [
      q("a", { bands: [band(a2, sign())] }),
      q("b", { bands: [band(sign(), a2)] }),
      q("c", { bands: [band(affine(3), a2)] }),
    ],
  });
  add(
    "components-65-in-one-band",
    only({ out: 2, in: 2, bands: [band(sign({ group: 0 }), sign({ group: 0 }), 65)] }),
  );
  const everything = [zero(), raw(1), raw(2), raw(3)];
  for (const table of TABLES.keys())
    for (const rotation of [0, 1]) everything.push(trellis(table, { rotation }));
  for (const group of GROUPS)
    for (const scale of Object.values(SCALES)) {
      everything.push(sign({ group, scale }));
      for (let bits = 1; bits <= 8; bits++) everything.push(affine(bits, { group, scale }));
    }
  add("every-encoding", {
    modules: everything
      .filter((_, i) => i % 2 === 0)
      .map((b, i) =>
        module({
          name: `m${i}`,
          out: 1,
          in: 1,
          rule: "explicit",
          bands: [band(b, everything[2 * i + 1] ?? b)],
        }),
      ),
  });
}

export function validModules(suite) {
  for (const family of [roles, rules, plans]) family(suite);
}
