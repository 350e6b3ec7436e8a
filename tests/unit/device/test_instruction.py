"""Instructions in words: known answers from an assembler, and the sentence about what a processor lacks."""

from __future__ import annotations

import pytest

from harness.device.crash import name_instruction
from harness.device.encoding import ENCODINGS, needs_aarch64
from harness.device.instruction import explain_instruction, read_instruction
from harness.records.run import Facts

# Words by llvm-mc 14 (-triple=aarch64 -show-encoding).
KNOWN = [
    (0x4E829420, "sdot v0.4s, v1.16b, v2.16b", "asimddp"),
    (0x6E829420, "udot v0.4s, v1.16b, v2.16b", "asimddp"),
    (0x4FA2E020, "sdot v0.4s, v1.16b, v2.4b[1]", "asimddp"),
    (0x2FA2E020, "udot v0.2s, v1.8b, v2.4b[1]", "asimddp"),
    (0x4E829C20, "usdot v0.4s, v1.16b, v2.16b", "i8mm"),
    (0x4F02F020, "sudot v0.4s, v1.16b, v2.4b[0]", "i8mm"),
    (0x4E82A420, "smmla v0.4s, v1.16b, v2.16b", "i8mm"),
    (0x6E82A420, "ummla v0.4s, v1.16b, v2.16b", "i8mm"),
    (0x4E82AC20, "usmmla v0.4s, v1.16b, v2.16b", "i8mm"),
    (0x4E421420, "fadd v0.8h, v1.8h, v2.8h", "asimdhp"),
    (0x4E420C20, "fmla v0.8h, v1.8h, v2.8h", "asimdhp"),
    (0x4F121020, "fmla v0.8h, v1.8h, v2.h[1]", "asimdhp"),
    (0x0E420C20, "fmla v0.4h, v1.4h, v2.4h", "asimdhp"),
    (0x4F029020, "fmul v0.8h, v1.8h, v2.h[0]", "asimdhp"),
    (0x4E423420, "fmax v0.8h, v1.8h, v2.8h", "asimdhp"),
    (0x1EE22820, "fadd h0, h1, h2", "fphp"),
    (0x1EE20820, "fmul h0, h1, h2", "fphp"),
    (0x1FC20C20, "fmadd h0, h1, h2, h3", "fphp"),
    (0x1EE12000, "fcmp h0, h1", "fphp"),
    (0x4E79D820, "scvtf v0.8h, v1.8h", "asimdhp"),
    (0x4EF9B820, "fcvtzs v0.8h, v1.8h", "asimdhp"),
    (0x4EF8F820, "fabs v0.8h, v1.8h", "asimdhp"),
    (0x6EF9F820, "fsqrt v0.8h, v1.8h", "asimdhp"),
    (0x1EE00020, "fcvtns w0, h1", "fphp"),
    (0x1EE20020, "scvtf h0, w1", "fphp"),
    (0x1EE70020, "fmov h0, w1", "fphp"),
    (0x1EEE1000, "fmov h0, #1.00000000", "fphp"),
    (0x4F03FE00, "fmov v0.8h, #1.00000000", "asimdhp"),
    (0x4E22EC20, "fmlal v0.4s, v1.4h, v2.4h", "asimdfhm"),
    (0x6F928020, "fmlal2 v0.4s, v1.4h, v2.h[1]", "asimdfhm"),
    (0xF8200041, "ldadd x0, x1, [x2]", "atomics"),
    (0xB8E00041, "ldaddal w0, w1, [x2]", "atomics"),
    (0xF8E08041, "swpal x0, x1, [x2]", "atomics"),
    (0xC8E0FC41, "casal x0, x1, [x2]", "atomics"),
    (0x48207C82, "casp x0, x1, x2, x3, [x4]", "atomics"),
    (0x88A07C41, "cas w0, w1, [x2]", "atomics"),
    (0x38203041, "ldsetb w0, w1, [x2]", "atomics"),
    (0xF820003F, "stadd x0, [x1]", "atomics"),
    (0x78206041, "ldumaxh w0, w1, [x2]", "atomics"),
    (0x2598E3E0, "ptrue p0.s", "sve"),
    (0xA540A000, "ld1w {z0.s}, p0/z, [x0]", "sve"),
    (0x04A10000, "add z0.s, z0.s, z1.s", "sve"),
    (0x25A11C00, "whilelo p0.s, x0, x1", "sve"),
    (0x0420E3E0, "cntb x0", "sve"),
    (0x04BF5020, "rdvl x0, #1", "sve"),
    (0x043F57FF, "addvl sp, sp, #0xffffffffffffffff", "sve"),
    (0x44826020, "sqdmlalb z0.s, z1.h, z2.h", "sve2"),
    (0x44820020, "sdot z0.s, z1.b, z2.b", "sve"),
    (0x45029820, "smmla z0.s, z1.b, z2.b", "svei8mm"),
    (0x65A20020, "fmla z0.s, p0/m, z1.s, z2.s", "sve"),
    (0x6E42FC20, "bfdot v0.4s, v1.8h, v2.8h", "bf16"),
    (0x6E42EC20, "bfmmla v0.4s, v1.8h, v2.8h", "bf16"),
    (0x2EC2FC20, "bfmlalb v0.4s, v1.8h, v2.8h", "bf16"),
    (0x0EA16820, "bfcvtn v0.4h, v1.4s", "bf16"),
    (0x1E634020, "bfcvt h0, s1", "bf16"),
    (0x64628020, "bfdot z0.s, z1.h, z2.h", "svebf16"),
    (0x1AC24020, "crc32b w0, w1, w2", "crc32"),
    (0x9AC25C20, "crc32cx w0, w1, x2", "crc32"),
    (0x4E284820, "aese v0.16b, v1.16b", "aes"),
    (0x4E286820, "aesmc v0.16b, v1.16b", "aes"),
    (0x0EE2E020, "pmull v0.1q, v1.1d, v2.1d", "pmull"),
    (0x5E020020, "sha1c q0, s1, v2.4s", "sha1"),
    (0x5E280820, "sha1h s0, s1", "sha1"),
    (0x5E024020, "sha256h q0, q1, v2.4s", "sha2"),
    (0x5E282820, "sha256su0 v0.4s, v1.4s", "sha2"),
    (0xCE628020, "sha512h q0, q1, v2.2d", "sha512"),
    (0xCE020C20, "eor3 v0.16b, v1.16b, v2.16b, v3.16b", "sha3"),
    (0xCE220C20, "bcax v0.16b, v1.16b, v2.16b, v3.16b", "sha3"),
    (0xCE628C20, "rax1 v0.2d, v1.2d, v2.2d", "sha3"),
    (0xCE62C020, "sm3partw1 v0.4s, v1.4s, v2.4s", "sm3"),
    (0xCEC08420, "sm4e v0.4s, v1.4s", "sm4"),
    (0x6E828420, "sqrdmlah v0.4s, v1.4s, v2.4s", "asimdrdm"),
    (0x6F52F020, "sqrdmlsh v0.8h, v1.8h, v2.h[1]", "asimdrdm"),
    (0x7E828420, "sqrdmlah s0, s1, s2", "asimdrdm"),
    (0xDAC10020, "pacia x0, x1", "paca"),
    (0xDAC123E0, "paciza x0", "paca"),
    (0xDAC11020, "autia x0, x1", "paca"),
    (0xD65F0BFF, "retaa", "paca"),
    (0xD71F0801, "braa x0, x1", "paca"),
    (0xF8200420, "ldraa x0, [x1]", "paca"),
    (0x9AC23020, "pacga x0, x1, x2", "pacg"),
    (0xDAC143E0, "xpaci x0", "paca"),
    (0xF8BFC020, "ldapr x0, [x1]", "lrcpc"),
    (0x38BFC020, "ldaprb w0, [x1]", "lrcpc"),
    (0xD9400020, "ldapur x0, [x1]", "ilrcpc"),
    (0xD9000020, "stlur x0, [x1]", "ilrcpc"),
    (0x6E82CC20, "fcmla v0.4s, v1.4s, v2.4s, #0x5a", "fcma"),
    (0x6E82E420, "fcadd v0.4s, v1.4s, v2.4s, #0x5a", "fcma"),
    (0x1E7E0020, "fjcvtzs w0, d1", "jscvt"),
    (0x3A00080D, "setf8 w0", "flagm"),
    (0xBA008402, "rmif x0, #1, #2", "flagm"),
    (0xD500401F, "cfinv", "flagm"),
    (0x1E284020, "frint32z s0, s1", "frint"),
    (0x6E21F820, "frint64x v0.4s, v1.4s", "frint"),
    (0x9ADF1020, "irg x0, x1", "mte"),
    (0xD9200820, "stg x0, [x1]", "mte"),
    (0xD9600020, "ldg x0, [x1]", "mte"),
    (0xD503477F, "smstart", "sme"),
    (0xC00800FF, "zero {za}", "sme"),
    (0x80810000, "fmopa za0.s, p0/m, p0/m, z0.s, z1.s", "sme"),
    (0xA0810000, "smopa za0.s, p0/m, p0/m, z0.b, z1.b", "sme"),
    (0x19010440, "cpyfp [x0]!, [x1]!, x2!", "mops"),
    (0x19C20420, "setp [x0]!, x1!, x2", "mops"),
    (0xD53B2400, "mrs x0, rndr", "rng"),
    (0xD50B7C20, "dc cvap, x0", "dcpop"),
    (0xD50330FF, "sb", "sb"),
    (0xD5031000, "wfet x0", "wfxt"),
]
# fmt: off
BASE = [
    0x4E22D420, 0x1E222820, 0x1F020C20, 0x1F420C20, 0x1F228C20, 0x4FA21020, 0x4FC21820, 0x4FA29020, 0x6FA29020,
    0x6F520020, 0x6F524020, 0x4F528020, 0x0F522020, 0x4E628020, 0x2E628020, 0x0E22C020, 0x4EA2B420, 0x4F82D020,
    0x6E62B420, 0x0F42B020, 0x0E217820, 0x0E216820, 0x2E616820, 0x1E23C020, 0x1EE24020, 0x1EE2C020, 0x1E63C020,
    0x4F03F600, 0x6F03F600, 0x4F008420, 0x4F00C420, 0x6F00E400, 0x4F009420, 0x4F1D0420, 0x2F0D8C20, 0x4F3DE420,
    0x4E21D820, 0x4EA1B820, 0x1E240020, 0x1E220020, 0x9E630020, 0x1E02F420, 0x1E212000, 0x1E220C20, 0x4E218820,
    0x1E274020, 0x1E65C020, 0x4EE0F820, 0x4EA1D820, 0x4EA2FC20, 0x6E22EC20, 0x6E30C820, 0x6E30F820, 0x4E71B820,
    0x4E703820, 0x4E70A820, 0x6E70A820, 0x6E31A820, 0x7E30D820, 0x7E70F820, 0x6E22D420, 0x5EF1B820, 0x6E021820,
    0x4E020020, 0x4E423820, 0x4E425820, 0x4E422820, 0x4E0E0420, 0x5E0E0420, 0x4E061C00, 0x0E0E3C20, 0x4E600820,
    0x4E205820, 0x6E606820, 0x0E621020, 0x6E229C20, 0x0E22E020, 0x4E623420, 0x6E621C20, 0x4C407800, 0x4C400800,
    0x4D40C400, 0xC85F7C20, 0xC800FC41, 0xC87F8440, 0xC8200861, 0xC8DFFC20, 0x889FFC20, 0xF8626820, 0xF8627820,
    0xB862C820, 0x38A26820, 0xF85F8020, 0xF8408420, 0xF85F8C20, 0x3CA26820, 0xF9802000, 0xA8C107E0, 0xAC400400,
    0x69400440, 0x9B020C20, 0x9B427C20, 0x9AC20820, 0x9AC22020, 0x9A020020, 0xFA410000, 0x9A820020, 0xDAC00020,
    0xDAC01020, 0xDAC00C20, 0x5AC01420, 0x8B020020, 0xAB22C820, 0xD1000420, 0x92401C20, 0xF2A00020, 0xB3410820,
    0x93C20C20, 0xB0000000, 0x14000002, 0x94000002, 0xB4000040, 0x36080040, 0xD61F0000, 0xD63F0000, 0xD65F03C0,
    0xD4000001, 0xD503201F, 0xD503203F, 0xD503233F, 0xD50323BF, 0xD503245F, 0xD5033BBF, 0xD5033F9F, 0xD5033FDF,
    0xD53BD040, 0xD53BE040, 0xD53B4400, 0xD51B4400, 0xD51B4200, 0xD50B7E20, 0xD50B7520, 0xD5033F5F,
]
# fmt: on
"""Of the first ARMv8, many of them neighbours of what is in the table."""


