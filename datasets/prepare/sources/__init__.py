"""What can become a dataset folder: one file per source, one line here.

A source reads what its authors ship (image names, positions, times, sequences) and says which frames make which
split; ``prepare/writing.py`` writes it down. No image is opened.
"""

from opticornet.utils.registry import Registry

SOURCES: Registry = {
    "nordland": "opticornet.datasets.prepare.sources.nordland:Nordland",
    "oxford": "opticornet.datasets.prepare.sources.oxford:Oxford",
    "msls": "opticornet.datasets.prepare.sources.msls:Msls",
    "folders": "opticornet.datasets.prepare.sources.folders:Folders",
    "utm-names": "opticornet.datasets.prepare.sources.utm_names:UtmNames",
    "utm-sequences": "opticornet.datasets.prepare.sources.utm_sequences:UtmSequences",
    "gsv-cities": "opticornet.datasets.prepare.sources.gsv_cities:GsvCities",
    "place-folders": "opticornet.datasets.prepare.sources.place_folders:PlaceFolders",
    "place-table": "opticornet.datasets.prepare.sources.place_table:PlaceTable",
    "place-sets": "opticornet.datasets.prepare.sources.place_sets:PlaceSets",
    "vpr-bench": "opticornet.datasets.prepare.sources.tolerance_table:ToleranceTable",
}
