"""What a change of the encoder did: python recoded.py

Of each encoding that was scored again (`evaluate.py NAME --recode`), the oldest and the newest line of results/ for the
same adapter, as a table of Markdown.
"""

import math
from collections import defaultdict

import lm


def main() -> None:
    print("| adapter | encoding | bits on disk | KL before | KL now | now / before | right before | right now | error before | error now |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    ratios = []
    for path in sorted(lm.RESULTS.glob("*-s*.jsonl")) + sorted(lm.RESULTS.glob("example-*.jsonl")):
        found = defaultdict(list)
        for line in lm.json_lines(path):
            if "kl" in line:
                found[line["adapter"], line["encoding"]].append(line)
        for (_, encoding), lines in found.items():
            old, new = lines[0], lines[-1]
            if old.get("content") == new.get("content"):
                continue
            ratios.append(new["kl"] / old["kl"])
            right = [round(line["exact"] * line["items"]) for line in (old, new)]
            print(
                f"| {path.stem} | {encoding} | {new['bits_on_disk']:.2f} | {old['kl']:.4f} | {new['kl']:.4f} | {ratios[-1]:.2f}"
                f" | {right[0]} | {right[1]} of {new['items']}"
                f" | {old['errors']['weight']:.3f} | {new['errors']['weight']:.3f} |"
            )
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"\nKL now / before over {len(ratios)}: geometric mean {mean:.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
