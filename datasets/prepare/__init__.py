"""Public datasets, or one's own drives, as dataset folders: one file per source, one line here.

A source reads what its authors ship (image names, positions, times, sequences) and says which frames make which
split; ``prepared.py`` writes it down. No image is opened.
"""

from opticornet.utils.registry import Registry

SOURCES: Registry = {
    "nordland": "opticornet.datasets.prepare.nordland:Nordland",
    "oxford": "opticornet.datasets.prepare.oxford:Oxford",
    "msls": "opticornet.datasets.prepare.msls:Msls",
    "folders": "opticornet.datasets.prepare.folders:Folders",
    "utm-names": "opticornet.datasets.prepare.utm_names:UtmNames",
    "vpr-bench": "opticornet.datasets.prepare.tolerance_table:ToleranceTable",
}
