"""The state of a `ContinualClassifier` as bytes, and back: a stream that was cut off goes on bit for bit."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.continual.stream.encoding import Encoding, ReachingEncoder
from bimetal.continual.stream.labels import Labels
from bimetal.continual.stream.online import OnlineNet
from bimetal.continual.stream.options import OnlineOptions, StreamOptions
from bimetal.continual.stream.pending import Pending
from bimetal.continual.stream.streaming import StreamModel
from bimetal.continual.stream.tensors import dumps, loads
from bimetal.continual.stream.waiting import FirstRow
from bimetal.encoders import ENCODERS, Encoder
from bimetal.errors import BimetalError, CheckpointError, DataError
from bimetal.program import Encode
from bimetal.strict_json import parse_object

__all__ = ["dump_state", "load_state"]

VERSION = 1
KNOWN: tuple[type[Encoder], ...] = (*ENCODERS, ReachingEncoder)
ENCODER_CLASSES = {kind.__name__: kind for kind in KNOWN}
OP_ARRAYS = ("column", "kind", "value", "special_column", "special_value")


def dump_state(params: Mapping[str, Any], stream: StreamModel) -> bytes:
    """Return parameters and stream as bytes.

    Raises
    ------
    DataError
        When the encoder is of an unknown class and not fitted yet.
    """
    columns, encoding = stream.columns, stream.columns.encoding
    encoder = None if params["encoder"] is None else _spec_of(params["encoder"])
    if encoder is None and params["encoder"] is not None and encoding is None:
        raise DataError(
            f"the encoder {type(params['encoder']).__name__} is not of bimetal.encoders, so a state cannot "
            "tell of it before it is fitted; fit it on history first"
        )
    options = stream.options
    text = {
        "version": VERSION,
        "params": _plain_params(params) | {"encoder": encoder},
        "net_options": asdict(options.net),
        "warm_up": options.warm_up,
        "class_weight": _pairs(options.class_weight),
        "are_columns_fixed": options.are_columns_fixed,
        "names": columns.names,
        "are_named": columns.are_named,
        "pending": columns.pending.values,
        "columns": None if encoding is None else [c.spec() for c in encoding.columns],
        "labels": stream.labels.known,
        "first": [[row.values, row.code, row.weight] for row in stream.first],
        "n_updates": stream.n_updates,
        "n_classes": 0 if stream.net is None else stream.net.n_classes,
    }
    return dumps(json.dumps(text, allow_nan=False, default=_as_plain), _arrays(stream))


def _arrays(stream: StreamModel) -> dict[str, NDArray[Any]]:
    encoding = stream.columns.encoding
    arrays: dict[str, NDArray[Any]] = {"counts": np.array(stream.labels.counts, np.float64)}
    if encoding is not None:
        arrays |= {f"encode.{name}": array for name, array in encoding.op.arrays().items()}
        rows, codes, weights = stream.queue.rows(len(encoding.columns))
        arrays |= {
            "queue.rows": rows,
            "queue.codes": codes.astype(np.int64),
            "queue.weights": weights,
        }
    if stream.net is not None:
        arrays |= {f"net.{name}": array for name, array in stream.net.tensors().items()}
    return arrays


def load_state(data: bytes) -> tuple[dict[str, Any], StreamModel]:
    """Return parameters and stream: the inverse of `dump_state`. A digest guards both.

    Raises
    ------
    CheckpointError
        When the bytes are damaged or of another version.
    """
    raw, arrays = loads(data)
    try:
        text = parse_object(raw.encode(), "the state")
        if text.get("version") != VERSION:
            raise CheckpointError(
                f"a state of version {VERSION} expected, got {text.get('version')!r}"
            )
        return _params(text["params"]), _stream(text, arrays)
    except CheckpointError:
        raise
    except (BimetalError, KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise CheckpointError(
            f"the parts of the state do not fit each other ({error!r:.200}); take an undamaged copy"
        ) from None


def _stream(text: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> StreamModel:
    net = text["net_options"]
    options = StreamOptions(
        OnlineOptions(**net | {"hidden": tuple(net["hidden"])}),
        text["warm_up"],
        _unpaired(text["class_weight"]),
        text["are_columns_fixed"],
    )
    stream = StreamModel(options, _encoder_of(text["params"]["encoder"]) or ReachingEncoder())
    stream.labels = Labels(text["labels"], arrays["counts"].tolist())
    stream.n_updates = text["n_updates"]
    stream.first = [FirstRow(dict(values), code, weight) for values, code, weight in text["first"]]
    columns = stream.columns
    columns.names, columns.are_named = list(text["names"]), text["are_named"]
    columns.pending = Pending(options.warm_up, text["pending"])
    if text["columns"] is not None:
        op = Encode(**{name: arrays[f"encode.{name}"] for name in OP_ARRAYS})
        columns.use(Encoding(tuple(Column.from_spec(spec) for spec in text["columns"]), op))
        rows = arrays["queue.rows"]
        if len(rows):
            codes, weights = arrays["queue.codes"].tolist(), arrays["queue.weights"].tolist()
            stream.queue.add(rows, codes, weights)
        if text["n_classes"]:
            stream.net = OnlineNet(options.net, len(op.column), text["n_classes"])
            stream.net.load({n[4:]: a for n, a in arrays.items() if n.startswith("net.")})
    return stream


def _plain_params(params: Mapping[str, Any]) -> dict[str, Any]:
    seed = params["random_state"]
    return dict(params) | {
        "hidden": list(params["hidden"]),
        "class_weight": _pairs(params["class_weight"]),
        "random_state": int(seed) if isinstance(seed, int | np.integer) else None,
    }


def _params(plain: Mapping[str, Any]) -> dict[str, Any]:
    return dict(plain) | {
        "hidden": tuple(plain["hidden"]),
        "class_weight": _unpaired(plain["class_weight"]),
        "encoder": _encoder_of(plain["encoder"]),
    }


def _pairs(class_weight: Any) -> Any:
    """Return a mapping as pairs: the keys of JSON are text, those of classes may be numbers."""
    return (
        [[k, v] for k, v in class_weight.items()]
        if isinstance(class_weight, Mapping)
        else class_weight
    )


def _unpaired(pairs: Any) -> Any:
    return {k: v for k, v in pairs} if isinstance(pairs, list) else pairs


def _spec_of(encoder: Encoder) -> dict[str, Any] | None:
    """Return an encoder of ours as JSON values, its parameters alone; None for another."""
    name = type(encoder).__name__
    if ENCODER_CLASSES.get(name) is not type(encoder):
        return None
    params = json.loads(json.dumps(encoder.get_params(), default=_as_plain))
    return {"class": name, "params": params}


def _as_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else list(value)


def _encoder_of(spec: Mapping[str, Any] | None) -> Encoder | None:
    if spec is None:
        return None
    return ENCODER_CLASSES[spec["class"]](**spec["params"])
