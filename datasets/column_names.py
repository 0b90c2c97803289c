"""What the columns of people's own tables are called, and which of ours they are."""

import re

# The columns that say where a frame is: exactly one of these sets, or none.
POSITION_COLUMNS = (("x", "y", "z"), ("x", "y"), ("frame",), ("lat", "lon"))

# Our name of a column to what it is called elsewhere, folded: small letters and digits only.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "name": (
        *("filename", "file", "imagename", "imgname", "imagefile", "imgfile", "imagefilename", "framename"),
        *("imageid", "imgid", "basename", "key", "fname", "filenames", "imagenames", "photoname", "picturename"),
    ),
    "image": ("images", "img", "imagepath", "imgpath", "path", "filepath", "imagefilepath", "picture", "photo"),
    "x": (
        *("easting", "east", "eastings", "utmeast", "utmeasting", "utme", "utmx", "xutm", "posx", "positionx", "px"),
        *("tx", "translationx", "xm", "prsrx", "posepositionx", "poseposepositionx", "fieldposepositionx"),
        "fieldposeposepositionx",
    ),
    "y": (
        *("northing", "north", "northings", "utmnorth", "utmnorthing", "utmn", "utmy", "yutm", "posy", "positiony"),
        *("py", "ty", "translationy", "ym", "prsry", "posepositiony", "poseposepositiony", "fieldposepositiony"),
        "fieldposeposepositiony",
    ),
    "z": (
        *("up", "posz", "positionz", "pz", "tz", "translationz", "zm", "prsrz", "posepositionz", "poseposepositionz"),
        *("fieldposepositionz", "fieldposeposepositionz"),
    ),
    "lat": ("latitude", "gpslat", "gpslatitude", "latdeg", "latitudedeg", "fieldlatitude", "wgs84lat", "lats"),
    "lon": (
        *("lng", "long", "longitude", "gpslon", "gpslng", "gpslong", "gpslongitude", "londeg", "lngdeg"),
        *("longitudedeg", "fieldlongitude", "wgs84lon", "lons"),
    ),
    "frame": ("framenumber", "frameno", "frameid", "frameindex", "frameidx", "framenum", "frames"),
    "timestamp": (
        *("time", "timestamps", "times", "t", "stamp", "seconds", "secs", "sec", "epoch", "unixtime", "unix"),
        *("unixtimestamp", "unixepoch", "gpstime", "gpstimestamp", "utctime", "headerstamp", "fieldheaderstamp"),
        *("rostime", "capturetime", "imagetime", "imagetimestamp", "timesec", "timeseconds", "elapsedtime"),
        *("datetime", "dateandtime", "epochtime", "posixtime"),
    ),
    "sequence": ("seq", "sequenceid", "sequencekey", "sequencename", "sequenceno", "seqid", "seqname", "seqno"),
    "score": ("scored", "isscored"),
    "usable": ("isusable", "valid", "isvalid"),
    "query": ("queries", "queryname", "queryid"),
    "first": ("firstreference", "firstref"),
    "last": ("lastreference", "lastref"),
    "reference": ("references", "ref", "referencename", "referenceid"),
    "place": ("placeid", "placename", "places", "label", "labels", "landmark", "landmarkid"),
    "group": ("groups", "city", "cityid", "camera", "floor"),
    "rank": ("ranks",),
}
# Columns that are understood, say nothing of which frame or place a row is, and are not needed.
NOT_NEEDED = frozenset(
    (
        *("altitude", "alt", "elevation", "height", "heading", "yaw", "bearing", "course", "azimuth", "pitch", "roll"),
        *("speed", "accuracy", "hdop"),
        *(f"{of}{axis}" for of in ("q", "orientation", "qrs") for axis in "wxyz"),  # qrs and below: EuRoC
        *(f"{of}{axis}" for of in ("vrsr", "bwrss", "barss") for axis in "xyz"),
    )
)
FRAME_COLUMNS = ("name", "x", "y", "z", "frame", "lat", "lon", "sequence", "timestamp", "image", "score", "usable")
PLACE_COLUMNS = ("image", "place", "group", "rank", "x", "y", "z", "lat", "lon", "timestamp")  # of a table of places

NO_UNITS = ("utc", "gmt", "unix", "epoch", "posix", "iso", "iso8601", "iso 8601")  # "time (UTC)"
_UNIT = re.compile(r"[\[(]([^\])]*)[\])]|_(s|sec|ms|us|ns|m|deg)$")
_NAMES = {synonym: name for name, synonyms in SYNONYMS.items() for synonym in (name, *synonyms)}


def column_called(header: str) -> str:
    """Our name of a column, ``"lat"`` of ``" Latitude [deg]"``; empty if it is none of ours.

    Case, blanks, punctuation and a unit, in brackets or behind an underscore, do not matter.
    """
    whole = _folded(_UNIT.sub("", header.strip().lower()))
    return _NAMES.get(whole, "")


def unit_in(header: str) -> str:
    """The unit that a header states, ``"ns"`` of ``"#timestamp [ns]"``; empty if it states none."""
    found = _UNIT.search(header.strip().lower())
    unit = (found[1] or found[2] or "").strip() if found else ""
    return "" if unit in NO_UNITS else unit


def is_not_needed(header: str) -> bool:
    """Whether a column is one of :data:`NOT_NEEDED`."""
    return _folded(_UNIT.sub("", header.strip().lower())) in NOT_NEEDED


def _folded(text: str) -> str:
    return re.sub(r"[\W_]", "", text)
