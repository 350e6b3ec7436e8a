"""The catalogue of faults that a self-test plants: where each acts, which gates must answer, and with what.

Data, and the question which limits of a cell a fault aims at. How a fault is carried out is `harness.agent.plant` (on
the board), `mutation` (files) and `tamper` (records), beside this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.records.outcome import Outcome
from harness.records.trial import Answer, Place
from harness.spec.model import MODELLED, Device, Limit, LimitKind, Tier
from harness.stats.pair import in_pairs

CONTROL, WRONG_KEY = "control", "wrong-key"
CRASH, RUNS = "crash", "runs"
TIMED = ("latency.p", "latency.mean", "throughput", "energy.per_inference~")
"""Metrics that come of the timed loop; `~`: only where the figure is modelled, `!`: only where a sensor gives it."""
COUNTED = ("work.instructions", "energy.per_inference~")
SENSED = ("power.", "energy.per_inference!")
RESIDENT = ("memory.peak", "memory.model")
TOKEN_TIMES = ("llm.ttft", "llm.tpot", "llm.prefill_rate", "llm.decode_rate")
TOKEN_WORK = ("work.prompt_token", "work.new_token")
LIKELIHOOD = ("llm.perplexity", "llm.nll", "llm.bits_per_byte")
DIVERGENCE = ("llm.kl", "llm.same_top")
ANSWERS = ("accuracy.", "parity.")
ANSWERED = ("llm.choice_accuracy", "llm.pass_rate", "llm.format_rate", "llm.refusal_rate", "llm.exact_match")
ABSOLUTE = frozenset({LimitKind.MAX, LimitKind.MIN})
RELATIVE = frozenset({LimitKind.REGRESS})
ANY = frozenset(LimitKind)
TIMING, MEMORY, ACCURACY, ENERGY = "timing", "memory", "accuracy", "energy"
SIZED = frozenset({
    "busy", "busy-count", "busy-time", "busy-load", "busy-first", "slow-load", "slow-first", "ballast", "ballast-peak",
    "ballast-model", "padded-file", "hot-board",
})  # fmt: skip
_DETERMINISTIC, _HARDWARE = frozenset({Tier.DETERMINISTIC}), frozenset({Tier.HARDWARE})
_METERED = frozenset({Tier.HARDWARE, Tier.FUNCTIONAL})
"""Where power may be read: on an emulated board by a simulated meter."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Which gates a fault must move, and to what; `outcome` None: FAIL, or REGRESSION against a baseline."""

    metrics: tuple[str, ...]
    outcome: Outcome | None = None
    words: str = ""
    kinds: frozenset[LimitKind] = ANY
    paired: bool = False
    """Whether only figures that are decided pair by pair are aimed at."""

    def hits(self, limit: Limit, device: Device) -> bool:
        """Tell whether this limit is aimed at on this board."""
        is_meant = limit.kind in self.kinds and (not self.paired or in_pairs(limit.metric, device))
        return is_meant and any(_is_named(limit.metric, name, device) for name in self.metrics)

    def answer(self, limit: Limit) -> Answer:
        """Say what the gate of this limit must answer."""
        usual = Outcome.REGRESSION if limit.kind is LimitKind.REGRESS else Outcome.FAIL
        return Answer(limit.metric, limit.kind.value, self.outcome or usual, self.words)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the catalogue."""

    name: str
    title: str
    place: Place
    aims: tuple[Aim, ...]
    sessions: tuple[str, ...] = ()
    """Kinds of session that carry it; empty: all."""
    tiers: frozenset[Tier] = frozenset(Tier)
    once: bool = False
    """Whether one board is enough: the check is the controller's and knows no board."""
    incident: str = ""
    spoils: bool = False
    """Whether it flags sessions as unfit to decide."""

    @property
    def is_sized(self) -> bool:
        """Whether it is made just large enough for a limit to see it."""
        return self.name in SIZED

    def answers(self, limits: tuple[Limit, ...], device: Device) -> tuple[Answer, ...]:
        """List what the gates of a cell must say."""
        found = [] if device.tier not in self.tiers else [*self._runs(), *self._limits(limits, device)]
        return tuple(found)

    def _runs(self) -> Iterator[Answer]:
        for aim in self.aims:
            if CRASH in aim.metrics:
                yield Answer(CRASH, RUNS, aim.outcome or Outcome.FAIL, aim.words)

    def _limits(self, limits: tuple[Limit, ...], device: Device) -> Iterator[Answer]:
        for limit in limits:
            aim = next((aim for aim in self.aims if aim.hits(limit, device)), None)
            if aim is not None:
                yield aim.answer(limit)


