"""A map that several splits search is encoded once."""

from dataclasses import dataclass, field, replace

from opticornet.datasets.windows import Windows
from opticornet.evaluation.answering.paces import AS_RECORDED
from opticornet.evaluation.answering.search import Described, describe
from opticornet.evaluation.scene import Scene
from opticornet.inference.load import LoadedEncoder


@dataclass
class SharedMaps:
    """The encoded maps that splits still to come search too.

    Attributes:
        to_come: scenes that are not described yet, all by one method; one that will be twice stands there twice.
        known: reference windows, and a description of a scene with them.
    """

    to_come: list[Scene]
    known: list[tuple[Windows, Described]] = field(default_factory=list)

    def describe(
        self, scene: Scene, loaded: LoadedEncoder, amp: bool, paces: tuple[float, ...] = AS_RECORDED.paces
    ) -> Described:
        """Encode every window of both sides, the map's only where no scene before has them. The seconds are those that
        each took when it was encoded."""
        del self.to_come[next(number for number, other in enumerate(self.to_come) if other is scene)]
        known = next((known for windows, known in self.known if windows.holds_same(scene.reference)), None)
        described = describe(scene, loaded, paces=paces, amp=amp, known=known)
        if known is not None:
            took = {"encode_reference": known.seconds["encode_reference"]}
            described = replace(described, seconds=took | described.seconds)
        self.known = [entry for entry in [*self.known, (scene.reference, described)] if self._is_wanted(entry[0])]
        return described

    def _is_wanted(self, windows: Windows) -> bool:
        return any(scene.reference.holds_same(windows) for scene in self.to_come)
