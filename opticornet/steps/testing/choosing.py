"""A split that something is chosen on, before the tested ones are answered."""

from dataclasses import dataclass, replace
from functools import cached_property

from opticornet.evaluation.answering.answer import Answer
from opticornet.evaluation.scene import Scene
from opticornet.options.modes import TestOptions
from opticornet.steps.testing.answering import Encoders, answer_queries, load_encoders, with_candidates
from opticornet.steps.testing.maps import SharedMaps
from opticornet.steps.testing.runs import Runs, check_descriptors
from opticornet.steps.testing.scenes import open_scenes


@dataclass(eq=False)
class ChoosingSplit:
    """A split that is answered as the tested ones are; whatever is chosen on it, it is opened and its map encoded once.

    Attributes:
        name: of the split.
        options: of the test.
        runs: of the weights.
        answers: how often it is answered, so that its map is kept that long.
    """

    name: str
    options: TestOptions
    runs: Runs
    answers: int = 1

    @cached_property
    def scene(self) -> Scene:
        """Its traverses, cut into windows.

        Raises:
            UserError: they cannot be opened, or nothing says which places are right.
        """
        return open_scenes(self.options.for_split(self.name), self.runs)[self.name].need_positives()

    @cached_property
    def encoders(self) -> Encoders:
        """What answers its queries.

        Raises:
            UserError: weights do not fit, or its descriptors were made otherwise.
        """
        encoders = load_encoders(self.options, self.scene, self.runs)
        check_descriptors(self.options, self.scene, self.runs, encoders.searched, encoders.single)
        return encoders

    def answer(self, options: TestOptions) -> Answer:
        """Answer every query, untimed, by options of the test that differ in what was chosen meanwhile.

        Raises:
            UserError: as :attr:`scene` and :attr:`encoders`.
        """
        options = replace(with_candidates(options, len(self.scene.reference)), latency_queries=0, projector=0)
        answer, _ = answer_queries(options, self.scene, self.encoders, self._maps)
        return answer

    @cached_property
    def _maps(self) -> SharedMaps:
        return SharedMaps([self.scene] * self.answers)
