"""Formats of answers. One file per format, one line here."""

from opticornet.utils.registry import Registry

ANSWER_FORMATS: Registry = {
    "csv": "opticornet.evaluation.answer_files.csv_table:CsvTable",
    "tum": "opticornet.evaluation.answer_files.tum:TumTrajectory",
    "hloc": "opticornet.evaluation.answer_files.hloc:HlocPairs",
    "msls": "opticornet.evaluation.answer_files.msls:MslsPredictions",
}
SUFFIXES = {".csv": "csv", ".tum": "tum"}  # that say a format
