"""Changes of the Python reader that no case shows, and why: each is equivalent, or the specification leaves it to readers."""

CHECKS = {  # checks, or parts of them, whose removal no case shows, and why
    "index[4:8] != b'LQA1'": "the next check refuses it, with the same code and less advice",
    "table >= 4": "a table at 0 has its vtable there, of size 0, which is an INDEX_TABLE, too",
    "place >= 4": "0 is a missing field, and 1 to 3 are no multiples of 4",
    "NAMES_TOTAL_BYTES": "as many names as Core allows, each as long as Hard allows, come to the Hard limit and not above it; "
                         "above Core a reader may refuse or accept",
    "limit('CHUNK_BYTES', max(s.raw_length": "32 bits cannot be above Hard; above Core a reader may refuse or accept",
    "width > 0": "without a field, the content size is taken for 0, which no frame has to have",
    "len(content) == size": "zstd compares what it makes with the size that the frame declares",
    "payload is not None": "only a reader without zstd gets there, and for it the suite skips what needs zstd",
    "0 <= s * p.encoding.largest()": "what is negative is not above 0, and a comparison with NaN is false",
    "raise what was caught": "the parents of the suite are within all limits",
    "ancestors != []": "modules whose parents are not given are left out before",
}
OPERATORS = {  # comparisons, sums and conditions that are their neighbours
    "table >= 4 → table > 4": "a table at 4 begins with the identifier, which is no distance to a vtable inside the index",
    "vtable >= 0 → vtable > 0": "a vtable at 0 has the root offset for its sizes: of less than 256 KiB of index, no table fits",
    "64 + start": "it is the offset of errors",
    "10 + vtable": "there are nine, eleven or thirteen slots: the table begins at a multiple of 4 without padding",
    "self.total + len(name) → self.total - len(name)": "as many names as Core allows, each as long as Hard allows, come to the Hard limit and not above it; "
                                                       "above Core a reader may refuse or accept",
    "t.rule < 4 → t.rule <= 4": "4 is free: a later version may give it a meaning, so no case has it",
    "math.copysign(1, number) > 0 → math.copysign(1, number) >= 0": "it is 1 or -1",
    "size + 1 → size - 1": "only the package of Python 3.14 gets there; the run had zstandard",
    "canonical and noncanonical is None → canonical or noncanonical is None": "more work only: what breaks 12.4 is reported at level canonical alone",
    "canonical and 0 in scales → canonical or 0 in scales": "more work only: what breaks 12.4 is reported at level canonical alone",
    "p.scales + 2 * (i * p.groups + g) → p.scales - 2 * (i * p.groups + g)": "it is the offset of errors",
    "i * p.groups + g → i * p.groups - g": "it is the offset of errors",
    "2.0 ** 128 - 2.0 ** 103 → 0 <= s * p.encoding.largest() <= 2.0 ** 128 - 2.0 ** 103": "the bound has 25 bits, the product at most 16",
    "math.copysign(1, s) > 0 → math.copysign(1, s) >= 0": "it is 1 or -1",
    "steps - start → steps + start": "steps behind the last give no weights",
    "count - at → count + at": "draws behind the last are not used",
    "len(rest) - len(other) → len(rest) + len(other)": "more zeros than are added: zip stops at the shortest",
    "item.flags & 1 == 0 → item.flags & 1 != 0": "only a reader without zstd gets there, and for it the suite skips what needs zstd",
    "weights.size() <= budget → weights.size() < budget": "it is which of two omissions is said, and the suite compares none",
    "role == TOKEN_INDICES → role != TOKEN_INDICES": "token-indices of the same name follow, and are refused with the same code",
    "at + width → at - width": "what is read behind the chunk is 0, and where frames end is compared afterwards, with the same code",
    "head < 128 → head <= 128": "0x80 is a map, and does not get there",
    "head < 160 → head <= 160": "0xA0 is a string, and does not get there",
    "a != b → a == b": "it is the offset of the error",
    "isinstance(item, SectionRecord)": "only a reader without zstd gets there, and for it the suite skips what needs zstd",
    "len(data) < count → len(data) <= count": "it asks for 0 bytes more, and gets none",
    "count - len(data) → count + len(data)": "a file that is there gives all bytes at once; cases of operation `stream` show it",
}
CONSTANTS: dict[str, str] = {}  # integers that are one larger or smaller
