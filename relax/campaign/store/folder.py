"""The folder of a campaign, and the file that says what the campaign is."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import platform
import shutil
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from relax import __version__
from relax.campaign.settings import Settings
from relax.core.errors import UsageError

__all__ = ["FORMAT", "Folder", "versions_now"]

FORMAT = 1
"""The version of what is in a folder."""

FILE = "campaign.toml"
PARTS = ("inputs", "rounds", "results", "drivers", "checkpoints", "logs")
NUMERICS = ("numpy", "ase", "vesin", "scipy", "torch", "mace-torch", "chgnet", "tblite")


@dataclass(frozen=True)
class Folder:
    """The folder of a campaign.

    ::

        campaign.toml       what the campaign is: settings, versions, unit cost
        inputs/*.jsonl      structures as they were given, a line each
        rounds/*.jsonl      which of them are relaxed together, by round
        results/*.jsonl     what has become of them: one file for each process that relaxed some
        drivers/*.json      which drivers are at work
        checkpoints/*.json  where large structures are that are being relaxed
        logs/*.log          what the processes printed

    Parameters
    ----------
    path
        The folder.
    campaign
        The identity of the campaign.
    settings
        What is done with each structure.
    unit_cost
        Estimated cost of a unit, see :class:`~relax.campaign.store.rounds.Unit`.
    versions
        Of the packages at the start.
    made_in
        The folder in which that was, where modules of the user's are found.
    """

    path: Path
    campaign: str
    settings: Settings = field(repr=False)
    unit_cost: float
    versions: dict[str, str] = field(default_factory=dict, repr=False)
    made_in: str = field(default="", repr=False)

    @property
    def inputs(self) -> Path:
        """The folder of structures."""
        return self.path / "inputs"

    @property
    def rounds(self) -> Path:
        """The folder of rounds."""
        return self.path / "rounds"

    @property
    def results(self) -> Path:
        """The folder of results."""
        return self.path / "results"

    @property
    def drivers(self) -> Path:
        """The folder of drivers."""
        return self.path / "drivers"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.path / "logs"

    @classmethod
    @contextlib.contextmanager
    def created(cls, path: Path, settings: Settings, unit_cost: float) -> Iterator[Folder]:
        """Make a folder within the block, and put it in its place at the end: whole, or not at all.

        Raises
        ------
        UsageError
            There is something at ``path``, or the folder cannot be made.
        """
        path = Path(os.path.abspath(path))
        _check_free(path)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            part.mkdir(parents=True)
            for name in PARTS:
                (part / name).mkdir()
            folder = cls(part, uuid.uuid4().hex, settings, unit_cost, versions_now(), os.getcwd())
            (part / FILE).write_text(folder._text())
            yield folder
            _check_free(path)
            if path.is_dir():
                path.rmdir()
            os.rename(part, path)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)

    @classmethod
    def opened(cls, path: Path) -> Folder:
        """Return the folder of a campaign.

        Raises
        ------
        UsageError
            It is none, is of another version, was changed, or a part is missing.
        """
        path = Path(os.path.abspath(path))
        file = path / FILE
        if not path.is_dir():
            raise UsageError(f"{path}: there is no such folder; relax campaign init makes one")
        try:
            tree = tomllib.loads(file.read_text())
        except FileNotFoundError:
            raise UsageError(
                f"{path} is no campaign: there is no {FILE}; relax campaign init makes one"
            ) from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{file} cannot be read ({error}); restore it") from None
        found = tree.get("format")
        if found != FORMAT:
            by = tree.get("versions", {}).get("relax", "an unknown version")
            raise UsageError(
                f"{path} is a campaign of format {found}, made by relax {by}; this is relax {__version__}, "
                f"which takes format {FORMAT}"
            )
        try:
            settings = Settings.from_plain(tree["settings"])
            folder = cls(
                path, tree["campaign"], settings, tree["unit_cost"], tree["versions"], tree["made_in"]
            )
            digests = tree["settings_digest"], tree.get("model_sha256")
        except (KeyError, TypeError) as error:
            raise UsageError(f"{file} is damaged: {error} is missing; restore it") from None
        if digests[0] != settings.digest:
            raise UsageError(
                f"{file}: the settings were changed after the campaign was made; restore them, "
                "or make another campaign with relax campaign init"
            )
        for name in PARTS:
            if not (path / name).is_dir():
                raise UsageError(f"{path}: the folder {name} is missing; restore it")
        return folder

    def check_model(self) -> None:
        """Raise UsageError if the file of the model is not what it was when the campaign was made."""
        tree = tomllib.loads((self.path / FILE).read_text())
        if (known := tree.get("model_sha256")) is None:
            return
        model = Path(self.settings.calculator.partition(":")[2])
        if not model.is_file():
            raise UsageError(f"{self.path}: there is no model {model}; restore it")
        if _sha256(model) != known:
            raise UsageError(
                f"{self.path} was made with another model: {model} has changed since; restore it, "
                "or make another campaign"
            )

    @property
    def model_file(self) -> Path | None:
        """The file of the model, if the calculator has one."""
        kind, _, model = self.settings.calculator.partition(":")
        path = Path(model)
        return path if kind not in ("ase", "") and model and path.is_file() else None

    def _text(self) -> str:
        import tomli_w

        tree: dict[str, Any] = {
            "format": FORMAT, "campaign": self.campaign,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "made_in": self.made_in, "unit_cost": self.unit_cost, "settings_digest": self.settings.digest,
        }  # fmt: skip
        if self.model_file is not None:
            tree["model_sha256"] = _sha256(self.model_file)
        tree |= {"versions": self.versions, "settings": self.settings.to_plain()}
        head = (
            "# A campaign of relax.  The settings are those of all its structures: with others its results\n"
            "# would not belong together, and so relax refuses to go on after a change.\n"
        )
        return head + tomli_w.dumps(tree)


def _check_free(path: Path) -> None:
    if (path / FILE).exists():
        raise UsageError(f"{path} is a campaign already; relax campaign add adds structures to it")
    if path.is_dir() and any(path.iterdir()):
        raise UsageError(f"{path} is a folder with something in it; name one that is not there yet")
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file; name a folder that is not there yet")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions_now() -> dict[str, str]:
    """Return the versions of what decides the numbers, as far as it is installed."""
    found = {"relax": __version__, "python": platform.python_version()}
    for name in NUMERICS:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
