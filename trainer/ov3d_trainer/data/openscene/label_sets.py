"""The label sets of OpenScene's processed data sets, and the units of their depth images (pengsongyou/openscene)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ov3d_perception.errors import ConfigError

from ..nuscenes.categories import challenge_words
from ..scannet.label_sets import SCANNET20

_MATTERPORT = (
    "wall, door, ceiling, floor, picture, window, chair, pillow, lamp, cabinet, curtain, table, plant, mirror, towel, "
    "sink, shelves, sofa, bed, night stand, toilet, column, banister, stairs, stool, vase, television, pot, desk, box, "
    "coffee table, counter, bench, garbage bin, fireplace, clothes, bathtub, book, air vent, faucet, photo, "
    "toilet paper, fan, railing, sculpture, dresser, rug, ottoman, bottle, refrigerator, bookshelf, wardrobe, pipe, "
    "monitor, stand, drawer, container, light switch, purse, door way, basket, chandelier, oven, clock, stove, "
    "washing machine, shower curtain, fire alarm, bin, chest, microwave, blinds, bowl, tissue box, plate, tv stand, "
    "shoe, heater, headboard, bucket, candle, flower pot, speaker, furniture, sign, air conditioner, "
    "fire extinguisher, curtain rod, floor mat, printer, telephone, blanket, handle, shower head, soap, keyboard, "
    "thermostat, radiator, kitchen island, paper towel, sheet, glass, dishwasher, cup, ladder, garage door, hat, "
    "exit sign, piano, board, rope, ball, exercise equipment, hanger, candlestick, light, scale, bag, laptop, "
    "treadmill, guitar, display case, toilet paper holder, bar, tray, urn, decorative plate, pool table, jacket, "
    "bottle of soap, water cooler, utensil, tea pot, stuffed animal, paper towel dispenser, lamp shade, car, "
    "toilet brush, doll, drum, whiteboard, range hood, candelabra, toy, foot rest, soap dish, placemat, cleaner, "
    "computer, knob, paper, projector, coat hanger, case, pan, luggage, trinket, chimney, person, alarm"
)
_MATTERPORT_160 = tuple(_MATTERPORT.split(", "))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSet:
    """`names` by the number in the files, none where there are no labels; `depth_units`: units of depth images per
    metre, 0 where the data set has none."""

    names: tuple[str, ...] = ()
    depth_units: float = 0.0


LABEL_SETS: Mapping[str, LabelSet] = {
    "scannet20": LabelSet(names=SCANNET20, depth_units=1000.0),
    "matterport21": LabelSet(names=(*SCANNET20[:19], "other", "ceiling"), depth_units=4000.0),
    "matterport40": LabelSet(names=_MATTERPORT_160[:40], depth_units=4000.0),
    "matterport80": LabelSet(names=_MATTERPORT_160[:80], depth_units=4000.0),
    "matterport160": LabelSet(names=_MATTERPORT_160, depth_units=4000.0),
    "replica": LabelSet(depth_units=6553.5),
    "nuscenes16": LabelSet(names=challenge_words()),
    "none": LabelSet(),
}
"""Values of `data.label_set`."""


def label_set_of(name: str) -> LabelSet:
    """Return a label set; `ConfigError` for an unknown name."""
    if name not in LABEL_SETS:
        raise ConfigError(f"data.label_set: '{name}'; say what the numbers in the files mean: {', '.join(LABEL_SETS)}.")
    return LABEL_SETS[name]