def _is_named(metric: str, name: str, device: Device) -> bool:
    """Match a metric with a prefix; modelled and sensed energy are not moved by the same faults."""
    is_modelled = device.power is not None and device.power.kind == MODELLED
    if name.endswith(("~", "!")):
        return metric == name[:-1] and is_modelled is name.endswith("~")
    return metric.startswith(name)


def _slow(name: str, title: str, metrics: tuple[str, ...], kinds: frozenset[LimitKind]) -> Fault:
    return Fault(name, title, Place.SESSION, (Aim(metrics, kinds=kinds),), (TIMING,))


def _timed(name: str, title: str, outcome: Outcome, words: str, tiers: frozenset[Tier] = frozenset(Tier)) -> Fault:
    aim = Aim(TIMED, outcome, words)
    return Fault(name, title, Place.SESSION, (aim,), (TIMING,), tiers, spoils=name == words)


def _counts(name: str, title: str, outcome: Outcome, words: str, tiers: frozenset[Tier] = frozenset(Tier)) -> Fault:
    return Fault(name, title, Place.SESSION, (Aim(COUNTED, outcome, words),), (TIMING,), tiers)


def _memory(name: str, title: str, outcome: Outcome | None, words: str) -> Fault:
    return Fault(name, title, Place.SESSION, (Aim(RESIDENT, outcome, words),), (MEMORY,))


def _power(name: str, title: str, outcome: Outcome, words: str, incident: str = "") -> Fault:
    return Fault(name, title, Place.SESSION, (Aim(SENSED, outcome, words),), (ENERGY,), _METERED, incident=incident)


def _thermal(name: str, title: str, outcome: Outcome, words: str) -> Fault:
    return Fault(name, title, Place.SESSION, (Aim(("thermal.",), outcome, words),), (TIMING,), _HARDWARE)


def _end(name: str, title: str, outcome: Outcome, words: str, incident: str) -> Fault:
    return Fault(name, title, Place.SESSION, (Aim((CRASH,), outcome, words),), (ACCURACY,), incident=incident)


def _reply(name: str, title: str, words: str, incident: str = "envelope") -> Fault:
    aim = Aim((CRASH,), Outcome.INFRA, words)
    return Fault(name, title, Place.REPLY, (aim,), (ACCURACY,), once=True, incident=incident)


def _board(name: str, title: str, outcome: Outcome, words: str, incident: str = "") -> Fault:
    aim = Aim(TIMED, outcome, words)
    return Fault(name, title, Place.BOARD, (aim,), (TIMING,), _HARDWARE, incident=incident, spoils=name == words)


def _record(name: str, title: str, words: str, metrics: tuple[str, ...] = (CRASH,), **more: Outcome) -> Fault:
    return Fault(name, title, Place.RECORD, (Aim(metrics, more.get("outcome", Outcome.INFRA), words),), once=True)


def _unequal(name: str, title: str, words: str) -> Fault:
    aim = Aim(("latency.p", "latency.mean", "throughput"), Outcome.INCONCLUSIVE, words, RELATIVE, paired=True)
    return Fault(name, title, Place.RECORD, (aim,), tiers=_HARDWARE, once=True)


_INFRA, _DEVICE, _FAIL, _OPEN = Outcome.INFRA, Outcome.DEVICE, Outcome.FAIL, Outcome.INCONCLUSIVE

