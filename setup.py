"""The packages, which pyproject.toml cannot list: the folders of the top level become part of ``opticornet``.

Through the links in ``opticornet`` they would be found without this, but not where the links are text files, and an
archive that pip unpacks has no others.
"""

from setuptools import find_packages, setup

FOLDERS = ("models", "datasets", "utils")


def packages_in(*folders: str) -> list[str]:
    return find_packages(include=[pattern for folder in folders for pattern in (folder, f"{folder}.*")])


linked = tuple(f"opticornet.{folder}" for folder in FOLDERS)
setup(
    packages=[name for name in packages_in("opticornet") if not name.startswith(linked)]
    + [f"opticornet.{name}" for name in packages_in(*FOLDERS)],
    package_dir={f"opticornet.{folder}": folder for folder in FOLDERS},
)
