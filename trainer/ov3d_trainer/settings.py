"""Dataclasses filled from YAML and `key=value` settings: types checked, unknown keys refused with the nearest known."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from ov3d_perception.errors import ConfigError

Settings = TypeVar("Settings")


def read_settings(kind: type[Settings], path: Path | str | None = None, settings: Sequence[str] = ()) -> Settings:
    """Return an instance of the dataclass `kind`: its defaults, then a YAML file, then settings (dots go deeper).

    Raises `ConfigError` that names file, key and the nearest known key, or the type that was expected.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    _refuse_unknown("", _read_yaml(path), kind())
    for setting in settings:
        _check_setting(kind, setting)
    try:
        merged = OmegaConf.structured(kind)
        if path is not None:
            merged = OmegaConf.merge(merged, OmegaConf.load(path))
        merged = OmegaConf.merge(merged, OmegaConf.from_dotlist([_as_dotlist(setting) for setting in settings]))
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "configuration"
        reason = str(getattr(error, "msg", None) or error).splitlines()[0]
        raise ConfigError(f"{key}: {reason}. See {kind.__name__} in {kind.__module__} for keys and types.") from error
    if not isinstance(config, kind):
        raise ConfigError(f"{path}: expected keys and values, got {type(config).__name__}.")
    return config


def add_config_options(parser: argparse.ArgumentParser, *, see: str, example: str) -> None:
    """Give a command `--config YAML` and `--set`; `see` names a configuration to look at."""
    parser.add_argument("--config", type=Path, metavar="YAML", help=f"configuration, see {see}")
    add_settings_option(parser, example=example)


def add_settings_option(parser: argparse.ArgumentParser, *, example: str) -> None:
    """Give a command `--set KEY=VALUE ...`, whose values `read_settings` takes; they land in `settings`."""
    parser.add_argument(
        "--set",
        dest="settings",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help=f"change an entry: --set {example}",
    )


def settings_from_dict(kind: type[Settings], values: Mapping[str, Any], settings: Sequence[str] = ()) -> Settings:
    """Return an instance of the dataclass `kind` from plain JSON types; missing keys keep their defaults.

    `settings` change entries afterwards, as in `read_settings`.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    _refuse_unknown("", values, kind())
    for setting in settings:
        _check_setting(kind, setting)
    changes = OmegaConf.from_dotlist([_as_dotlist(setting) for setting in settings])
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), dict(values), changes))
    except OmegaConfBaseException as error:
        raise ConfigError(f"configuration: {str(error).splitlines()[0]}.") from error
    assert isinstance(config, kind)
    return config


def expect(fine: bool, key: str, wanted: str, got: Any) -> None:
    """Raise `ConfigError`, naming the key, unless a value is fine."""
    if not fine:
        raise ConfigError(f"{key}: expected {wanted}, got {got}.")


def save_settings(path: Path, config: Any) -> None:
    """Write a dataclass, defaults included, as YAML that `read_settings` reads."""
    import yaml

    path.write_text(yaml.safe_dump(asdict(config), sort_keys=False), encoding="utf-8")


def _read_yaml(path: Path | str | None) -> Mapping[str, Any]:
    import yaml

    if path is None:
        return {}
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"config {path}: cannot be read ({error.strerror}). Check --config.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path}: not valid YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(values, dict):
        raise ConfigError(f"config {path}: expected keys and values, got {type(values).__name__}.")
    return values


def _check_setting(kind: type[Any], setting: str) -> None:
    import yaml

    key, separator, value = setting.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {setting}: expected key=value, for example steps=500 or loss.temperature=0.05.")
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        nested = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    _refuse_unknown("", nested, kind())


def _as_dotlist(setting: str) -> str:
    """Let `key=` mean the empty text; OmegaConf would read it as none."""
    return f"{setting}''" if setting.endswith("=") else setting


def _refuse_unknown(prefix: str, values: Mapping[str, Any], template: Any) -> None:
    """Compare keys with the dataclass `template`, at every depth."""
    known = [entry.name for entry in fields(template)]
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"Did you mean '{prefix}{near[0]}'?" if near else f"Known are {', '.join(known)}."
            raise ConfigError(f"{prefix}{key}: unknown key. {hint}")
        deeper = getattr(template, key)
        if is_dataclass(deeper):
            if not isinstance(value, Mapping):
                deeper_keys = ", ".join(entry.name for entry in fields(deeper))
                raise ConfigError(f"{prefix}{key}: expected the keys {deeper_keys}, got {value!r}.")
            _refuse_unknown(f"{prefix}{key}.", value, deeper)
        elif isinstance(value, Mapping) and value:
            raise ConfigError(f"{prefix}{key}.{next(iter(value))}: unknown key. '{prefix}{key}' holds one value.")