@pytest.mark.parametrize(("word", "text", "feature"), KNOWN, ids=[text for _, text, _ in KNOWN])
def test_usual_suspects(word: int, text: str, feature: str) -> None:
    """What newer cores have is read and its feature named as /proc/cpuinfo spells it."""
    found = read_instruction(word.to_bytes(4, "little"), "aarch64")

    assert found.text == text
    assert found.needs == (feature,)


@pytest.mark.parametrize("word", BASE, ids=hex)
def test_instructions_of_every_processor_need_nothing(word: int) -> None:
    """No row of the table is too wide."""
    assert needs_aarch64(word) == ()


def test_rows_can_match() -> None:
    """A value has no bit outside of its mask, which would make the row dead."""
    assert [hex(value) for mask, value, _ in ENCODINGS if value & ~mask] == []


def test_sentence_names_what_is_missing() -> None:
    """Instruction, feature and processor."""
    words = explain_instruction(bytes.fromhex("2094824e"), "aarch64", ("fp", "asimd"), "Cortex-A53")

    assert words == "sdot v0.4s, v1.16b, v2.16b: needs asimddp, which this CPU does not have: Cortex-A53"


@pytest.mark.parametrize(
    ("code", "architecture", "features", "words"),
    [
        ("2094824e", "aarch64", ("asimddp",), "needs asimddp, which this CPU refused: X"),
        ("2094824e", "aarch64", (), "needs asimddp, which this CPU refused: X"),
        ("00000000", "aarch64", ("fp",), "udf #0: never defined on any CPU"),
        ("000080d2", "aarch64", ("fp",), "mov x0, #0: this CPU does not execute it: X"),
        ("ffffffff", "aarch64", ("fp",), "0xffffffff: this CPU does not execute it: X"),
        ("0f0b", "x86_64", ("sse",), "ud2: never defined on any CPU"),
        ("62f17c4858c1", "x86_64", ("sse", "avx2"), "vaddps zmm0, zmm0, zmm1: needs avx512f, which this CPU does not"),
        ("c4e2f5b8c2", "x86_64", ("sse",), "needs fma, which this CPU does not have: X"),
        ("f0b5", "armv7l", (), "the bytes f0 b5: this CPU does not execute it: X"),
        ("20", "aarch64", (), "the bytes 20: this CPU does not execute it"),
    ],
)
def test_every_case_has_a_sentence(code: str, architecture: str, features: tuple[str, ...], words: str) -> None:
    """Also where a feature is said to be there, nothing is known, or nobody can read the bytes."""
    assert words in explain_instruction(bytes.fromhex(code), architecture, features, "X")


@pytest.mark.parametrize("code", ["", "zz", "2094824", "20" * 17, "<script>"])
def test_fields_of_a_board_are_not_believed(code: str) -> None:
    """An instruction that is no hexadecimal word is left out, the message stays."""
    facts = Facts("aarch64", "Cortex-A53", 1, ("fp",), 1, "6.1", "glibc 2.36", "3.11", "cp311")
    error = {"code": "illegal_instruction", "message": "signal 4 (SIGILL)", "instruction": code}

    assert name_instruction(error, facts) == "signal 4 (SIGILL)"
