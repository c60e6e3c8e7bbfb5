"""The data sets, one row each: target, leaks, codes, time, terms, and where the file comes from.

Checksums are those of the publisher's files, as several independent users have recorded them;
where none is on record, `content_sha256` is the checksum of the table itself (see
`bimetal.datasets.files.content_sha256`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bimetal.datasets import preparation

__all__ = ["SOURCES", "Download", "Source"]

UCI = "https://archive.ics.uci.edu/static/public"
CC_BY = "CC BY 4.0 (UCI Machine Learning Repository)"


@dataclass(frozen=True)
class Download:
    """A file at its publisher's.

    Parameters
    ----------
    url : str
        Where it is.
    member : str
        The file to read in it, where it is a zip archive.
    reader : {"csv", "arff", "excel"}
        Its format.
    options : mapping
        What `pandas.read_csv` or `pandas.read_excel` need to know besides.
    rename : mapping
        Column names of the publisher that differ from ours.
    sha256, content_sha256 : str
        Checksum of the file as downloaded, or of the table in it; one of the two.
    """

    url: str
    member: str = ""
    reader: Literal["csv", "arff", "excel"] = "csv"
    options: Mapping[str, Any] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""
    content_sha256: str = ""


@dataclass(frozen=True)
class Source:
    """A row of the catalogue.

    Parameters
    ----------
    name, title, licence, caveats : str
        As in `Dataset`.
    target : str
        Column that holds the outcome.
    event : str, int or None
        The value of `target` that becomes 1; None for a regression.
    positive : str
        What 1 means.
    drop : tuple of str
        Identifiers, free text, and columns known only after the decision.
    download : Download or None
        None where the publisher wants a login or a click.
    page : str
        Where a reader finds the data.
    prepare : callable, optional
        From the table as published to (table, time, split).
    """

    name: str
    title: str
    licence: str
    target: str
    event: str | int | None
    positive: str
    page: str
    download: Download | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    special_codes: Mapping[str, Sequence[float]] = field(default_factory=dict)
    caveats: str = ""
    prepare: Callable[[Any], preparation.Prepared] = preparation.as_it_is


GERMAN = [
    "checking_status",
    "duration",
    "credit_history",
    "purpose",
    "credit_amount",
    "savings_status",
    "employment",
    "installment_commitment",
    "personal_status",
    "other_parties",
    "residence_since",
    "property_magnitude",
    "age",
    "other_payment_plans",
    "housing",
    "existing_credits",
    "job",
    "num_dependents",
    "own_telephone",
    "foreign_worker",
    "class",
]
SOUTH_GERMAN = [
    "status",
    "duration",
    "credit_history",
    "purpose",
    "amount",
    "savings",
    "employment_duration",
    "installment_rate",
    "personal_status_sex",
    "other_debtors",
    "present_residence",
    "property",
    "age",
    "other_installment_plans",
    "housing",
    "number_credits",
    "job",
    "people_liable",
    "telephone",
    "foreign_worker",
    "credit_risk",
]
LATE_COUNTS = (
    "NumberOfTime30-59DaysPastDueNotWorse",
    "NumberOfTime60-89DaysPastDueNotWorse",
    "NumberOfTimes90DaysLate",
)

SOURCES: tuple[Source, ...] = (
    Source(
        "german_credit",
        "Statlog German Credit",
        CC_BY,
        target="class",
        event=2,
        positive="bad credit",
        page="https://archive.ics.uci.edu/dataset/144",
        download=Download(
            f"{UCI}/144/statlog+german+credit+data.zip",
            "german.data",
            options={"sep": r"\s+", "names": GERMAN},
            sha256="e12d9d5def6845c0622634a1cd2ab87fa470668c4298f1ec52a4e403376a435b",
        ),
        caveats="Known coding errors; the same 1,000 loans as south_german_credit, so never "
        "evaluate on one a model fitted on the other. Holds sex and foreign-worker attributes. "
        "Its cost matrix counts an accepted bad loan five times.",
    ),
    Source(
        "south_german_credit",
        "South German Credit (corrected)",
        CC_BY,
        target="credit_risk",
        event=0,
        positive="bad credit",
        page="https://archive.ics.uci.edu/dataset/573",
        download=Download(
            f"{UCI}/573/south+german+credit+update.zip",
            "SouthGermanCredit.asc",
            options={"sep": r"\s+", "names": SOUTH_GERMAN, "header": 0},
            sha256="0b40d40eb7321693d559e247a556f88a6cc8df8489c3cb2ae084db7592584551",
        ),
        categorical=(
            "status",
            "credit_history",
            "purpose",
            "savings",
            "personal_status_sex",
            "other_debtors",
            "property",
            "other_installment_plans",
            "housing",
        ),
        caveats="The same 1,000 loans as german_credit; bad loans are oversampled.",
    ),
    Source(
        "australian_credit",
        "Statlog Australian Credit Approval",
        CC_BY,
        target="class",
        event=1,
        positive="approved",
        page="https://archive.ics.uci.edu/dataset/143",
        download=Download(
            f"{UCI}/143/statlog+australian+credit+approval.zip",
            "australian.dat",
            options={"sep": r"\s+", "names": [*(f"A{i}" for i in range(1, 15)), "class"]},
            sha256="f0bd9cd9b1d133cb20456b8953e1f8139fd30ed2b3f66da540db75136f1e9e0b",
        ),
        categorical=("A4", "A5", "A6", "A12"),
        caveats="The same 690 cases as credit_approval_crx, recoded and imputed. 1 is an approval, "
        "not a default.",
    ),
    Source(
        "credit_approval_crx",
        "Credit Approval (crx)",
        CC_BY,
        target="A16",
        event="+",
        positive="approved",
        page="https://archive.ics.uci.edu/dataset/27",
        download=Download(
            f"{UCI}/27/credit+approval.zip",
            "crx.data",
            options={"names": [f"A{i}" for i in range(1, 17)], "na_values": ["?"]},
            sha256="e3adfa0387815e3a9d8aaaf7b1cd7365424c83298bca6358bc48e451b4a26dd3",
        ),
        caveats="The same 690 cases as australian_credit. 1 is an approval, not a default.",
    ),
    Source(
        "taiwan_default",
        "Default of Credit Card Clients (Taiwan, 2005)",
        CC_BY,
        target="default.payment.next.month",
        event=1,
        positive="default in the next month",
        page="https://archive.ics.uci.edu/dataset/350",
        download=Download(
            f"{UCI}/350/default+of+credit+card+clients.zip",
            "default of credit card clients.xls",
            reader="excel",
            options={"header": 1},
            rename={"default payment next month": "default.payment.next.month"},
            sha256="56c885f84457f6680f8438f02bfcdac9579323d8a94465ee5f26e32baa727602",
        ),
        drop=("ID",),
        categorical=("SEX", "EDUCATION", "MARRIAGE"),
        caveats="Undocumented codes: EDUCATION 0, 5, 6; MARRIAGE 0; PAY_* −2 and 0. 35 duplicate "
        "rows. Holds sex, education and marital status.",
    ),
    Source(
        "give_me_some_credit",
        "Give Me Some Credit (training part)",
        "Kaggle competition data; no licence stated",
        target="SeriousDlqin2yrs",
        event=1,
        positive="90 days past due within two years",
        page="https://www.kaggle.com/c/GiveMeSomeCredit/data (cs-training.csv)",
        drop=("id",),
        special_codes={name: (96.0, 98.0) for name in LATE_COUNTS},
        caveats="Counts of 96 and 98 are codes, not counts; one borrower is aged 0; 609 duplicate "
        "rows. The labels of the competition's test part were never published.",
    ),
    Source(
        "hmeq",
        "Home Equity (HMEQ)",
        "published with Baesens, Roesch and Scheule (2016); no licence stated",
        target="BAD",
        event=1,
        positive="default or serious delinquency",
        page="http://www.creditriskanalytics.net/datasets-private2.html",
        download=Download(
            "http://www.creditriskanalytics.net/uploads/1/9/5/1/19511601/hmeq.csv",
            content_sha256="8956984ac7004e50e68c26065f205a4a0f106592485d049f14f9d6027f04217a",
        ),
        caveats="A missing DEBTINC is very predictive, perhaps an artefact of the sampling.",
    ),
    Source(
        "lendingclub_2018",
        "LendingClub loans issued in 2018 (sample)",
        "LendingClub's terms; published in the R package creditmodel (AGPL-3)",
        target="loan_status",
        event=1,
        positive="charged off or late",
        page="https://cran.r-project.org/package=creditmodel (data/lendingclub.rda)",
        drop=("id", "emp_title", "title", "zip_code"),
        caveats="Only finished loans were sampled, so bad loans of late 2018 are cut off (10 % in "
        "December, 28 % in March). Split by time: issued January–June train, July–December test. "
        "Free text, the title (the purpose again) and the 853 zip codes are dropped.",
        prepare=preparation.lendingclub,
    ),
    Source(
        "openintro_loans",
        "LendingClub loans of early 2018 (OpenIntro): the interest rate",
        "CC BY-SA 3.0 (OpenIntro)",
        target="interest_rate",
        event=None,
        positive="interest rate, per cent a year",
        page="https://www.openintro.org/data/index.php?data=loans_full_schema",
        download=Download(
            "https://www.openintro.org/data/csv/loans_full_schema.csv",
            content_sha256="dc8e233988eef5bfbbc0a71f6c7082a31fcb0fe81e0ce864e197e71ef2ce6821",
        ),
        drop=(
            "emp_title",
            "grade",
            "sub_grade",
            "installment",
            "loan_status",
            "balance",
            "paid_total",
            "paid_principal",
            "paid_interest",
            "paid_late_fees",
        ),
        caveats="A regression. The grade and the instalment state the rate in other words and are "
        "dropped, as is all that happened after the loan was made.",
        prepare=preparation.openintro,
    ),
    Source(
        "sba_case_california",
        "SBA guaranteed loans, real estate sector, California",
        "data of Li, Mickel and Taylor, Journal of Statistics Education 26 (2018)",
        target="Default",
        event=1,
        positive="charged off",
        page="https://doi.org/10.1080/10691898.2018.1434342 (supplement SBAcase.11.13.17.csv)",
        drop=(
            "Selected",
            "LoanNr_ChkDgt",
            "Name",
            "City",
            "State",
            "Zip",
            "ApprovalDate",
            "ApprovalFY",
            "Term",
            "daysterm",
            "xx",
            "RealEstate",
            "Recession",
            "ChgOffDate",
            "ChgOffPrinGr",
            "BalanceGross",
            "MIS_Status",
            "DisbursementDate",
            "DisbursementGross",
        ),
        categorical=("NAICS", "NewExist", "FranchiseCode", "UrbanRural"),
        caveats="The term of a charged-off loan ends with it, so Term and all that is computed "
        "from it (RealEstate, Recession, daysterm, xx) tell the outcome and are dropped, as is "
        "what followed approval. The article's own split (Selected) is kept; it is random in time.",
        prepare=preparation.sba,
    ),
    Source(
        "bank_marketing",
        "Bank Marketing (Portugal, 2008–2010)",
        CC_BY,
        target="y",
        event="yes",
        positive="subscribed a term deposit",
        page="https://archive.ics.uci.edu/dataset/222",
        download=Download(
            "https://archive.ics.uci.edu/ml/machine-learning-databases/00222/bank.zip",
            "bank-full.csv",
            options={"sep": ";"},
            sha256="99d7e8eb12401ed278b793984423915411ea8df099e1795f9fefe254f513fe5e",
        ),
        drop=("duration",),
        special_codes={"pdays": (-1.0,)},
        caveats="duration is known only after the call and is dropped. Rows are in the order of "
        "the calls; the year is reckoned from it. 1 is a sale, not a default.",
        prepare=preparation.bank_marketing,
    ),
    Source(
        "polish_bankruptcy_1year",
        "Polish companies bankruptcy, ratios of the first year",
        CC_BY,
        target="class",
        event=1,
        positive="bankrupt within five years",
        page="https://archive.ics.uci.edu/dataset/365",
        download=Download(
            f"{UCI}/365/polish+companies+bankruptcy+data.zip",
            "1year.arff",
            reader="arff",
            options={"names": [*(f"Attr{i}" for i in range(1, 65)), "class"], "na_values": ["?"]},
            sha256="17377929aa0b204bbf957e56462cf827c19fe4e2ce89f27dfbc77f9ea2bb16c9",
        ),
        caveats="82 duplicate rows, heavy tails, 5,835 missing values, 3.9 % bankrupt.",
    ),
)
"""Every data set; `names`, the CLI and the tests read this list."""