FAULTS: tuple[Fault, ...] = (
    # What a model may do wrong.
    _slow("busy", "busy work in every inference, a little more than the margin",
          ("latency.p", "latency.mean", "throughput", *COUNTED), RELATIVE),
    _slow("busy-count", "busy work in every inference, until the count passes the limit", COUNTED, ABSOLUTE),
    _slow("busy-time", "busy work in every inference, until its time passes the limit",
          ("latency.p", "latency.mean", "throughput"), ABSOLUTE),
    _slow("slow-load", "loading takes longer than allowed", ("load.time",), ANY),
    _slow("busy-load", "loading takes more instructions than allowed", ("work.load",), ANY),
    _slow("busy-first", "the first inference takes more instructions than allowed", ("work.first",), ANY),
    _slow("slow-first", "the first inference takes longer than allowed", ("latency.first",), ANY),
    Fault("ballast", "memory that the session keeps, a little more than the margin", Place.SESSION,
          (Aim(RESIDENT, kinds=RELATIVE),), (MEMORY,)),
    Fault("ballast-peak", "memory that the session keeps, until its peak passes the limit", Place.SESSION,
          (Aim(("memory.peak",), kinds=ABSOLUTE),), (MEMORY,)),
    Fault("ballast-model", "memory that the session keeps, more than the model may have", Place.SESSION,
          (Aim(("memory.model",), kinds=ABSOLUTE),), (MEMORY,)),
    Fault("flipped-weights", "the sign bit of every second weight of the model file, flipped", Place.FILE,
          (Aim(ANSWERS),)),
    Fault("shuffled-labels", "the labels of the evaluation data in another order", Place.FILE,
          (Aim(("accuracy.",), kinds=frozenset({LimitKind.MIN})),)),
    Fault("shuffled-answers", "answers in another order than the samples", Place.SESSION,
          (Aim(ANSWERS),), (ACCURACY,)),
    Fault("nan-outputs", "an answer that is not a number", Place.SESSION,
          (Aim(ANSWERS, _FAIL, "is NaN or infinite"),), (ACCURACY,)),
    Fault("shuffled-continuations", "scores of a text that belong to the token before", Place.SESSION,
          (Aim(DIVERGENCE),), (ACCURACY,)),
    Fault("unlikely-text", "a language model that does not expect its text", Place.SESSION,
          (Aim(LIKELIHOOD),), (ACCURACY,)),
    Fault("nan-likelihood", "a probability that is not a number", Place.SESSION,
          (Aim((*LIKELIHOOD, "llm.kl"), _FAIL, "no finite probability"),), (ACCURACY,)),
    Fault(WRONG_KEY, "questions with other right answers, and texts that nothing can pass", Place.FILE,
          (Aim(ANSWERED, kinds=frozenset({LimitKind.MIN})),)),
    _slow("slow-tokens", "every token takes ten thousand times as long", TOKEN_TIMES, ANY),
    _slow("more-token-work", "every token takes ten thousand times the instructions", TOKEN_WORK, ANY),
    Fault("grown-cache", "a cache of ten thousand times the size", Place.SESSION, (Aim(("memory.cache",)),), (MEMORY,)),
    Fault("other-platform", "answers that this machine does not get of the same file", Place.SESSION,
          (Aim(("conformance.",)),), (ACCURACY,)),
    Fault("padded-file", "a model file with more bytes than allowed", Place.FILE, (Aim(("storage.size",)),)),
    Fault("hungry", "a thousand times the power", Place.SESSION, (Aim(SENSED),), (ENERGY,), _METERED),
    Fault("hot-board", "a thermal zone above the limit", Place.SESSION, (Aim(("thermal.",)),), (TIMING,), _HARDWARE),
    Fault("torn-file", "a model file that ends in the middle", Place.FILE,
          (Aim((CRASH,), _FAIL, "does not load"),), incident="load"),
    _end("crash", "the process dies of a signal", _FAIL, "the artifact crashed", "crash"),
    _end("no-memory", "the session finds no memory", _FAIL, "ran out of memory", "memory"),
    _end("endless", "a session that does not end", _FAIL, "did not finish in time", "timeout"),
    _end("flaky", "a session that fails once and then works", _OPEN, "once of two times", "flaky"),
    # What is no measurement of this model.
    Fault("stale-file", "other bytes in the board's store under the model's name", Place.SESSION,
          (Aim((CRASH,), _INFRA, "the stored model is"),), (ACCURACY,), incident="integrity"),
    Fault("swapped-file", "the stored model is replaced between its hash and its loading", Place.SESSION,
          (Aim((CRASH,), _INFRA, "was replaced while it was loaded"),), (ACCURACY,), incident="integrity"),
    Fault("changed-file", "the model file is another than the one that was planned", Place.FILE,
          (Aim((CRASH,), _INFRA, "was changed after it was planned"),), once=True, incident="integrity"),
    _timed("dropped-samples", "half of the latencies are missing", _INFRA, "planned latencies"),
    _timed("negative-latency", "a latency below zero", _INFRA, "not positive"),
    _timed("endless-latency", "a latency that is not a number", _INFRA, "latencies holds NaN"),
    _timed("folded-latencies", "latencies in a table", _INFRA, "latencies has shape"),
    _timed("frozen-clock", "all latencies are equal", _INFRA, "are equal", _HARDWARE),
    _timed("other-timed-answer", "the timed calls answer something else", _OPEN, "timed outputs differ"),
    _timed("no-timed-answer", "the timed calls bring no answer", _OPEN, "brought no answer of its timed calls"),
    Fault("other-timed-text", "the timed calls write another text", Place.SESSION,
          (Aim((*TOKEN_TIMES, *TOKEN_WORK), _OPEN, "of the timed tokens differ"),), (TIMING,)),
    Fault("no-timed-text", "the timed calls bring no text", Place.SESSION,
          (Aim((*TOKEN_TIMES, *TOKEN_WORK), _OPEN, "brought no text of its timed calls"),), (TIMING,)),
    _timed("clock-step", "the wall clock is set while times are taken", _OPEN, "clock-step"),
    Fault("no-counter", "a board without a counter", Place.SESSION,
          (Aim((*COUNTED, "work."), _DEVICE, "counts no user instructions"),), (TIMING,)),
    _counts("few-counts", "most of the counts are missing", _INFRA, "counts, lowest"),
    _counts("negative-count", "a count below zero", _INFRA, "counts, lowest"),
    Fault("unrepeatable-count", "every session counts other work", Place.SESSION,
          (Aim(("work.instructions",), _INFRA, "did not repeat its count"),), (TIMING,), _DETERMINISTIC),
    _memory("no-memory-figure", "the peak of memory is missing", _OPEN, "brought no "),
    _memory("zero-memory", "a peak of nothing", _INFRA, "implausible"),
    _memory("swapped-out", "the session was swapped out", _OPEN, "swapped"),
    Fault("dropped-outputs", "an answer too few", Place.SESSION,
          (Aim(("accuracy.",), _INFRA, "answers for"), Aim(("parity.",), _OPEN, "they do not compare")), (ACCURACY,)),
    Fault("no-outputs", "no answers at all", Place.SESSION, (Aim(ANSWERS, _OPEN, "no output_"),), (ACCURACY,)),
    # Sensors.
    _power("power-of-zeros", "a power trace of zeros", _OPEN, "frozen sensor"),
    _power("absent-sensor", "the power sensor is not there", _DEVICE, "no power sensor", "sensor"),
    _power("no-power", "the power sensor says nothing", _DEVICE, "the power sensor is absent"),
    _power("dying-sensor", "the power sensor fails in the middle", _OPEN, "were no number"),
    _power("stuttering-sensor", "two of three readings repeat the one before", _OPEN, "repeat the one before"),
    _power("wrong-sign", "power below zero", _OPEN, "negative power"),
    _power("power-gap", "a fifth of the window without samples", _OPEN, "a gap of"),
    _power("sparse-power", "some 60 samples in all", _OPEN, "samples in the window"),
    _power("uncovered-window", "a window that ends after the last sample", _OPEN, "not covered by samples"),
    _power("backward-time", "the sensor's time runs backwards", _INFRA, "do not increase"),
    _power("drifting-idle", "twice the idle power after the load", _OPEN, "idle power drifted"),
    _power("restless-idle", "twice the idle power for half of the rest before the load", _OPEN, "is not stable"),
    _power("late-sampler", "a sampler that had no time", _OPEN, "samples were late"),
    _power("rival-sensor", "volts times amperes are not the power", _OPEN, "times its power"),
    _power("few-inferences", "three inferences in the window", _OPEN, "inferences in the window"),
    _thermal("absurd-temperature", "a thermal zone of 999 °C", _DEVICE, "shows no temperature"),
    _thermal("lying-thermometer", "a session that claims 999 °C", _DEVICE, "a temperature of"),
    _thermal("lost-thermometer", "one session without a temperature", _DEVICE, "brought no temperature"),
    _board("throttled", "the board throttles", _OPEN, "throttled"),
    _board("governor-changed", "the frequency governor is changed", _OPEN, "governor-changed"),
    _board("frequency-changed", "the clock frequency falls by half", _OPEN, "frequency-changed"),
    _board("restarted", "the board was started anew", _DEVICE, "was started anew", "reboot"),
    # What the board sends.
    _reply("wrong-nonce", "an answer to another request", "it answers another request"),
    _reply("no-end", "an answer without its end mark", "its end mark is missing"),
    _reply("flipped-bit", "one bit of the figures flipped on the way", "another hash than it says", "integrity"),
    _reply("torn-result", "the second half of the figures is missing", "lies outside the payload"),
    _reply("other-model", "the runtime opened another file", "opened another file", "integrity"),
    _reply("silent-failure", "a session that failed without a reason", "no reason"),
    _reply("endless-number", "a core number beyond all bounds", "beyond all bounds"),
    _reply("endless-figure", "a figure that is not a number", "is not finite"),
    _reply("wordy-number", "a word where a number must stand", "wait_status: "),
    _reply("nameless-error", "a failure without a code", "its error has no code"),
    _reply("stray-array", "an array with the name of a path", "is not a name of an array"),
    _reply("unknown-type", "an array of an unknown type", "has the type"),
    _reply("other-shape", "an array that its bytes do not fill", "do not hold the shape"),
    _reply("odd-shape", "an array with a negative size", "has the shape"),
    _reply("many-arrays", "more arrays than any session has", "arrays are more than"),
    _reply("doubled-array", "an array that stands twice", "stands twice"),
    # What the controller wrote down.
    _record("record-other-model", "a session of another model file", "the board opened model"),
    _record("record-other-runtime", "a session of another runtime", "ran with runtime"),
    _record("record-other-build", "a session of another build of the runtime", "ran with build"),
    _record("record-other-threads", "a session with more threads", "ran with threads"),
    _record("record-doubled", "a session that stands twice", "a session stands twice"),
    _record("record-mixed", "sessions of two versions of the runtime", "different runtimes", RESIDENT),
    _record("record-planted", "a session with a fault that nobody planned", "was planted with"),
    _record("record-lost", "a cell of which no session came back", "no session of the candidate came back",
            outcome=Outcome.NOT_RUN),
    Fault("record-unlike-pair", "a baseline that ran on other cores", Place.RECORD,
          (Aim(RESIDENT, _OPEN, "ran differently", RELATIVE),), once=True),
    Fault("record-broken-pair", "a baseline session is missing", Place.RECORD,
          (Aim(RESIDENT, _OPEN, "pairs broken", RELATIVE),), once=True),
    _unequal("record-control-moved", "other work beside one arm of every pair", "the control work changed by"),
    _unequal("record-warm-arm", "one arm of every pair starts on a warm board", "the arms started at"),
    Fault("record-no-reference", "the reference's answers are missing", Place.RECORD,
          (Aim(("accuracy.",), _OPEN, "of the reference", frozenset({LimitKind.DROP})),
           Aim(("parity.",), _OPEN, "of the reference")), once=True),
)  # fmt: skip
"""In the order in which a reader should meet them."""
