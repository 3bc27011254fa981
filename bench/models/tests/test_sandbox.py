"""Programs as models write them, and worse ones."""

import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import sandbox

REASON = sandbox.missing()
if REASON:
    print(f"skipped: tests of the sandbox: {REASON}")


@unittest.skipIf(REASON, REASON)
class Sandbox(unittest.TestCase):
    def refused(self, program: str, reason: str) -> None:
        found = sandbox.run(program)
        self.assertFalse(found.passed, found)
        self.assertRegex(found.reason, reason)

    def test_right_and_wrong_answers(self) -> None:
        self.assertEqual(sandbox.run("def f(x):\n    return x + 1\nassert f(1) == 2"), sandbox.Outcome(True, "ok"))
        self.refused("def f(x):\n    return x\nassert f(1) == 2, 'f(1)'", r"AssertionError: f\(1\)")
        self.refused("def f(x", "SyntaxError")
        self.refused("import sys; sys.exit(3)", "exit code 3")
        self.refused("import os; os._exit(0)", "before its last line")
        self.refused("raise SystemExit", "before its last line")
        self.refused("print('é' * 3, '\\ud800')", "UnicodeEncodeError")

    def test_loops_end(self) -> None:
        began = time.monotonic()
        self.assertEqual(sandbox.run("while True: pass", 1), sandbox.Outcome(False, "time"))
        self.assertEqual(sandbox.run("import time; time.sleep(60)", 1), sandbox.Outcome(False, "time"))
        self.assertLess(time.monotonic() - began, 20)

    def test_forks_end_with_their_program(self) -> None:
        fork = "import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        os.setsid()\n        os.execvp('sleep', ['sleep', '987'])\ntime.sleep(60)"
        self.assertEqual(sandbox.run(fork, 1), sandbox.Outcome(False, "time"))
        self.assertNotIn("sleep 987", subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout)
        self.refused("import os\nwhile True: os.fork()", "BlockingIOError|time")

    def test_memory_is_bounded(self) -> None:
        self.refused("x = bytearray(8 << 30)", "MemoryError")
        self.refused("x = [0]\nwhile True: x += x", "MemoryError|time|exit code")

    def test_writes_stay_inside(self) -> None:
        outside = Path(tempfile.gettempdir(), f"lqa-sandbox-{os.getpid()}")
        for place in (outside, Path("/dev/shm", outside.name), Path.home() / outside.name, Path(__file__).with_name("written")):
            self.refused(f"open({str(place)!r}, 'w')", "Read-only|Permission|OSError|FileNotFound")
            self.assertFalse(place.exists())
        self.refused(f"import os; os.remove({__file__!r})", "Read-only|Permission")
        self.assertTrue(sandbox.run("open('mine', 'w').write('x')").passed)
        self.refused("open('big', 'w').write('x' * (2 << 20))", "File too large|exit code")
        self.refused("for i in range(100): open(str(i), 'w').write('x' * 900000)", "No space")
        self.refused("for i in range(1000): open(str(i), 'w')", "No space")
        self.refused("x = [open(__file__) for _ in range(100)]", "Too many open files")
        self.refused("while True: print('x' * 1000)", "time|File too large|exit code|x+")

    def test_no_network_and_no_rights(self) -> None:
        listener = __import__("socket").create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]
        self.refused(f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)", "unreachable|refused|timed out")
        self.refused("import os; assert os.getuid() == 0", "AssertionError")
        self.assertTrue(sandbox.run("import os; assert [p for p in os.listdir('/proc') if p.isdigit()] == ['1', str(os.getpid())]").passed)
        self.refused("import subprocess; subprocess.run(['mount', '-o', 'remount,rw', '/'], check=True)", "CalledProcessError")
        os.environ["LQA_SECRET"] = "secret"
        self.addCleanup(os.environ.pop, "LQA_SECRET")
        self.assertTrue(sandbox.run("import os; assert 'LQA_SECRET' not in os.environ").passed)
        self.refused("import torch", "ModuleNotFoundError")


if __name__ == "__main__":
    unittest.main()
