"""What `lqa encode` says of answers, against what was measured: python outlook.py

Each scored encoding of results/ gets the class that src/encode/quantize/answers.ts gives it. The table shows how many right answers of
the adapter changed. OTHERS are encodings of adapters of other models: the measured divergence in nats per token, and that over
the estimate. The program fails if an encoding that changed a tenth of the answers, or more than 0.03 nats, is called the same.
"""

import estimate

SAME, CHANGES = (1e-4, 0.02), (5e-3, 0.2)  # of the estimate from the weights, and of the share of the energy that is lost
WORST = 0.03
OTHERS = {  # Qwen2.5-Coder 0.5B, Gemma 3 270M at 0.5, 1.0 and 1.5 bits, 2026-12-01
    "Qwen, facts": ((0.650, 295), (0.148, 206), (0.046, 128)),
    "Gemma, facts": ((0.651, 271), (0.197, 278), (0.069, 182)),
    "Qwen, number words": ((0.088, 166), (0.019, 95), (0.0069, 69)),
}


def outlook(divergence: float, lost: float) -> str:
    if divergence >= CHANGES[0] or lost >= CHANGES[1]:
        return "changes"
    return "same" if divergence < SAME[0] and lost < SAME[1] else "try"


def main() -> None:
    found: dict[str, list[dict]] = {"same": [], "try": [], "changes": []}
    for line in estimate.lines():
        divergence = estimate.DIVERGENCE * (line["noise"] + estimate.SHRINKAGE * line["shrinkage"])
        found[outlook(divergence, line["lost"])].append(line)
    print("| class | encodings | KL, largest | right answers changed: mean | most |\n|---|---|---|---|---|")
    for name, lines in found.items():
        shares = [line["changed"] for line in lines if line["changed"] is not None]
        print(f"| {name} | {len(lines)} | {max(line['kl'] for line in lines):.2g} | {sum(shares) / len(shares):.1%} | {max(shares):.1%} |")
    wrong = [line["name"] for line in found["same"] if line["kl"] > WORST or (line["changed"] or 0) > 0.1]
    for name, pairs in OTHERS.items():
        for measured, times in pairs:
            # The share that is lost is not known of these: the estimate alone must do.
            if outlook(measured / times, 0) == "same" and measured > WORST:
                wrong.append(name)
    if wrong:
        raise SystemExit(f"called the same: {wrong}")


if __name__ == "__main__":
    main()
