"""Data sets come whole, without leaks, from where they say; the simulated one knows its truth."""

import hashlib
import io
import os
import socket
import sys
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from bimetal import datasets
from bimetal.datasets.catalog import SOURCES, Download, Source
from bimetal.datasets.files import FOLDER_VARIABLE, content_sha256, parse
from bimetal.datasets.preparation import bank_marketing
from bimetal.encoders import QuantileEncoder
from bimetal.errors import ColumnError, DataError, MissingExtraError

FOLDER = os.environ.get(FOLDER_VARIABLE, "")
BY_NAME = {source.name: source for source in SOURCES}

# rows, columns of X, mean of y: as the publishers state them, less what is dropped
SHAPES = {
    "german_credit": (1000, 20, 0.300),
    "south_german_credit": (1000, 20, 0.300),
    "australian_credit": (690, 14, 0.445),
    "credit_approval_crx": (690, 15, 0.445),
    "taiwan_default": (30_000, 23, 0.2212),
    "give_me_some_credit": (150_000, 10, 0.0668),
    "hmeq": (5960, 12, 0.1995),
    "lendingclub_2018": (31_766, 47, 0.2544),
    "openintro_loans": (10_000, 43, 12.43),
    "sba_case_california": (2101, 15, 0.3265),
    "bank_marketing": (45_211, 15, 0.1170),
    "polish_bankruptcy_1year": (7027, 64, 0.0386),
}
LEAKS = {
    "taiwan_default": ["ID"],
    "lendingclub_2018": ["issue_d", "emp_title", "id"],
    "openintro_loans": ["grade", "sub_grade", "installment", "paid_total", "balance"],
    "sba_case_california": ["Term", "daysterm", "xx", "MIS_Status", "ChgOffDate", "Recession"],
    "bank_marketing": ["duration"],
}


# --- the real tables -------------------------------------------------------------------------


def here(name: str) -> datasets.Dataset:
    if not (Path(FOLDER) / name / f"{name}.parquet").is_file() or not FOLDER:
        pytest.skip(f"{name} is not in the folder {FOLDER_VARIABLE} names")
    return datasets.load(name)


def test_every_data_set_is_named_once() -> None:
    assert len(set(datasets.names())) == len(datasets.names()) == len(SHAPES)
    assert set(datasets.names()) == set(SHAPES)


@pytest.mark.parametrize("name", datasets.names())
def test_a_data_set_has_the_published_shape_and_rate_and_no_leak(name: str) -> None:
    loaded = here(name)
    n_rows, n_columns, mean = SHAPES[name]
    assert loaded.X.shape == (n_rows, n_columns)
    assert loaded.y.shape == (n_rows,)
    assert loaded.y.mean() == pytest.approx(mean, abs=0.005)
    assert not {loaded.target, *LEAKS.get(name, [])} & set(loaded.X.columns)
    assert {*loaded.categorical, *loaded.special_codes} <= set(loaded.X.columns)
    assert loaded.origin == "folder"
    assert loaded.y.dtype == (np.float64 if loaded.task == "regression" else np.int64)


@pytest.mark.parametrize("name", [n for n in datasets.names() if SHAPES[n][0] < 10_000])
def test_a_data_set_can_be_encoded(name: str) -> None:
    loaded = here(name)
    encoder = QuantileEncoder(
        max_bits_per_column=4, categorical=loaded.categorical, special_codes=loaded.special_codes
    )
    assert encoder.fit_transform(loaded.X).any(axis=0).all()


def test_lendingclub_is_split_in_time() -> None:
    loaded = here("lendingclub_2018")
    assert loaded.time is not None
    assert loaded.split is not None
    last = loaded.time[loaded.split == "train"].max()
    assert last < loaded.time[loaded.split == "test"].min() == np.datetime64("2018-07-01")
    assert loaded.X["term"].isin([36, 60]).all()
    assert loaded.X["emp_length"].max() == 10


def test_the_sba_case_keeps_the_split_of_its_article() -> None:
    loaded = here("sba_case_california")
    assert loaded.split is not None
    assert (loaded.split == "train").sum() == 1051
    assert loaded.time is not None
    assert loaded.time.min() > np.datetime64("1985-01-01")


def test_every_backend_holds_the_same_table() -> None:
    here("german_credit")
    frame = datasets.load("german_credit").X
    polars = datasets.load("german_credit", backend="polars").X
    arrow = datasets.load("german_credit", backend="pyarrow").X
    assert isinstance(polars, pl.DataFrame)
    assert isinstance(arrow, pa.Table)
    assert polars.to_dict(as_series=False) == arrow.to_pydict() == frame.to_dict("list")


