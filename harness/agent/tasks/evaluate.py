"""The accuracy session: every sample of the data once, all outputs back as float. What they mean is not known here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.agent.frame import MAX_PAYLOAD

if TYPE_CHECKING:
    from harness.agent.runtimes import Array
    from harness.agent.session import Session


def run(session: Session) -> None:
    """Run the evaluation set.

    Arrays: output_0, output_1, … float32 (n, …), dequantised. Scalars: sample_count, batch_size. Settings:
    output_types, what the runtime itself returned (`int8, float32`).
    """
    model = session.load()
    specs = model.inputs()
    samples = session.read_samples(specs)
    fixed = samples.fixed_batch(specs)
    size = fixed or session.request.batch
    session.enter("run")
    parts: list[list[Array]] = []
    kept = 0
    for start in range(0, samples.count, size):
        wanted = min(size, samples.count - start)
        given = fixed or wanted
        raw = model.bind(samples.take(specs, start, given))()
        outputs = model.outputs(raw)
        rows = [_rows(output, given)[:wanted] for output in outputs]
        kept += sum(row.nbytes for row in rows)
        if kept > MAX_PAYLOAD:
            raise ValueError(f"the outputs of {samples.count} samples are longer than {MAX_PAYLOAD >> 20} MiB")
        parts.append(rows)
    session.settings["output_types"] = ", ".join(str(array.dtype) for array in raw)
    for k in range(len(parts[0])):
        session.arrays[f"output_{k}"] = np.concatenate([rows[k] for rows in parts])
    session.scalars.update(sample_count=float(samples.count), batch_size=float(size))


def _rows(output: Array, count: int) -> Array:
    """Return an output with one row per sample; an output without that axis belongs to the only sample."""
    if output.ndim and len(output) == count:
        return output
    if count == 1:
        return output[None]
    raise ValueError(f"an output of shape {output.shape} does not have one row for each of {count} samples")
