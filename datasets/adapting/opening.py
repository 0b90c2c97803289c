"""What a running mean of a dataset's queries begins from."""

from opticornet.datasets.adapting.adaptation import Adaptation, AdaptedBy, pooled_statistics
from opticornet.datasets.catalogue import SourceValue, load_dataset, split_names
from opticornet.utils.errors import UserError


def open_adaptation(by: AdaptedBy, scale: bool, name: str, **source: SourceValue) -> Adaptation:
    """The adaptation of a dataset's splits; of ``running``, begun from the queries of its train split, if it has one
    whose queries have descriptors. Arguments otherwise as for :func:`opticornet.datasets.catalogue.load_dataset`.

    Raises:
        UserError: the train split cannot be opened.
    """
    if by != "running" or "train" not in split_names(name, **source):
        return Adaptation(by, scale)
    try:
        query = load_dataset(name, splits=("train",), **source).splits["train"].query
    except UserError as error:
        raise UserError(
            f"`adapt` running begins from the queries of the train split, which cannot be opened ({error}); choose "
            "`adapt` traverse or none"
        ) from error
    begin = None if query.descriptors is None else pooled_statistics(query, scale)
    return Adaptation(by, scale, begin)
