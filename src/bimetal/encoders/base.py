"""Encoder: what all encoders share. A member only says where the cut-points come from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column, to_rows
from bimetal.columns.column import listed
from bimetal.encoders.bits import Bit, bits_of, to_op
from bimetal.encoders.evaluate import evaluate
from bimetal.encoders.training import Training, keep_frequent, read_training
from bimetal.errors import DataError, MissingValueError
from bimetal.program import Encode
from bimetal.wording import bit_names

__all__ = ["Encoder"]


@dataclass(kw_only=True, eq=False)
class Encoder(ABC):
    """Turn a table into bits, in the manners of a scikit-learn transformer.

    Parameters
    ----------
    max_bits_per_column : int
        At most this many cut-points for one number.
    special_codes : mapping of str to sequence of float, optional
        Numbers that mean something else (−9 = "no bureau record"), by column. A code that occurs
        in training gets a bit; thermometers treat every code listed as missing.
    categorical : sequence of str, optional
        Columns of whole numbers that are categories.
    ordinal : mapping of str to sequence, optional
        Categories in order, by column; they get a thermometer instead of one bit each.
    max_categories : int
        At most this many categories of a column get a bit, the heaviest. The rest shares one bit,
        'other', with categories never seen. (In an array of numbers, whose codes are given, the
        rest gets no bit.)
    min_category_count : int
        A category gets a bit if at least this many rows have it.
    missing : {"auto", "always", "error"}
        Which columns get a bit for missing values: those with one in training, all, or none, so
        that a missing value in training is an error.

    Attributes
    ----------
    columns_ : tuple of Column
        The columns of the raw row.
    op_ : Encode
        The encoding, as the first operation of a Program.
    n_bits_ : int
        How many bits a row becomes.
    bit_names_ : tuple of str
        What each bit says: "age >= 30.5", "housing == own", "income is missing".
    """

    max_bits_per_column: int = 16
    special_codes: Mapping[str, Sequence[float]] | None = None
    categorical: Sequence[str] | None = None
    ordinal: Mapping[str, Sequence[str | int]] | None = None
    max_categories: int = 32
    min_category_count: int = 1
    missing: Literal["auto", "always", "error"] = "auto"

    columns_: tuple[Column, ...] = field(init=False, repr=False)
    op_: Encode = field(init=False, repr=False)
    n_bits_: int = field(init=False, repr=False)
    bit_names_: tuple[str, ...] = field(init=False, repr=False)

    @abstractmethod
    def _cut_points(self, training: Training) -> dict[int, NDArray[np.float32]]:
        """Return ascending, distinct cut-points for columns of `training.thermometers`."""

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn the encoding of a table.

        Parameters
        ----------
        X : frame or array
            As for `bimetal.columns.to_rows`.
        y : array_like of shape (n_rows,), optional
            The target; encoders that do not look at it ignore it.
        sample_weight : array_like of shape (n_rows,), optional
            How much each row counts.

        Raises
        ------
        DataError
            When a column holds nothing, no bit can be made, or an option does not fit the table.
        ColumnError
            When an option names a column that is not there, or a column has an unusable type.
        NotFiniteError
            When a number is infinite.
        MissingValueError
            When a value is missing and `missing` is "error".
        """
        return self.learn(self.read(X, y, sample_weight))

    def read(self, X: Any, y: Any = None, sample_weight: Any = None) -> Training:
        """Read a table as `fit` does, without learning cut-points from it."""
        self._check_options()
        training = read_training(
            X,
            y,
            sample_weight,
            categorical=self.categorical,
            ordinal=self.ordinal,
            special_codes=self.special_codes,
        )
        return keep_frequent(training, self.max_categories, self.min_category_count)

    def learn(self, training: Training) -> Self:
        """Learn the encoding of rows that `read` returned, or of some of them (`Training.take`)."""
        bits = bits_of(training, self._cut_points(training), self._missing_bits(training))
        self._set(training, bits)
        return self

    def transform(self, X: Any) -> NDArray[np.bool_]:
        """Return the bits of a table: bool array of shape (n_rows, n_bits).

        Raises
        ------
        DataError
            When the encoder is not fitted, or the table does not fit its columns.
        """
        self._require_fitted()
        return evaluate(self.op_, to_rows(X, self.columns_))

    def transform_rows(self, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return the bits of raw rows, float32 of shape (n_rows, n_columns)."""
        self._require_fitted()
        return evaluate(self.op_, to_rows(rows, self.columns_))

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.bool_]:
        """Learn the encoding of a table and return its bits."""
        return self.fit(X, y, sample_weight).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return `bit_names_` as an array, as scikit-learn asks."""
        self._require_fitted()
        return np.array(self.bit_names_, dtype=object)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name.

        Raises
        ------
        DataError
            When there is no such parameter.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise DataError(
                    f"{type(self).__name__} has no parameter '{name}'; it has {sorted(known)}"
                )
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what this is; called by scikit-learn only."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
            input_tags=InputTags(string=True, categorical=True, allow_nan=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn whether `fit` was called."""
        return hasattr(self, "op_")

    def _require_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise DataError(f"this {type(self).__name__} is not fitted; call fit first")

    def _check_options(self) -> None:
        for name in ("max_bits_per_column", "max_categories", "min_category_count"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < 1:
                raise DataError(f"{name} must be a whole number of at least 1, got {value!r}")
        if self.missing not in ("auto", "always", "error"):
            raise DataError(f"missing must be 'auto', 'always' or 'error', got {self.missing!r}")

    def _missing_bits(self, training: Training) -> NDArray[np.bool_]:
        is_missing: NDArray[np.bool_] = np.asarray(np.isnan(training.rows).any(axis=0))
        if self.missing == "always":
            return np.ones_like(is_missing)
        if self.missing == "error" and is_missing.any():
            names = [training.columns[int(j)].name for j in np.flatnonzero(is_missing)]
            raise MissingValueError(
                f"missing='error' allows no missing value, but {listed(names)} have some; "
                "fill them, or use missing='auto'"
            )
        return is_missing

    def _set(self, training: Training, bits: Sequence[Bit]) -> None:
        self.op_ = to_op(bits, training.specials)
        self.columns_ = training.columns
        self.n_bits_ = len(bits)
        self.bit_names_ = bit_names(training.columns, self.op_)