def test_the_checksum_of_a_table_is_the_one_in_the_catalogue() -> None:
    here("hmeq")
    table = pd.read_parquet(Path(FOLDER) / "hmeq" / "hmeq.parquet")
    download = BY_NAME["hmeq"].download
    assert download is not None
    assert content_sha256(table) == download.content_sha256


# --- folder, download, neither ---------------------------------------------------------------


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the folder and the network."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError("no network in this test")

    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(socket.socket, "connect", refuse)


HMEQ = pd.DataFrame({"BAD": [1, 0, 1], "LOAN": [1100, 1300, 1500], "JOB": ["Other", None, "Mgr"]})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_folder_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nowhere: None, suffix: str
) -> None:
    (tmp_path / "hmeq").mkdir()
    path = tmp_path / "hmeq" / f"hmeq.{suffix}"
    HMEQ.to_csv(path, index=False) if suffix == "csv" else HMEQ.to_parquet(path)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    loaded = datasets.load("hmeq")
    assert loaded.origin == "folder"
    assert loaded.y.tolist() == [1, 0, 1]
    assert loaded.X.columns.tolist() == ["LOAN", "JOB"]


def test_a_broken_file_in_the_folder_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hmeq").mkdir()
    (tmp_path / "hmeq" / "hmeq.parquet").write_bytes(b"not parquet")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match="cannot be read as a table"):
        datasets.load("hmeq")


def test_a_table_without_its_target_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hmeq").mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    HMEQ.drop(columns="BAD").to_csv(tmp_path / "hmeq" / "hmeq.csv", index=False)
    with pytest.raises(ColumnError, match="should have a column 'BAD'"):
        datasets.load("hmeq")
    HMEQ.assign(BAD=[1, None, 0]).to_csv(tmp_path / "hmeq" / "hmeq.csv", index=False)
    with pytest.raises(DataError, match="'BAD' has missing values"):
        datasets.load("hmeq")


def publish(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, raw: bytes, **new: Any
) -> None:
    """Let pooch find `raw` where the publisher's file should be, and expect these checksums."""
    import pooch

    path = tmp_path / "published" / "file.bin"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(raw)
    source = BY_NAME[name]
    assert source.download is not None
    wanted = Download(**{**vars(source.download), **new})
    changed = tuple(
        Source(**{**vars(s), "download": wanted}) if s is source else s for s in SOURCES
    )
    monkeypatch.setattr(datasets.loading, "SOURCES", changed)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path / "cache")

    def copy(url: str, output_file: str, pooch: Any) -> None:
        assert url == wanted.url
        Path(output_file).write_bytes(path.read_bytes())

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda *_, **__: copy)


def zipped(member: str, text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(member, text)
    return stream.getvalue()


GERMAN_ROWS = (
    "A11 6 A34 A43 1169 A65 A75 4 A93 A101 4 A121 67 A143 A152 2 A173 1 A192 A201 1 \n"
    "A12 48 A32 A43 5951 A61 A73 2 A92 A101 2 A121 22 A143 A152 1 A173 1 A191 A201 2 \n"
)


def test_a_download_is_checked_cached_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nowhere: None
) -> None:
    raw = zipped("german.data", GERMAN_ROWS)
    publish(monkeypatch, tmp_path, "german_credit", raw, sha256=hashlib.sha256(raw).hexdigest())
    loaded = datasets.load("german_credit")
    assert loaded.origin == "download"
    assert loaded.y.tolist() == [0, 1]
    assert loaded.X["credit_amount"].tolist() == [1169, 5951]
    (tmp_path / "published" / "file.bin").unlink()
    assert datasets.load("german_credit").X.equals(loaded.X), "the second time it is cached"


def test_a_wrong_checksum_is_an_error_and_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nowhere: None
) -> None:
    kept = tmp_path / "cache" / "german_credit" / "statlog_german_credit_data.zip"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"what was there")
    publish(monkeypatch, tmp_path, "german_credit", zipped("german.data", "forged"))
    with pytest.raises(DataError, match=r"SHA256 hash .* does not match") as error:
        datasets.load("german_credit")
    assert "nothing was deleted" in str(error.value)
    assert kept.read_bytes() == b"what was there"


