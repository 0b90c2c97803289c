"""Options of a mode: typed, remembered, and with them the options of whatever they choose by name.

A notebook builds the same object as the command line::

    TrainOptions.of(dataset="synthetic", sequence_length=5, pooling="dsdnet", out_dims=32)

``w`` is an option of ``dsdnet``, not of training: a field whose choices are a registry brings the fields of the entry
that it names. ``of`` remembers which options were given, so that a resumed run distinguishes what the user asked for
from defaults.
"""

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, replace
from os.path import exists, isabs
from pathlib import Path
from typing import Any, Self

from opticornet.options.config import read_config
from opticornet.options.plugins import load_plugins
from opticornet.utils.errors import UserError
from opticornet.utils.files import full_path
from opticornet.utils.options import (
    as_typed,
    check_value,
    chosen_names,
    flag_of,
    option,
    option_fields,
    recorded_value,
    spellings,
)
from opticornet.utils.registry import Registry, entry, nearest


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where options and additions come from.

    Attributes:
        given: names of the options that were given.
        chosen: values given for options of registry entries, by name.
    """

    given: frozenset[str] = frozenset()
    chosen: Mapping[str, Any] = field(default_factory=dict)
    config: str = option(
        "--config",
        "",
        "options from a TOML file, as a run's options.toml, or a recipe by its name; flags override them",
    )
    plugin: tuple[str, ...] = option(
        "--plugin", (), "Python file whose registries add methods, losses, sources, ...; may be repeated"
    )

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Options with these values, by field name or by flag without its dashes, remembering which were given.

        Raises:
            UserError: an unknown option, a value of another type, outside its choices, not finite or too small; a
                ``config`` or ``plugin`` that cannot be read.
        """
        from_file: dict[str, Any] = {}
        if given.get("config"):
            from_file = {key: value for key, value in read_config(given["config"]).items() if key != "mode"}
        if plugins := given.get("plugin") or from_file.get("plugin"):  # first: options may be a plugin's
            given["plugin"] = tuple(str(Path(path).absolute()) for path in check_value(cls, "plugin", plugins))
            load_plugins(given["plugin"])
        filed = cls._by_name(from_file, from_file)
        given = cls._by_name(given, from_file | given)
        given = cls._without_replaced(filed, given) | given
        values = {name: check_value(cls.locate(name, given)[0], name, value) for name, value in given.items()}
        own = {name: value for name, value in values.items() if name in cls.flags()}
        chosen = {name: value for name, value in values.items() if name not in own}
        return cls(**own, chosen=chosen, given=frozenset(values))

    @classmethod
    def _by_name(cls, values: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Values by field name or flag, by field name; ``chosen`` says whose options they are.

        Raises:
            UserError: an unknown option, or one that comes by its name and by its flag.
        """
        named: dict[str, Any] = {}
        for key, value in values.items():
            _, name = cls.locate(key, chosen)
            if name in named:
                raise UserError(f"`{name}` was given twice, by its name and by its flag; leave one out")
            named[name] = value
        return named

    @classmethod
    def _without_replaced(cls, from_file: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """A file's options without those of a choice that ``given`` makes otherwise: its loss, thus its margin."""
        for choice, registry in cls.registries().items():
            before = from_file.get(choice, cls.flags()[choice].default)
            chosen = given.get(choice, before)
            replaced = cls._fields_of(registry, before) - cls._fields_of(
                registry, chosen
            )  # not what they have in common
            from_file = {name: value for name, value in from_file.items() if name not in replaced}
        return from_file

    @staticmethod
    def _fields_of(registry: Registry, chosen: Any) -> set[str]:
        """The options of the entries that the value of an option names."""
        kinds = (entry(registry, name) for name in chosen_names(chosen) if name in registry)
        return {name for kind in kinds for name in option_fields(kind)}

    @classmethod
    def flags(cls) -> dict[str, Field]:
        """The mode's own options by field name, without those of registry entries."""
        return option_fields(cls)

    @classmethod
    def registries(cls) -> dict[str, Registry]:
        """The registry behind each option that chooses by name."""
        choices = {name: f.metadata["choices"] for name, f in cls.flags().items()}
        return {name: registry for name, registry in choices.items() if isinstance(registry, dict)}

    @classmethod
    def entries(cls) -> Iterator[tuple[str, str, type]]:
        """Everything that can be chosen: the option that chooses, the name, its dataclass (which is imported)."""
        for choice, registry in cls.registries().items():
            for name in registry:
                yield choice, name, entry(registry, name)

    @classmethod
    def locate(cls, key: str, given: Mapping[str, Any] | None = None) -> tuple[type, str]:
        """The dataclass that has an option, and the option's field name.

        Args:
            key: a field name, or a flag without its dashes.
            given: other options, whose choices are looked at first.

        Raises:
            UserError: no such option.
        """
        for owner in cls._owners(given or {}):
            fields = option_fields(owner)
            if key in fields:
                return owner, key
            for name, f in fields.items():
                if f"--{key}" in spellings(f):
                    return owner, name
        known = [
            known
            for owner in cls._owners({})
            for name, f in option_fields(owner).items()
            for known in (name, *(flag[2:] for flag in spellings(f)))
        ]
        raise UserError(f"unknown option {key}{nearest(key, known)}")

    @classmethod
    def _owners(cls, given: Mapping[str, Any]) -> Iterator[type]:
        """Where an option may be declared: the mode, the entries chosen, then all others."""
        yield cls
        for choice, registry in cls.registries().items():
            chosen = given.get(choice, given.get(flag_of(cls.flags()[choice])[2:], cls.flags()[choice].default))
            yield from (entry(registry, name) for name in chosen_names(chosen) if name in registry)
        for _, _, owner in cls.entries():
            yield owner

    def part(self, choice: str, name: str = "") -> Any:
        """The entry that the option ``choice`` names, of several the one called ``name``, with its options as given.

        Raises:
            UserError: the registry has no such entry, or its options contradict each other.
        """
        kind = entry(self.registries()[choice], name or getattr(self, choice))
        fields = option_fields(kind)
        values = {name: value for name, value in self.chosen.items() if name in fields}
        return kind(**{name: check_value(kind, name, value) for name, value in values.items()})

    def parts(self) -> list[tuple[str, str, type]]:
        """The entries in use, each as :meth:`entries` gives it."""
        unused = self.unused()
        return [
            (choice, name, entry(registry, name))
            for choice, registry in self.registries().items()
            if choice not in unused
            for name in chosen_names(getattr(self, choice))
            if name in registry
        ]

    def unused(self) -> dict[str, str]:
        """Options of the mode that change nothing beside the others, and why."""
        return {}

    def refuse_unused(self) -> None:
        """Every step calls this once its options are complete.

        Raises:
            UserError: an option was given that changes nothing, or an entry's options contradict each other.
        """
        unused, parts = self.unused(), self.parts()
        for choice, name, _ in parts:
            unused |= self.part(choice, name).unused()
        for name in sorted(self.given):
            if name in unused:
                raise UserError(f"`{name}` changes nothing here: {unused[name]}")
            if name in self.chosen and not any(name in option_fields(kind) for _, _, kind in parts):
                raise UserError(f"`{name}` changes nothing here: {self._why_unused(name, unused)}")

    def _why_unused(self, name: str, unused: Mapping[str, str]) -> str:
        owners: dict[str, list[str]] = {}
        for choice, chosen, kind in self.entries():
            if name in option_fields(kind):
                owners.setdefault(choice, []).append(chosen)
        choice, names = next(iter(owners.items()))
        if choice in unused:
            return unused[choice]
        return f"it is an option of `{choice}` {' or '.join(names)}, not of {as_typed(getattr(self, choice)) or 'none'}"

    def record(self) -> dict[str, Any]:
        """Flag name (without dashes) to value, ready for JSON: the mode's options and those of the entries in use."""
        own = {name: f for name, f in self.flags().items() if name != "config"}
        values = {flag_of(f)[2:]: recorded_value(f, getattr(self, name)) for name, f in own.items()}
        for choice, chosen, kind in self.parts():
            part, fields = self.part(choice, chosen), option_fields(kind)
            values |= {flag_of(f)[2:]: recorded_value(f, getattr(part, name)) for name, f in fields.items()}
        return {flag: list(value) if isinstance(value, tuple) else value for flag, value in values.items()}

    def repeatable(self) -> dict[str, Any]:
        """:meth:`record` without what changes nothing or ties it to one run: another run of the same options is started
        from it."""
        unused, left_out = self.unused(), {"resume"}
        for part in (self, *(self.part(choice, name) for choice, name, _ in self.parts())):
            fields = option_fields(type(part))
            left_out |= {flag_of(fields[name])[2:] for name in unused | part.unused() if name in fields}
        return {flag: value for flag, value in self.record().items() if flag not in left_out}

    def restored(
        self, saved: Mapping[str, Any], names: tuple[str, ...], source: str, role: str = "resumed run"
    ) -> Self:
        """These options with some taken from a run's saved flags; of a choice also the options of what it chooses.

        Args:
            saved: a run's ``flags.json``; options it lacks keep their value here.
            names: the options that the run decides.
            source: the run, for the message.
            role: what it is called there.

        Raises:
            UserError: an option was given and differs from the run's (the message names both values), or a saved value
                has the wrong type.
        """
        options = self
        for name in names:
            options = options._taken(type(self), name, saved, source, role)
        for choice, _, kind in options.parts():
            if choice in names:
                for name in option_fields(kind):
                    options = options._taken(kind, name, saved, source, role)
        return options

    @staticmethod
    def _same_place(mine: str, recorded: str) -> bool:
        """Whether a given path is the recorded one, or may be where that went: there is nothing at the recorded one."""
        return full_path(mine) == full_path(recorded) or (isabs(recorded) and not exists(recorded))

    def _taken(self, owner: type, name: str, saved: Mapping[str, Any], source: str, role: str) -> Self:
        """These options with one taken from saved flags."""
        f = option_fields(owner)[name]
        value = saved.get(flag_of(f)[2:])
        if value is None:  # seqNet writes null where it has no default
            return self
        try:
            value = check_value(owner, name, value)
        except UserError as error:
            raise UserError(f"{source} holds {error}; its flags were changed, or are of another version") from error
        own = owner is type(self)
        mine = getattr(self, name) if own else self.chosen.get(name)
        if f.metadata["path"] is not None and name in self.given and self._same_place(str(mine), value):
            return self
        if name in self.given and mine != value:
            raise UserError(
                f"`{name}` {as_typed(mine)} contradicts `{name}` {as_typed(value)} of the {role} {source}; "
                f"leave `{name}` out, or start a new run"
            )
        return replace(self, **{name: value}) if own else replace(self, chosen={**self.chosen, name: value})
