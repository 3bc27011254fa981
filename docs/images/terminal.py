"""Draws terminal.gif, which the README shows: python terminal.py, after npm run build. Needs Pillow and the font DejaVu Sans Mono.

The commands run, and the picture shows what they print.
"""
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[2]
FONT = ImageFont.truetype("DejaVuSansMono.ttf", 15)
WIDTH, LINE, MARGIN = 900, 21, 16
BACK, TEXT, PROMPT = (24, 26, 31), (222, 226, 230), (105, 219, 124)
COMMANDS = ["lqa encode my-adapter -o my-adapter.lqa", "lqa inspect my-adapter.lqa", "lqa decode my-adapter.lqa -o restored"]


def printed(command: str, folder: str) -> list[str]:
    words = ["node", str(ROOT / "dist" / "cli" / "main.js"), *command.split()[1:]]
    out = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True).stdout
    return out.rstrip("\n").split("\n")


def picture(lines: list[str], rows: int) -> Image.Image:
    image = Image.new("RGB", (WIDTH, 2 * MARGIN + rows * LINE), BACK)
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        at = (MARGIN, MARGIN + row * LINE)
        if line.startswith("$ "):
            draw.text(at, "$", PROMPT, FONT)
            line = "  " + line[2:]
        draw.text(at, line, TEXT, FONT)
    return image.convert("P", palette=Image.Palette.ADAPTIVE, colors=32)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "examples" / "number-words" / "adapter", Path(folder, "my-adapter"))
        said = [printed(command, folder) for command in COMMANDS]
    rows = sum(len(lines) + 2 for lines in said) - 1
    frames, times, shown = [], [], []
    for command, lines in zip(COMMANDS, said, strict=True):
        for end in range(0, len(command) + 1, 2):
            frames.append([*shown, f"$ {command[:end]}▏"])
            times.append(60)
        frames.append([*shown, f"$ {command}"])
        times.append(400)
        shown = [*shown, f"$ {command}", *lines, ""]
        frames.append(shown)
        times.append(2500)
    pictures = [picture(frame, rows) for frame in frames]
    pictures[0].save(Path(__file__).with_name("terminal.gif"), save_all=True, append_images=pictures[1:], duration=times, loop=0, optimize=True)


if __name__ == "__main__":
    main()
