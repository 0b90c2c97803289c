"""Options of ``--mode extract --sequence``."""

from dataclasses import dataclass

from opticornet.options.shared import MATCHED, MethodOptions
from opticornet.options.test import TestOptions
from opticornet.utils.errors import UserError
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class ExtractSequencesOptions(MethodOptions):
    """``--mode extract --sequence``: a dataset's windows to sequence descriptors."""

    sequence: bool = option("--sequence", True, "descriptors of windows, by a sequence method")
    splits: tuple[str, ...] = option(
        "--split", ("test",), "splits whose two sides are encoded; all: every one but train; test: also all test-NAME"
    )
    ckpt: str = option("--ckpt", "best", "which checkpoint of the run", choices=("best", "latest"))
    output: str = option("--output", "", "folder to write: a dataset folder, whose descriptors are the windows'")
    overwrite: bool = option("--overwrite", False, "replace an output that exists")

    def as_test(self) -> TestOptions:
        """The options of a test that would encode the same windows.

        Raises:
            UserError: an option was given that changes nothing, or the method has no sequence descriptors.
        """
        if self.pooling in MATCHED:
            raise UserError(f"`pooling` {self.pooling} matches frames and has no sequence descriptors; choose another")
        for name, reason in (("exp_name", "files are called after their splits"), ("seed", "nothing is random")):
            if name in self.given:
                raise UserError(f"`{name}` changes nothing here: {reason}")
        own = self.flags().keys() - {"sequence", "output", "overwrite", "config"}
        given = {name: getattr(self, name) for name in self.given & own}
        return TestOptions.of(**given, **self.chosen)
