"""How a split's windows are cut and judged: by the project's rules, or exactly as a published method's code does.

A protocol is a frozen dataclass derived from :class:`.base.Protocol`, in a file of its own, and a line below.
"""

from opticornet.utils.registry import Registry

PROTOCOLS: Registry = {
    "opticornet": "opticornet.evaluation.protocols.base:Protocol",
    "sta": "opticornet.evaluation.protocols.sta:StaProtocol",
}
