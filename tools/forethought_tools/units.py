"""Quantities in other units, as `calculate` converts them."""

__all__ = ["convert"]

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pint import Unit, UnitRegistry

# Names with small powers, and one division. The library would also work out whatever else is written there.
_WRITTEN = re.compile(r"[a-zµμ°_]{1,30}(?:[ _][a-z]{1,30}){0,2}[23]?(?:/[a-zµμ_]{1,30}[23]?)?", re.IGNORECASE)
_MEANT = {
    "KB": "kB",
    "c": "degC",
    "°c": "degC",
    "f": "degF",
    "°f": "degF",
    "k": "kelvin",
    "kmh": "km/h",
    "sqft": "foot**2",
    "sqm": "m**2",
    "nautical mile": "nautical_mile",
    "nautical miles": "nautical_mile",
    "fluid ounce": "fluid_ounce",
    "fluid ounces": "fluid_ounce",
    "fl oz": "fluid_ounce",
    "fl_oz": "fluid_ounce",
}
_EITHER = {
    **dict.fromkeys(("ton", "tons", "Ton", "Tons"), "tonne, short_ton or long_ton"),
    **dict.fromkeys(("kb", "Kb"), "kB for bytes, or kbit"),
    **dict.fromkeys(("mb", "Mb"), "MB for bytes, or Mbit"),
    **dict.fromkeys(("gb", "Gb"), "GB for bytes, or Gbit"),
    **dict.fromkeys(("tb", "Tb"), "TB for bytes, or Tbit"),
}


def convert(amount: object, given: object, wanted: object) -> float:
    """An amount in another unit. Raises ValueError, with what to write, for what cannot be converted."""
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise ValueError('convert takes a number and two units, such as convert(5, "mile", "km")')  # noqa: TRY004 - one kind for callers
    registry = _registry()
    old, new = _unit(given, registry), _unit(wanted, registry)
    # Not only the dimension: bits, angles and percent are all without one.
    if registry.Quantity(1, old).to_base_units().units != registry.Quantity(1, new).to_base_units().units:
        raise ValueError(f"{given} cannot be converted to {wanted}: they measure different things")
    # Part of what the library's method takes has no types.
    return registry.convert(float(amount), old, new)  # pyright: ignore[reportUnknownMemberType]


@cache
def _registry() -> "UnitRegistry[float]":
    from pint import UnitRegistry  # a quarter of a second, and few runs convert

    return UnitRegistry()


def _unit(written: object, registry: "UnitRegistry[float]") -> "Unit":
    name = str(written).strip().replace("²", "2").replace("³", "3").replace("**", "").replace("^", "")
    if not _WRITTEN.fullmatch(name):
        raise ValueError(f"{str(written)[:40]!r} is not a unit. Write one such as km, lb, degC, m^2 or km/h")
    if either := _EITHER.get(name):
        raise ValueError(f"{written!r} can mean more than one unit. Write {either}")
    name = re.sub(r"(?i)^degrees? (?=[cf])", "", name)
    name = _MEANT.get(name, _MEANT.get(name.lower(), name))
    for spelled in (name, name.replace(" ", "_"), name.lower(), name.lower().replace(" ", "_")):
        try:
            return registry.Unit(re.sub(r"(?<![*\d])([23])(?=/|$)", r"**\1", spelled))
        except (AttributeError, ValueError, TypeError, SyntaxError):
            continue
    raise ValueError(f"{written!r} is not a unit that is known. Write it in full, such as kilometer or square_foot")