def test_a_wrong_checksum_of_the_table_is_an_error_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nowhere: None
) -> None:
    raw = HMEQ.to_csv(index=False).encode()
    publish(monkeypatch, tmp_path, "hmeq", raw)
    with pytest.raises(DataError, match=r"differs from the one expected.*nothing was deleted"):
        datasets.load("hmeq")
    assert (tmp_path / "cache" / "hmeq" / "hmeq.csv").read_bytes() == raw
    publish(monkeypatch, tmp_path, "hmeq", raw, content_sha256=content_sha256(HMEQ))
    assert datasets.load("hmeq").origin == "download"


def test_without_a_file_the_error_says_how_to_get_one(nowhere: None) -> None:
    with pytest.raises(DataError, match="offline=True forbids") as error:
        datasets.load("german_credit", offline=True)
    assert "https://archive.ics.uci.edu/dataset/144" in str(error.value)
    assert "german_credit/german_credit.csv" in str(error.value)
    assert FOLDER_VARIABLE in str(error.value)
    with pytest.raises(DataError, match=r"no direct download.*kaggle\.com/c/GiveMeSomeCredit"):
        datasets.load("give_me_some_credit")


def test_an_unreachable_publisher_is_an_error(
    nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    def unreachable(*_: Any, **__: Any) -> NoReturn:
        raise OSError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", unreachable)
    with pytest.raises(DataError, match=r"could not be had: no route to host.*To use it, get it"):
        datasets.load("german_credit")


def test_without_pooch_the_extra_is_named(nowhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"bimetal\[data\]"):
        datasets.load("german_credit")


def test_a_simulated_table_takes_the_place_aloud(nowhere: None) -> None:
    with pytest.warns(UserWarning, match="SIMULATED portfolio takes the place of german_credit"):
        loaded = datasets.load_or_simulate("german_credit", offline=True, backend="polars")
    assert loaded.origin == "simulated"
    assert isinstance(loaded.X, pl.DataFrame)


def test_an_unknown_name_is_refused_with_the_nearest(nowhere: None) -> None:
    for load in (datasets.load, datasets.load_or_simulate):
        with pytest.raises(DataError, match=r"'german'.*Did you mean 'german_credit'"):
            load("german")


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(DataError, match="'pandas', 'polars' or 'pyarrow', got 'dask'"):
        datasets.dataset.as_backend(HMEQ, "dask")


# --- the publishers' formats, by a few lines of each -----------------------------------------

RATIOS = ",".join(["0.5"] * 63)
RAW = {
    "south_german_credit": (
        "laufkont laufzeit moral verw hoehe sparkont beszeit rate famges buerge wohnzeit verm "
        "alter weitkred wohn bishkred beruf pers telef gastarb kredit\n"
        "1 18 4 2 1049 1 2 4 2 1 4 2 21 3 1 1 3 2 1 2 1\n",
        {"status": 1, "amount": 1049, "credit_risk": 1},
    ),
    "australian_credit": (
        "1 22.08 11.46 2 4 4 1.585 0 0 0 1 2 100 1213 0\n",
        {"A2": 22.08, "A14": 1213, "class": 0},
    ),
    "credit_approval_crx": (
        "b,30.83,0,u,g,w,v,1.25,t,t,01,f,g,00202,0,+\nb,?,0,u,g,w,v,1.25,t,t,01,f,g,?,0,-\n",
        {"A2": 30.83, "A11": 1, "A14": 202, "A16": "+"},
    ),
    "bank_marketing": (
        '"age";"job";"month";"y"\n58;"management";"may";"no"\n',
        {"age": 58, "job": "management", "y": "no"},
    ),
    "polish_bankruptcy_1year": (
        f"@relation x\r\n@attribute Attr1 numeric\r\n@data\r\n?,{RATIOS},0\r\n0.1,{RATIOS},1\r\n",
        {"Attr64": 0.5, "class": 0},
    ),
}


@pytest.mark.parametrize("name", RAW)
def test_the_publishers_format_is_read(name: str) -> None:
    text, expected = RAW[name]
    download = BY_NAME[name].download
    assert download is not None
    table = parse(zipped(download.member, text), download)
    assert {key: table[key][0] for key in expected} == expected
    assert BY_NAME[name].target in table.columns


def test_an_excel_file_is_read_from_its_second_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_excel(stream: io.BytesIO, **options: Any) -> pd.DataFrame:
        assert options == {"engine": "calamine", "header": 1}
        return pd.DataFrame({stream.read().decode(): [1], "default payment next month": [0]})

    download = BY_NAME["taiwan_default"].download
    assert download is not None
    monkeypatch.setattr(pd, "read_excel", read_excel)
    table = parse(zipped(download.member, "LIMIT_BAL"), download)
    assert table.columns.tolist() == ["LIMIT_BAL", "default.payment.next.month"]


def test_an_excel_file_without_its_reader_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    download = BY_NAME["taiwan_default"].download
    assert download is not None
    with pytest.raises(MissingExtraError, match="python-calamine"):
        parse(zipped(download.member, "LIMIT_BAL"), download)


def test_a_damaged_publication_is_an_error() -> None:
    for name, raw, message in (
        ("german_credit", b"no zip", "a zip archive with 'german.data' expected"),
        ("german_credit", zipped("other.txt", ""), "german.data"),
        ("polish_bankruptcy_1year", zipped("1year.arff", "nothing"), "@data line expected"),
    ):
        download = BY_NAME[name].download
        assert download is not None
        with pytest.raises(DataError, match=message):
            parse(raw, download)


def test_the_year_of_a_call_is_reckoned_from_the_order_of_rows() -> None:
    months = pd.DataFrame({"month": ["may", "dec", "jan", "jan", "nov", "feb"]})
    time = bank_marketing(months).time
    assert time is not None
    assert [str(t)[:7] for t in time] == [
        "2008-05",
        "2008-12",
        "2009-01",
        "2009-01",
        "2009-11",
        "2010-02",
    ]


def test_the_checksum_of_a_table_sees_every_value_and_no_type() -> None:
    table = pd.DataFrame({"x": [1, 2], "y": ["a", None]})
    same = pd.DataFrame({"x": [1.0, 2.0], "y": pd.Categorical(["a", None])})
    assert content_sha256(table) == content_sha256(same)
    for other in (table.assign(x=[1, 3]), table.rename(columns={"x": "z"}), table[["y", "x"]]):
        assert content_sha256(other) != content_sha256(table)


# --- the simulated portfolio -----------------------------------------------------------------


def test_the_same_seed_gives_the_same_portfolio() -> None:
    one, two = datasets.simulate_credit(500), datasets.simulate_credit(500)
    other = datasets.simulate_credit(500, random_state=1)
    assert one.X.equals(two.X)
    assert (one.y == two.y).all()
    assert not one.X.equals(other.X)


def test_the_true_probability_is_calibrated_and_ranks_better_than_a_logistic_model() -> None:
    portfolio = datasets.simulate_credit()
    truth = portfolio.default_probability
    assert truth is not None
    assert truth.mean() == pytest.approx(0.12, abs=1e-6)
    for low, high in zip([0, 0.05, 0.1, 0.2, 0.4], [0.05, 0.1, 0.2, 0.4, 1], strict=True):
        band = (truth >= low) & (truth < high)
        error = 4 * np.sqrt(truth[band].mean() / band.sum())
        assert portfolio.y[band].mean() == pytest.approx(truth[band].mean(), abs=error)
    is_train = portfolio.split == "train"
    numbers = portfolio.X.select_dtypes("number").fillna(0.0)
    scaled = (numbers - numbers.mean()) / numbers.std()
    logistic = LogisticRegression().fit(scaled[is_train], portfolio.y[is_train])
    score = logistic.predict_proba(scaled[~is_train])[:, 1]
    y = portfolio.y[~is_train]
    assert roc_auc_score(y, truth[~is_train]) > roc_auc_score(y, score) + 0.02 > 0.65


def test_the_simulated_portfolio_is_in_time_order_and_has_what_real_ones_have() -> None:
    portfolio = datasets.simulate_credit(5000, start="2012-06")
    assert portfolio.time is not None
    assert portfolio.split is not None
    assert portfolio.time.min() == np.datetime64("2012-06-01")
    assert (np.diff(portfolio.time).astype(int) >= 0).all()
    assert list(dict.fromkeys(portfolio.split)) == ["train", "test"]
    X = portfolio.X
    assert (X["bureau_score"] == -9).any(), "special codes"
    shy = X["monthly_income"].isna()
    is_self_employed = X["employment"] == "self_employed"
    assert shy[is_self_employed].mean() > 1.5 * shy[~is_self_employed].mean(), "not at random"
    assert X["months_since_late"].isna().equals(X["late_payments_24m"] == 0), "missing by nature"


@pytest.mark.parametrize(
    ("options", "message"), [({"n_rows": 0}, "at least 1"), ({"start": "x"}, "a month")]
)
def test_a_portfolio_that_cannot_be_is_refused(options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        datasets.simulate_credit(**options)
