"""Which feature an aarch64 instruction needs, from the bits of its word alone. Pure.

Only what was added to the first ARMv8 is listed: a word that is in no row is of every processor, or not known here.
The features are those of /proc/cpuinfo (Linux, Documentation/arch/arm64/elf_hwcaps.rst).

Source: Arm Architecture Reference Manual for A-profile (DDI 0487), C4.1, index of A64 instruction encodings.
"""

from __future__ import annotations

_BASE = ""
"""Of every processor: rows that cut a hole into a wider row after them."""

# (mask, value, feature): the first row with word & mask == value counts. Vectors have Q (bit 30) and often U (29) free.
ENCODINGS: tuple[tuple[int, int, str], ...] = (
    # dot products and matrix products of integers
    (0x9FE0FC00, 0x0E809400, "asimddp"),  # sdot, udot
    (0x9FC0F400, 0x0F80E000, "asimddp"),  # by element
    (0xBFE0FC00, 0x0E809C00, "i8mm"),  # usdot
    (0xBF40F400, 0x0F00F000, "i8mm"),  # usdot, sudot by element
    (0xDFE0F400, 0x4E80A400, "i8mm"),  # smmla, ummla, usmmla
    # bfloat16
    (0xBFE0FC00, 0x2E40FC00, "bf16"),  # bfdot
    (0xFFE0FC00, 0x6E40EC00, "bf16"),  # bfmmla
    (0xBFE0FC00, 0x2EC0FC00, "bf16"),  # bfmlal
    (0xBF40F400, 0x0F40F000, "bf16"),  # by element
    (0xBFFFFC00, 0x0EA16800, "bf16"),  # bfcvtn
    (0xFFFFFC00, 0x1E634000, "bf16"),  # bfcvt
    # half precision: vectors
    (0x9F60C400, 0x0E400400, "asimdhp"),  # three operands
    (0x9F7E0C00, 0x0E780800, "asimdhp"),  # two operands
    (0xBF7FCC00, 0x0E30C800, "asimdhp"),  # across lanes
    (0xBFC0B400, 0x0F001000, "asimdhp"),  # fmla, fmls by element
    (0x9FC0F400, 0x0F009000, "asimdhp"),  # fmul, fmulx by element
    (0xFFC0B400, 0x5F001000, "asimdhp"),  # the same, scalar
    (0xDFC0F400, 0x5F009000, "asimdhp"),
    (0xBFF8FC00, 0x0F00FC00, "asimdhp"),  # fmov of a constant
    (0xDF60C400, 0x5E400400, "asimdhp"),  # scalar, three operands
    (0xDF7E0C00, 0x5E780800, "asimdhp"),  # scalar, two operands
    (0xFF7FCC00, 0x5E30C800, "asimdhp"),  # scalar, pairwise
    (0xBF60FC00, 0x0E20EC00, "asimdfhm"),  # fmlal, fmlsl
    (0xBF60FC00, 0x2E20CC00, "asimdfhm"),  # fmlal2, fmlsl2
    (0xBFC0B400, 0x0F800000, "asimdfhm"),  # by element
    (0xBFC0B400, 0x2F808000, "asimdfhm"),
    # half precision: scalars
    (0xFFFF7C00, 0x1EE24000, _BASE),  # fcvt from half to single and double
    (0x7FE00000, 0x1EE00000, "fphp"),
    (0x7FE00000, 0x1EC00000, "fphp"),  # conversion with fixed point
    (0xFFC00000, 0x1FC00000, "fphp"),  # fmadd and its kin
    # other arithmetic
    (0xBF20F400, 0x2E008400, "asimdrdm"),  # sqrdmlah, sqrdmlsh
    (0xFF20F400, 0x7E008400, "asimdrdm"),
    (0xBF00D400, 0x2F00D000, "asimdrdm"),  # by element
    (0xFF00D400, 0x7F00D000, "asimdrdm"),
    (0xBF20E400, 0x2E00C400, "fcma"),  # fcmla
    (0xBF20EC00, 0x2E00E400, "fcma"),  # fcadd
    (0xBF009400, 0x2F001000, "fcma"),  # fcmla by element
    (0xFFFFFC00, 0x1E7E0000, "jscvt"),  # fjcvtzs
    (0xFFBE7C00, 0x1E284000, "frint"),  # frint32z and its kin
    (0x9FBFEC00, 0x0E21E800, "frint"),
    (0x7FE0E000, 0x1AC04000, "crc32"),
    # cryptography
    (0xFFFFCC00, 0x4E284800, "aes"),
    (0xBFE0FC00, 0x0EE0E000, "pmull"),
    (0xFFE0CC00, 0x5E000000, "sha1"),
    (0xFFFFEC00, 0x5E280800, "sha1"),
    (0xFFE0CC00, 0x5E004000, "sha2"),
    (0xFFFFFC00, 0x5E282800, "sha2"),
    (0xFFE0FC00, 0xCE608C00, "sha3"),  # rax1
    (0xFFE0F000, 0xCE608000, "sha512"),
    (0xFFFFFC00, 0xCEC08000, "sha512"),
    (0xFFC08000, 0xCE000000, "sha3"),  # eor3, bcax
    (0xFFE00000, 0xCE800000, "sha3"),  # xar
    (0xFFE08000, 0xCE400000, "sm3"),
    (0xFFE0C000, 0xCE408000, "sm3"),
    (0xFFE0F800, 0xCE60C000, "sm3"),
    (0xFFFFFC00, 0xCEC08400, "sm4"),
    (0xFFE0FC00, 0xCE60C800, "sm4"),
    # memory: the order of rows matters, acquiring loads lie among the atomics
    (0x3FFFFC00, 0x38BFC000, "lrcpc"),  # ldapr
    (0x3F200C00, 0x19000000, "ilrcpc"),  # ldapur, stlur
    (0x3F200C00, 0x19000400, "mops"),  # memory copy and set
    (0x3F208C00, 0x38200000, "atomics"),  # ldadd and its kin
    (0x3F20FC00, 0x38208000, "atomics"),  # swp
    (0x3FA07C00, 0x08A07C00, "atomics"),  # cas
    (0xBFA07C00, 0x08207C00, "atomics"),  # casp
    (0xFFE0FC00, 0x9AC01000, "mte"),  # irg
    (0xFF200000, 0xD9200000, "mte"),  # stg, ldg and their kin
    (0xFFFFFFE0, 0xD50B7C20, "dcpop"),
    (0xFFFFFFE0, 0xD50B7D20, "dcpodp"),
    # pointer authentication; hints (paciasp) are no-ops where it is absent
    (0xFFFF0000, 0xDAC10000, "paca"),
    (0xFFE0FC00, 0x9AC03000, "pacg"),
    (0xFE9FF800, 0xD61F0800, "paca"),  # braa, blraa, retaa, eretaa
    (0xFF200400, 0xF8200400, "paca"),  # ldraa, ldrab
    # flags and system
    (0xFFFFBC1F, 0x3A00080D, "flagm"),
    (0xFFE07C10, 0xBA000400, "flagm"),
    (0xFFFFF0FF, 0xD500401F, "flagm"),
    (0xFFFFFFFF, 0xD500403F, "flagm2"),
    (0xFFFFFFFF, 0xD500405F, "flagm2"),
    (0xFFFFFFFF, 0xD50330FF, "sb"),
    (0xFFFFFFC0, 0xD5031000, "wfxt"),
    (0xFFFFFFC0, 0xD53B2400, "rng"),
    # scalable vectors and matrices
    (0xFFFFF0FF, 0xD503407F, "sme"),  # smstart, smstop
    (0xFFFFF800, 0x04BF5800, "sme"),  # rdsvl
    (0xFFA0F800, 0x04205800, "sme"),  # addsvl, addspl
    (0x9E000000, 0x80000000, "sme"),
    (0xFF20FC00, 0x45009800, "svei8mm"),
    (0xFFE0FC00, 0x64608000, "svebf16"),
    (0xFFE0FC00, 0x6460E400, "svebf16"),
    (0xFF20F800, 0x44000000, "sve"),  # sdot, udot
    (0xFFA0F800, 0x44A00000, "sve"),
    (0xFE000000, 0x44000000, "sve2"),
    (0x1E000000, 0x04000000, "sve"),
)


def needs_aarch64(word: int) -> tuple[str, ...]:
    """Return the feature that an instruction needs beyond the first ARMv8, if it is in the table.

    Args:
        word: the instruction, 32 bits, as a number.
    """
    for mask, value, feature in ENCODINGS:
        if word & mask == value:
            return (feature,) if feature else ()
    return ()
