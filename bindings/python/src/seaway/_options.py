"""What a call says beside its arrays, as the C API takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seaway._buffers import Array, buffers, common_stream
from seaway._errors import InvalidError
from seaway._library import NULL, ffi, lib
from seaway._transaction import Transaction, handle_of

# One for the way there and back, or one for each.
Codec = str | None | tuple[str | None, str | None]

_ON_LOSS: dict[str, int] = {"resume": lib.SEAWAY_RESUME, "fail": lib.SEAWAY_FAIL}
_CODECS: dict[str | None, int] = {
    None: lib.SEAWAY_CODEC_NONE,
    "bf16": lib.SEAWAY_CODEC_BF16,
    "q8": lib.SEAWAY_CODEC_Q8,
    "q4": lib.SEAWAY_CODEC_Q4,
}
_ROUNDINGS: dict[str, int] = {"nearest": lib.SEAWAY_NEAREST, "stochastic": lib.SEAWAY_STOCHASTIC}


def _new_options() -> Any:
    options = ffi.new("seaway_options *")
    lib.seaway_options_init(options, ffi.sizeof("seaway_options"))
    return options


def make_options(
    tag: int,
    weight: float | None,
    on_loss: str,
    layout: int,
    priority: int,
    timeout: float | None,
    deadline: float | None,
) -> Any:
    """NULL where everything is as it is by default."""
    if (tag, weight, on_loss, layout, priority, timeout, deadline) == (0, None, "resume", 0, 0, None, None):
        return NULL
    options = _new_options()
    for field, value in (
        ("tag", tag),
        ("weight", weight),
        ("layout", layout),
        ("priority", priority),
        ("no_progress", timeout),
        ("deadline", deadline),
    ):
        if value is None:
            continue
        try:
            setattr(options, field, value)
        except (OverflowError, TypeError):
            argument = "timeout" if field == "no_progress" else field
            raise InvalidError(f"{argument} is {value!r}; give a number in its range") from None
    for argument, seconds in (("timeout", timeout), ("deadline", deadline)):
        if seconds is not None and not seconds > 0:
            raise InvalidError(f"{argument} is {seconds!r}; give seconds above 0, or None for no limit")
    options.weighted = weight is not None
    loss = _ON_LOSS.get(on_loss)
    if loss is None:
        raise InvalidError(f"on_loss is {on_loss!r}; give one of {', '.join(_ON_LOSS)}")
    options.on_loss = loss
    return options


def add_quorum(options: Any, quorum: int | None, grace: float) -> Any:
    """The options with how many contributions suffice."""
    if quorum is None and grace == 0:
        return options
    if options == NULL:
        options = _new_options()
    for argument, field, value in (("quorum", "quorum", quorum), ("grace", "grace_s", grace)):
        try:
            setattr(options, field, value)
        except (OverflowError, TypeError):
            raise InvalidError(f"{argument} is {value!r}; give a number in its range") from None
    if not options.quorum > 0:
        raise InvalidError(f"quorum is {quorum!r}; give a number of contributions, 1 or more, or None for everybody's")
    return options


def add_stream(options: Any, pieces: Any, count: int, x: Array | Sequence[Array]) -> Any:
    """The options with the stream on which x, so many buffers, was written, if it is on a device."""
    if count == 0 or pieces[0].device == lib.SEAWAY_HOST:
        return options
    arrays = x if isinstance(x, (list, tuple)) else [x]
    stream = common_stream(((each, pieces + i) for i, each in enumerate(arrays)), "the arrays")
    if stream == NULL:
        return options
    if options == NULL:
        options = _new_options()
    options.stream = stream
    return options


def add_transaction(options: Any, transaction: Transaction | None) -> Any:
    """The options with what the op commits together with."""
    if transaction is None:
        return options
    if options == NULL:
        options = _new_options()
    options.transaction = handle_of(transaction)
    return options


def add_codec(
    options: Any, codec: Codec, has_way_back: bool, rounding: str, residual: Array | None, x: tuple[Any, int]
) -> tuple[Any, Any]:
    """The options with how x, so many buffers, travels; and what has to live as long as the op. With a way back, a codec that
    is no pair is of results as well."""
    if codec is None and residual is None and rounding == "nearest":
        return options, None
    both = codec if isinstance(codec, tuple) else (codec, codec if has_way_back else None)
    if len(both) != 2 or any(not isinstance(one, str | None) or one not in _CODECS for one in both):
        names = ", ".join(repr(name) for name in _CODECS)
        raise InvalidError(f"codec is {codec!r}; give one of {names}, or a pair of them: for contributions and for results")
    if rounding not in _ROUNDINGS:
        raise InvalidError(f"rounding is {rounding!r}; give one of {', '.join(_ROUNDINGS)}")
    if options == NULL:
        options = _new_options()
    options.codec_up, options.codec_down = (_CODECS[one] for one in both)
    options.rounding = _ROUNDINGS[rounding]
    if residual is None:
        return options, None
    piece, pieces, keep = buffers(residual, "residual", True)
    source, count = x
    wanted = sum(source[i].count for i in range(count))
    if pieces != 1 or piece[0].dtype != lib.SEAWAY_F32 or piece[0].count != wanted:
        raise InvalidError(f"residual is not one array of float32 with the {wanted} elements that x has")
    options.residual = ffi.cast("float *", piece[0].data)
    return options, keep
