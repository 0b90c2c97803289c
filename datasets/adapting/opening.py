"""What a running mean of a dataset's queries begins from."""

from opticornet.datasets.adapting.adaptation import Adaptation, AdaptedBy, pooled_statistics
from opticornet.datasets.catalogue import SourceValue, load_dataset, split_names
from opticornet.datasets.descriptors.identity import DescriptorIdentity
from opticornet.utils.errors import DamagedFile, UserError


def open_adaptation(by: AdaptedBy, scale: bool, name: str, **source: SourceValue) -> Adaptation:
    """The adaptation of a dataset's splits; of ``running``, begun from the queries of its train split where they are
    there, else from the map. Arguments otherwise as for :func:`opticornet.datasets.catalogue.load_dataset`.

    Raises:
        UserError: a file of the train split is damaged.
    """
    if by != "running":
        return Adaptation(by, scale)
    if "train" not in split_names(name, **source):
        return Adaptation(by, scale, why_map="there is no train split")
    try:
        query = load_dataset(name, splits=("train",), **source).splits["train"].query
        begin = None if query.descriptors is None else pooled_statistics(query, scale)
    except DamagedFile as error:
        raise UserError(
            f"`adapt` running begins from the queries of the train split, of which a file is damaged ({error}); or "
            "choose `adapt` traverse or none"
        ) from error
    except UserError as error:
        return Adaptation(by, scale, why_map=f"the train split cannot be opened ({error})")
    if begin is None or not begin.count:
        return Adaptation(by, scale, why_map="the train split's queries have no descriptors that can be used")
    return Adaptation(by, scale, begin, DescriptorIdentity.beside(query))
